"""One connection: reads requests, passes them on and writes replies, in order.

Many requests may be under way at once. They are posted in the order in which they came, and replies leave in
that order too: all answers come through the same log, so waiting in line costs nothing. When too many are
under way, nothing more is read until some are answered. A bad message is answered with an error, and the
connection lives. A session decides nothing about jobs and holds no state that a client could miss.

Nearly always nothing has to be waited for: a message is passed on by the task that has read it, and its reply
is sent by the task that has the answer, the WAL writer's. Otherwise two tasks of the session wait and go on
where that ended. A turn of the loop costs as much as all the rest of a small request.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import trio

from beaver_actors.actors.fleet import ListWorkers
from beaver_actors.codec.wire import Error, Ok
from beaver_actors.codec.wire_answers import refusal, reply, status_reply
from beaver_actors.codec.wire_commands import to_command
from beaver_actors.codec.wire_decode import Form, decode_request, encode
from beaver_actors.codec.wire_errors import WireError
from beaver_actors.codec.wire_past import PastReply, past_ok, to_wish
from beaver_actors.codec.wire_schedule_messages import (
    ScheduleRequest,
    SchedulesRequest,
)
from beaver_actors.codec.wire_schedules import schedules_ok
from beaver_actors.codec.wire_watch_messages import (
    HistoryRequest,
    PastRequest,
    SubscribeRequest,
    UnsubscribeRequest,
)
from beaver_actors.codec.wire_worker_messages import WorkerRequest, WorkersRequest
from beaver_actors.codec.wire_workers import workers_ok
from beaver_actors.core.answers import Answer, Refused, Schedules, Status
from beaver_actors.core.commands import Command, Enqueue, List
from beaver_actors.core.workers import WorkerView
from beaver_actors.kernel.mailbox import Closed, Reply
from beaver_actors.server.ports import Connection, Pending
from beaver_actors.server.service import Service
from beaver_actors.server.subscriptions import Outgoing
from beaver_actors.server.watches import Outcome, Subscriptions
from beaver_actors.server.websocket import WebSocketClosed
from beaver_actors.server.worker_link import ToFleet, WorkerLink

Errand: TypeAlias = Command | ToFleet
"""What a request waits for: an answer of the job manager, or of the fleet."""

RESTARTING = 1012
"""WebSocket close code: the service restarts, come back."""

LISTED_JOB_BYTES = 4096
"""What a job that a page may show counts while the page waits to be sent, beside the message that asked for
it: a small request can have a large answer, and a client that does not read its answers can ask for many."""


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """Limits of one connection."""

    requests_max: int = 64
    """Requests under way; above it nothing is read."""
    request_bytes_max: int = 8 * 1024 * 1024
    """Of messages under way, pages that are asked for included; above it nothing is read."""
    subscriptions_max: int = 32


@dataclass(slots=True)
class _Waiting:
    """A request under way."""

    form: Form
    size: int
    """Bytes of the message, and of the page that it asks for."""
    outcome: Outcome | Callable[[Any], Outcome]
    """If it depends on an answer, this is called once that is there."""
    admitted: int = 0
    """Bytes that the service counts for it."""
    pending: Pending | Reply[Any] | None = None
    """The answer that it waits for, if any."""
    reply: str | bytes | None = None
    """The reply, once it is written."""
    then: Callable[[], None] | None = None

    @property
    def is_answered(self) -> bool:
        return self.pending is None or self.pending.given


class Session:
    """One per connection.

    Args:
        connection: the WebSocket.
        service: what all sessions share.
        settings: limits.
    """

    def __init__(
        self, connection: Connection, service: Service, settings: SessionSettings | None = None
    ) -> None:
        self._connection = connection
        self._service = service
        self._settings = settings or SessionSettings()
        self._outgoing = Outgoing(connection)
        self._line: deque[_Waiting] = deque()
        self._line_bytes = 0
        self._admitted = 0
        """Bytes that the service counts for this connection."""
        self._came = trio.lowlevel.ParkingLot()
        self._left = trio.lowlevel.ParkingLot()
        self._entering = False
        """Whether `_read` has a message in hand: no other may overtake it."""
        self._sending = False
        """Whether `_answer` has a reply in hand: no other may overtake it."""
        self._failure: Exception | None = None
        """What went wrong in a task that is not the session's."""
        self._over = False
        self._subscriptions = Subscriptions(
            service, self._outgoing, self._settings.subscriptions_max, self._start
        )
        self._worker = WorkerLink(service, self._outgoing)
        self._pushing = False
        """Whether the client is a worker, to which leases are pushed."""
        self._tasks: trio.Nursery | None = None

    async def run(self) -> None:
        """Serve until the client leaves, or the node goes down."""
        try:
            async with trio.open_nursery() as self._tasks:
                self._tasks.start_soon(self._answer)
                self._connection.take_over(self._take)
                await self._read()
                self._tasks.cancel_scope.cancel()
        except* WebSocketClosed:
            pass
        except* Closed:
            await self._connection.close(RESTARTING, "the server is restarting")
        finally:
            self._over = True
            await self._worker.leave()
            self._leave(self._admitted)
            self._subscriptions.leave()

    # The way in: at once, or by `_read`.

    def _take(self, data: str | bytes) -> bool:
        """Pass a message on if nothing has to be waited for; returns whether that was so."""
        if self._over or self._entering or self._is_full or not self._service.has_room:
            return False
        try:
            self._enter(*self._understand(data))
        except Exception as error:  # noqa: BLE001  # of this session, in the task of its connection
            self._fail(error)
        return True

    async def _read(self) -> None:
        while True:
            await self._room()
            data = await self._connection.receive()
            if data is None:
                return
            self._entering = True
            await self._room()  # others may have entered meanwhile
            waiting, errand = self._understand(data)
            if isinstance(errand, ToFleet):
                await self._service.fleet.tell(errand.message)
                waiting.pending = errand.reply
            elif errand is not None:
                waiting.pending = await self._service.jobs.post(errand)
            self._enter(waiting, None)
            self._entering = False

    async def _room(self) -> None:
        while self._is_full:
            await self._left.park()

    @property
    def _is_full(self) -> bool:
        settings = self._settings
        return len(self._line) >= settings.requests_max or self._line_bytes > settings.request_bytes_max

    def _enter(self, waiting: _Waiting, errand: Errand | None) -> None:
        """The request stands in line from now on, with its errand under way."""
        if isinstance(errand, ToFleet):
            self._service.fleet.tell_nowait(errand.message)
            waiting.pending = errand.reply
        elif errand is not None:
            waiting.pending = self._service.jobs.post_nowait(errand)
        self._line.append(waiting)
        self._line_bytes += waiting.size
        if waiting.pending is None:
            self._go_on()
        else:
            waiting.pending.when_given(self._go_on)

    def _understand(self, data: str | bytes) -> tuple[_Waiting, Errand | None]:
        """Read a message; returns the request as it will stand in line, and the errand it is waiting for."""
        form: Form = "json" if isinstance(data, str) else "cbor"
        service = self._service
        try:
            request = decode_request(data, service.limits)
            if isinstance(request, SubscribeRequest):
                outcome, question = self._subscriptions.subscribe(request, form)
                return _Waiting(form, len(data), outcome), question
            if isinstance(request, UnsubscribeRequest):
                return _Waiting(form, len(data), Outcome(self._subscriptions.unsubscribe(request))), None
            if isinstance(request, WorkerRequest):
                errand, read = self._worker.understand(request, form)
                return _Waiting(form, len(data), partial(self._told, read)), errand
            if isinstance(request, WorkersRequest):
                listing = ListWorkers()
                shown = partial(_workers_shown, request.id)
                return _Waiting(form, len(data), shown), ToFleet(listing, listing.reply)
            if isinstance(request, HistoryRequest | PastRequest):
                asked = self._service.past.ask(to_wish(request))
                return _Waiting(form, len(data), partial(_past_shown, request.id), pending=asked), None
            if isinstance(request, ScheduleRequest):
                return self._about_schedules(request, form, len(data))
            command = to_command(request, service.ids, service.limits, service.defaults)
            size, admitted = len(data), 0
            if isinstance(command, List):
                size += command.limit * LISTED_JOB_BYTES
            elif isinstance(command, Enqueue):
                refused = service.admit(len(data))
                if refused is not None:
                    return _Waiting(form, len(data), Outcome(refusal(request.id, refused))), None
                admitted = len(data)
                self._admitted += admitted
            return _Waiting(form, size, partial(self._answered, request.id), admitted), command
        except WireError as error:
            told = Error(re=error.request_id, code=error.code, message=error.message)
            return _Waiting(form, len(data), Outcome(told)), None

    def _about_schedules(
        self, request: ScheduleRequest, form: Form, size: int
    ) -> tuple[_Waiting, Errand | None]:
        command = self._service.schedule_command(request)
        if isinstance(command, Refused):
            return _Waiting(form, size, Outcome(refusal(request.id, command))), None
        answered = partial(self._answered, request.id)
        if isinstance(request, SchedulesRequest):
            answered = partial(self._schedules_shown, request)
        return _Waiting(form, size, answered), command

    # The way out: at once, or by `_answer`.

    def _go_on(self) -> None:
        """Send what replies are there, in order, as far as nothing has to be waited for. Called in whatever
        task brings an answer, so nothing may leave from here."""
        line = self._line
        try:
            while line and not self._over and not self._sending and line[0].is_answered:
                first = line[0]
                if not self._outgoing.send_nowait(self._reply(first)):
                    self._came.unpark()
                    return
                self._leave_line(first)
        except Exception as error:  # noqa: BLE001  # as above
            self._fail(error)

    async def _answer(self) -> None:
        line = self._line
        while True:
            while self._failure is None and not (line and line[0].is_answered):
                await self._came.park()
            if self._failure is not None:
                raise self._failure
            self._sending = True
            # It stays in line until its reply is out, so that the bounds count it.
            await self._outgoing.send(self._reply(line[0]))
            self._sending = False
            self._leave_line(line[0])

    def _fail(self, error: Exception) -> None:
        """Have the session's own task raise this, in which it ends the connection."""
        self._failure = error
        self._came.unpark()

    def _reply(self, waiting: _Waiting) -> str | bytes:
        """The reply to a request that is answered."""
        if waiting.reply is None:
            outcome = waiting.outcome
            if not isinstance(outcome, Outcome):
                assert waiting.pending is not None, "a request without a command waits for an answer"
                outcome = outcome(waiting.pending.answer())
            message, waiting.then = outcome
            self._leave(waiting.admitted)
            waiting.admitted = 0
            if isinstance(message, Error):
                self._service.node.refused(message.code)
            waiting.reply = encode(message, waiting.form)
        return waiting.reply

    def _leave_line(self, first: _Waiting) -> None:
        self._line.popleft()
        self._line_bytes -= first.size
        self._left.unpark()
        if first.then is not None:
            first.then()

    def _leave(self, admitted: int) -> None:
        self._admitted -= admitted
        self._service.leave(admitted)

    def _answered(self, re: str, answer: Answer) -> Outcome:
        if isinstance(answer, Status):
            return Outcome(status_reply(re, answer, self._service.node.view(), self._service.now_ms()))
        return Outcome(reply(re, answer))

    def _schedules_shown(self, request: SchedulesRequest, answer: Answer) -> Outcome:
        if isinstance(answer, Schedules):
            service = self._service
            return Outcome(schedules_ok(request, answer, service.wall_ms(), service.next_times))
        return Outcome(reply(request.id, answer))

    def _told(self, read: Callable[[Any], Ok | Error], answer: object) -> Outcome:
        """The reply to a worker; from the first one that is granted on, leases may follow."""
        message = read(answer)
        if isinstance(message, Ok) and not self._pushing:
            self._pushing = True
            return Outcome(message, partial(self._start, self._worker.push))
        return Outcome(message)

    def _start(self, push: Callable[[], Awaitable[None]]) -> None:
        assert self._tasks is not None
        self._tasks.start_soon(push)


def _past_shown(re: str, answer: PastReply) -> Outcome:
    return Outcome(past_ok(re, answer))


def _workers_shown(re: str, answer: tuple[WorkerView, ...]) -> Outcome:
    return Outcome(workers_ok(re, answer))
