"""Workers in processes of their own, on jobs that compute: what a second one adds on two cores."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from benchmarks.bench import Bench
from benchmarks.figures import Figure, at_least, ratios
from benchmarks.server import APP, Server

JOBS = 40
"""For each worker of a round."""
STEPS = 600_000
"""Of one job: some fifty milliseconds."""
WARM_UP = 4
"""Jobs for each worker before anything is counted: processes are started for the first ones."""
SECONDS_MAX = 600.0


def fleet(bench: Bench) -> Iterator[Figure]:
    """Jobs a second by one worker and by two, in turns, on a server that runs none itself."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    for round_number in range(bench.rounds):
        for workers in (1, 2):
            bench.say(f"{workers} worker processes, round {round_number + 1} of {bench.rounds}")
            with bench.fresh({"WORKERS__COUNT": "0"}) as server:
                rates[workers].append(_rate(server, workers, bench.jobs(JOBS)))
    title = f"jobs of {STEPS:,} steps in a process"
    yield Figure("fleet_1", f"{title}, one worker", "jobs/s", tuple(rates[1]))
    gained = ratios(rates[2], rates[1])
    targets = (at_least("must", "1.8 × one worker", gained, 1.8),)
    yield Figure("fleet_2", f"{title}, two workers", "jobs/s", tuple(rates[2]), targets)


def _rate(server: Server, workers: int, jobs: int) -> float:
    """Jobs a second, from the first that is enqueued to the last that is completed."""
    with ExitStack() as running:
        for _ in range(workers):
            running.enter_context(_worker(server.url))
        deadline = time.monotonic() + SECONDS_MAX
        while len(server.ask({"type": "workers"})["workers"]) < workers:
            if time.monotonic() > deadline:
                raise TimeoutError("the workers have not come")
            time.sleep(0.05)
        _enqueue(server, WARM_UP * workers)
        server.wait_completed(WARM_UP * workers, SECONDS_MAX)
        began = time.monotonic_ns()
        _enqueue(server, jobs * workers)
        ended = server.wait_completed((WARM_UP + jobs) * workers, SECONDS_MAX)
    return jobs * workers / ((ended - began) / 1e9)


def _enqueue(server: Server, count: int) -> None:
    server.ask({"type": "enqueue", "jobs": [{"kind": "bench.burn", "args": {"steps": STEPS}}] * count})


@contextmanager
def _worker(url: str) -> Iterator[None]:
    """A worker process that runs one job at a time, and has one at hand."""
    command = [sys.executable, "-m", "beaver_actors", "worker", "--url", url, "--app", APP]
    command += ["--concurrency", "1", "--buffer", "1", "--log-level", "error"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()
