"""The subscriptions of one connection: how they are opened, how many there may be, how they end. What they
push is the affair of `subscriptions.py`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

from beaver_actors.codec.wire import Error, Ok
from beaver_actors.codec.wire_decode import Form
from beaver_actors.codec.wire_errors import shorten
from beaver_actors.codec.wire_watch import WatchEvents, WatchStatus, to_watch
from beaver_actors.codec.wire_watch_messages import SubscribeRequest, UnsubscribeRequest
from beaver_actors.core.answers import Answer, Status
from beaver_actors.core.commands import Count
from beaver_actors.server.service import Service
from beaver_actors.server.subscriptions import Outgoing, Subscription, push_events, push_status


class Outcome(NamedTuple):
    """The reply to a request, and what begins once it is sent."""

    message: Ok | Error
    then: Callable[[], None] | None = None


class Subscriptions:
    """One per session.

    Args:
        service: what all sessions share.
        outgoing: where pushes go.
        limit: how many subscriptions there may be at the same time.
        start: begins a task that pushes, and ends with the session.
    """

    def __init__(
        self,
        service: Service,
        outgoing: Outgoing,
        limit: int,
        start: Callable[[Callable[[], Awaitable[None]]], None],
    ) -> None:
        self._service = service
        self._outgoing = outgoing
        self._limit = limit
        self._start = start
        self._open: dict[str, Subscription] = {}
        self._opened = 0
        """Subscriptions that ever were: their ids are never used again on this connection."""

    def subscribe(
        self, request: SubscribeRequest, form: Form
    ) -> tuple[Outcome | Callable[[Answer], Outcome], Count | None]:
        """Open a subscription whose pushes have this form.

        Returns:
            What to reply; or the command whose answer that depends on, and the function to give it to.

        Raises:
            WireError: what is asked for makes no sense; carries the request's id.
        """
        watch = to_watch(request)
        if len(self._open) >= self._limit:
            text = f"this connection holds its limit of {self._limit} subscriptions"
            return Outcome(Error(re=request.id, code="overloaded", message=text)), None
        self._opened += 1
        subscription = Subscription(f"s{self._opened}", form)
        self._open[subscription.id] = subscription
        self._service.subscriptions += 1
        if isinstance(watch, WatchStatus):
            push = partial(push_status, subscription, watch.interval_ms, self._service, self._outgoing)
            return Outcome(Ok(re=request.id, subscription=subscription.id), partial(self._start, push)), None
        # The queue tells where "now" is, and whether the position asked for exists.
        return partial(self._open_events, request.id, subscription, watch), Count()

    def unsubscribe(self, request: UnsubscribeRequest) -> Ok | Error:
        """End a subscription; returns the reply."""
        if not self._end(request.subscription):
            name = shorten(request.subscription)
            text = f"subscription {name} does not exist on this connection"
            return Error(re=request.id, code="not_found", message=text)
        return Ok(re=request.id, subscription=request.subscription)

    def leave(self) -> None:
        """The connection has ended."""
        self._service.subscriptions -= len(self._open)

    def _open_events(
        self, re: str, subscription: Subscription, watch: WatchEvents, status: Answer
    ) -> Outcome:
        assert isinstance(status, Status), status
        after_lsn = status.lsn if watch.from_lsn is None else max(0, watch.from_lsn - 1)
        if after_lsn > status.lsn:
            # Someone who waits for a position that is long in coming would miss all before it.
            self._end(subscription.id)
            text = f"from_lsn: expected at most {status.lsn + 1}, the next position, got {watch.from_lsn}"
            return Outcome(Error(re=re, code="bad_request", message=text))
        push = partial(push_events, subscription, watch, after_lsn, self._service, self._outgoing)
        return Outcome(Ok(re=re, subscription=subscription.id, lsn=after_lsn), partial(self._start, push))

    def _end(self, subscription_id: str) -> bool:
        """End a subscription; returns whether there was one."""
        subscription = self._open.pop(subscription_id, None)
        if subscription is None:
            return False
        subscription.scope.cancel()
        self._service.subscriptions -= 1
        return True
