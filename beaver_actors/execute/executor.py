"""`Executor`: everything that runs user code, as the workers of one node see it.

It holds what the attempts share and turns leased jobs into attempts. How an attempt is run is the business of
`run.py` and `process.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import NamedTuple, Self

import trio

from beaver_actors.core.answers import LeasedJob
from beaver_actors.core.outcome import Outcome, Released
from beaver_actors.execute.app import App
from beaver_actors.execute.context import Attempt
from beaver_actors.execute.control import Control
from beaver_actors.execute.failures import failure, tell_failure
from beaver_actors.execute.loading import load_app, with_demo
from beaver_actors.execute.outcomes import LIMITS, Limits, raised
from beaver_actors.execute.process import PROCESSES, ProcessPool
from beaver_actors.execute.progress import Thinner, Valve
from beaver_actors.execute.run import THREADS, Shared, run_attempt, run_in_scope


class Load(NamedTuple):
    """What user code keeps busy."""

    threads_busy: int
    """Threads that run a handler, abandoned ones included."""
    threads_abandoned: int
    """Threads whose handler runs on although its attempt is over."""
    worker_processes: int
    """Those that are alive, idle ones included."""


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
        self.handlers = self.app.handlers()
        self.kinds = frozenset(self.handlers)
        """What can be run here."""
        self.processes = ProcessPool(spec, processes=processes, limits=limits)
        self.shared = Shared(limits, threads=threads, processes=self.processes)
        self.thinner = Thinner()
        self.on_loop: dict[int, Attempt] = {}
        """By fence, the attempts whose handlers share the event loop with the server."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look after worker processes and progress until cancelled. To be started before jobs are run."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.processes.run)
            nursery.start_soon(self.thinner.run)
            task_status.started()

    def keep_to(self, limits: Limits) -> None:
        """Keep so much of outcomes from now on. Before the first job is run."""
        self.shared.limits = limits
        self.processes.keep_to(limits)

    @property
    def load(self) -> Load:
        """How things stand."""
        shared = self.shared
        return Load(shared.threads.borrowed_tokens, shared.threads_abandoned, self.processes.processes)

    def jobs_on_loop(self) -> list[str]:
        """Kind and id of each job whose handler shares the event loop with the server. For any thread."""
        return [f"{attempt.kind} {attempt.job_id}" for attempt in self.on_loop.copy().values()]

    async def __call__(
        self, job: LeasedJob, begin: Callable[[Control], None], progress: Callable[[bytes], None]
    ) -> Outcome:
        """Run one attempt. Never raises for what user code does.

        Args:
            job: the lease.
            begin: called once, before any user code runs, with the handle that ends the attempt early.
            progress: called with JSON text, at most five times a second, never after this has returned.
        """
        handler = self.handlers.get(job.terms.kind)
        if handler is None:
            return Released()
        attempt, control = attempt_of(job), Control()
        begin(control)
        valve = Valve(progress, self.thinner)
        if handler.isolation == "async":
            self.on_loop[job.fence] = attempt
        try:
            outcome = await run_attempt(attempt, handler, control, self.shared, valve)
        finally:
            self.on_loop.pop(job.fence, None)
        if handler.hooks.on_failure and (failed := failure(outcome)) is not None:
            await tell_failure(handler.hooks.on_failure, attempt, failed)
        return outcome

    def stage(self) -> Stage:
        """Where one worker runs its attempts, to be entered by its task."""
        return Stage(self)


class Stage:
    """Where one worker runs its attempts, one after the other: those on the event loop all in one cancel
    scope, because entering one and giving it a deadline cost as much as all the rest of a small job."""

    __slots__ = ("_broken", "_executor", "_scope", "_status", "_task", "spent")

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._scope = trio.CancelScope()
        self._broken = False
        self.spent = False
        """Whether nothing can be waited for here any more: an attempt was ended from outside, or it has left
        a scope of its own open. Leave, and enter a fresh one."""

    async def __call__(
        self,
        job: LeasedJob,
        begin: Callable[[int, Control], None],
        progress: Callable[[LeasedJob, bytes], None],
    ) -> Outcome:
        """Run one attempt, as `Executor` does; `begin` and `progress` are told of which."""
        executor = self._executor
        handler = executor.handlers.get(job.terms.kind)
        # Hooks that hear of failures are waited for, which a spent stage does not allow.
        if handler is None or handler.isolation != "async" or handler.hooks.on_failure:
            return await executor(job, partial(begin, job.fence), partial(progress, job))
        attempt, control = attempt_of(job), Control(self._scope)
        begin(job.fence, control)
        if control.asked is not None:
            self.spent = True
            return control.outcome_unstarted()
        limits = executor.shared.limits
        valve = Valve(partial(progress, job), executor.thinner)
        executor.on_loop[job.fence] = attempt
        try:
            outcome = await run_in_scope(attempt, handler, control, limits, valve)
        finally:
            valve.close()
            del executor.on_loop[job.fence]
            self.spent = control.may_be_cancelled and self._scope.cancel_called
        if self._task._cancel_status is not self._status:
            self._broken = self.spent = True
            return raised(RuntimeError("the handler left a cancel scope or a nursery open"), limits)
        return outcome

    def __enter__(self) -> Self:
        self._scope.__enter__()
        self._task = trio.lowlevel.current_task()
        self._status = self._task._cancel_status
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        try:
            return self._scope.__exit__(kind, error, trace)
        except RuntimeError:
            if not self._broken:
                raise
            return False  # told of already; Trio has mended what was left open


def attempt_of(job: LeasedJob) -> Attempt:
    """The attempt that a lease is for."""
    terms = job.terms
    return Attempt(
        job.job_id,
        terms.kind,
        terms.queue,
        job.args,
        job.attempt,
        terms.max_attempts,
        job.fence,
        terms.timeout_ms,
        terms.meta,
        job.parents,
    )
