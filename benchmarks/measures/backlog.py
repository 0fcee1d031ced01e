"""A million jobs that wait: what they take of memory, what they cost those who work beside them, and how long
a start with them takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.bench import Bench
from benchmarks.clients import Client, Clients
from benchmarks.figures import Figure, at_most, ratios
from benchmarks.measures.throughput import E2E_SECONDS_MAX, batches
from benchmarks.server import IDLE, NO_SNAPSHOTS, ROOMY, Server

SMALL_BACKLOG = 1_000
TAIL_SHARE = 20
"""One job in so many is enqueued after the snapshot."""
SNAPSHOT_SECONDS_MAX = 120.0
RSS_PAUSE = 1.0
"""After the last answer, so that what is only on its way is gone, s."""


def memory(bench: Bench) -> Iterator[Figure]:
    """Growth of the server's resident memory by the number of jobs."""
    per_job: list[float] = []
    for round_number in range(1 if bench.quick else 2):
        bench.say(f"memory of {bench.backlog:,} pending jobs, round {round_number + 1}")
        with bench.fresh(IDLE | ROOMY | NO_SNAPSHOTS) as server:
            empty = server.rss_bytes()
            fill(server, bench.backlog)
            time.sleep(RSS_PAUSE)
            per_job.append((server.rss_bytes() - empty) / bench.backlog)
    targets = (at_most("must", "450 B", per_job, 450), at_most("wish", "300 B", per_job, 300))
    title = f"memory a pending job, {bench.backlog:,} pending"
    yield Figure("memory", title, "bytes", tuple(per_job), targets)


def restart(bench: Bench) -> Iterator[Figure]:
    """From the start of the process to its first acknowledgement: out of the log, then out of a snapshot."""
    first: list[float] = []
    recovery: list[float] = []
    with bench.scratch() as data:
        with Server(data, IDLE | ROOMY | NO_SNAPSHOTS) as server:
            fill(server, bench.backlog)
            server.kill()
        bench.say(f"restart with {bench.backlog:,} pending jobs, out of the log")
        with Server(data, IDLE | ROOMY | {"SNAPSHOT__INTERVAL": "1s", "SNAPSHOT__MIN_GROWTH": "0"}) as server:
            log_seconds = (server.acknowledge_one() - server.started_ns) / 1e9
            wait_for_snapshot(data)
            server.kill()
        with Server(data, IDLE | ROOMY | NO_SNAPSHOTS) as server:
            fill(server, bench.backlog // TAIL_SHARE)
            server.kill()
        for round_number in range(3):
            bench.say(f"restart out of a snapshot and the log after it, round {round_number + 1} of 3")
            with Server(data, IDLE | ROOMY | NO_SNAPSHOTS) as server:
                first.append((server.acknowledge_one() - server.started_ns) / 1e9)
                recovery.append(server.recovery_seconds)
                server.kill()
    targets = (at_most("must", "4 s", first, 4), at_most("wish", "2 s", first, 2))
    title = f"restart with {bench.backlog:,} pending, to the first acknowledgement"
    note = f"snapshot and {bench.backlog // TAIL_SHARE:,} more in the log after it"
    yield Figure("restart", title, "s", tuple(first), targets, note)
    yield Figure("recovery", "… of which recovery", "s", tuple(recovery))
    yield Figure("restart_log", "… out of the log alone", "s", (log_seconds,))


def snapshot(bench: Bench) -> Iterator[Figure]:
    """One client's enqueues while snapshots of the backlog are made, and between them."""
    settings = {"SNAPSHOT__INTERVAL": "12s" if not bench.quick else "5s", "SNAPSHOT__MIN_GROWTH": "0"}
    with bench.scratch() as data:
        with Server(data, IDLE | ROOMY | NO_SNAPSHOTS) as server:
            fill(server, bench.backlog)
        with Server(data, IDLE | ROOMY | settings) as server:
            wait_for_snapshot(data)  # the first one reads the whole log; those after it are as in daily life
            messages = 6_000 if bench.quick else 30_000
            bench.say("latency of one client while snapshots are made")
            with Client(
                "closed_loop", url=server.url, kind="bench.noop", batch=1, clients=1, window=1,
                messages=messages, keep=True,
            ) as client:  # fmt: skip
                client.go()
                spans = watch_snapshots(client, server.pid)
                report = client.result()
    during, between = split(report["moments_ns"], report["latencies_ns"], spans)
    while len(during) > len(between):
        during.pop()
    p99s, quiet = [_p99_ms(values) for values in during], [_p99_ms(values) for values in between]
    share = ratios(p99s, quiet[: len(p99s)])
    targets = (
        at_most("must", "2 × the p99 without", share, 2.0),
        at_most("wish", "1 × the p99 without", share, 1.0),
    )
    title = f"p99 of enqueue, 1 client, while {bench.backlog:,} jobs are put into a snapshot"
    seconds = sum(end - start for start, end in spans) / len(spans) / 1e9
    note = f"{len(p99s)} snapshots of {seconds:.1f} s"
    yield Figure("snapshot_p99", title, "ms", tuple(p99s), targets, note)
    yield Figure("quiet_p99", "… between the snapshots", "ms", tuple(quiet))


def growth(bench: Bench) -> Iterator[Figure]:
    """The same work on a server with a small backlog and on one with a large, in turns.

    New jobs go in at the end of the line, workers take from its beginning, so each backlog stays what it is.
    """
    jobs = bench.jobs(20_000)
    cpu: dict[int, list[float]] = {SMALL_BACKLOG: [], bench.backlog: []}
    wall: dict[int, list[float]] = {SMALL_BACKLOG: [], bench.backlog: []}
    with bench.fresh(ROOMY | NO_SNAPSHOTS) as small, bench.fresh(ROOMY | NO_SNAPSHOTS) as large:
        servers = {SMALL_BACKLOG: small, bench.backlog: large}
        for backlog, server in servers.items():
            server.ask({"type": "pause", "queue": "default"})
            fill(server, backlog)
        for round_number in range(bench.rounds + 2):
            bench.say(
                f"work beside {SMALL_BACKLOG:,} and {bench.backlog:,} pending jobs, round {round_number}"
            )
            for backlog, server in servers.items():
                seconds, processor = _work(server, jobs)
                if round_number:  # the first is for warming up
                    wall[backlog].append(seconds / jobs * 1e6)
                    cpu[backlog].append(processor / jobs * 1e6)
    times = ratios(wall[bench.backlog], wall[SMALL_BACKLOG])
    processor_times = ratios(cpu[bench.backlog], cpu[SMALL_BACKLOG])
    worse = max(times, processor_times, key=median)
    target = at_most("must", f"1.3 × that of {SMALL_BACKLOG:,}, in time and in processor time", worse, 1.3)
    note = (
        f"processor time {median(cpu[bench.backlog]):.0f} µs, "
        f"beside {SMALL_BACKLOG:,} pending {median(cpu[SMALL_BACKLOG]):.0f} µs"
    )
    name, title = "growth", f"cost of a job end to end beside {bench.backlog:,} pending"
    yield Figure(name, title, "µs", tuple(wall[bench.backlog]), (target,), note)
    yield Figure("growth_small", f"… beside {SMALL_BACKLOG:,} pending", "µs", tuple(wall[SMALL_BACKLOG]))


def fill(server: Server, jobs: int) -> None:
    """Make a backlog."""
    batch = min(1000, jobs)
    with Clients(server.url, jobs=jobs, batch=batch, window=4) as clients:
        clients.run()


def wait_for_snapshot(data: Path) -> None:
    """Wait until a snapshot lies in the directory."""
    deadline = time.monotonic() + SNAPSHOT_SECONDS_MAX
    while not list((data / "snapshots").glob("*.snap")):
        if time.monotonic() > deadline:
            raise TimeoutError(f"no snapshot within {SNAPSHOT_SECONDS_MAX:g} s")
        time.sleep(0.1)


def watch_snapshots(client: Client, server_pid: int) -> list[tuple[int, int]]:
    """When the server had a child, which is what makes its snapshots, until the client has done its work."""
    spans: list[tuple[int, int]] = []
    since: int | None = None
    while client.is_working():
        now = time.monotonic_ns()
        busy = has_child(server_pid)
        if busy and since is None:
            since = now
        elif not busy and since is not None:
            spans.append((since, now))
            since = None
        time.sleep(0.01)
    if since is not None:
        spans.append((since, time.monotonic_ns()))
    if not spans:
        raise RuntimeError("no snapshot was made while the client worked")
    return spans


def has_child(pid: int) -> bool:
    """Whether a process has children, of any of its threads."""
    return any(file.read_text().strip() for file in Path(f"/proc/{pid}/task").glob("*/children"))


def split(
    moments: list[int], latencies: list[int], spans: list[tuple[int, int]]
) -> tuple[list[list[int]], list[list[int]]]:
    """Latencies while each snapshot was made, and between one and the next, before the first included."""
    during: list[list[int]] = [[] for _ in spans]
    between: list[list[int]] = [[] for _ in range(len(spans) + 1)]
    at = 0
    for moment, latency in zip(moments, latencies, strict=True):
        while at < len(spans) and moment - latency > spans[at][1]:
            at += 1
        if at < len(spans) and moment >= spans[at][0]:
            during[at].append(latency)
        else:
            between[at].append(latency)
    return during, [values for values in between if len(values) >= 100]


def _work(server: Server, jobs: int) -> tuple[float, float]:
    """Enqueue so many while so many are completed; returns seconds, and processor time of the server."""
    done = server.completed()
    with batches(server.url, jobs) as clients:
        cpu, began = server.cpu_seconds(), time.monotonic_ns()
        server.ask({"type": "resume", "queue": "default"})
        load = clients.run()
        ended = server.wait_completed(done + load.jobs, E2E_SECONDS_MAX)
        cpu = server.cpu_seconds() - cpu
    server.ask({"type": "pause", "queue": "default"})
    return (ended - began) / 1e9, cpu


def _p99_ms(nanoseconds: list[int]) -> float:
    return sorted(nanoseconds)[(len(nanoseconds) - 1) * 99 // 100] / 1e6
