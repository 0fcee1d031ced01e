"""Batches: how many jobs a second go in, and how many go through, beside a bare Redis stream."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from benchmarks.bench import Bench
from benchmarks.clients import Client, Clients, Load, total
from benchmarks.figures import Figure, Target, at_least, ratios
from benchmarks.redis_stream import GROUP, STREAM, RedisConnection, RedisServer, is_installed
from benchmarks.server import IDLE, ROOMY, Server

WINDOW = 8
"""Messages under way on each connection."""
PROCESSES = 2
"""Client processes, with one connection each."""
E2E_SECONDS_MAX = 120.0


def end_to_end(bench: Bench) -> Iterator[Figure]:
    """From the first send to the last recorded completion, with the built-in workers."""
    jobs = bench.jobs(60_000)
    ours: list[float] = []
    server_us: list[float] = []
    client_us: list[float] = []
    stream: list[float] = []
    for round_number in range(bench.rounds):
        bench.say(f"end to end, round {round_number + 1} of {bench.rounds}")
        with bench.fresh() as server:
            through = complete(server, jobs)
        ours.append(through.rate)
        server_us.append(through.server_us)
        client_us.append(through.client_us)
        if is_installed():
            with bench.scratch() as data, RedisServer(data) as redis:
                stream.append(complete_stream(redis, jobs).rate)
    targets: list[Target] = [at_least("must", "20,000/s", ours, 20_000)]
    if stream:
        targets.append(at_least("wish", "bare Redis stream", ratios(ours, stream), 1))
    note = f"server {median(server_us):.0f} µs, clients {median(client_us):.1f} µs of processor time a job"
    yield Figure("end_to_end", "end to end, batches of 100", "jobs/s", tuple(ours), tuple(targets), note)
    if stream:
        yield Figure("end_to_end_redis", "… a bare Redis stream, AOF always", "jobs/s", tuple(stream))


def enqueue(bench: Bench) -> Iterator[Figure]:
    """Acknowledged jobs a second while nothing runs."""
    for batch in (100, 1000):
        jobs = bench.jobs(120_000)
        ours: list[float] = []
        stream: list[float] = []
        server_us: list[float] = []
        client_us: list[float] = []
        for round_number in range(bench.rounds):
            bench.say(f"enqueue, batches of {batch}, round {round_number + 1} of {bench.rounds}")
            with bench.fresh(IDLE | ROOMY) as server:
                cpu = server.cpu_seconds()
                load = _enqueue(server.url, jobs, batch)
                server_us.append((server.cpu_seconds() - cpu) / load.jobs * 1e6)
            ours.append(load.rate)
            client_us.append(load.cpu_seconds / load.jobs * 1e6)
            if is_installed():
                with bench.scratch() as data, RedisServer(data) as redis:
                    stream.append(_enqueue(redis.url, jobs, batch).rate)
        targets = [at_least("must", "60,000/s", ours, 60_000), at_least("wish", "100,000/s", ours, 100_000)]
        if stream:
            targets.insert(1, at_least("must", "bare Redis stream", ratios(ours, stream), 1))
        note = f"server {median(server_us):.1f} µs, clients {median(client_us):.1f} µs a job"
        title = f"enqueue, batches of {batch}"
        yield Figure(f"enqueue_{batch}", title, "jobs/s", tuple(ours), tuple(targets), note)
        if stream:
            name = f"enqueue_{batch}_redis"
            yield Figure(name, "… a bare Redis stream, AOF always", "jobs/s", tuple(stream))


class Through:
    """Jobs that went in and came out.

    Args:
        load: how they went in.
        done_ns: when the last was out.
        server_seconds: processor time of the server meanwhile.
    """

    def __init__(self, load: Load, done_ns: int, server_seconds: float) -> None:
        self.rate = load.jobs / ((done_ns - load.began_ns) / 1e9)
        self.server_us = server_seconds / load.jobs * 1e6
        self.client_us = load.cpu_seconds / load.jobs * 1e6
        self.load = load


def complete(server: Server, jobs: int) -> Through:
    """Send jobs in batches of 100 and wait until they are all recorded as completed."""
    done, cpu = server.completed(), server.cpu_seconds()
    with batches(server.url, jobs) as clients:
        load = clients.run()
        done_ns = server.wait_completed(done + load.jobs, E2E_SECONDS_MAX)
    return Through(load, done_ns, server.cpu_seconds() - cpu)


def complete_stream(redis: RedisServer, jobs: int) -> Through:
    """The same through a Redis stream: two producers, and a consumer that acknowledges by the hundred."""
    with RedisConnection(redis.url) as connection:
        connection.ask(b"XGROUP", b"CREATE", STREAM, GROUP, b"$", b"MKSTREAM")
    with (
        Client("read_stream", url=redis.url, jobs=jobs) as consumer,
        batches(redis.url, jobs) as producers,
    ):
        consumer.go()
        load = producers.run()
        consumed = total([consumer.result()])
    return Through(load, consumed.ended_ns, 0.0)


def _enqueue(url: str, jobs: int, batch: int) -> Load:
    with batches(url, jobs, batch) as clients:
        return clients.run()


def batches(url: str, jobs: int, batch: int = 100) -> Clients:
    """Two processes with one connection each that send so many jobs in batches."""
    return Clients(url, jobs=jobs, batch=batch, clients=PROCESSES, window=WINDOW, processes=PROCESSES)
