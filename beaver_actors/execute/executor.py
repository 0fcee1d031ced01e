"""`Executor`: everything that runs user code, as the workers of one node see it.

It holds what the attempts share and turns leased jobs into attempts. How an attempt is run is the business of
`run.py` and `process.py`.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from beaver_actors.core.answers import LeasedJob
from beaver_actors.core.outcome import Outcome, Released
from beaver_actors.execute.app import App
from beaver_actors.execute.context import Attempt
from beaver_actors.execute.control import Control
from beaver_actors.execute.loading import load_app, with_demo
from beaver_actors.execute.outcomes import LIMITS, Limits
from beaver_actors.execute.process import PROCESSES, ProcessPool
from beaver_actors.execute.progress import Thinner, Valve
from beaver_actors.execute.run import THREADS, Shared, run_attempt


class Executor:
    """Runs leased jobs.

    Args:
        app: the user's app: an `App`, or its `module:attr`; None for the demo kinds alone. Handlers with
            isolation "process" need the text, by which a process can load them.
        limits: how much of an outcome is kept.
        threads: handlers that may be in threads at the same time, abandoned ones included.
        processes: worker processes that there may be.

    Raises:
        AppError: the app cannot be loaded or served.
    """

    def __init__(
        self,
        app: App | str | None = None,
        *,
        limits: Limits = LIMITS,
        threads: int = THREADS,
        processes: int = PROCESSES,
    ) -> None:
        spec = app if isinstance(app, str) else None
        self.app = with_demo(load_app(app) if isinstance(app, str) else app)
        """The user's jobs and the demo kinds together."""
        self._handlers = self.app.handlers()
        self.kinds = frozenset(self._handlers)
        """What can be run here."""
        self.processes = ProcessPool(spec, processes=processes, limits=limits)
        self.shared = Shared(limits, threads=threads, processes=self.processes)
        self._thinner = Thinner()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look after worker processes and progress until cancelled. To be started before jobs are run."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.processes.run)
            nursery.start_soon(self._thinner.run)
            task_status.started()

    async def __call__(
        self, job: LeasedJob, begin: Callable[[Control], None], progress: Callable[[bytes], None]
    ) -> Outcome:
        """Run one attempt. Never raises for what user code does.

        Args:
            job: the lease.
            begin: called once, before any user code runs, with the handle that ends the attempt early.
            progress: called with JSON text, at most five times a second, never after this has returned.
        """
        terms = job.terms
        handler = self._handlers.get(terms.kind)
        if handler is None:
            return Released()
        attempt = Attempt(
            job.job_id,
            terms.kind,
            terms.queue,
            job.args,
            job.attempt,
            terms.max_attempts,
            job.fence,
            terms.timeout_ms,
        )
        control = Control()
        begin(control)
        return await run_attempt(attempt, handler, control, self.shared, Valve(progress, self._thinner))
