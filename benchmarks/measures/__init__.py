"""What is measured, by name. A measurement is a generator of figures that takes a `Bench`; to add one, write
it and name it here."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from benchmarks.bench import Bench
from benchmarks.figures import Figure
from benchmarks.measures.backlog import growth, memory, restart, snapshot
from benchmarks.measures.fairness import fairness
from benchmarks.measures.fleet import fleet
from benchmarks.measures.messages import latency, messages, start
from benchmarks.measures.remote import remote
from benchmarks.measures.subscriber import subscriber
from benchmarks.measures.throughput import end_to_end, enqueue

MEASURES: dict[str, Callable[[Bench], Iterator[Figure]]] = {
    "end_to_end": end_to_end,
    "enqueue": enqueue,
    "messages": messages,
    "latency": latency,
    "start": start,
    "remote": remote,
    "subscriber": subscriber,
    "memory": memory,
    "growth": growth,
    "snapshot": snapshot,
    "restart": restart,
    "fleet": fleet,
    "fairness": fairness,
}
