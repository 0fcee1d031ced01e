"""Worker: runs one job at a time. Takes from the desk, has user code run, tells how it ended.

What user code raises is an outcome, told like any other; an exception that leaves this actor is a bug of
ours. Then this worker alone is restarted, and its job goes back with one rescue used.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Protocol

import trio

from beaver_actors.actors.desk import Control, Desk
from beaver_actors.core.answers import LeasedJob
from beaver_actors.core.commands import Report
from beaver_actors.core.job import JobError
from beaver_actors.core.outcome import Crashed, Outcome

TURN_SECONDS = 0.002
"""How long attempts that wait for nothing may follow one another before others have a turn of the loop."""


class Stage(Protocol):
    """Where a worker runs user code, one attempt after the other."""

    @property
    def spent(self) -> bool:
        """Whether an attempt was ended from outside: nothing can be waited for here any more."""

    def __call__(
        self,
        job: LeasedJob,
        begin: Callable[[int, Control], None],
        progress: Callable[[LeasedJob, bytes], None],
        /,
    ) -> Awaitable[Outcome]:
        """Run user code. Never raises for what that does.

        It calls `begin` with the fence and the attempt's control once, before any user code runs, and
        `progress` with the job and JSON text.
        """


class Execute(Protocol):
    """Runs user code."""

    def stage(self) -> AbstractContextManager[Stage]:
        """A fresh stage."""


class Observe(Protocol):
    """Told of each attempt that has ended, and how many seconds it took."""

    def __call__(self, job: LeasedJob, outcome: Outcome, seconds: float, /) -> None: ...


async def run(desk: Desk, execute: Execute, observe: Observe) -> None:
    """Work until the desk is closed.

    Args:
        desk: where jobs are taken from and outcomes told.
        execute: runs user code.
        observe: told of each attempt, for metrics.
    """
    while not desk.closed:
        with execute.stage() as stage:
            untold, failure = await _work(desk, stage, observe)
        # Out here, because whoever waits on a spent stage is cancelled.
        if untold is not None:
            await desk.tell(untold)
        if failure is not None:
            raise failure


async def _work(desk: Desk, stage: Stage, observe: Observe) -> tuple[Report | None, Exception | None]:
    """Work until the desk is closed or the stage is spent, or something is left to do elsewhere: a report
    that has yet to be told, an error to raise."""
    untold: Report | None = None
    now = trio.current_time()
    turn_ends = now + TURN_SECONDS
    while untold is None and not stage.spent:
        job = desk.take_nowait()
        if job is None:
            job = await desk.take()
            if job is None:
                break
            now = trio.current_time()
        began = now
        try:
            outcome = await stage(job, desk.begin, desk.progress)
        except Exception as error:  # noqa: BLE001  # it is raised by whoever called
            died = JobError("WorkerDied", f"the worker failed: {error!r}")
            return desk.end(job, Crashed(died), trio.current_time() - began), error
        now = trio.current_time()
        untold = desk.end(job, outcome, now - began)
        observe(job, outcome, now - began)
        if now >= turn_ends and not stage.spent:
            await trio.lowlevel.checkpoint()
            now = trio.current_time()
            turn_ends = now + TURN_SECONDS
    return untold, None
