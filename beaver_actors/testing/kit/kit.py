"""`Kit`: a whole queue inside a test. Jobs are enqueued with the real clients and judged by the real core;
they run when the test says so, in its own thread, and time passes when it says so.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final, NamedTuple

from beaver_actors.client import async_client
from beaver_actors.client.middleware import OnEnqueue
from beaver_actors.client.views import JobInfo
from beaver_actors.codec.wire_decode import Limits
from beaver_actors.codec.wire_jobs import Defaults
from beaver_actors.config import Config
from beaver_actors.core.answers import Leased, LeasedJob, Ticked
from beaver_actors.core.commands import Finish, Lease, NewJob, Policy, Progress, Report, Tick
from beaver_actors.core.durations import parse_duration_ms
from beaver_actors.core.job import FINISHED, JobState
from beaver_actors.core.outcome import Outcome, Succeeded
from beaver_actors.execute.app import App, JobCall, JobFunction
from beaver_actors.execute.children import children_of
from beaver_actors.execute.loading import load_app, with_demo
from beaver_actors.node.settings import declared
from beaver_actors.testing.kit.attempts import Running
from beaver_actors.testing.kit.clients import Line, SyncClient, async_client_on
from beaver_actors.testing.kit.crashes import Crash, Killer, die_by_exception, killed_in_a_fork
from beaver_actors.testing.kit.engine import Engine
from beaver_actors.testing.kit.looking import describe, fits

DICE: Final = 0.5
"""In the place of chance where a back-off has jitter: the middle, so that a test sees the same each time."""
ATTEMPTS_MAX: Final = 1_000
"""A queue that is not empty after so many attempts fills itself."""
STEPS_MAX: Final = 500

What = str | JobFunction[..., ..., Any, Any] | JobCall[Any]


class Ran(NamedTuple):
    """An attempt that has been run."""

    job_id: str
    kind: str
    attempt: int
    outcome: Outcome
    """How it ended: `Succeeded`, `Failed`, `Snoozed`, … of `beaver_actors.core.outcome`."""


class Kit:
    """A queue for one test.

    Args:
        app: the app whose jobs it runs, or its `module:attr`.
        inline: True runs each job when it is enqueued, and each that falls due when time is moved; else jobs
            wait until they are told to run.
        now: what the clock says in the beginning; the real time if not given.
        schedules: whether the schedules that the app declares are there. Those that a client sets are in any
            case: as the clock moves, each of their times brings a job.
        on_enqueue: hooks of its clients.
    """

    def __init__(
        self,
        app: App | str | None = None,
        *,
        inline: bool = False,
        now: datetime | None = None,
        schedules: bool = False,
        on_enqueue: Sequence[OnEnqueue] = (),
    ) -> None:
        whole = with_demo(load_app(app) if isinstance(app, str) else app)
        self._handlers = whole.handlers()
        kinds = frozenset(self._handlers)
        now_ms = round((now.timestamp() if now is not None else time.time()) * 1000)
        self._engine = Engine(Policy(served_kinds=kinds), now_ms)
        if schedules:
            self._engine.do(declared(Config(), whole, now_ms))
        self._engine.listeners.append(self._look_for_cancels)
        self._kinds = kinds
        defaults = Defaults(kinds={kind: job.options for kind, job in whole.functions.items()})
        self._defaults = defaults
        self._line = Line(self._engine, defaults, self._enqueued)
        self._running: dict[str, Running] = {}
        self.inline = inline
        self.ran: list[Ran] = []
        """Every attempt so far."""
        self.client = SyncClient(self._line, on_enqueue)
        """For code that uses `beaver_actors.client.sync`."""
        self.async_client: async_client.Client = async_client_on(self._line, on_enqueue)
        """For code that uses the client on Trio or on asyncio."""

    # Time

    @property
    def now(self) -> datetime:
        """What the clock says."""
        return datetime.fromtimestamp(self._engine.now_ms / 1000, UTC)

    def advance(self, duration: float | str | timedelta) -> None:
        """Let time pass: what expires, expires, and what falls due may run (inline: runs, each at its time).

        Args:
            duration: seconds, text such as "1h", or a timedelta.
        """
        seconds = duration.total_seconds() if isinstance(duration, timedelta) else duration
        until_ms = self._engine.now_ms + parse_duration_ms(seconds)
        while (next_ms := self._pass_time(0)) is not None and next_ms <= until_ms:
            self._pass_time(max(next_ms - self._engine.now_ms, 1))
        self._pass_time(max(until_ms - self._engine.now_ms, 0))

    # Running

    def drain_queue(self, queue: str | None = None) -> list[Ran]:
        """Run what may run now, also what it enqueues meanwhile, until nothing is left that may.

        Args:
            queue: only jobs of this queue.

        Returns:
            The attempts, in order.

        Raises:
            AssertionError: there is no end.
        """
        before = len(self.ran)
        while (running := self._take(queue)) is not None:
            self._finished(running, running.run())
            self._expect_an_end(before)
        return self.ran[before:]

    async def adrain_queue(self, queue: str | None = None) -> list[Ran]:
        """The same in a Trio test, whose event loop and clock `async def` handlers then run on."""
        before = len(self.ran)
        while (running := self._take(queue)) is not None:
            self._finished(running, await running.run_here())
            self._expect_an_end(before)
        return self.ran[before:]

    def settle(self) -> list[Ran]:
        """Run everything to its end, moving the clock to whatever comes next: delays, retries, snoozes.

        Returns:
            The attempts, in order.

        Raises:
            AssertionError: there is no end.
        """
        before = len(self.ran)
        self.drain_queue()
        while (next_ms := self._due_ms()) is not None:
            self._engine.now_ms = max(next_ms, self._engine.now_ms)
            self._tick()
            self.drain_queue()
            self._expect_an_end(before)
        return self.ran[before:]

    # Looking

    def jobs(
        self,
        what: What | None = None,
        *,
        args: Mapping[str, Any] | None = None,
        queue: str | None = None,
        state: JobState | str | None = None,
    ) -> list[JobInfo]:
        """The jobs that fit, oldest first.

        Args:
            what: a kind, a job function, or a call of one, which means its kind and all its arguments.
            args: arguments that they must have, among others.
            queue: where they wait or have waited.
            state: such as "pending" or "dead".
        """
        wanted = JobState(state) if state is not None else None
        found = [job for job in self.client.list(queue=queue, state=wanted) if fits(job, what, args)]
        return found[::-1]

    def assert_enqueued(
        self,
        what: What | None = None,
        *,
        args: Mapping[str, Any] | None = None,
        queue: str | None = None,
        state: JobState | str | None = None,
        count: int | None = None,
    ) -> list[JobInfo]:
        """Such a job was enqueued, whatever has become of it. Returns all that fit, oldest first.

        Args:
            what, args, queue, state: as for `jobs`.
            count: exactly so many; at least one if not given.

        Raises:
            AssertionError: shows what was enqueued.
        """
        __tracebackhide__ = True
        found = self.jobs(what, args=args, queue=queue, state=state)
        if (len(found) != count) if count is not None else not found:
            expected = "at least one job" if count is None else f"{count} jobs"
            wish = describe(what, args, queue, state)
            raise AssertionError(f"expected {expected} {wish}, found {len(found)} among:{self._all()}")
        return found

    def refute_enqueued(
        self,
        what: What | None = None,
        *,
        args: Mapping[str, Any] | None = None,
        queue: str | None = None,
        state: JobState | str | None = None,
    ) -> None:
        """No such job was enqueued.

        Raises:
            AssertionError: shows what was.
        """
        __tracebackhide__ = True
        self.assert_enqueued(what, args=args, queue=queue, state=state, count=0)

    # Crashing

    def crash(self) -> None:
        """The server dies and starts again: its state is what recovery reads back from its log."""
        self._die(None)

    def power_loss(self, seed: int = 0) -> None:
        """The power goes and comes back: the disk has what was synced, and of the rest what chance has left.

        Args:
            seed: of that chance.
        """
        self._die(Random(seed))

    def crash_at_every_step(
        self, call: JobCall[Any], *, fork: bool = False, steps_max: int = STEPS_MAX
    ) -> Iterator[Crash]:
        """Run a job again and again, killed one line later each time, then rescued and run to its end.

        `for crash in kit.crash_at_every_step(charge.call(order=7)): assert charges() == 1, crash;
        forget_charges()`. The last crash comes when all lines are done and the server has not heard of it.
        What the loop's body must do, beside looking, is to put things back as they were.

        Args:
            call: of a function of the app. Each run is a job of its own.
            fork: False kills by an exception, so that `finally` and `with` still happen, and everything is in
                this process. True kills a forked process with SIGKILL: what it has done counts where it lies
                outside of the process, in files and databases; what it did in memory, jobs enqueued in this
                kit too, is lost.
            steps_max: lines that it may come to.

        Yields:
            Where it was killed, once the job is completed all the same.

        Raises:
            AssertionError: the job was not completed, or has no end.
        """
        self.drain_queue()
        for step in range(1, steps_max + 1):
            with self._manually():
                job = self.client.enqueue(call)
            running = self._take(job_id=job.id)
            assert running is not None, f"job {job.id} could not be started: {job.status().waits_for}"
            function = running.handler.function
            if fork:
                where = killed_in_a_fork(function, step, running.work)
            else:
                killer = Killer(function, step, die_by_exception)
                killer.watch(running.work)
                where = killer.where
            done = not where
            crash = Crash(step, where or "after its last line, before its end was recorded", job.id)
            self.crash()
            self.settle()
            info = job.status()
            if info.state is not JobState.COMPLETED:
                last = f": {info.errors[-1].type}: {info.errors[-1].message}" if info.errors else ""
                raise AssertionError(f"{crash} made it {info.state}{last}")
            yield crash
            if done:
                return
        raise AssertionError(
            f"{call.kind} comes to more than {steps_max} lines: raise steps_max, or do less in it"
        )

    # Within

    def _enqueued(self) -> None:
        if self.inline:
            self.drain_queue()

    @contextmanager
    def _manually(self) -> Iterator[None]:
        inline, self.inline = self.inline, False
        try:
            yield
        finally:
            self.inline = inline

    def _take(self, queue: str | None = None, job_id: str | None = None) -> Running | None:
        """Lease the next job that may run; None if there is none."""
        self._tick()
        queues = None if queue is None else frozenset({queue})
        answer = self._engine.do(Lease("kit", 1, self._kinds, queues))
        assert isinstance(answer, Leased)
        if not answer.jobs:
            return None
        lease: LeasedJob = answer.jobs[0]
        assert job_id in (None, lease.job_id), f"job {lease.job_id} stands before job {job_id}"

        def report(progress: bytes) -> None:
            self._engine.do(Finish(progress=(Progress(lease.job_id, lease.fence, progress),)))

        handler = self._handlers[lease.terms.kind]
        running = Running(lease, handler, lambda: self._engine.now_ms, report)
        self._running[lease.job_id] = running
        return running

    def _finished(self, running: Running, outcome: Outcome) -> None:
        lease = running.lease
        self._running.pop(lease.job_id, None)  # it may have crashed the server it ran on
        self._engine.now_ms += running.slept_ms
        self.ran.append(Ran(lease.job_id, lease.terms.kind, lease.attempt, outcome))
        jobs: tuple[NewJob, ...] = ()
        if isinstance(outcome, Succeeded) and outcome.children:
            jobs = children_of(outcome.children, Limits(), self._defaults)
        self._engine.do(Finish((Report(lease.job_id, lease.fence, outcome, DICE, jobs=jobs),)))
        self._line.flush()

    def _look_for_cancels(self) -> None:
        for job_id, running in self._running.items():
            job = self._engine.state.jobs.get(job_id)
            if job is not None and job.trail is not None and job.trail.cancel_requested:
                running.cancel()

    def _pass_time(self, time_ms: int) -> int | None:
        """Move the clock, and do what that demands; returns when time next demands something."""
        self._engine.now_ms += time_ms
        next_ms = self._tick()
        if self.inline and self.drain_queue():
            next_ms = self._tick()
        return next_ms

    def _tick(self) -> int | None:
        """Do what time demands now; returns when it next demands something."""
        while True:
            answer = self._engine.do(Tick())
            assert isinstance(answer, Ticked)
            if not answer.more:
                break
        times_ms = (answer.next_ms, self._engine.fire_due())
        self._line.flush()
        return min((at_ms for at_ms in times_ms if at_ms is not None), default=None)

    def _due_ms(self) -> int | None:
        """When the next job that waits for a time falls due; None if none does."""
        waiting = (job for job in self._engine.state.jobs.values() if job.state not in FINISHED)
        return min((job.run_at_ms for job in waiting if job.state is JobState.SCHEDULED), default=None)

    def _expect_an_end(self, before: int) -> None:
        if len(self.ran) - before >= ATTEMPTS_MAX:
            kinds = sorted({ran.kind for ran in self.ran[before:]})
            raise AssertionError(
                f"after {ATTEMPTS_MAX} attempts there is still more to run, of {', '.join(kinds)}"
            )

    def _die(self, power: Random | None) -> None:
        running = frozenset(running.lease.fence for running in self._running.values())
        self._running.clear()
        self._engine.die(running, power)
        self._line.lose()

    def _all(self) -> str:
        shown = [f"\n  {job.kind} {job.args} in {job.queue}, {job.state}" for job in self.client.list()]
        return "".join(reversed(shown)) or " no jobs at all"
