"""Pending jobs that have a concurrency key: who of a queue's tenants takes the next turn, and with which job.

For each queue and priority there is a ring: a heap of keys by their turn, and the lanes of each. As in
`index`, entries of the heap go stale and are dropped later: one counts only while it says what the tenant
says. A key that runs as many jobs as it may is not among them until one of them ends, so nobody looks at it
in vain; one that has spent its rate is, and is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from heapq import heapify, heappop, heappush

from beaver_actors.core.index import SLACK, Lane, LaneKey, lane_key
from beaver_actors.core.job import Job
from beaver_actors.core.queues import Queue, Tenant


class Ring:
    """The keys of one queue that have pending jobs of one priority."""

    __slots__ = ("_heap", "lanes")

    def __init__(self) -> None:
        self.lanes: dict[str, dict[LaneKey, Lane]] = {}
        """By key, then by what makes jobs alike to a worker."""
        self._heap: list[tuple[int, str]] = []

    def add(self, job: Job, key: str, queue: Queue) -> None:
        """The job has become pending."""
        own = self.lanes.get(key)
        if own is None:
            own = self.lanes[key] = {}
            self.offer(key, queue)
        alike = lane_key(job)
        lane = own.get(alike)
        if lane is None:
            lane = own[alike] = Lane()
        lane.add(job)

    def drop(self, job: Job, key: str) -> None:
        """A pending job is pending no more. Called after its LSN has changed."""
        own, alike = self.lanes[key], lane_key(job)
        lane = own[alike]
        lane.leave()
        if not len(lane):
            del own[alike]
            if not own:
                del self.lanes[key]

    def offer(self, key: str, queue: Queue) -> None:
        """This key takes its turn again, as far as it has pending jobs here and may run one."""
        heap, tenants = self._heap, queue.tenants
        while heap and (heap[0][1] not in self.lanes or tenants[heap[0][1]].turn != heap[0][0]):
            heappop(heap)  # else every lease would pass by those that were served
        tenant = tenants.get(key)
        if tenant is None or key not in self.lanes or queue.is_full(tenant):
            return
        if len(self._heap) > 2 * len(self.lanes) + SLACK:
            self.rebuild(queue)
        heappush(self._heap, (tenant.turn, key))

    def rebuild(self, queue: Queue) -> None:
        """Look at all keys anew."""
        tenants = queue.tenants
        self._heap = [(tenants[key].turn, key) for key in self.lanes if not queue.is_full(tenants[key])]
        heapify(self._heap)

    def in_turn(self, tenants: Mapping[str, Tenant]) -> Iterator[tuple[int, str]]:
        """The keys that may take a turn, with when they had their last one, longest ago first. The heap is
        read, not emptied; it must not change meanwhile."""
        heap = self._heap
        front = [(heap[0], 0)] if heap else []
        latest: tuple[int, str] | None = None
        while front:
            entry, place = heappop(front)
            for child in (2 * place + 1, 2 * place + 2):
                if child < len(heap):
                    heappush(front, (heap[child], child))
            turn, key = entry
            if entry != latest and key in self.lanes and tenants[key].turn == turn:
                latest = entry
                yield entry


class Rings:
    """All pending jobs with a concurrency key, by queue and priority."""

    __slots__ = ("_rings",)

    def __init__(self) -> None:
        self._rings: dict[str, dict[int, Ring]] = {}

    def __bool__(self) -> bool:
        return bool(self._rings)

    def of(self, queue: str) -> Mapping[int, Ring]:
        """The rings of this queue, by priority."""
        return self._rings.get(queue, {})

    def queues(self) -> Iterator[tuple[str, Mapping[int, Ring]]]:
        """The queues in which jobs with a key are pending."""
        return iter(self._rings.items())

    def items(self) -> Iterator[tuple[LaneKey, str, Lane]]:
        """Every lane, with its key."""
        for rings in self._rings.values():
            for ring in rings.values():
                for key, own in ring.lanes.items():
                    for alike, lane in own.items():
                        yield alike, key, lane

    def add(self, job: Job, key: str, queue: Queue) -> None:
        """The job has become pending; its tenant counts it already."""
        ring = self._rings.setdefault(queue.name, {}).setdefault(job.terms.priority, Ring())
        ring.add(job, key, queue)

    def drop(self, job: Job, key: str) -> None:
        """A pending job is pending no more. Called after its LSN has changed, and nothing else that says
        where it stood."""
        rings, priority = self._rings[job.terms.queue], job.terms.priority
        ring = rings[priority]
        ring.drop(job, key)
        if not ring.lanes:
            del rings[priority]
            if not rings:
                del self._rings[job.terms.queue]

    def offer(self, key: str, queue: Queue) -> None:
        """The tenant's turn is another, or it may run jobs again."""
        for ring in self.of(queue.name).values():
            ring.offer(key, queue)

    def rebuild(self, queue: Queue) -> None:
        """The queue's rules are others."""
        for ring in self.of(queue.name).values():
            ring.rebuild(queue)
