"""Workers of other processes: as many jobs as the built-in ones get done, or how much less."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.bench import Bench
from benchmarks.figures import Figure, at_least, ratios
from benchmarks.measures.throughput import complete
from benchmarks.server import APP, STOP_SECONDS, Server

WORKERS = 2
BUFFER = 256
"""Jobs that each has at hand; as many as the server leases ahead for its own."""
READY_SECONDS = 30.0
ELSEWHERE = {"WORKERS__COUNT": "0"}
"""Settings of a server that runs no jobs itself."""


def remote(bench: Bench) -> Iterator[Figure]:
    """End to end with two worker processes, and with the built-in workers, in turns."""
    jobs = bench.jobs(60_000)
    built_in: list[float] = []
    apart: list[float] = []
    for round_number in range(bench.rounds):
        bench.say(f"workers of other processes, round {round_number + 1} of {bench.rounds}")
        with bench.fresh() as server:
            built_in.append(complete(server, jobs).rate)
        with bench.fresh(ELSEWHERE) as server, workers(server):
            apart.append(complete(server, jobs).rate)
    share = ratios(apart, built_in)
    targets = (
        at_least("must", "0.6 × built-in workers", share, 0.6),
        at_least("wish", "1 × built-in workers", share, 1.0),
    )
    title = f"end to end, {WORKERS} worker processes, batches of 100"
    yield Figure("remote", title, "jobs/s", tuple(apart), targets)
    yield Figure("remote_built_in", "… the built-in workers instead", "jobs/s", tuple(built_in))


@contextmanager
def workers(server: Server) -> Iterator[None]:
    """Worker processes that have registered."""
    command = [sys.executable, "-m", "beaver_actors", "worker", "--url", server.url, "--app", APP]
    command += ["--buffer", str(BUFFER), "--log-level", "warning"]
    processes: list[subprocess.Popen[bytes]] = []
    try:
        processes += [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(WORKERS)]
        deadline = time.monotonic() + READY_SECONDS
        while len(server.ask({"type": "workers"})["workers"]) < WORKERS:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{WORKERS} workers have not registered within {READY_SECONDS:g} s")
            time.sleep(0.05)
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
