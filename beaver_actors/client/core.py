"""The client's side of the protocol without any input or output: which requests wait for an answer, what to
send next, what to send again after a reconnect, and where each reply and push belongs.

All transports drive one of these: they hand it what arrived and ask it what to send. It never waits, never
looks at the clock, and is not thread-safe; the threaded transport locks around it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from beaver_actors.client.errors import ClientError, ProtocolError, TooLarge, refusal, refused
from beaver_actors.client.pending import Done, Pending
from beaver_actors.client.subscriptions import EventSubscription, Item, StatusSubscription, Subscription
from beaver_actors.codec.wire import CBOR_PROTOCOL, JSON_PROTOCOL, Error, Ok, Push, Request
from beaver_actors.codec.wire_decode import Form, Limits, decode_reply, encode_request
from beaver_actors.codec.wire_errors import WireError
from beaver_actors.codec.wire_fields import REQUEST_ID_CHARS_MAX
from beaver_actors.codec.wire_watch_messages import (
    EventPush,
    EventsPush,
    GapPush,
    StatusPush,
    UnsubscribeRequest,
)
from beaver_actors.codec.wire_worker_messages import LeasePush, NoticePush
from beaver_actors.core.job import Backoff
from beaver_actors.core.retry import delay_ms

SUBPROTOCOLS: Final[dict[Form, str]] = {"json": JSON_PROTOCOL, "cbor": CBOR_PROTOCOL}

REQUEST_BYTES_MAX: Final = Limits().message_bytes
"""What the server takes unless configured otherwise; a larger message would cost the whole connection."""
MESSAGE_BYTES_MAX: Final = 64 * 1024 * 1024
"""The largest message taken from the server: a list of large jobs is larger than what may be sent."""
UNANSWERED_MAX: Final = 256
UNANSWERED_BYTES_MAX: Final = 4 * REQUEST_BYTES_MAX
"""Kept in memory, to be sent again after a reconnect."""

RECONNECT: Final = Backoff("exponential", base_ms=200, factor=2.0, cap_ms=10_000, jitter=True)
"""Soon at first, because most losses are restarts; spread out, so that clients do not return in step."""


CLOSED: Final = "the client is closed"
"""What is said of a client that was closed by its own program."""


def reconnect_seconds(failures: int, dice: float) -> float:
    """How long to wait before the next try to connect.

    Args:
        failures: tries that have failed since the connection was lost.
        dice: a number drawn evenly from [0, 1).
    """
    return delay_ms(RECONNECT, failures, dice) / 1000


class Core:
    """All requests and subscriptions of one client.

    Args:
        form: how messages are written.
        wake: called when there is something to send.
    """

    def __init__(self, form: Form, wake: Callable[[], None]) -> None:
        self.error: ClientError | None = None
        """Why the client is at its end, None while it is not."""
        self._form: Form = form
        self._wake = wake
        self._connected = False
        self._requests_made = 0
        self._pending: dict[str, Pending] = {}
        self._counted = self._counted_bytes = 0
        self._outbox: deque[str] = deque()  # request ids; those no longer pending are passed over
        self._subscriptions: dict[Subscription, None] = {}
        self._live: dict[
            str, Subscription
        ] = {}  # by the server's name for it, which ends with the connection

    # What callers want

    def has_room(self) -> bool:
        """Whether one more request may be made now."""
        return self._counted < UNANSWERED_MAX and self._counted_bytes < UNANSWERED_BYTES_MAX

    def ask(self, request: Request, done: Done, *, counted: bool = True, lasting: bool = True) -> Pending:
        """Take on a request. It is sent as often as connections are lost, always under the same id.

        Args:
            request: its `id` is filled in.
            done: called once, when it is settled; not after `forget`.
            counted: whether it takes room; not what the client asks on its own account, a bounded number.
            lasting: whether it means anything to the next connection; if not, it is forgotten with this one.

        Raises:
            ClientError: the client is at its end, or the message is too large.
        """
        if self.error is not None:
            raise self.error.twin()
        self._requests_made += 1
        request.id = str(self._requests_made)
        try:
            data = encode_request(request, self._form)
        except WireError as error:
            raise refused(error.code, error.message) from None
        pending = Pending(request.id, data, done, counted=counted, lasting=lasting)
        if pending.size_bytes > REQUEST_BYTES_MAX:
            message = f"the message: expected at most {REQUEST_BYTES_MAX} bytes, got {pending.size_bytes}"
            raise TooLarge("too_large", message)
        self._pending[pending.request_id] = pending
        if counted:
            self._counted += 1
            self._counted_bytes += pending.size_bytes
        if self._connected:
            self._outbox.append(pending.request_id)
            self._wake()
        return pending

    def forget(self, pending: Pending) -> None:
        """Nobody waits for this any more. It may have been done, or may yet be. Harmless if it is settled."""
        if self._pending.pop(pending.request_id, None) and pending.counted:
            self._counted -= 1
            self._counted_bytes -= pending.size_bytes

    def subscribe(self, subscription: Subscription) -> None:
        """Begin a subscription.

        Raises:
            ClientError: the client is at its end.
        """
        if self.error is not None:
            raise self.error.twin()
        self._subscriptions[subscription] = None
        if self._connected:
            self._ask_for(subscription)

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription; nothing more is pushed to it. Harmless if it has ended."""
        subscription.closed = True
        self._subscriptions.pop(subscription, None)
        self._stop(subscription)

    def resume(self, subscription: Subscription) -> None:
        """All that waited has been taken: if it was paused, ask the server to go on."""
        if subscription.paused and not subscription.asked and not subscription.closed:
            subscription.paused = False
            if self._connected:
                self._ask_for(subscription)

    # What transports do

    def opened(self) -> None:
        """There is a connection: everything unanswered is sent, and subscriptions go on where they were."""
        self._connected = True
        self._outbox = deque(self._pending)
        for subscription in self._subscriptions:
            if not subscription.asked and not subscription.paused:
                self._ask_for(subscription)
        self._wake()

    def next_message(self) -> str | bytes | None:
        """What to send next, None for nothing."""
        while self._outbox:
            if pending := self._pending.get(self._outbox.popleft()):
                return pending.data
        return None

    def received(self, data: str | bytes) -> None:
        """Take a message from the server.

        Raises:
            ProtocolError: it cannot be understood. The connection is of no more use.
        """
        try:
            message = decode_reply(data)
        except WireError as error:
            raise ProtocolError(f"the server sent something else than beaver.v1: {error.message}") from None
        if isinstance(message, Ok):
            if pending := self._pending.get(message.re):
                self._settle(pending, message)
        elif isinstance(message, Error):
            self._refused(message)
        elif not isinstance(message, LeasePush | NoticePush):  # those are for workers
            self._pushed(message, len(data))

    def lost(self, error: ClientError) -> None:
        """The connection has ended and another may follow. What waits goes on waiting, unless the server sent
        something that cannot be understood: asking again would end the same way."""
        self._connected = False
        self._outbox.clear()
        self._live.clear()
        for pending in [pending for pending in self._pending.values() if not pending.lasting]:
            self.forget(pending)
        if isinstance(error, ProtocolError):
            self._fail_all(error)
        elif isinstance(error, TooLarge):
            self._fail_largest(error)

    def end(self, error: ClientError) -> None:
        """There will be no other connection: whoever waits gets the error, and so does whoever asks later."""
        if self.error is None:
            self.error = error
            self.lost(error)
            self._fail_all(error)

    # Replies

    def _settle(self, pending: Pending, outcome: Ok | ClientError) -> None:
        self.forget(pending)
        pending.settle(outcome)

    def _refused(self, error: Error) -> None:
        if error.re is not None:
            if pending := self._pending.get(error.re):
                self._settle(pending, refusal(error))
        elif error.code == "too_large":
            self._fail_largest(refusal(error))
        else:
            # The server could not even read which request it was, so none of them can count on an answer.
            for pending in list(self._pending.values()):
                self._settle(pending, refusal(error))

    def _fail_largest(self, error: ClientError) -> None:
        """One message was over a limit, and the largest is certainly one that is."""
        if self._pending:
            self._settle(max(self._pending.values(), key=lambda pending: pending.size_bytes), error)

    def _fail_all(self, error: ClientError) -> None:
        subscriptions, self._subscriptions = self._subscriptions, {}
        for pending in list(self._pending.values()):
            self._settle(pending, error)
        for subscription in subscriptions:
            subscription.closed = True
            subscription.fail(error)

    # Subscriptions

    def _ask_for(self, subscription: Subscription) -> None:
        subscription.asked = True
        self.ask(subscription.request(), lambda pending: self._agreed(subscription, pending), counted=False)

    def _agreed(self, subscription: Subscription, pending: Pending) -> None:
        subscription.asked = False
        try:
            reply = pending.ok()
            if not isinstance(reply.subscription, str):
                raise ProtocolError("the server agreed to a subscription without naming it")
            if len(reply.subscription) > REQUEST_ID_CHARS_MAX:  # it has to be said again, to end it
                raise ProtocolError("the server agreed to a subscription under an endless name")
            if not subscription.closed:
                subscription.accept(reply)
        except ClientError as error:
            self._subscriptions.pop(subscription, None)
            subscription.fail(error)
            return
        self._live[reply.subscription] = subscription
        if subscription.closed:
            self._stop(subscription)
        else:
            subscription.notify()

    def _stop(self, subscription: Subscription) -> None:
        """Tell the server to push no more to it, if it does."""
        for name in [name for name, live in self._live.items() if live is subscription]:
            del self._live[name]
            request = UnsubscribeRequest(id="", subscription=name)
            self.ask(request, lambda _: None, counted=False, lasting=False)

    def _pushed(self, push: Push, size: int) -> None:
        subscription = self._live.get(push.subscription)
        match push, subscription:
            case _, None:
                pass  # ended a moment ago
            case StatusPush(), StatusSubscription():
                subscription.push(push.status)
            case ((EventPush() | GapPush()), EventSubscription()):
                self._push_events(subscription, [push], size)
            case EventsPush(), EventSubscription():
                self._push_events(subscription, push.events, size)
            case _:
                raise ProtocolError(f"the server sent a push of the wrong topic to {push.subscription}")

    def _push_events(self, subscription: EventSubscription, items: Sequence[Item], size: int) -> None:
        subscription.push(items, size)
        if subscription.full:
            subscription.paused = True
            self._stop(subscription)
