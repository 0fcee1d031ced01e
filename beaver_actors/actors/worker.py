"""Worker: runs one job at a time. Takes from the desk, has user code run, tells how it ended.

What user code raises is an outcome, told like any other; an exception that leaves this actor is a bug of
ours. Then this worker alone is restarted, and its job goes back with one rescue used.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

import trio

from beaver_actors.actors.desk import Control, Desk
from beaver_actors.core.answers import LeasedJob
from beaver_actors.core.job import JobError
from beaver_actors.core.outcome import Crashed, Outcome


class Execute(Protocol):
    """Runs user code. Never raises for what user code does.

    It calls `begin` with the attempt's control once, before any user code runs, and `progress` with JSON
    text.
    """

    def __call__(
        self, job: LeasedJob, begin: Callable[[Control], None], progress: Callable[[bytes], None], /
    ) -> Awaitable[Outcome]: ...


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
    while (job := await desk.take()) is not None:
        began = trio.current_time()
        try:
            outcome = await execute(job, partial(desk.begin, job.fence), partial(desk.progress, job))
        except Exception as error:
            died = JobError("WorkerDied", f"the worker failed: {error!r}")
            await desk.end(job, Crashed(died), trio.current_time() - began)
            raise
        seconds = trio.current_time() - began
        await desk.end(job, outcome, seconds)
        observe(job, outcome, seconds)
