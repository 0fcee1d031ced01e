"""Isolation "process": a few worker processes, started when needed, reused, and ended when idle or unruly.

A process runs one attempt at a time. It is killed with its whole group when an attempt overruns or is
cancelled, after a short while in which the handler may end by itself; and it kills itself and its group when
the server is gone (`process_child.py`). So no handler runs on after its attempt, whatever ends that.
"""

from __future__ import annotations

import os
from math import inf
from typing import NamedTuple

import trio

from beaver_actors.core.job import JobError
from beaver_actors.core.outcome import Crashed, Failed, Outcome, Rejected, Succeeded, TimedOut
from beaver_actors.execute.context import Attempt
from beaver_actors.execute.control import Control
from beaver_actors.execute.frames import (
    Cancel,
    Done,
    Exit,
    Garbled,
    Progress,
    Ready,
    Run,
    Unavailable,
    outcome,
)
from beaver_actors.execute.outcomes import LIMITS, Limits
from beaver_actors.execute.progress import Valve
from beaver_actors.execute.worker_process import Died, WorkerProcess

PROCESSES = 8
"""As many as there are workers by default, so that no job waits for a process."""

IDLE_SECONDS = 60.0
GRACE_SECONDS = 2.0
"""How long a handler that was asked to end may go on."""
START_SECONDS = 30.0
"""How long loading the app may take."""


class _Unavailable(Exception):
    """No process can be had."""

    def __init__(self, message: str, traceback: str = "") -> None:
        super().__init__(message)
        self.error = JobError("WorkerUnavailable", message, traceback)


class _Over(Exception):
    """The pool has ended; what it could not finish goes back."""


class _Idle(NamedTuple):
    worker: WorkerProcess
    since: float


class ProcessPool:
    """Where handlers with isolation "process" run.

    Args:
        app: `module:attr` of the app, as the processes load it; None for the demo kinds alone.
        processes: how many there may be.
        limits: how much of an outcome is kept.
        idle_seconds: a process without work for so long is ended.
        grace_seconds: how long a handler may go on that was asked to end.
        start_seconds: how long a new process may take to load the app.
    """

    def __init__(
        self,
        app: str | None,
        *,
        processes: int = PROCESSES,
        limits: Limits = LIMITS,
        idle_seconds: float = IDLE_SECONDS,
        grace_seconds: float = GRACE_SECONDS,
        start_seconds: float = START_SECONDS,
    ) -> None:
        self._app = app
        self._directory = os.getcwd()
        """Where the server was started: a job may change the directory, and the app is found from here."""
        self._limits = limits
        self._idle_seconds = idle_seconds
        self._grace_seconds = grace_seconds
        self._start_seconds = start_seconds
        self._places = trio.CapacityLimiter(processes)
        self._workers: set[WorkerProcess] = set()
        self._idle: list[_Idle] = []
        """The longest idle first; the last one is used first, so that a small load keeps few processes."""
        self._got_idle = trio.Event()
        self._nursery: trio.Nursery | None = None
        self._over = False

    def keep_to(self, limits: Limits) -> None:
        """Keep so much of outcomes from now on. Before the first process is started."""
        self._limits = limits

    @property
    def processes(self) -> int:
        """Processes that are alive."""
        return sum(not worker.ended.is_set() for worker in self._workers)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look after the processes until cancelled; then idle ones may end in order, busy ones are killed."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            try:
                await self._end_idle(nursery)
            finally:
                self._over = True
                await self._end_all()

    async def run_attempt(self, attempt: Attempt, control: Control, progress: Valve) -> Outcome:
        """Run one attempt in a process; see `run.run_attempt`."""
        place = object()
        placed = clean = False
        worker: WorkerProcess | None = None
        try:
            # Waiting for a process may take as long as the attempt itself, then the job goes back unstarted.
            control.start_clock(attempt)
            with control.scope:
                await self._places.acquire_on_behalf_of(place)
                placed = True
                # Starting a process has a limit of its own, lest a short timeout never let one come up.
                control.stop_clock()
                fresh = await self._obtain()
                control.start_clock(attempt)
                worker = fresh
                await worker.send(Run(attempt, self._limits))
                ending = await self._until_done(worker, progress)
                clean = True
                return ending
            if worker is None:
                return control.outcome_unstarted()
            early = await self._wind_down(worker, attempt, progress)
            clean = early is not None
            if isinstance(early, Succeeded):
                return early
            return control.outcome(attempt, _traceback(early) if early is not None else worker.last_words)
        except _Unavailable as reason:
            return Failed(reason.error)
        except _Over:
            return control.outcome_unstarted()
        except Died:
            assert worker is not None, "only a process that is in use is listened to"
            message = f"the worker process of this job {await worker.obituary()}"
            if self._over:
                return control.outcome_unstarted()  # it was killed by us
            return Crashed(JobError("WorkerDied", message, worker.last_words))
        except Garbled as reason:
            assert worker is not None, "only a process that is in use is listened to"
            worker.kill()
            await worker.ended.wait()
            message = f"the worker process of this job said what is no message, and was killed: {reason}"
            return Crashed(JobError("WorkerDied", message))
        finally:
            if worker is not None:
                self._put_back(worker, clean)
            if placed:
                self._places.release_on_behalf_of(place)

    async def _until_done(self, worker: WorkerProcess, progress: Valve) -> Outcome:
        while True:
            match await worker.receive():
                case Progress(text=text):
                    progress.put(text)
                case Done() as message:
                    return outcome(message)
                case message:
                    raise Garbled(f"unexpected {type(message).__name__}")

    async def _wind_down(self, worker: WorkerProcess, attempt: Attempt, progress: Valve) -> Outcome | None:
        """Ask the handler to end, and wait a little. None: it did not, and its process has been killed."""
        with trio.move_on_after(self._grace_seconds):
            try:
                await worker.send(Cancel(attempt.fence))
                return await self._until_done(worker, progress)
            except (Died, Garbled):
                pass
        worker.kill()
        await worker.ended.wait()
        return None

    def _put_back(self, worker: WorkerProcess, clean: bool) -> None:
        if clean and not self._over:
            self._idle.append(_Idle(worker, trio.current_time()))
            self._got_idle.set()
        else:
            worker.kill()

    async def _obtain(self) -> WorkerProcess:
        """An idle process, or a new one that has loaded the app. Raises _Unavailable, _Over."""
        if self._idle:
            return self._idle.pop().worker
        if self._over:
            raise _Over
        assert self._nursery is not None, "ProcessPool.run has to be started before jobs are"
        try:
            worker: WorkerProcess = await self._nursery.start(self._live)
        except OSError as error:
            raise _Unavailable(f"a worker process could not be started: {error}") from None
        try:
            with trio.move_on_after(self._start_seconds):
                await self._check_ready(worker)
                return worker
            raise _Unavailable(f"a worker process did not load the app within {self._start_seconds:g} s")
        except BaseException:
            worker.kill()
            raise

    async def _check_ready(self, worker: WorkerProcess) -> None:
        try:
            match await worker.receive():
                case Ready():
                    return
                case Unavailable(error=error):
                    message = f"a worker process could not load the app: {error.message}"
                    raise _Unavailable(message, error.traceback)
                case message:
                    raise _Unavailable(f"a worker process began with {type(message).__name__}")
        except Died:
            how = await worker.obituary()
            raise _Unavailable(f"a worker process {how} before it was ready", worker.last_words) from None
        except Garbled as reason:
            raise _Unavailable(f"a worker process began with what is no message: {reason}") from None

    async def _live(self, *, task_status: trio.TaskStatus[WorkerProcess]) -> None:
        """One process from its start to its end."""
        worker = await WorkerProcess.start(self._app, self._limits, self._directory)
        self._workers.add(worker)
        try:
            task_status.started(worker)
            if trio.current_effective_deadline() == -inf:
                worker.kill()  # cancelled meanwhile: whoever asked for it, or the pool
            await worker.watch()
        finally:
            self._workers.discard(worker)
            self._idle = [entry for entry in self._idle if entry.worker is not worker]

    async def _end_idle(self, nursery: trio.Nursery) -> None:
        while True:
            if not self._idle:
                self._got_idle = trio.Event()
                await self._got_idle.wait()
                continue
            rest = self._idle[0].since + self._idle_seconds - trio.current_time()
            if rest > 0:
                await trio.sleep(rest)
            else:
                nursery.start_soon(self._dismiss, self._idle.pop(0).worker)

    async def _end_all(self) -> None:
        """Idle processes may end in order, busy ones are killed."""
        idle = {entry.worker for entry in self._idle}
        self._idle.clear()
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as nursery:
                for worker in self._workers:
                    if worker in idle:
                        nursery.start_soon(self._dismiss, worker)
                    else:
                        worker.kill()

    async def _dismiss(self, worker: WorkerProcess) -> None:
        """Let an idle process end in order, or kill it."""
        with trio.move_on_after(self._grace_seconds):
            try:
                await worker.send(Exit())
                await worker.ended.wait()
            except Died:
                pass
        worker.kill()


def _traceback(ending: Outcome) -> str:
    return ending.error.traceback if isinstance(ending, Failed | Rejected | TimedOut) else ""
