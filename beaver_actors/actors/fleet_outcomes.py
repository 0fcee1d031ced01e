"""How outcomes from other machines come to be recorded: together, in order, and without holding up the fleet.

Shared memory between the tasks of the fleet, not an actor.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import trio

from beaver_actors.actors.desk import weigh
from beaver_actors.actors.job_manager import Jobs
from beaver_actors.core.answers import Finished, Refused
from beaver_actors.core.commands import Finish, Progress, Report
from beaver_actors.kernel.mailbox import Reply

REPORTS_MAX = 1000
REPORTS_BYTES_MAX = 8 * 1024 * 1024
"""Outcomes recorded in one command, as in the controller."""


class Share(NamedTuple):
    """What one worker told, on its way into a command together with what others told."""

    reports: tuple[Report, ...]
    progress: tuple[Progress, ...]
    reply: Reply[Finished | Refused] | None
    """None: nobody asks."""


class Recorder:
    """One per fleet.

    Args:
        jobs: the job manager.
        lost: told how many outcomes came too late.
    """

    def __init__(self, jobs: Jobs, lost: Callable[[int], None]) -> None:
        self._jobs = jobs
        self._lost = lost
        self._shares: deque[Share] = deque()
        self._busy = False
        self._came = trio.lowlevel.ParkingLot()
        self._idle = trio.lowlevel.ParkingLot()

    def add(self, share: Share) -> None:
        """Have this recorded; its reply is given when it is on disk."""
        self._shares.append(share)
        self._came.unpark_all()

    async def run(self) -> None:
        """Record; while a batch is on its way to the disk, the next collects."""
        while True:
            while not self._shares:
                self._busy = False
                self._idle.unpark_all()
                await self._came.park()
            self._busy = True
            shares = list(self._shares)
            self._shares.clear()
            for portion in _portions(shares):
                await self._record(portion)

    async def wait_idle(self) -> None:
        """Wait until everything is recorded."""
        while self._shares or self._busy:
            await self._idle.park()

    async def _record(self, shares: Sequence[Share]) -> None:
        reports = tuple(report for share in shares for report in share.reports)
        # Only the last word of each attempt counts.
        latest = {word.fence: word for share in shares for word in share.progress}
        answer = await self._jobs.ask(Finish(reports, tuple(latest.values())))
        assert isinstance(answer, Finished), f"outcomes were answered with {answer}"
        missed = answer.accepted.count(False)
        if missed:
            self._lost(missed)
        first = 0
        for share in shares:
            end = first + len(share.reports)
            if share.reply is not None:
                share.reply.give(Finished(answer.accepted[first:end], answer.fences[first:end]))
            first = end


def _portions(shares: list[Share]) -> Iterator[list[Share]]:
    """The shares in their order, in portions of bounded number and size, or of one that is larger."""
    portion: list[Share] = []
    count = size = 0
    for share in shares:
        own = sum(map(weigh, share.reports)) + sum(map(weigh, share.progress))
        more = len(share.reports) + len(share.progress)
        if portion and (count + more > REPORTS_MAX or size + own > REPORTS_BYTES_MAX):
            yield portion
            portion, count, size = [], 0, 0
        portion.append(share)
        count, size = count + more, size + own
    yield portion
