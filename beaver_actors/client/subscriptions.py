"""Subscriptions as the client keeps them: what was asked for, how far it has come, what waits to be taken.

A subscription outlives connections: it knows from where to ask again so that every event comes once, or a gap
says so (P10). What waits is bounded: past the limit it is paused, which means that the server is asked again
from where it stopped once all that waits has been taken. It sends nothing itself; `core` does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from msgspec import UNSET

from beaver_actors.client.errors import ClientError, ProtocolError
from beaver_actors.codec.wire import Ok
from beaver_actors.codec.wire_event_objects import EventFilter, EventObject
from beaver_actors.codec.wire_fields import LSN_MAX
from beaver_actors.codec.wire_status_objects import StatusObject
from beaver_actors.codec.wire_watch_messages import GapPush, SubscribeRequest

WAITING_BYTES_MAX: Final = 8 * 1024 * 1024
"""What may wait for a slow consumer; more than a message, so that one push never pauses."""
PUSH_EVENTS: Final = 500
"""Events in one push at most. Larger ones save little and delay what else waits for the connection."""

Item: TypeAlias = EventObject | GapPush


class Subscription(ABC):
    """What events and status have in common.

    Args:
        notify: called when it opens, when something has come, and when it fails.
    """

    def __init__(self, notify: Callable[[], None]) -> None:
        self.notify = notify
        self.opened = False
        """Whether the server has agreed, once; nothing that happens later is missed."""
        self.paused = False
        """Whether the server has been told to stop, because too much waits."""
        self.asked = False
        """Whether a request for it is on its way."""
        self.closed = False
        self.error: ClientError | None = None
        """Why nothing more will come."""

    @abstractmethod
    def request(self) -> SubscribeRequest:
        """What to ask the server for now; `id` is filled in by the core."""

    def accept(self, reply: Ok) -> None:
        """Take note of the server's agreement.

        Raises:
            ProtocolError: the reply lacks what it needs.
        """
        self.opened = True

    def fail(self, error: ClientError) -> None:
        """Nothing more will come."""
        if self.error is None:
            self.error = error
            self.notify()


class EventSubscription(Subscription):
    """Events from a position on.

    Args:
        wanted: which ones, None for all.
        from_lsn: the first position wanted, None for from now on.
        notify: called when it opens, when something has come, and when it fails.
    """

    def __init__(self, wanted: EventFilter | None, from_lsn: int | None, notify: Callable[[], None]) -> None:
        super().__init__(notify)
        self._wanted = wanted
        self.position = None if from_lsn is None else from_lsn - 1
        """Events up to here have come, or were not wanted."""
        self._waiting: deque[tuple[list[Item], int]] = deque()
        self._waiting_bytes = 0

    @property
    def full(self) -> bool:
        """Whether more waits than may."""
        return self._waiting_bytes > WAITING_BYTES_MAX

    def request(self) -> SubscribeRequest:
        from_lsn = None if self.position is None else self.position + 1
        return SubscribeRequest(
            id="", topic="events", from_lsn=from_lsn, filter=self._wanted, batch=PUSH_EVENTS
        )

    def accept(self, reply: Ok) -> None:
        if reply.lsn is UNSET:
            raise ProtocolError("the server agreed to a subscription without saying where it begins")
        if self.position is None:
            self.position = _checked(reply.lsn)
        super().accept(reply)

    def push(self, items: Sequence[Item], size_bytes: int) -> None:
        """Take what the server sent; what has come before is dropped.

        Raises:
            ProtocolError: a position that there cannot be.
        """
        fresh: list[Item] = []
        for item in items:
            lsn = item.to_lsn if isinstance(item, GapPush) else item.lsn
            if self.position is None or lsn > self.position:
                self.position = _checked(lsn)
                fresh.append(item)
        if fresh:
            self._waiting.append((fresh, size_bytes))
            self._waiting_bytes += size_bytes
            self.notify()

    def take(self) -> list[Item]:
        """Give the oldest that waits, what came in one push; empty if nothing does."""
        if not self._waiting:
            return []
        items, size_bytes = self._waiting.popleft()
        self._waiting_bytes -= size_bytes
        return items


class StatusSubscription(Subscription):
    """The status now and then; only the newest one waits.

    Args:
        interval: seconds between two pushes.
        notify: called when it opens, when something has come, and when it fails.
    """

    def __init__(self, interval: float | str, notify: Callable[[], None]) -> None:
        super().__init__(notify)
        self._interval = interval
        self._newest: StatusObject | None = None

    def request(self) -> SubscribeRequest:
        return SubscribeRequest(id="", topic="status", interval=self._interval)

    def push(self, status: StatusObject) -> None:
        """Take what the server sent."""
        self._newest = status
        self.notify()

    def take(self) -> StatusObject | None:
        """Give the newest status if it has not been taken."""
        newest, self._newest = self._newest, None
        return newest


def _checked(lsn: int) -> int:
    """A position to ask for again later; one that no server takes would end the client then."""
    if not 0 <= lsn <= LSN_MAX:
        raise ProtocolError("the server sent a position that there cannot be")
    return lsn
