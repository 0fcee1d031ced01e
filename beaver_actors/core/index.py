"""Indexes over the jobs: which may run next, which wait for a time, and all of them in order of arrival.

They are derived: everything here can be built anew from the jobs, and nothing here is ever written to disk.
Entries are not removed when a job moves on; they go stale and are dropped when they reach the front, which
makes every move a constant-time append (a deque costs 0.03 µs where a heap costs 4).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from heapq import heappop, heappush
from typing import NamedTuple

from beaver_actors.core.job import Job, JobState

PENDING = JobState.PENDING


class LaneKey(NamedTuple):
    """Jobs that are alike to a worker stand in one lane, first come first served."""

    priority: int
    queue: str
    kind: str
    rescues: int


class Lane:
    """One line of pending jobs. `waiting` counts those that still stand in it."""

    __slots__ = ("entries", "waiting")

    def __init__(self) -> None:
        self.entries: deque[Job] = deque()
        self.waiting = 0

    def __iter__(self) -> Iterator[Job]:
        """The jobs in their order. A job that left and came back may be met twice; the second time counts
        for nothing, so the caller remembers what it has taken."""
        return (job for job in self.entries if job.state is PENDING)


class Lanes:
    """All pending jobs, by lane."""

    __slots__ = ("_lanes",)

    def __init__(self) -> None:
        self._lanes: dict[LaneKey, Lane] = {}

    def __len__(self) -> int:
        return sum(lane.waiting for lane in self._lanes.values())

    def items(self) -> Iterator[tuple[LaneKey, Lane]]:
        """Every lane in which someone waits."""
        return iter(self._lanes.items())

    def add(self, job: Job, *, first: bool = False) -> None:
        """The job has become pending; `first` puts it before those that have not had their turn yet."""
        key = lane_key(job)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane()
        if first:
            lane.entries.appendleft(job)
        else:
            lane.entries.append(job)
        lane.waiting += 1

    def drop(self, key: LaneKey) -> None:
        """A job of this lane is pending no more. Called after the job's state has changed."""
        lane = self._lanes[key]
        lane.waiting -= 1
        if lane.waiting == 0:
            del self._lanes[key]
            return
        entries = lane.entries
        while entries[0].state is not PENDING:
            entries.popleft()


def lane_key(job: Job) -> LaneKey:
    """The lane a pending job stands in."""
    terms = job.terms
    return LaneKey(terms.priority, terms.queue, terms.kind, job.rescues)


class Timetable:
    """Jobs by a time of theirs, soonest first. An entry names the job and the LSN it was made at, so that one
    made for an earlier stay is known to be stale."""

    __slots__ = ("_heap",)

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Job]] = []

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, at_ms: int, tie: int, job: Job) -> None:
        """`tie` must differ between entries of one time (an LSN does): jobs themselves have no order."""
        heappush(self._heap, (at_ms, tie, job))

    def next_ms(self) -> int | None:
        """The soonest time in the table, stale or not; None when empty."""
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now_ms: int) -> Iterator[tuple[int, int, Job]]:
        """Take out what is due, as (time, tie, job); the caller knows what has gone stale."""
        while self._heap and self._heap[0][0] <= now_ms:
            yield heappop(self._heap)


class Roll:
    """Every job in order of arrival, so that a page of a listing is found by bisection, not by a walk."""

    __slots__ = ("_gone", "_jobs")

    def __init__(self) -> None:
        self._jobs: list[Job] = []
        self._gone = 0

    def add(self, job: Job) -> None:
        """Jobs come in the order of their `order`."""
        self._jobs.append(job)

    def forget(self, jobs: dict[str, Job]) -> None:
        """One more job was deleted (already gone from `jobs`); rebuilt once half are gone."""
        self._gone += 1
        if self._gone > 1000 and self._gone * 2 > len(self._jobs):
            self._jobs = list(jobs.values())
            self._gone = 0

    def before(self, order: int | None) -> Iterator[Job]:
        """Jobs that arrived before `order` (None: all), newest first; deleted ones may be among them."""
        jobs = self._jobs
        end = len(jobs) if order is None else bisect_left(jobs, order, key=_order)
        return (jobs[position] for position in range(end - 1, -1, -1))


def _order(job: Job) -> int:
    return job.order
