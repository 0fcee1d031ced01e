"""How jobs come to workers on other machines: one lease at a time waits at the job manager for each of them.

A lease that waits is taken back when its worker wants less, or something else, than it asks for. Shared
memory between the tasks of the fleet, not an actor."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio

from beaver_actors.actors.job_manager import Jobs, Rules
from beaver_actors.actors.roster import Roster, Worker
from beaver_actors.core.answers import Leased, LeasedJob
from beaver_actors.core.commands import Lease
from beaver_actors.kernel.clock import Clock

LEASE_JOBS_MAX = 256
"""Jobs leased in one command: a worker with a thousand free slots gets them in a few turns, between
others."""


class Leasing:
    """One per fleet.

    Args:
        roster: who wants what. jobs: the job manager. rules: whether anything is leased. dice: chance, for
        turns of queues. give_back: takes leased jobs that their worker cannot have any more. granted: told
        when there is something to look at for the jobs that a worker was given, milliseconds UTC.
    """

    def __init__(
        self,
        roster: Roster,
        jobs: Jobs,
        rules: Rules,
        clock: Clock,
        dice: Callable[[], float],
        give_back: Callable[[str, LeasedJob], None],
        granted: Callable[[int], None],
    ) -> None:
        self._roster = roster
        self._jobs = jobs
        self._rules = rules
        self._clock = clock
        self._dice = dice
        self._give_back = give_back
        self._granted = granted
        self._served: dict[str, trio.lowlevel.ParkingLot] = {}
        """For each worker, where its task waits while nothing is wanted."""
        self._asked: dict[str, Lease] = {}
        """The lease that waits at the job manager."""

    def look_at(self, worker_id: str, tasks: trio.Nursery) -> None:
        """Something about this worker is different: lease for it, or no longer, or something else."""
        worker = self._roster.workers.get(worker_id)
        if worker_id in self._served:
            self._served[worker_id].unpark_all()
        elif worker is not None and worker.known:
            self._served[worker_id] = trio.lowlevel.ParkingLot()
            tasks.start_soon(self._serve, worker_id)
        asked = self._asked.get(worker_id)
        if asked is not None and (worker is None or self._is_stale(worker, asked)):
            del self._asked[worker_id]
            tasks.start_soon(self._jobs.ask, Lease(worker_id, 0, frozenset()))

    def look_at_all(self, tasks: trio.Nursery) -> None:
        """Time has passed."""
        for worker_id in list(self._served):
            self.look_at(worker_id, tasks)

    async def _serve(self, worker_id: str) -> None:
        """Lease for one worker whenever it wants something, until it is forgotten."""
        try:
            while (worker := self._roster.workers.get(worker_id)) is not None:
                wanted = self._wanted(worker)
                if not wanted:
                    await self._served[worker_id].park()
                    continue
                lease = self._asked[worker_id] = self._lease(worker, wanted)
                answer = await self._jobs.ask(lease)
                self._asked.pop(worker_id, None)
                assert isinstance(answer, Leased), f"a lease was answered with {answer}"
                if answer.jobs:
                    self._hand_over(worker_id, answer.jobs)
        finally:
            self._asked.pop(worker_id, None)
            del self._served[worker_id]

    def _hand_over(self, worker_id: str, jobs: tuple[LeasedJob, ...]) -> None:
        worker = self._roster.workers.get(worker_id)
        if worker is None or worker.outlet is None:
            for job in jobs:
                self._give_back(worker_id, job)
            return
        now_ms = self._clock.now_ms()
        standing = self._roster.granted(worker, jobs, now_ms)
        worker.outlet.lease(jobs)
        if standing.cancel:
            worker.outlet.notice(standing)
        timing = self._roster.timing
        overdue = [job.deadline_ms - timing.timeout_grace_ms for job in jobs if job.deadline_ms is not None]
        self._granted(min([now_ms + timing.lease_ms, *overdue]))

    def _wanted(self, worker: Worker) -> int:
        if not self._rules.leasing:
            return 0
        return min(LEASE_JOBS_MAX, self._roster.wanted(worker, self._clock.now_ms()))

    def _lease(self, worker: Worker, wanted: int) -> Lease:
        registration = worker.registration
        queues = registration.queues
        return Lease(
            registration.worker_id,
            wanted,
            registration.kinds,
            None if queues is None else frozenset(name for name, _ in queues),
            () if queues is None else draw_turns(queues, self._dice),
            self._roster.timing.lease_ms,
        )

    def _is_stale(self, worker: Worker, asked: Lease) -> bool:
        """Whether what was asked for is more than is wanted now, or something else."""
        queues = worker.registration.queues
        served = None if queues is None else frozenset(name for name, _ in queues)
        other = (asked.kinds, asked.queues) != (worker.registration.kinds, served)
        return other or self._wanted(worker) < asked.limit


def draw_turns(queues: Sequence[tuple[str, int]], dice: Callable[[], float]) -> tuple[str, ...]:
    """The order in which queues get turns in one lease: each as often as its weight says, shuffled, so that
    weights count even where one job is leased at a time. With equal weights, the order of waiting is fairer.

    Args:
        queues: names and weights, 1 or more.
        dice: draws from [0, 1).
    """
    if len({weight for _, weight in queues}) <= 1:
        return ()
    turns = [name for name, weight in queues for _ in range(weight)]
    for last in range(len(turns) - 1, 0, -1):
        other = int(dice() * (last + 1))
        turns[last], turns[other] = turns[other], turns[last]
    return tuple(turns)
