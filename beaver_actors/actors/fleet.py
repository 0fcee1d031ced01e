"""Fleet: the workers on other machines. Has jobs leased for them, hears from them, gives up those that fall
silent.

Who is alive is known to this actor alone and stands in no log (`roster.py`); what is in the log are leases
and outcomes. It never waits: leases (`fleet_leases.py`) and outcomes (`fleet_outcomes.py`) have tasks of
their own, so a heartbeat is heard however slow the disk is. A lease that ends unrenewed is reported as the
death of its worker, which uses one of the job's rescues."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import inf
from typing import TypeAlias

import trio

from beaver_actors.actors.fleet_leases import Leasing
from beaver_actors.actors.fleet_outcomes import Recorder, Share
from beaver_actors.actors.job_manager import Jobs, Rules, Signals
from beaver_actors.actors.roster import Held, Outlet, Roster, Worker
from beaver_actors.core.answers import Finished, LeasedJob, Refused
from beaver_actors.core.commands import Progress, Report
from beaver_actors.core.job import JobError
from beaver_actors.core.outcome import Crashed, Outcome, Released
from beaver_actors.core.workers import Registration, Standing, Welcome, WorkerView
from beaver_actors.kernel.clock import Clock
from beaver_actors.kernel.mailbox import Mailbox, Reply

BATCH_MAX = 256
"""Messages heard in one turn of the loop."""

IDLE_SECONDS = 60.0
LOOK_SECONDS_MIN = 0.05
"""Time is looked at so often at least, and at most: a look walks over all leases."""

LATE_MS = 100
"""A timer that fires so much too late tells that the node itself stood still, and its workers are
innocent."""


@dataclass(frozen=True, slots=True)
class Register:
    """A worker is there, or there again. The answer tells it of the leases it names, and how long it may be
    silent; a node that holds its limit of workers refuses."""

    registration: Registration
    outlet: Outlet
    fences: tuple[int, ...]
    reply: Reply[Welcome | Refused] = field(default_factory=Reply)


@dataclass(frozen=True, slots=True)
class Ready:
    """It can hold so many jobs from now on."""

    worker_id: str
    outlet: Outlet
    slots: int
    reply: Reply[Standing | Refused] = field(default_factory=Reply)


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """It lives, and holds these leases."""

    worker_id: str
    outlet: Outlet
    fences: tuple[int, ...]
    reply: Reply[Standing | Refused] = field(default_factory=Reply)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """How attempts of it ended, and how far others are. Answered when they are on disk."""

    worker_id: str
    outlet: Outlet
    reports: tuple[Report, ...]
    progress: tuple[Progress, ...]
    reply: Reply[Finished | Refused] = field(default_factory=Reply)


@dataclass(frozen=True, slots=True)
class Deregister:
    """It ends and runs nothing any more: what it holds goes back. Answered when that is on disk."""

    worker_id: str
    outlet: Outlet
    reply: Reply[Finished | Refused] = field(default_factory=Reply)


@dataclass(frozen=True, slots=True)
class Left:
    """A connection has ended without a goodbye."""

    worker_id: str
    outlet: Outlet


@dataclass(frozen=True, slots=True)
class ListWorkers:
    """Show all workers."""

    reply: Reply[tuple[WorkerView, ...]] = field(default_factory=Reply)


Message: TypeAlias = Register | Ready | Heartbeat | Outcomes | Deregister | Left | ListWorkers


async def run(
    mailbox: Mailbox[Message],
    roster: Roster,
    jobs: Jobs,
    *,
    clock: Clock,
    rules: Rules,
    signals: Signals,
    dice: Callable[[], float],
    workers_max: int,
    lost: Callable[[int], None],
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Look after workers until the mailbox is closed.

    Args:
        roster: with the leases that the log knows; this actor alone changes it.
        jobs: the job manager.
        rules: told which kinds are served; says whether anything is leased.
        signals: rung by the job manager.
        dice: chance, for turns of queues and back-off.
        workers_max: more are refused.
        lost: told how many outcomes came too late.
    """
    recorder = Recorder(jobs, lost)
    with mailbox:
        async with trio.open_nursery() as tasks:
            fleet = _Fleet(roster, jobs, recorder, clock, rules, dice, workers_max, tasks)
            tasks.start_soon(recorder.run)
            tasks.start_soon(fleet.watch_time)
            tasks.start_soon(fleet.hear_cancels, signals)
            tasks.start_soon(fleet.hear_taken, signals)
            task_status.started()
            while batch := await mailbox.batch(BATCH_MAX):
                for message in batch:
                    fleet.hear(message)
            await recorder.wait_idle()
            tasks.cancel_scope.cancel()
    jobs.close()


class _Fleet:
    """What the tasks of the actor share."""

    def __init__(
        self,
        roster: Roster,
        jobs: Jobs,
        recorder: Recorder,
        clock: Clock,
        rules: Rules,
        dice: Callable[[], float],
        workers_max: int,
        tasks: trio.Nursery,
    ) -> None:
        self._roster = roster
        self._recorder = recorder
        self._clock = clock
        self._rules = rules
        self._dice = dice
        self._workers_max = workers_max
        self._tasks = tasks
        self._wake = inf
        """When time is looked at next; Trio's."""
        self._sooner = trio.Event()
        self._leasing = Leasing(roster, jobs, rules, clock, dice, self._return_unseen, self._look_by)

    def hear(self, message: Message) -> None:
        """Deal with a message. Never waits."""
        match message:
            case Register():
                self._register(message)
            case ListWorkers(reply):
                reply.give(self._roster.views(self._clock.now_ms()))
            case Left(worker_id, outlet):
                if self._roster.left(worker_id, outlet) is not None:
                    self._came_or_went(worker_id)
            case Ready() | Heartbeat() | Outcomes() | Deregister():
                worker = self._roster.speaker(message.worker_id, message.outlet)
                if worker is None:
                    message.reply.give(_superseded(message.worker_id))
                else:
                    self._hear_from(worker, message)

    def _hear_from(self, worker: Worker, message: Ready | Heartbeat | Outcomes | Deregister) -> None:
        now_ms, roster = self._clock.now_ms(), self._roster
        match message:
            case Ready(slots=slots):
                worker.registration = worker.registration._replace(slots=slots)
                self._rules.serve(roster.crew())
                message.reply.give(roster.renew(worker, (), now_ms))
            case Heartbeat(fences=fences):
                message.reply.give(roster.renew(worker, fences, now_ms))
            case Outcomes(worker_id=worker_id):
                roster.reported(worker, message.reports, now_ms)
                reports = tuple(
                    report._replace(dice=self._dice(), worker_id=worker_id) for report in message.reports
                )
                progress = tuple(word._replace(worker_id=worker_id) for word in message.progress)
                self._recorder.add(Share(reports, progress, message.reply))
            case Deregister():
                released = [self._report_of(held, Released()) for held in roster.retire(worker)]
                self._recorder.add(Share(tuple(released), (), message.reply))
                self._came_or_went(message.worker_id)
                return
        self._leasing.look_at(message.worker_id, self._tasks)

    def _register(self, message: Register) -> None:
        roster, registration = self._roster, message.registration
        if registration.worker_id not in roster.workers and len(roster.workers) >= self._workers_max:
            text = f"{self._workers_max} workers are registered already"
            message.reply.give(Refused("overloaded", text, 1_000))
            return
        now_ms = self._clock.now_ms()
        standing, unknown = roster.register(registration, message.outlet, message.fences, now_ms)
        self._give_back(unknown, Released())
        message.reply.give(Welcome(standing, roster.timing.lease_ms, roster.timing.heartbeat_ms))
        self._came_or_went(registration.worker_id)
        self._look_by(now_ms + roster.timing.silence_ms)

    def _came_or_went(self, worker_id: str) -> None:
        """Other kinds may be served from now on."""
        self._rules.serve(self._roster.crew())
        self._leasing.look_at(worker_id, self._tasks)

    def _look_by(self, at_ms: int) -> None:
        """There is something to look at then. Words of workers only put off what is known, so they call for
        nothing: the next look will see."""
        if self._clock.deadline(at_ms) < self._wake:
            self._sooner.set()

    def _return_unseen(self, worker_id: str, job: LeasedJob) -> None:
        report = Report(job.job_id, job.fence, Released(), self._dice(), worker_id)
        self._recorder.add(Share((report,), (), None))

    def _give_back(self, leases: Iterable[Held], outcome: Outcome) -> None:
        """Report on a worker's behalf how these ended."""
        reports = tuple(self._report_of(held, outcome) for held in leases)
        if reports:
            self._recorder.add(Share(reports, (), None))

    def _report_of(self, held: Held, outcome: Outcome) -> Report:
        return Report(held.job_id, held.fence, outcome, self._dice(), held.worker_id)

    async def watch_time(self) -> None:
        """End leases that were not renewed, warn of timeouts, and lease nothing for the silent."""
        while True:
            now_ms = self._clock.now_ms()
            for held in self._roster.expired(now_ms):
                seconds = self._roster.timing.lease_ms / 1000
                text = f"lease ran out: worker {held.worker_id} was not heard of for {seconds:g} s"
                self._give_back((held,), Crashed(JobError("WorkerDied", text)))
            self._roster.warn(now_ms)
            self._leasing.look_at_all(self._tasks)
            now = trio.current_time()
            self._wake = now + IDLE_SECONDS
            next_ms = self._roster.next_ms(now_ms)
            if next_ms is not None:
                self._wake = max(now + LOOK_SECONDS_MIN, min(self._wake, self._clock.deadline(next_ms)))
            self._sooner = trio.Event()
            with trio.move_on_at(self._wake):
                await self._sooner.wait()
            late_ms = round((trio.current_time() - self._wake) * 1000)
            if late_ms > LATE_MS:
                self._roster.forgive(late_ms)

    async def hear_cancels(self, signals: Signals) -> None:
        """Pass cancel requests on to the workers they are for."""
        while True:
            for fence in await signals.remote_cancels.wait():
                self._roster.cancelled(fence)

    async def hear_taken(self, signals: Signals) -> None:
        """Tell workers of jobs that time has taken from them."""
        while True:
            for fence in await signals.taken.wait():
                self._roster.taken(fence)
            self._leasing.look_at_all(self._tasks)


def _superseded(worker_id: str) -> Refused:
    return Refused("conflict", f"worker {worker_id} is not registered on this connection; register it anew")
