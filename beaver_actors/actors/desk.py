"""The desk between the controller and its workers: leased jobs in hand, attempts under way, outcomes.

Shared memory between tasks of one loop, not an actor: taking a job that lies there costs no task switch,
which is what keeps the path of one job at microseconds. The controller fills it, workers empty it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import repeat
from math import inf
from typing import Protocol, TypeAlias

import trio

from beaver_actors.core.answers import LeasedJob
from beaver_actors.core.attempts import CHILDREN_REFUSED
from beaver_actors.core.commands import NewJob, Progress, Report
from beaver_actors.core.job import JobError
from beaver_actors.core.outcome import (
    Crashed,
    Failed,
    Outcome,
    Rejected,
    Released,
    Snoozed,
    Stopped,
    Succeeded,
    TimedOut,
)
from beaver_actors.kernel.mailbox import Closed, Handle

Message: TypeAlias = Report | Progress

OUTCOME_BYTES_MAX = 64 * 1024 * 1024
"""Results, errors and progress that may wait for the disk; above it workers wait too. Their number is bounded
by the mailbox, but a thousand of them may be a thousand times a megabyte."""


JOB_BYTES = 400
"""What a job has beside its arguments, about."""


class Control(Protocol):
    """What can be asked of an attempt under way; neither call waits."""

    def cancel(self) -> None:
        """Someone wants the job stopped: the outcome shall be `Stopped`."""

    def release(self) -> None:
        """The node wants the job back, unfinished: the outcome shall be `Released`."""


class Board(Protocol):
    """Where attempts under way are written down, to survive the process: who to blame if it dies (P12)."""

    def begin(self, fence: int) -> None: ...
    def end(self, fence: int) -> None: ...


class Dice(Protocol):
    """Draws chance from [0, 1)."""

    def __call__(self) -> float: ...


ReadChildren: TypeAlias = Callable[[tuple[bytes, ...]], tuple[NewJob, ...]]
"""Reads jobs that a handler has asked for; raises ValueError if one is not allowed."""


def _no_children(texts: tuple[bytes, ...]) -> tuple[NewJob, ...]:
    raise ValueError("this node takes no jobs from handlers")


class Desk:
    """One per life of the node.

    Args:
        outcomes: the controller's mailbox for reports and progress.
        board: written to when an attempt begins and ends.
        dice: chance for the back-off of failed jobs.
        children: reads the jobs that a handler has asked for.
    """

    def __init__(
        self, outcomes: Handle[Message], board: Board, dice: Dice, children: ReadChildren = _no_children
    ) -> None:
        self._outcomes = outcomes
        self._board = board
        self._dice = dice
        self._children = children
        self._hand: deque[tuple[LeasedJob, float]] = deque()
        """Leased jobs that no worker has begun, each with Trio's time at which it came."""
        self._idle = trio.lowlevel.ParkingLot()
        self._woken = False
        """Whether an idle worker is on its way here."""
        self._wants = trio.lowlevel.ParkingLot()
        self._quiet = trio.lowlevel.ParkingLot()
        self._reporters = 2
        self._outcome_bytes = 0
        """What waits for the disk."""
        self._recorded = trio.lowlevel.ParkingLot()
        self._running: dict[int, Control] = {}
        self._cancelled: set[int] = set()
        """Fences in hand, or on their way here, whose attempt shall stop as soon as it begins."""
        self._newest = 0
        """The highest fence laid down here; leases come in the order of their fences."""
        self.ahead = 0
        """How many leased jobs to keep in hand beyond what idle workers take at once."""
        self.closed = False
        self.lease_seconds = 0.0
        """Moving average of what a lease takes to be granted."""
        self.attempt_seconds = inf
        """Moving average of what an attempt takes to run; infinite while nothing is known."""

    # For workers.

    async def take(self) -> LeasedJob | None:
        """The next job to run; waits for one. None: the desk is closed, go home."""
        while (job := self.take_nowait()) is None and not self.closed:
            self._wants.unpark()
            await self._idle.park()
            self._woken = False
        return job

    def take_nowait(self) -> LeasedJob | None:
        """The next job to run, if one lies here."""
        hand = self._hand
        if self.closed or not hand:
            return None
        job, _ = hand.popleft()
        if hand:
            self._wake_one()
        if len(hand) <= self.ahead // 2 and self._wants:
            self._wants.unpark()
        return job

    def begin(self, fence: int, control: Control) -> None:
        """The attempt under this fence begins, and can be reached through `control`."""
        self._running[fence] = control
        self._board.begin(fence)
        if fence in self._cancelled:
            self._cancelled.discard(fence)
            control.cancel()

    def end(self, job: LeasedJob, outcome: Outcome, seconds: float) -> Report | None:
        """The attempt is over. Returns the report of it if that could not be told at once, because the
        controller or the disk is far behind: it has to be given to `tell` then."""
        self._running.pop(job.fence, None)
        if self._quiet and not self._running:
            self._quiet.unpark_all()
        self._cancelled.discard(job.fence)
        self._board.end(job.fence)
        known = self.attempt_seconds
        self.attempt_seconds = seconds if known == inf else known + (seconds - known) * 0.05
        report = Report(job.job_id, job.fence, outcome, self._dice())
        if isinstance(outcome, Succeeded) and outcome.children:
            report = self._with_children(report, outcome)
        if self._outcome_bytes >= OUTCOME_BYTES_MAX or not self._outcomes.tell_nowait(report):
            return report
        self._outcome_bytes += weigh(report)
        return None

    def _with_children(self, report: Report, outcome: Succeeded) -> Report:
        try:
            return report._replace(jobs=self._children(outcome.children))
        except ValueError as error:  # by the settings of this server, which the handler does not know
            return report._replace(outcome=Failed(JobError(CHILDREN_REFUSED, str(error))))

    async def tell(self, report: Report) -> None:
        """Tell of an attempt that is over; waits until there is room."""
        while self._outcome_bytes >= OUTCOME_BYTES_MAX:
            await self._recorded.park()
        self._outcome_bytes += weigh(report)
        await self._outcomes.tell(report)

    def progress(self, job: LeasedJob, progress: bytes) -> None:
        """Tell how far an attempt is. Dropped if the controller is far behind, a later one will do; or if it
        is gone, because this life ends and only the handler has not noticed. Raises nothing: who calls may be
        nobody of this life."""
        if self._outcome_bytes >= OUTCOME_BYTES_MAX:
            return
        word = Progress(job.job_id, job.fence, progress)
        with suppress(Closed):
            if self._outcomes.tell_nowait(word):
                self._outcome_bytes += weigh(word)

    # For the controller and the node.

    def recorded(self, outcome_bytes: int) -> None:
        """So many bytes of outcomes and progress wait no longer: they are on the disk, or were of no use."""
        self._outcome_bytes -= outcome_bytes
        if self._outcome_bytes < OUTCOME_BYTES_MAX:
            self._recorded.unpark_all()

    @property
    def busy(self) -> int:
        """Attempts under way."""
        return len(self._running)

    @property
    def in_hand(self) -> int:
        """Leased jobs that no worker has begun."""
        return len(self._hand)

    async def wait_quiet(self) -> None:
        """Wait until no attempt is under way."""
        while self._running:
            await self._quiet.park()

    async def wait_wanted(self) -> int:
        """Wait until leased jobs are wanted, and say how many; 0 once the desk is closed."""
        while not self.closed:
            wanted = len(self._idle) + self.ahead - len(self._hand)
            if wanted > 0 and (self._idle or wanted * 2 >= self.ahead):
                return wanted
            await self._wants.park()
        return 0

    async def put(self, jobs: tuple[LeasedJob, ...], lease_seconds: float) -> None:
        """Lay down leased jobs and wake a worker; once the desk is closed they go straight back."""
        self._hand.extend(zip(jobs, repeat(trio.current_time())))
        if jobs:
            self._newest = jobs[-1].fence
            self._wake_one()
        self.lease_seconds += (lease_seconds - self.lease_seconds) * 0.2
        if self.closed:
            await self.clear()

    def _wake_one(self) -> None:
        """Wake an idle worker, unless one is on its way. One wakes the next: a worker whose jobs wait for
        nothing empties the desk by itself."""
        if self._idle and not self._woken:
            self._woken = True
            self._idle.unpark()

    def cancel(self, fence: int) -> None:
        """Ask the attempt under this fence to stop, now or when it begins.

        A lease and its cancelling may be released by the same commit, and the word of the second get here
        first: a fence higher than any seen is one that is still to come.
        """
        control = self._running.get(fence)
        if control is not None:
            control.cancel()
        elif fence > self._newest or any(job.fence == fence for job, _ in self._hand):
            self._cancelled.add(fence)

    def release_all(self) -> None:
        """Ask every attempt under way to come back unfinished."""
        for control in list(self._running.values()):
            control.release()

    async def give_back_stale(self, before: float) -> None:
        """Hand back what has lain here, unbegun, since before `before` (Trio's time): the workers turned out
        to be busy, so nothing is kept in hand until they have shown otherwise."""
        while self._hand and self._hand[0][1] < before:
            self.ahead = 0
            self.attempt_seconds = inf
            await self._give_back(self._hand.popleft()[0])

    async def clear(self) -> None:
        """Hand back everything that has not begun, however long the controller takes to hear of it."""
        self._reporters += 1
        while self._hand:
            await self._give_back(self._hand.popleft()[0])
        self.hang_up()

    async def _give_back(self, job: LeasedJob) -> None:
        self._cancelled.discard(job.fence)
        await self._outcomes.tell(Report(job.job_id, job.fence, Released()))

    def close(self) -> None:
        """No more jobs: idle workers go home, busy ones after their attempt. Wakes the controller too."""
        self.closed = True
        self._idle.unpark_all()
        self._wants.unpark_all()

    def hang_up(self) -> None:
        """One of those who report (the workers, the dispatch loop, who clears the desk) has nothing more to
        report; after the last the controller records what it has and ends."""
        self._reporters -= 1
        if self._reporters == 0:
            self._outcomes.close()


def weigh(message: Message) -> int:
    """About how many bytes a message takes in memory and in the log, beyond the few that every one does."""
    if isinstance(message, Progress):
        return len(message.progress)
    outcome = message.outcome
    if isinstance(outcome, Succeeded):
        result = 0 if outcome.result is None else len(outcome.result)
        return result + sum(JOB_BYTES + len(new.args) for new in message.jobs) if message.jobs else result
    match outcome:
        case Failed(error) | TimedOut(error) | Rejected(error) | Crashed(error):
            return len(error.message) + len(error.traceback)
        case Snoozed() | Stopped() | Released():
            return 0
