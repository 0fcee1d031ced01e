"""Which jobs a worker gets next. Reads the lanes; the facts that follow empty them.

The order: larger priority first; between queues of one priority the one that has waited longest for a turn,
one job each in rotation, so that a queue with a million jobs does not starve the others (a worker may bring
an order of its own); within a queue the same between concurrency keys, jobs without one being as one key;
then by the time a job may run, then by arrival. In a queue that lets its jobs age, a job's priority grows
with the time it has waited (`effective_priority`).

Jobs in whose attempts a worker has died are suspects; one that is a single death short of poison runs beside
no other suspect, so that it answers for itself alone (P12).

What a queue's rules leave no room for is not looked at: a queue at its limit costs nothing, and neither does
a key that runs as many jobs as it may. A key that has spent its rate costs a look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heappop, heappush, merge
from itertools import islice

from beaver_actors.core.commands import Lease, Policy
from beaver_actors.core.index import Lane, LaneKey, place
from beaver_actors.core.job import Job
from beaver_actors.core.queues import Queue
from beaver_actors.core.rings import Ring
from beaver_actors.core.state import State

PRIORITY_MAX = 100
"""The largest that a user can give, and that a job can reach by waiting."""
KEYLESS = ""
"""Stands for the jobs without a concurrency key where keys take turns."""


def choose(state: State, command: Lease, now_ms: int, policy: Policy) -> Iterator[Job]:
    """Yield at most `command.limit` different pending jobs that the worker may run, in order."""
    suspects = [held.rescues for held in state.in_flight.values() if held.rescues]

    def may_run(job: Job) -> bool:
        if job.extras is None and job.trail is None:
            return True  # nearly every job
        if job.expires_at_ms is not None and job.expires_at_ms <= now_ms:
            return False
        if job.rescues:
            if not bears(suspects, job.rescues, policy):
                return False
            suspects.append(job.rescues)
        return True

    open_queues = _open_queues(state, command, now_ms, may_run)
    return islice(_in_order(state, open_queues, command.turns), max(command.limit, 0))


def is_last_chance(rescues: int, policy: Policy) -> bool:
    """Whether one more death of its worker would make such a job poison."""
    return rescues > 0 and rescues + 1 >= policy.max_rescues


def effective_priority(job: Job, ageing_ms: int | None, now_ms: int) -> int:
    """The priority that a pending job counts for: its own, and one more for each full `ageing_ms` since it
    may run, up to 100. So what waits `(100 - priority) * ageing_ms` goes before everything younger.

    Args:
        ageing_ms: of its queue; None: it does not grow.
    """
    own = job.terms.priority
    return own if ageing_ms is None else min(PRIORITY_MAX, own + max(0, now_ms - job.run_at_ms) // ageing_ms)


def bears(suspects: list[int], rescues: int, policy: Policy) -> bool:
    """Whether a suspect may run beside these: given are the rescues of each."""
    if is_last_chance(rescues, policy):
        return not suspects
    return not any(is_last_chance(other, policy) for other in suspects)


class _OpenQueue:
    """What one lease may take from one queue: its jobs in order, priority by priority."""

    __slots__ = (
        "_kinds",
        "_left",
        "_may_run",
        "_now_ms",
        "_queue",
        "_rings",
        "_rooms",
        "_served",
        "_turn",
        "lanes",
    )

    def __init__(self, queue: Queue, command: Lease, now_ms: int, may_run: Callable[[Job], bool]) -> None:
        self._queue = queue
        self._may_run = may_run
        self._now_ms = now_ms
        self._kinds = command.kinds
        self._left = queue.room(now_ms)
        self._rings: dict[int, Ring] = {}
        self._rooms: dict[str, int | None] = {}
        """By key, how many more of its jobs may start."""
        self._served: dict[str, int] = {}
        """Keys that had a turn in this lease, with the how-manieth."""
        self._turn = 0
        self.lanes: dict[int, list[Lane]] = {}
        """Those of jobs without a key, by priority."""

    @property
    def is_closed(self) -> bool:
        return self._left is not None and self._left <= 0

    def open_ring(self, priority: int, ring: Ring) -> None:
        self._rings[priority] = ring

    def levels(self) -> Iterator[tuple[int, Iterator[Job]]]:
        """Its priorities, largest first, each with its jobs; what is taken out of one must be started before
        the next is asked for."""
        if self._queue.rules.ageing_ms is not None:
            yield from self._aged_levels(self._queue.rules.ageing_ms)
            return
        if not self._rings:
            for priority in sorted(self.lanes, reverse=True):
                yield priority, self._limited(_merged(self.lanes[priority]))
            return
        for priority in sorted({*self.lanes, *self._rings}, reverse=True):
            yield priority, self._taking_turns(self._parties(priority))

    def _limited(self, jobs: Iterator[Job]) -> Iterator[Job]:
        """Those that may run, while the queue has room."""
        allowed = filter(self._may_run, jobs)
        return allowed if self._left is None else self._while_room(allowed)

    def _while_room(self, jobs: Iterator[Job]) -> Iterator[Job]:
        while not self.is_closed:
            job = next(jobs, None)
            if job is None:
                return
            assert self._left is not None
            self._left -= 1
            yield job

    def _parties(self, priority: int) -> Iterator[tuple[str, Iterator[Job]]]:
        """Who takes turns at this priority, longest without one first, each with its jobs."""
        fresh = merge(self._keyless(priority), self._keyed(priority))
        again: list[str] = []
        for _, key in fresh:
            if key in self._served:
                again.append(key)
            else:
                yield key, self._jobs_of(priority, key)
        for key in sorted(again, key=self._served.__getitem__):
            yield key, self._jobs_of(priority, key)

    def _keyless(self, priority: int) -> Iterator[tuple[int, str]]:
        return iter([(self._queue.keyless_turn, KEYLESS)] if priority in self.lanes else [])

    def _keyed(self, priority: int) -> Iterator[tuple[int, str]]:
        ring = self._rings.get(priority)
        return iter(()) if ring is None else ring.in_turn(self._queue.tenants)

    def _jobs_of(self, priority: int, key: str) -> Iterator[Job]:
        if key == KEYLESS:
            return filter(self._may_run, _merged(self.lanes[priority]))
        lanes = self._rings[priority].lanes[key].items()
        own = [lane for alike, lane in lanes if alike.kind in self._kinds]
        return filter(self._may_run, _merged(own))

    def _room_of(self, key: str) -> int | None:
        if key == KEYLESS:
            return None
        if key not in self._rooms:
            self._rooms[key] = self._queue.key_room(key, self._now_ms)
        return self._rooms[key]

    def _take(self, key: str, jobs: Iterator[Job]) -> Job | None:
        """The next job of this party, if it may start one."""
        room = self._room_of(key)
        if self.is_closed or (room is not None and room <= 0):
            return None
        job = next(jobs, None)
        if job is not None:
            self._turn += 1
            self._served[key] = self._turn
            if room is not None:
                self._rooms[key] = room - 1
            if self._left is not None:
                self._left -= 1
        return job

    def _taking_turns(self, parties: Iterator[tuple[str, Iterator[Job]]]) -> Iterator[Job]:
        """One job of each in rotation."""
        while True:
            still: list[tuple[str, Iterator[Job]]] = []
            for key, jobs in parties:
                job = self._take(key, jobs)
                if job is not None:
                    yield job
                    still.append((key, jobs))
            if not still:
                return
            parties = iter(still)

    def _aged_levels(self, ageing_ms: int) -> Iterator[tuple[int, Iterator[Job]]]:
        """The same where priorities grow: every party's lanes are merged by what their jobs count for."""

        def rank(job: Job) -> tuple[int, int, int]:
            return (-effective_priority(job, ageing_ms, self._now_ms), *place(job))

        lanes: dict[str, list[Lane]] = {}
        for own in self.lanes.values():
            lanes.setdefault(KEYLESS, []).extend(own)
        turns = {KEYLESS: self._queue.keyless_turn}
        for ring in self._rings.values():
            for turn, key in ring.in_turn(self._queue.tenants):
                turns[key] = turn
                own = [lane for alike, lane in ring.lanes[key].items() if alike.kind in self._kinds]
                lanes.setdefault(key, []).extend(own)
        waiting: dict[int, list[tuple[str, _Ahead]]] = {}
        for key, own in lanes.items():
            ahead = _Ahead(merge(*own, key=rank))
            if ahead.job is not None:
                waiting.setdefault(-rank(ahead.job)[0], []).append((key, ahead))
        while waiting:
            level = max(waiting)
            parties = waiting.pop(level)
            parties.sort(key=lambda party: (self._served.get(party[0], -1), turns[party[0]]))

            def at_level(ahead: _Ahead, level: int = level) -> Iterator[Job]:
                while ahead.job is not None and -rank(ahead.job)[0] == level:
                    yield ahead.pop()

            yield (
                level,
                self._taking_turns((key, filter(self._may_run, at_level(ahead))) for key, ahead in parties),
            )
            for key, ahead in parties:
                if ahead.job is not None and -rank(ahead.job)[0] < level:
                    waiting.setdefault(-rank(ahead.job)[0], []).append((key, ahead))


class _Ahead:
    """Jobs in a row of which the next one can be looked at."""

    __slots__ = ("_jobs", "job")

    def __init__(self, jobs: Iterator[Job]) -> None:
        self._jobs = jobs
        self.job = next(jobs, None)

    def pop(self) -> Job:
        job, self.job = self.job, next(self._jobs, None)
        assert job is not None
        return job


def _merged(lanes: list[Lane]) -> Iterator[Job]:
    return merge(*lanes, key=place) if len(lanes) != 1 else iter(lanes[0])


def _open_queues(
    state: State, command: Lease, now_ms: int, may_run: Callable[[Job], bool]
) -> dict[str, _OpenQueue]:
    """The queues this worker may take from now, by name."""
    found: dict[str, _OpenQueue | None] = {}

    def opened(name: str) -> _OpenQueue | None:
        if name not in found:
            queue = state.queues[name]
            served = command.queues is None or name in command.queues
            one = _OpenQueue(queue, command, now_ms, may_run) if served and not queue.paused else None
            found[name] = None if one is None or one.is_closed else one
        return found[name]

    key: LaneKey
    for key, lane in state.lanes.items():
        if key.kind in command.kinds and (queue := opened(key.queue)) is not None:
            queue.lanes.setdefault(key.priority, []).append(lane)
    for name, rings in state.rings.queues():
        if (queue := opened(name)) is not None:
            for priority, ring in rings.items():
                queue.open_ring(priority, ring)
    return {name: queue for name, queue in found.items() if queue is not None}


def _in_order(state: State, queues: dict[str, _OpenQueue], turns: tuple[str, ...]) -> Iterator[Job]:
    if len(queues) == 1:
        (only,) = queues.values()
        for _, jobs in only.levels():
            yield from jobs
        return
    levels = {name: queue.levels() for name, queue in queues.items()}
    coming: dict[str, Iterator[Job]] = {}
    heap: list[tuple[int, str]] = []

    def look(name: str) -> None:
        level = next(levels[name], None)
        if level is not None:
            coming[name] = level[1]
            heappush(heap, (-level[0], name))

    for name in queues:
        look(name)
    while heap:
        priority = heap[0][0]
        waiting: list[str] = []
        while heap and heap[0][0] == priority:
            waiting.append(heappop(heap)[1])
        yield from _in_rotation([coming[name] for name in _by_turn(state, waiting, turns)])
        for name in waiting:
            look(name)


def _by_turn(state: State, waiting: list[str], turns: tuple[str, ...]) -> list[str]:
    """These queues in the order of their turns; with turns of the worker's own, as often as it names them."""
    if not turns:
        return sorted(waiting, key=lambda name: (state.queues[name].turn, name))
    here = set(waiting)
    by_turn = [name for name in turns if name in here]
    return by_turn + [name for name in sorted(waiting) if name not in turns]


def _in_rotation(queues: list[Iterator[Job]]) -> Iterator[Job]:
    """One job of each in turn. What is taken out of a queue is yielded at once, so that asking whether it
    may run and starting it are one step."""
    while len(queues) > 1:
        still: list[Iterator[Job]] = []
        for queue in queues:
            job = next(queue, None)
            if job is not None:
                yield job
                still.append(queue)
        queues = still
    for queue in queues:
        yield from queue
