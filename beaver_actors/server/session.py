"""One connection: reads requests, passes them on, writes replies, keeps the connection's subscriptions.

Many requests may be under way at once. They are posted in the order in which they came, and replies leave in
that order too: all answers come through the same log, so waiting in line costs nothing. When too many are
under way, nothing more is read until some are answered. A bad message is answered with an error, and the
connection lives. A session decides nothing about jobs and holds no state that a client could miss.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeAlias

import trio

from beaver_actors.codec.wire import (
    Error,
    Ok,
    SubscribeRequest,
    UnsubscribeRequest,
)
from beaver_actors.codec.wire_answers import refusal, reply, status_reply
from beaver_actors.codec.wire_commands import to_command
from beaver_actors.codec.wire_decode import Form, decode_request, encode
from beaver_actors.codec.wire_errors import WireError, shorten
from beaver_actors.codec.wire_watch import WatchEvents, WatchStatus, to_watch
from beaver_actors.core.answers import Status
from beaver_actors.core.commands import Count, Enqueue
from beaver_actors.kernel.mailbox import Closed
from beaver_actors.server.ports import Connection, Pending
from beaver_actors.server.service import Service
from beaver_actors.server.subscriptions import Outgoing, Subscription, push_events, push_status
from beaver_actors.server.websocket import WebSocketClosed

RESTARTING = 1012
"""WebSocket close code: the service restarts, come back."""


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """Limits of one connection."""

    requests_max: int = 64
    """Requests under way; above it nothing is read."""
    request_bytes_max: int = 8 * 1024 * 1024
    """Of messages under way; above it nothing is read."""
    subscriptions_max: int = 32


class _Outcome(NamedTuple):
    """The reply to a request, and what begins once it is sent."""

    message: Ok | Error
    then: Callable[[], None] | None = None


_Answer: TypeAlias = Callable[[], Awaitable[_Outcome]]


@dataclass(slots=True)
class _Waiting:
    """A request under way."""

    form: Form
    size: int
    """Bytes of the message."""
    outcome: _Answer
    """Called when its turn to be answered has come."""
    admitted: int
    """Bytes that the service counts for it."""


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
        self._subscriptions: dict[str, Subscription] = {}
        self._subscribed = 0
        """Subscriptions that ever were: their ids are never used again on this connection."""
        self._tasks: trio.Nursery | None = None

    async def run(self) -> None:
        """Serve until the client leaves, or the node goes down."""
        try:
            async with trio.open_nursery() as self._tasks:
                self._tasks.start_soon(self._answer)
                await self._read()
                self._tasks.cancel_scope.cancel()
        except* WebSocketClosed:
            pass
        except* Closed:
            await self._connection.close(RESTARTING, "the server is restarting")
        finally:
            self._leave(self._admitted)
            self._service.subscriptions -= len(self._subscriptions)

    async def _read(self) -> None:
        settings = self._settings
        while (data := await self._connection.receive()) is not None:
            waiting = await self._begin(data)
            self._line.append(waiting)
            self._line_bytes += waiting.size
            self._came.unpark()
            while len(self._line) >= settings.requests_max or self._line_bytes > settings.request_bytes_max:
                await self._left.park()

    async def _answer(self) -> None:
        line = self._line
        while True:
            while not line:
                await self._came.park()
            # It stays in line until its reply is out, so that the bounds count it.
            first = line[0]
            message, then = await first.outcome()
            self._leave(first.admitted)
            if isinstance(message, Error):
                self._service.node.refused(message.code)
            await self._outgoing.send(encode(message, first.form))
            line.popleft()
            self._line_bytes -= first.size
            self._left.unpark()
            if then is not None:
                then()

    async def _begin(self, data: str | bytes) -> _Waiting:
        """Understand a message and set in motion what it asks for."""
        form: Form = "json" if isinstance(data, str) else "cbor"
        service, admitted = self._service, 0
        try:
            request = decode_request(data, service.limits)
            if isinstance(request, SubscribeRequest):
                outcome = await self._subscribe(request, form)
            elif isinstance(request, UnsubscribeRequest):
                outcome = _ready(self._unsubscribe(request))
            else:
                command = to_command(request, service.ids, service.limits, service.defaults)
                refused = None
                if isinstance(command, Enqueue):
                    refused = service.admit(len(data))
                    admitted = 0 if refused else len(data)
                    self._admitted += admitted
                if refused is not None:
                    outcome = _ready(refusal(request.id, refused))
                else:
                    outcome = partial(self._answered, request.id, await service.jobs.post(command))
        except WireError as error:
            outcome = _ready(Error(re=error.request_id, code=error.code, message=error.message))
        return _Waiting(form, len(data), outcome, admitted)

    def _leave(self, admitted: int) -> None:
        self._admitted -= admitted
        self._service.leave(admitted)

    async def _answered(self, re: str, pending: Pending) -> _Outcome:
        answer = await pending.wait()
        if isinstance(answer, Status):
            return _Outcome(status_reply(re, answer, self._service.node.view(), self._service.now_ms()))
        return _Outcome(reply(re, answer))

    async def _subscribe(self, request: SubscribeRequest, form: Form) -> _Answer:
        watch = to_watch(request)
        if len(self._subscriptions) >= self._settings.subscriptions_max:
            message = f"this connection holds its limit of {self._settings.subscriptions_max} subscriptions"
            return _ready(Error(re=request.id, code="overloaded", message=message))
        self._subscribed += 1
        subscription = Subscription(f"s{self._subscribed}", form)
        self._subscriptions[subscription.id] = subscription
        self._service.subscriptions += 1
        if isinstance(watch, WatchStatus):
            push = partial(push_status, subscription, watch.interval_ms, self._service, self._outgoing)
            return _ready(Ok(re=request.id, subscription=subscription.id), partial(self._start, push))
        # The queue tells where "now" is, and whether the position asked for exists.
        pending = await self._service.jobs.post(Count())
        return partial(self._open_events, request.id, subscription, watch, pending)

    async def _open_events(
        self, re: str, subscription: Subscription, watch: WatchEvents, pending: Pending
    ) -> _Outcome:
        status = await pending.wait()
        assert isinstance(status, Status), status
        after_lsn = status.lsn if watch.from_lsn is None else max(0, watch.from_lsn - 1)
        if after_lsn > status.lsn:
            # Someone who waits for a position that is long in coming would miss all before it.
            self._end(subscription.id)
            text = f"from_lsn: expected at most {status.lsn + 1}, the next position, got {watch.from_lsn}"
            return _Outcome(Error(re=re, code="bad_request", message=text))
        push = partial(push_events, subscription, watch, after_lsn, self._service, self._outgoing)
        return _Outcome(Ok(re=re, subscription=subscription.id, lsn=after_lsn), partial(self._start, push))

    def _start(self, push: Callable[[], Awaitable[None]]) -> None:
        assert self._tasks is not None
        self._tasks.start_soon(push)

    def _unsubscribe(self, request: UnsubscribeRequest) -> Ok | Error:
        if not self._end(request.subscription):
            name = shorten(request.subscription)
            text = f"subscription {name} does not exist on this connection"
            return Error(re=request.id, code="not_found", message=text)
        return Ok(re=request.id, subscription=request.subscription)

    def _end(self, subscription_id: str) -> bool:
        """End a subscription; returns whether there was one."""
        subscription = self._subscriptions.pop(subscription_id, None)
        if subscription is None:
            return False
        subscription.scope.cancel()
        self._service.subscriptions -= 1
        return True


def _ready(message: Ok | Error, then: Callable[[], None] | None = None) -> _Answer:
    """For a request that waits for nothing."""

    async def outcome() -> _Outcome:
        return _Outcome(message, then)

    return outcome
