"""A client program of a simulation: the real client over the simulated network, with an oracle listening.

Everything that it asks for, and everything that it hears, goes to the oracle, which judges at once, and into
the history, which is judged in the end. Nothing is checked here, and nothing is decided: what to ask, and
when, is up to whoever holds the customer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec
import trio

from beaver_actors.client.address import parse_url
from beaver_actors.client.async_client import Client
from beaver_actors.client.core import SUBPROTOCOLS
from beaver_actors.client.errors import ClientError, ConnectFailed, Refused
from beaver_actors.client.job_questions import JobFilter, changes, enqueue, get, page
from beaver_actors.client.new_jobs import NewJob
from beaver_actors.client.opening import Connection, Opener
from beaver_actors.client.operation_questions import operate, operations
from beaver_actors.client.queue_questions import configure, queue_change
from beaver_actors.client.rules import QueueOptions
from beaver_actors.client.schedule_questions import set_schedule
from beaver_actors.client.trio_transport import Transport
from beaver_actors.client.views import Event, Gap, JobInfo
from beaver_actors.codec.ids import JobIds
from beaver_actors.codec.wire import Ok, Request
from beaver_actors.codec.wire_decode import Form, Limits
from beaver_actors.codec.wire_job_messages import ListRequest
from beaver_actors.codec.wire_jobs import Defaults, new_jobs
from beaver_actors.codec.wire_operation_messages import OperateRequest
from beaver_actors.codec.wire_operations import start_operation
from beaver_actors.codec.wire_schedule_objects import NewScheduleObject
from beaver_actors.codec.wire_schedules import new_schedule
from beaver_actors.core.commands import NewJob as CoreJob
from beaver_actors.core.operation import OperationWord
from beaver_actors.testing.determinism import Trace
from beaver_actors.testing.history import History
from beaver_actors.testing.network import SimulatedNetwork
from beaver_actors.testing.oracle import Oracle

URL: Final = parse_url("ws://simulated:7440")
PATIENCE_SECONDS: Final = 600.0
"""How long a customer waits for an answer, of simulated time, unless told otherwise."""
Word = Literal["cancel", "retry", "delete"]


@dataclass(frozen=True, slots=True)
class SimulatedOpener(Opener):
    """Opens connections over the simulated network, and tells of each."""

    network: SimulatedNetwork
    opening: Callable[[], None]

    async def open(self) -> Connection:
        """Connect. Raises ConnectFailed."""
        self.opening()
        return await Opener.open(self)  # no super(): it fails in a dataclass with slots

    async def _stream(self) -> trio.abc.Stream:
        try:
            return await self.network.connect()
        except OSError as error:
            raise ConnectFailed(str(error)) from None


@dataclass(slots=True)
class Surroundings:
    """What all customers of a simulation share."""

    network: SimulatedNetwork
    oracle: Oracle
    trace: Trace
    defaults: Defaults
    limits: Limits
    known: list[NewJob] = field(default_factory=list)
    """Every job that was ever sent, as sent."""
    answers: int = 0
    history: History = field(default_factory=History)


class Customer:
    """One client program, with a connection of its own.

    Args:
        name: tells it from the others.
        form: in which its messages are written.
        dice: draws from [0, 1) how long its pauses are.
    """

    def __init__(self, around: Surroundings, name: str, form: Form, dice: Callable[[], float]) -> None:
        self.around = around
        self.name = name
        self.next_lsn = 1
        """The first position that it has not been told of, as a watcher."""
        self._dice = dice
        self._asked: dict[object, Callable[[], None]] = {}
        """For each request without an answer, how to tell the oracle that it is sent (again)."""
        opener = SimulatedOpener(URL, SUBPROTOCOLS[form], None, None, 10.0, around.network, self._opening)
        self._opener = opener
        self._transport = Transport(form, opener, reconnect=True, dice=dice)
        self.client = Client(self._transport, patience=0)

    async def begin(self, nursery: trio.Nursery) -> None:
        """Connect, however long it takes; the connection is kept up in the nursery."""
        while True:
            try:
                connection = await self._opener.open()
                break
            except ConnectFailed:
                await trio.sleep(0.1 + self._dice())
        nursery.start_soon(self._transport.run, connection)

    async def close(self) -> None:
        """Say goodbye."""
        await self._transport.close()

    async def enqueue(self, jobs: Sequence[NewJob], patience: float = PATIENCE_SECONDS) -> None:
        """Ask for jobs, all in one message."""
        around, oracle = self.around, self.around.oracle
        sent: tuple[CoreJob, ...] = new_jobs(list(jobs), _NO_IDS, around.limits, around.defaults)
        question = enqueue(jobs)

        def tell() -> None:
            oracle.sent(sent)

        def refused(refusal: Refused) -> None:
            oracle.refused(sent, refusal.code, refusal.retry_after)

        ok = await self._ask(question.request, patience, tell, refused)
        if ok is not None:
            accepted = question.read(ok)
            assert isinstance(ok.lsn, int)
            pairs = list(zip(sent, accepted, strict=True))
            for job, receipt in pairs:
                if receipt.job_id != job.job_id:
                    oracle.returned(job, receipt.job_id)
            own = [(job, receipt) for job, receipt in pairs if receipt.job_id == job.job_id]
            oracle.answered([job for job, _ in own], [receipt.lsn for _, receipt in own], ok.lsn)

    async def change(self, word: Word, job_ids: Iterable[str], patience: float = PATIENCE_SECONDS) -> None:
        """Cancel, retry or delete jobs."""
        oracle, job_ids = self.around.oracle, list(job_ids)
        (question,) = changes(word, job_ids)

        def tell() -> None:
            oracle.asked(word, job_ids)

        def refused(refusal: Refused) -> None:
            oracle.denied(word, job_ids)

        ok = await self._ask(question.request, patience, tell, refused)
        if ok is not None:
            made = [
                {"name": one.name, "changed": one.changed, "state": one.state} for one in question.read(ok)
            ]
            assert isinstance(ok.lsn, int)
            oracle.changed(word, made, ok.lsn)

    async def pause(self, queue: str, patience: float = PATIENCE_SECONDS) -> None:
        """Have no more jobs of this queue started."""
        await self._ask(queue_change("pause", queue).request, patience)

    async def resume(self, queue: str) -> None:
        """Have them started again, however often that must be asked: a paused queue keeps its jobs."""
        there = True

        def refused(refusal: Refused) -> None:
            nonlocal there
            there = refusal.code != "not_found"  # the pause was lost, and nothing else has named the queue

        request = queue_change("resume", queue).request
        while await self._ask(request, refused=refused) is None and there:  # noqa: ASYNC110  # a server is asked
            await trio.sleep(1)

    async def configure(self, queue: str, rules: QueueOptions, patience: float = PATIENCE_SECONDS) -> None:
        """Set rules that are never changed. From the answer on they hold for every start."""
        ok = await self._ask(configure(queue, rules).request, patience)
        if ok is not None:
            assert isinstance(ok.lsn, int)
            self.around.oracle.notes.rules.setdefault(queue, (rules, ok.lsn))

    async def operate(
        self, word: OperationWord, operation_id: str, wanted: JobFilter, patience: float = PATIENCE_SECONDS
    ) -> None:
        """Have all jobs that fit retried or deleted, in the background."""
        sweeps, question = self.around.oracle.sweeps, operate(word, operation_id, wanted)
        assert isinstance(question.request, OperateRequest)
        meant = start_operation(question.request, _NO_IDS).wanted

        def tell() -> None:
            sweeps.sent(operation_id, word, meant)

        def refused(refusal: Refused) -> None:
            sweeps.answered(None, operation_id)

        ok = await self._ask(question.request, patience, tell, refused)
        if ok is not None:
            sweeps.answered(question.read(ok), operation_id)

    async def look_at_operations(self, patience: float = PATIENCE_SECONDS) -> None:
        """Have all operations shown."""
        question = operations()
        ok = await self._ask(question.request, patience)
        for info in () if ok is None else question.read(ok):
            self.around.oracle.sweeps.shown(info)

    async def set_schedule(self, schedule: NewScheduleObject, patience: float = PATIENCE_SECONDS) -> None:
        """Ask for a schedule. It may be set as long as there is no answer, and for good after that."""
        around = self.around
        plan = new_schedule(schedule, 0, around.limits, around.defaults).plan
        around.oracle.notes.schedules[schedule.name] = plan
        ok = await self._ask(set_schedule(schedule).request, patience)
        if ok is not None:
            around.oracle.notes.declared |= {schedule.name}

    async def look(self, job_id: str, patience: float = PATIENCE_SECONDS) -> None:
        """Have one job shown."""
        question = get(job_id)
        ok = await self._ask(question.request, patience)
        self._tell_shown(() if ok is None else (question.read(ok),))

    async def look_around(self, patience: float = PATIENCE_SECONDS) -> None:
        """Have the newest jobs shown."""
        pages = page(ListRequest(id="", limit=20))
        ok = await self._ask(pages.request, patience)
        self._tell_shown(() if ok is None else pages.read(ok).jobs)

    def subscribed(self) -> None:
        """It wants all events from `next_lsn` on; the caller subscribes."""
        self.around.oracle.subscribed(self.name, self.next_lsn)
        self.around.history.watch(self.name, self.next_lsn)

    def take(self, item: Event | Gap) -> None:
        """It is told something that it has subscribed to."""
        oracle, history, trace = self.around.oracle, self.around.history, self.around.trace
        if isinstance(item, Event):
            trace.note(self.name, item.lsn, item.event)
            history.see(self.name, _wire(item))
            told = msgspec.structs.asdict(item)
            oracle.event(self.name, {name: value for name, value in told.items() if value is not None})
            self.next_lsn = item.lsn + 1
        else:
            trace.note(self.name, "gap", item.from_lsn, item.to_lsn)
            history.miss(self.name, item.from_lsn, item.to_lsn)
            oracle.gap(self.name, item.from_lsn, item.to_lsn)
            self.next_lsn = item.to_lsn + 1

    def _opening(self) -> None:
        """A connection is opened, over which whatever has no answer is sent again."""
        for tell in self._asked.values():
            tell()

    def _tell_shown(self, jobs: Iterable[JobInfo]) -> None:
        for job in jobs:
            shown = {"id": job.id, "lsn": job.lsn, "state": job.state, "result": job.result}
            self.around.oracle.shown(shown)

    async def _ask(
        self,
        request: Request,
        patience: float = PATIENCE_SECONDS,
        tell: Callable[[], None] = lambda: None,
        refused: Callable[[Refused], None] = lambda refusal: None,
    ) -> Ok | None:
        """Ask, and wait for the answer as long as the patience lasts; None if there is none, or a no."""
        trace, history, key = self.around.trace, self.around.history, object()
        asked = _wire(request)
        call = history.call(self.name, asked)

        def tell_again() -> None:
            # The answer will be to this sending; the one before may have been carried out all the same.
            nonlocal call
            tell()
            call = history.call(self.name, asked)

        self._asked[key] = tell_again
        tell()
        ok = None
        with trio.move_on_after(patience):
            try:
                ok = await self.client.request(request)
                self.around.answers += 1
                history.answer(call, _wire(ok))
                trace.note(self.name, type(request).__name__, ok.re)
            except Refused as refusal:
                trace.note(self.name, refusal.code)
                history.answer(call, {"type": "error", "code": refusal.code})
                refused(refusal)
            except ClientError as error:
                trace.note(self.name, str(error))
            finally:
                del self._asked[key]
        return ok


def _wire(message: msgspec.Struct) -> dict[str, Any]:
    """A message as it is on the wire."""
    fields: dict[str, Any] = json.loads(msgspec.json.encode(message))
    return fields


_NO_IDS: Final = JobIds(lambda: 0, lambda bits: 0)
"""Customers name their jobs themselves."""
