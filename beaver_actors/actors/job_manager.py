"""JobManager: owns the queue. It alone lets time pass, decides and folds.

It never waits for the disk. What it decided goes to the WAL writer together with the answers that depend on
it, and the state runs ahead of the disk by what is on its way; since every answer, refusals and reads too,
leaves through the writer, nobody can see a state that is not durable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

import trio

from beaver_actors.actors.wal_writer import Append, Message as WalMessage
from beaver_actors.core.answers import Answer, Leased, Ticked
from beaver_actors.core.carry import carry_out, is_settled
from beaver_actors.core.commands import (
    Command,
    Enqueue,
    Finish,
    Lease,
    Policy,
    Serving,
)
from beaver_actors.core.decide import decide
from beaver_actors.core.decision import Decision
from beaver_actors.core.facts import (
    Fact,
    JobCancelRequested,
    OperationStarted,
    ScheduleRemoved,
    ScheduleSet,
)
from beaver_actors.core.state import State, advance, next_ms
from beaver_actors.kernel.clock import Clock
from beaver_actors.kernel.mailbox import Handle, Mailbox, Reply
from beaver_actors.kernel.signal import Signal

BATCH_MAX = 256
"""Requests judged in one turn of the loop."""

APPEND_BYTES_MAX = 4 * 1024 * 1024
"""Argument bytes that one append may carry before it is sent on, so that large jobs do not pile up into one
giant write."""


_DAILY = frozenset({Enqueue, Lease, Finish})
"""Commands of which nearly all facts come, none of them one that the actors above must hear of."""


class Request(NamedTuple):
    """A command and the slot for its answer."""

    command: Command
    reply: Reply[Answer]


class Jobs:
    """The way to the job manager for everyone above: ask, and have the answer once it is durable."""

    def __init__(self, handle: Handle[Request]) -> None:
        self._handle = handle

    async def ask(self, command: Command) -> Answer:
        """Put a command to the job manager and wait for its answer. The caller's cancel scope is the limit; a
        command given up on may yet be carried out.

        Raises:
            Closed: the node is going down.
        """
        return await (await self.post(command)).wait()

    async def post(self, command: Command) -> Reply[Answer]:
        """Put a command to the job manager; the answer comes through what is returned. Commands are judged in
        the order in which they are posted.

        Raises:
            Closed: the node is going down.
        """
        request = Request(command, Reply())
        await self._handle.tell(request)
        return request.reply

    @property
    def has_room(self) -> bool:
        """Whether `post_nowait` is in order now."""
        return self._handle.has_room

    def post_nowait(self, command: Command) -> Reply[Answer]:
        """As `post`, for callers that have seen `has_room` and not waited since."""
        request = Request(command, Reply())
        told = self._handle.tell_nowait(request)
        assert told, "a command was posted to a full mailbox"
        return request.reply

    def clone(self) -> Jobs:
        return Jobs(self._handle.clone())

    def close(self) -> None:
        self._handle.close()


@dataclass(slots=True)
class Signals:
    """How the job manager wakes the controller, which sits above it."""

    cancels: Signal[int] = field(default_factory=Signal)
    """Fences of attempts that shall stop; rung once that is durable."""
    remote_cancels: Signal[int] = field(default_factory=Signal)
    """The same for attempts on other machines."""
    taken: Signal[int] = field(default_factory=Signal)
    """Fences of attempts that time has ended, not their workers; rung once that is durable."""
    schedules: Signal[None] = field(default_factory=Signal)
    """A schedule was set or removed."""
    due: Signal[None] = field(default_factory=Signal)
    """Something waits for a time sooner than was known at the last tick."""


@dataclass(slots=True)
class Rules:
    """The policy in force, and what can change about it while the node runs."""

    policy: Policy
    storage_full: Callable[[], bool]
    leasing: bool = True
    """Off while the node drains: leases are answered at once, with nothing."""
    own_kinds: frozenset[str] = field(init=False)
    """The kinds that the node itself can run."""
    own_crew: tuple[Serving, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.own_kinds = self.policy.served_kinds
        self.own_crew = self.policy.crew

    def serve(self, fleet: tuple[Serving, ...]) -> None:
        """These workers on other machines are there too."""
        served = self.own_kinds.union(*(worker.kinds for worker in fleet))
        crew = self.own_crew + fleet
        if served != self.policy.served_kinds or crew != self.policy.crew:
            self.policy = replace(self.policy, served_kinds=served, crew=crew)

    def now(self) -> Policy:
        """The policy as of now."""
        full, draining = self.storage_full(), not self.leasing
        if full != self.policy.storage_full or draining != self.policy.draining:
            self.policy = replace(self.policy, storage_full=full, draining=draining)
        return self.policy


async def run(
    mailbox: Mailbox[Request],
    state: State,
    wal: Handle[WalMessage],
    *,
    clock: Clock,
    rules: Rules,
    signals: Signals,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Decide until the mailbox is closed.

    Args:
        state: recovered from the journal; this actor alone changes it.
        wal: where facts and answers go.
        rules: looked at once per batch.
        signals: rung for the controller.
    """
    task_status.started()
    manager = _JobManager(state, wal, rules, signals)
    with mailbox, wal:
        while batch := await mailbox.batch(BATCH_MAX):
            await manager.judge(batch, clock.now_ms())


class _JobManager:
    """What lives from one batch to the next."""

    def __init__(self, state: State, wal: Handle[WalMessage], rules: Rules, signals: Signals) -> None:
        self._state = state
        self._wal = wal
        self._rules = rules
        self._signals = signals
        self._tickets: list[Request] = []
        """Leases that wait for work."""
        self._next_ms: int | None = None
        """The time that the controller knows to wake up for."""
        self._now_ms = 0
        self._facts: list[Fact] = []
        self._release: list[Callable[[], None]] = []

    async def judge(self, batch: list[Request], now_ms: int) -> None:
        """Decide a batch of requests and send what follows on its way to the disk."""
        state, policy = self._state, self._rules.now()
        self._now_ms = now_ms
        advance(state, now_ms)
        weight = 0
        for request in batch:
            command = request.command
            if type(command) is Lease:
                self._take_ticket(request, command)
                continue
            decision = decide(state, command, now_ms, policy)
            self._settle(request, decision)
            if type(command) is Enqueue:
                weight += sum(len(job.args) for job in command.jobs)
                if weight > APPEND_BYTES_MAX:
                    await self._send()
                    weight = 0
            elif isinstance(decision.answer, Ticked):
                self._next_ms = decision.answer.next_ms
        self._serve_tickets(now_ms, policy)
        at_ms = next_ms(state, now_ms) if self._tickets else state.schedule.next_ms()
        if at_ms is not None and (self._next_ms is None or at_ms < self._next_ms):
            self._next_ms = at_ms
            self._signals.due.ring(None)
        elif not is_settled(state):
            self._signals.due.ring(None)
        await self._send()

    def _take_ticket(self, request: Request, command: Lease) -> None:
        """A lease waits for work. One of nothing ends the wait of the same worker: both are answered
        empty."""
        if command.limit > 0:
            self._tickets.append(request)
            return
        ended = [ticket for ticket in self._tickets if _worker_of(ticket) == command.worker_id]
        for ticket in [*ended, request]:
            self._settle(ticket, Decision([], Leased(())))
        self._tickets = [ticket for ticket in self._tickets if _worker_of(ticket) != command.worker_id]

    def _settle(self, request: Request, decision: Decision) -> None:
        """Fold what was decided, and keep the answer for the disk to let go."""
        state = self._state
        facts = carry_out(state, decision.facts, self._now_ms)
        if type(request.command) not in _DAILY:
            for fact in facts:
                self._tell_of(fact)
        if isinstance(decision.answer, Ticked):
            self._release += [partial(self._signals.taken.ring, fence) for fence in decision.answer.taken]
        self._facts += facts
        self._release.append(partial(request.reply.give, decision.answer))

    def _tell_of(self, fact: Fact) -> None:
        """Wake those above whom a fact concerns, whichever command it came of."""
        signals = self._signals
        match fact:
            case JobCancelRequested():
                job = self._state.jobs[fact.job_id]
                remote = job.trail is not None and job.trail.lease_ms is not None
                signal = signals.remote_cancels if remote else signals.cancels
                self._release.append(partial(signal.ring, job.fence))
            case ScheduleSet() | ScheduleRemoved():
                signals.schedules.ring(None)
            case OperationStarted():
                signals.due.ring(None)

    def _serve_tickets(self, now_ms: int, policy: Policy) -> None:
        """Answer the leases that wait, as far as there is work for them."""
        for ticket in list(self._tickets):
            if not self._rules.leasing:
                decision = Decision([], Leased(()))
            elif not len(self._state.lanes) and not self._state.rings:
                return
            else:
                decision = decide(self._state, ticket.command, now_ms, policy)
                if not decision.facts:
                    continue
            self._tickets.remove(ticket)
            self._settle(ticket, decision)

    async def _send(self) -> None:
        facts, release = self._facts, self._release
        if facts or release:
            self._facts, self._release = [], []
            await self._wal.tell(Append(facts, release))


def _worker_of(ticket: Request) -> str:
    assert isinstance(ticket.command, Lease), f"a ticket for {ticket.command}"
    return ticket.command.worker_id
