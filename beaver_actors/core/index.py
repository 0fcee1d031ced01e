"""Indexes over the jobs: which may run next, which wait for a time, and all of them in order of arrival.

They are derived: everything here can be built anew from the jobs, and nothing here is ever written to disk.
Entries are not removed when a job moves on; they go stale and are dropped later, which makes every move a
constant-time append (a deque costs 0.03 µs where a heap costs 4). One rule tells a stale entry: it holds the
LSN that the job had when it joined, and any fact about the job since then has given it another. Once stale
entries outnumber the others an index is rebuilt, so none keeps more than twice what it needs.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from heapq import heapify, heappop, heappush
from itertools import islice
from operator import le
from typing import NamedTuple

from beaver_actors.core.job import Job, Terms

SLACK = 1000
"""Stale entries that an index may hold whatever its size, so that small ones are not rebuilt all the time."""
SEARCH_MAX = 1000
"""Entries looked at from either end for the place of a job that does not belong at the end. A job handed back
belongs near the front and one due in the same millisecond near the end, so farther means a backlog that is
out of order as a whole, and sorting it once is cheaper."""


class Line:
    """Jobs in a row, in the order in which they joined."""

    __slots__ = ("_jobs", "_lsns", "_standing")

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self._lsns: deque[int] = deque()
        self._standing = 0

    def __len__(self) -> int:
        return self._standing

    def __iter__(self) -> Iterator[Job]:
        return (job for job, lsn in zip(self._jobs, self._lsns, strict=True) if job.lsn == lsn)

    def add(self, job: Job) -> None:
        """The job joins at the end."""
        self._jobs.append(job)
        self._lsns.append(job.lsn)
        self._standing += 1

    def extend(self, jobs: Sequence[Job]) -> None:
        """These jobs join at the end, one after the other."""
        self._jobs.extend(jobs)
        self._lsns.extend([job.lsn for job in jobs])
        self._standing += len(jobs)

    def leave(self) -> None:
        """One of these jobs has moved on. Called after its LSN has changed."""
        self._standing -= 1
        jobs, lsns = self._jobs, self._lsns
        while jobs and jobs[0].lsn != lsns[0]:
            jobs.popleft()
            lsns.popleft()
        if len(jobs) > 2 * self._standing + SLACK:
            self._hold(list(Line.__iter__(self)))

    def _hold(self, jobs: list[Job]) -> None:
        self._jobs = deque(jobs)
        self._lsns = deque(job.lsn for job in jobs)


class LaneKey(NamedTuple):
    """Jobs that are alike to a worker stand in one lane, first come first served."""

    priority: int
    queue: str
    kind: str
    rescues: int


class Lane(Line):
    """A line of pending jobs that stand by their `place`, whenever they join: what comes next depends on the
    jobs alone, not on the way by which they came here."""

    __slots__ = ("_unsorted",)

    def __init__(self) -> None:
        super().__init__()
        self._unsorted = False

    def __iter__(self) -> Iterator[Job]:
        if self._unsorted:
            self._hold(sorted(super().__iter__(), key=place))
            self._unsorted = False
        return super().__iter__()

    def add(self, job: Job) -> None:
        """The job takes its place, which is the last one unless it was handed back."""
        jobs, lsns = self._jobs, self._lsns
        self._drop_stale_end()
        joins_inside = jobs and jobs[-1].run_at_ms >= job.run_at_ms and place(jobs[-1]) > place(job)
        if joins_inside and not self._unsorted:
            at = self._search(place(job))
            if at is not None:
                jobs.insert(at, job)
                lsns.insert(at, job.lsn)
                self._standing += 1
                return
            self._unsorted = True
        super().add(job)

    def _drop_stale_end(self) -> None:
        """What a stale entry says of its place is no longer true, and the last one may be that of the very
        job that joins."""
        jobs, lsns = self._jobs, self._lsns
        while jobs and jobs[-1].lsn != lsns[-1]:
            jobs.pop()
            lsns.pop()

    def extend(self, jobs: Sequence[Job]) -> None:
        """These jobs, which are in order of arrival and stand nowhere yet, take their places."""
        self._drop_stale_end()
        times = [job.run_at_ms for job in jobs]
        follows = not self._jobs or place(self._jobs[-1]) < place(jobs[0])
        if not follows or not all(map(le, times, islice(times, 1, None))):
            self._unsorted = True
        super().extend(jobs)

    def _search(self, wanted: tuple[int, int]) -> int | None:
        """Where to insert, looking from both ends at once; None if that is too far from either. What a stale
        entry says of its place is no longer true, so it is passed over."""
        jobs, lsns = self._jobs, self._lsns
        for step in range(min(len(jobs), SEARCH_MAX)):
            job = jobs[step]
            if place(job) > wanted and job.lsn == lsns[step]:
                return step
            back = len(jobs) - 1 - step
            job = jobs[back]
            if place(job) < wanted and job.lsn == lsns[back]:
                return back + 1
        return None


def place(job: Job) -> tuple[int, int]:
    """A pending job's place among its like: by the time it may run, then by arrival."""
    return job.run_at_ms, job.order


class Lanes:
    """All pending jobs, by lane."""

    __slots__ = ("_lanes", "_latest", "_latest_rescues", "_latest_terms")

    def __init__(self) -> None:
        self._lanes: dict[LaneKey, Lane] = {}
        # Jobs that come or go together are mostly alike, and to make a key costs more than to move a job.
        self._latest_terms: Terms | None = None
        self._latest_rescues = 0
        self._latest = Lane()

    def __len__(self) -> int:
        return sum(len(lane) for lane in self._lanes.values())

    def items(self) -> Iterator[tuple[LaneKey, Lane]]:
        """Every lane in which someone waits."""
        return iter(self._lanes.items())

    def add(self, job: Job) -> None:
        """The job has become pending."""
        self._lane_of(job).add(job)

    def extend(self, alike: Sequence[Job]) -> None:
        """These jobs of the same terms, at least one, have become pending for the first time; given in order
        of arrival."""
        self._lane_of(alike[0]).extend(alike)

    def fill(self, alike: Sequence[Job]) -> None:
        """Many jobs of the same terms are pending, given in order of arrival. Nobody has left a lane yet."""
        fresh = [job for job in alike if job.trail is None]
        if fresh:
            self.extend(fresh)
        for job in alike:
            if job.trail is not None:
                self.add(job)

    def drop(self, job: Job) -> None:
        """A pending job is pending no more. Called after its LSN has changed, and nothing else that says in
        which lane it stood."""
        lane = self._lane_of(job)
        lane.leave()
        if not len(lane):
            del self._lanes[lane_key(job)]
            self._latest_terms = None

    def _lane_of(self, job: Job) -> Lane:
        """The lane this job stands in, or is to stand in."""
        terms, trail = job.terms, job.trail
        rescues = 0 if trail is None else trail.rescues
        if terms is not self._latest_terms or rescues != self._latest_rescues:
            key = lane_key(job)
            lane = self._lanes.get(key)
            if lane is None:
                lane = self._lanes[key] = Lane()
            self._latest_terms, self._latest_rescues, self._latest = terms, rescues, lane
        return self._latest


def lane_key(job: Job) -> LaneKey:
    """The lane a pending job stands in."""
    terms = job.terms
    return LaneKey(terms.priority, terms.queue, terms.kind, job.rescues)


class Timetable:
    """Jobs by a time of theirs, soonest first."""

    __slots__ = ("_heap", "_sweep_at")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Job]] = []
        self._sweep_at = SLACK

    def __len__(self) -> int:
        """Entries held, stale ones included."""
        return len(self._heap)

    def __iter__(self) -> Iterator[tuple[int, Job]]:
        """What is in the table, in no order, each job with its time."""
        return ((at_ms, job) for at_ms, lsn, job in self._heap if job.lsn == lsn)

    def add(self, at_ms: int, job: Job) -> None:
        """The job waits for this time, for as long as no fact is recorded about it. Called at most once for
        each of its facts: jobs have no order, so the LSN must decide between entries of the same time."""
        if len(self._heap) >= self._sweep_at:
            self._heap = [entry for entry in self._heap if entry[2].lsn == entry[1]]
            heapify(self._heap)
            self._sweep_at = 2 * len(self._heap) + SLACK
        heappush(self._heap, (at_ms, job.lsn, job))

    def next_ms(self) -> int | None:
        """The soonest time in the table; None when nothing waits."""
        heap = self._heap
        while heap and heap[0][2].lsn != heap[0][1]:
            heappop(heap)
        return heap[0][0] if heap else None

    def pop_due(self, now_ms: int) -> Iterator[Job]:
        """Take out what is due, soonest first."""
        while self._heap and self._heap[0][0] <= now_ms:
            _, lsn, job = heappop(self._heap)
            if job.lsn == lsn:
                yield job


class Roll:
    """Every job in order of arrival, so that a page of a listing is found by bisection, not by a walk.

    The jobs themselves are kept in that order, which is enough for a first page. The list is made when the
    first page after that is asked for, and kept up from then on: most servers never need it.
    """

    __slots__ = ("_gone", "_jobs")

    def __init__(self) -> None:
        self._jobs: list[Job] | None = None
        self._gone = 0

    def add(self, job: Job) -> None:
        """Jobs come in the order of their `order`."""
        if self._jobs is not None:
            self._jobs.append(job)

    def extend(self, jobs: Sequence[Job]) -> None:
        """Several jobs, in that order."""
        if self._jobs is not None:
            self._jobs.extend(jobs)

    def forget(self, jobs: dict[str, Job]) -> None:
        """One more job was deleted (already gone from `jobs`)."""
        if self._jobs is None:
            return
        self._gone += 1
        if self._gone > SLACK and self._gone * 2 > len(self._jobs):
            self._jobs = list(jobs.values())
            self._gone = 0

    def before(self, order: int | None, jobs: dict[str, Job]) -> Iterator[Job]:
        """Jobs that arrived before `order` (None: all), newest first; deleted ones may be among them.

        Args:
            jobs: all of them, in order of arrival; not to be changed while the iterator is in use.
        """
        if order is None:
            return reversed(jobs.values())
        if self._jobs is None:
            self._jobs = list(jobs.values())
        held = self._jobs
        end = bisect_left(held, order, key=_order)
        return (held[position] for position in range(end - 1, -1, -1))

    def after(self, order: int, jobs: dict[str, Job]) -> Iterator[Job]:
        """Jobs that arrived after `order`, oldest first; otherwise as `before`."""
        if order == 0:
            return iter(jobs.values())
        if self._jobs is None:
            self._jobs = list(jobs.values())
        held = self._jobs
        begin = bisect_right(held, order, key=_order)
        return (held[position] for position in range(begin, len(held)))


def _order(job: Job) -> int:
    return job.order
