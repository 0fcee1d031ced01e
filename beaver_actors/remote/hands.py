"""The hands of a worker: run the leases that come, as many at a time as asked for, with the code that runs
them in a server (`execute/`). Lives on the main thread's loop, which user code may block; nobody is kept
waiting by that but the jobs themselves."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

import trio
from msgspec import Raw

from beaver_actors.codec.wire_worker_objects import (
    LeasedJobObject,
    ProgressObject,
    ReportObject,
    WorkerLimits,
)
from beaver_actors.core.answers import LeasedJob
from beaver_actors.core.job import JobError
from beaver_actors.core.outcome import Crashed, Released
from beaver_actors.execute.control import Control
from beaver_actors.execute.executor import Executor
from beaver_actors.execute.outcomes import Limits
from beaver_actors.remote.reports import leased_job, report_of

log = logging.getLogger("beaver_actors.remote")


class Tell(Protocol):
    """The way to the server. Neither call waits, and both may be made from any thread."""

    def report(self, report: ReportObject) -> None: ...
    def progress(self, word: ProgressObject) -> None: ...


class Hands:
    """One per worker.

    Args:
        executor: runs user code.
        count: jobs at a time.
        tell: takes outcomes and progress.
        failed: told of an error of ours under a job.
        welcome: called when the server has taken the worker in, the first time.
    """

    def __init__(
        self,
        executor: Executor,
        count: int,
        tell: Tell,
        failed: Callable[[Exception], None],
        welcome: Callable[[], None] = lambda: None,
    ) -> None:
        self._executor = executor
        self._count = count
        self._tell = tell
        self._failed = failed
        self._welcome = welcome
        self._waiting: deque[LeasedJob] = deque()
        self._came = trio.lowlevel.ParkingLot()
        self._quiet = trio.lowlevel.ParkingLot()
        self._running: dict[int, Control | None] = {}
        """Attempts under way; None until they can be reached."""
        self._jobs: dict[int, LeasedJob] = {}
        """The jobs of those."""
        self._cancelled: set[int] = set()
        self._closed = self._limited = False

    async def run(self) -> None:
        """Work until closed."""
        async with trio.open_nursery() as nursery:
            for _ in range(self._count):
                nursery.start_soon(self._work)

    @property
    def held(self) -> list[LeasedJob]:
        """The jobs at hand: those that run, and those that have yet to begin."""
        return [*self._jobs.values(), *self._waiting]

    @property
    def busy(self) -> int:
        """Attempts under way."""
        return len(self._running)

    async def wait_quiet(self) -> None:
        """Wait until no attempt is under way."""
        while self._running:
            await self._quiet.park()

    def close(self) -> None:
        """Begin nothing more: what has not begun goes back."""
        self._closed = True
        self._give_back()
        self._came.unpark_all()

    def release_all(self) -> None:
        """Have every attempt come back unfinished."""
        for control in list(self._running.values()):
            if control is not None:
                control.release()

    # What the server wants; on this loop.

    def welcomed(self, limits: WorkerLimits) -> None:
        if not self._limited:  # afterwards there may be processes that were told otherwise
            self._limited = True
            limited = Limits(limits.result_bytes, limits.error_message_chars, limits.traceback_chars)
            self._executor.keep_to(limited)
            self._welcome()

    def leased(self, jobs: list[LeasedJobObject]) -> None:
        self._waiting.extend(map(leased_job, jobs))
        if self._closed:
            self._give_back()
        self._came.unpark(count=len(jobs))

    def cancelled(self, fences: Iterable[int]) -> None:
        for fence in fences:
            control = self._running.get(fence)
            if control is not None:
                control.cancel()
            elif fence in self._running or any(job.fence == fence for job in self._waiting):
                self._cancelled.add(fence)

    def lost(self, fences: Iterable[int]) -> None:
        gone = frozenset(fences)
        self._waiting = deque(job for job in self._waiting if job.fence not in gone)
        log.warning("%d leases were lost: their attempts are stopped", len(gone))
        self.cancelled(gone)

    def overdue(self, fences: Iterable[int]) -> None:
        log.warning("%d attempts run on although their timeout has passed", len(list(fences)))

    def _give_back(self) -> None:
        while self._waiting:
            self._tell.report(report_of(self._waiting.popleft(), Released()))

    async def _work(self) -> None:
        while not self._closed:
            if not self._waiting:
                await self._came.park()
                continue
            await self._run(self._waiting.popleft())

    async def _run(self, job: LeasedJob) -> None:
        self._running[job.fence], self._jobs[job.fence] = None, job
        try:
            outcome = await self._executor(job, lambda control: self._begin(job, control), self._teller(job))
        except Exception as error:  # noqa: BLE001  # a fault of ours, not of the job; the worker goes on
            self._failed(error)
            outcome = Crashed(JobError("WorkerDied", f"the worker failed: {error!r}"))
        finally:
            del self._running[job.fence], self._jobs[job.fence]
            self._cancelled.discard(job.fence)
            if not self._running:
                self._quiet.unpark_all()
        self._tell.report(report_of(job, outcome))

    def _begin(self, job: LeasedJob, control: Control) -> None:
        self._running[job.fence] = control
        if job.fence in self._cancelled:
            control.cancel()

    def _teller(self, job: LeasedJob) -> Callable[[bytes], None]:
        def tell(text: bytes) -> None:
            self._tell.progress(ProgressObject(job_id=job.job_id, fence=job.fence, progress=Raw(text)))

        return tell
