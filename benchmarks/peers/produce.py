"""The clients of a peer, in a process of their own: `python -m benchmarks.peers.produce '{"module": …}'`.

Several threads, or tasks of asyncio where that is what the peer's client is made for, each with one call
under way. It runs in the peers' environment; how it is started and what it prints is as in `benchmarks.load`.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import sys
import threading
import time
from typing import Any

from benchmarks.load import quantiles, span, wait_for_go
from benchmarks.peers.apps.shared import BATCH

Made = tuple[int, float, list[int]]
"""When the clients began and the processor time then, and the latencies of their calls, ns."""


class Quota:
    """How much there is to do: so many calls, or as many as fit into some time."""

    def __init__(self, calls: int | None, seconds: float | None) -> None:
        self._calls = calls
        self._seconds = seconds
        self._deadline = float("inf")

    def begin(self) -> None:
        """Start the clock."""
        if self._seconds is not None:
            self._deadline = time.monotonic() + self._seconds

    def take(self) -> bool:
        """Whether there is another call to make."""
        if self._calls is not None:
            if self._calls <= 0:
                return False
            self._calls -= 1  # between two threads one call more or less is no harm: all are counted
        return time.monotonic() < self._deadline


def in_threads(producer_class: type, method: str, clients: int, quota: Quota) -> Made:
    """Clients as threads with a producer each; returns the start, the processor time at it, and latencies."""
    calls = [getattr(producer_class(), method) for _ in range(clients)]
    latencies: list[int] = []
    failures: list[BaseException] = []

    def work(call: Any) -> None:
        try:
            while quota.take():
                sent = time.monotonic_ns()
                call()
                latencies.append(time.monotonic_ns() - sent)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=(call,)) for call in calls]
    wait_for_go()
    cpu, began = time.process_time(), time.monotonic_ns()
    quota.begin()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return began, cpu, latencies


async def in_tasks(producer_class: type, method: str, clients: int, quota: Quota) -> Made:
    """Clients as tasks that share a producer."""
    producer = producer_class()
    await producer.open()
    call = getattr(producer, method)
    latencies: list[int] = []

    async def work() -> None:
        while quota.take():
            sent = time.monotonic_ns()
            await call()
            latencies.append(time.monotonic_ns() - sent)

    wait_for_go()
    cpu, began = time.process_time(), time.monotonic_ns()
    quota.begin()
    await asyncio.gather(*[work() for _ in range(clients)])
    return began, cpu, latencies


def main() -> None:
    """Do what the command line says."""
    options = json.loads(sys.argv[1])
    producer_class = importlib.import_module(options["module"]).Producer
    method: str = options["method"]
    quota = Quota(options["calls"], options["seconds"])
    if inspect.iscoroutinefunction(producer_class.one):
        began, cpu, latencies = asyncio.run(in_tasks(producer_class, method, options["clients"], quota))
    else:
        began, cpu, latencies = in_threads(producer_class, method, options["clients"], quota)
    jobs = len(latencies) * (BATCH if method == "many" else 1)
    print(json.dumps(span(began, cpu) | {"jobs": jobs, "messages": len(latencies)} | quantiles(latencies)))


if __name__ == "__main__":
    main()
