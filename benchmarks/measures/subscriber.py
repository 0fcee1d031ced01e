"""What somebody who watches everything costs those who work."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bench import Bench
from benchmarks.clients import Client
from benchmarks.figures import Figure, at_most, ratios
from benchmarks.measures.throughput import complete

EVENTS = 1000
"""At most so many in a message."""
ROUNDS = 2
"""As many as elsewhere and twice as many again: a tenth is little on a noisy machine."""


def subscriber(bench: Bench) -> Iterator[Figure]:
    """End to end with a subscriber on every event, and without, in turns on one server."""
    jobs = bench.jobs(60_000)
    alone: list[float] = []
    watched: list[float] = []
    shares: list[float] = []
    with bench.fresh() as server:
        complete(server, jobs // 4)
        for round_number in range(bench.rounds * ROUNDS):
            bench.say(f"with and without a subscriber, round {round_number + 1} of {bench.rounds * ROUNDS}")
            alone.append(complete(server, jobs).rate)
            with Client("watch", url=server.url, batch=EVENTS) as watcher:
                watcher.go()
                watched.append(complete(server, jobs).rate)
                watcher.go()
                report = watcher.result()
            assert report["gaps"] == 0, report
            shares.append(report["events"] / (jobs * 3))
    loss = [1 - share for share in ratios(watched, alone)]
    target = at_most("must", "0.10 of the throughput lost", loss, 0.10)
    note = f"it had seen {min(shares):.0%} of the events when the last job was done"
    yield Figure("alone", "end to end, nobody watches", "jobs/s", tuple(alone))
    yield Figure(
        "subscriber", "end to end, a subscriber on every event", "jobs/s", tuple(watched), (target,), note
    )
