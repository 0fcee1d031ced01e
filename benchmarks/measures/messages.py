"""One job a message: rates beside a bare echo through the same WebSocket library, and latencies beside the
sum of what they are made of."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from benchmarks.bench import Bench
from benchmarks.clients import Client, Clients, Load
from benchmarks.echo import EchoServer
from benchmarks.figures import Figure, at_least, at_most, ratios
from benchmarks.server import IDLE, ROOMY

MESSAGES = {1: 2_000, 8: 8_000, 32: 12_000}
"""By number of clients; some two seconds each."""
ECHO_LIMITS = {32: (0.7, 0.9)}
"""Must and wish as a share of the echo."""
PROCESSES = 2


def messages(bench: Bench) -> Iterator[Figure]:
    """Enqueue with 1, 8 and 32 clients that wait for each answer, and the same clients at the echo server."""
    with EchoServer() as echo, bench.fresh(IDLE | ROOMY) as server:
        for clients, count in MESSAGES.items():
            count = bench.jobs(count)
            ours: list[Load] = []
            floor: list[Load] = []
            for round_number in range(bench.rounds + 1):
                bench.say(f"one job a message, {clients} clients, round {round_number} of {bench.rounds}")
                some = count // 8 if round_number == 0 else count  # a round to warm up
                ours.append(_load(server.url, some, clients))
                floor.append(_load(echo.url, some, clients))
            rates, echoes = [load.rate for load in ours[1:]], [load.rate for load in floor[1:]]
            share = ratios(rates, echoes)
            targets = []
            if clients in ECHO_LIMITS:
                must, wish = ECHO_LIMITS[clients]
                targets.append(at_least("must", f"{must} × echo", share, must))
                targets.append(at_least("wish", f"{wish} × echo", share, wish))
            name, plural = f"messages_{clients}", "s" if clients > 1 else ""
            title = f"enqueue, one job a message, {clients} client{plural}"
            busy = median(load.cpu_seconds / load.seconds for load in ours[1:])
            note = f"clients used {busy:.0%} of a core"
            if not targets:
                note = f"{median(share):.2f} × echo; {note}"
            yield Figure(name, title, "jobs/s", tuple(rates), tuple(targets), note)
            yield Figure(f"{name}_echo", "… a bare echo instead", "messages/s", tuple(echoes))


def latency(bench: Bench) -> Iterator[Figure]:
    """A single client's enqueue, an echo and a sync, in turns of a few each."""
    enqueues: list[float] = []
    floors: list[float] = []
    tails: list[float] = []
    syncs: list[float] = []
    echoes: list[float] = []
    with EchoServer() as echo, bench.fresh(IDLE | ROOMY) as server, bench.scratch() as directory:
        for round_number in range(bench.rounds):
            bench.say(f"latency of one client, round {round_number + 1} of {bench.rounds}")
            task = {"server": server.url, "echo": echo.url, "directory": str(directory), "kind": "bench.noop"}
            with Client("side_by_side", **task, rounds=bench.jobs(80), block=25) as client:
                client.go()
                report = client.result()
            enqueues.append(report["enqueue"]["p50_ms"])
            tails.append(report["enqueue"]["p99_ms"])
            syncs.append(report["sync"]["p50_ms"])
            echoes.append(report["echo"]["p50_ms"])
            floors.append(syncs[-1] + echoes[-1])
    share = ratios(enqueues, floors)
    targets = (
        at_most("must", "2 × (sync + echo)", share, 2.0),
        at_most("wish", "1.3 × (sync + echo)", share, 1.3),
    )
    yield Figure("latency_p50", "enqueue, 1 client, p50", "ms", tuple(enqueues), targets)
    yield Figure("latency_p99", "enqueue, 1 client, p99", "ms", tuple(tails))
    yield Figure("sync", "… one write and fdatasync, p50", "ms", tuple(syncs))
    yield Figure("echo", "… one echo, p50", "ms", tuple(echoes))


def start(bench: Bench) -> Iterator[Figure]:
    """From the send to the first line of the handler, on a server that has nothing else to do."""
    medians: list[float] = []
    tails: list[float] = []
    syncs: list[float] = []
    with bench.fresh() as server, bench.scratch() as directory:
        for round_number in range(bench.rounds):
            bench.say(f"enqueue to start, round {round_number + 1} of {bench.rounds}")
            task = {"url": server.url, "directory": str(directory)}
            with Client("starts", **task, jobs=bench.jobs(400), pause=0.01) as client:
                client.go()
                report = client.result()
            medians.append(report["start"]["p50_ms"])
            tails.append(report["start"]["p99_ms"])
            syncs.append(report["sync"]["p50_ms"])
    over = [ours - 3 * sync for ours, sync in zip(medians, syncs, strict=True)]
    limit = at_most("must", "3 syncs + 1 ms (shown: ms beyond 3 syncs)", over, 1.0)
    yield Figure("start_p50", "enqueue to handler starts, idle, p50", "ms", tuple(medians), (limit,))
    limit = at_most("must", "20 ms", tails, 20.0)
    yield Figure("start_p99", "enqueue to handler starts, idle, p99", "ms", tuple(tails), (limit,))


def _load(url: str, messages: int, clients: int) -> Load:
    processes = min(PROCESSES, clients)
    with Clients(url, jobs=messages, clients=clients, processes=processes) as group:
        return group.run()
