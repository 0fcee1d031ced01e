"""What a program iterates over: live events, the live status, one job's events, pages of jobs. The same for
Trio and asyncio.

Plain classes, no generators: leaving the `async with` block ends the subscription, whatever happened inside.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from beaver_actors.client.errors import NotFound
from beaver_actors.client.loop import Loop, Transport
from beaver_actors.client.subscriptions import EventSubscription, Item, StatusSubscription, Subscription
from beaver_actors.client.views import ENDINGS, Event, Gap, JobInfo, Page, Status, event_from_wire
from beaver_actors.codec.wire_event_objects import EventFilter


class _Entered:
    """A subscription that lasts as long as an `async with` block."""

    def __init__(self, transport: Transport) -> None:
        self._core = transport.core
        self._loop = transport.loop
        self._news = self._loop.event()

    def _notify(self) -> None:
        self._news.set()

    async def _enter(self, subscription: Subscription) -> None:
        await self._loop.checkpoint_if_cancelled()
        self._core.subscribe(subscription)
        try:
            while not subscription.opened:
                await self._wait(subscription)
        except BaseException:
            self._core.unsubscribe(subscription)
            raise

    async def _wait(self, subscription: Subscription) -> None:
        """Wait until something is new; raises what ended the subscription."""
        if subscription.error is not None:
            raise subscription.error.twin()
        self._news = self._loop.event()
        await self._news.wait()


class EventStream(_Entered):
    """Events, live: `async with client.subscribe_events() as events: async for event in events: …`.

    Every event after entering comes once, in order, across reconnects; where events are gone for good there
    is a `Gap` in their place (P10). A slow reader costs bounded memory: the server is asked to go on later.
    """

    def __init__(self, transport: Transport, wanted: EventFilter | None, from_lsn: int | None) -> None:
        super().__init__(transport)
        self._subscription = EventSubscription(wanted, from_lsn, self._notify)
        self._taken: deque[Item] = deque()

    async def __aenter__(self) -> Self:
        await self._enter(self._subscription)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._core.unsubscribe(self._subscription)

    @property
    def position(self) -> int | None:
        """Events up to this LSN have come or were not wanted; None before the stream is open."""
        return self._subscription.position

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event | Gap:
        """Waits for the next one.

        Raises:
            ClientError: there will be none.
        """
        while not self._taken:
            await self._fetch()
        await self._loop.checkpoint_if_cancelled()
        return event_from_wire(self._taken.popleft())

    async def batch(self) -> list[Event | Gap]:
        """Waits for at least one and returns all that have come, oldest first: cheaper than one by one.

        Raises:
            ClientError: there will be none.
        """
        while not self._taken:
            await self._fetch()
        items, self._taken = self._taken, deque()
        return [event_from_wire(item) for item in items]

    async def _fetch(self) -> None:
        await self._loop.checkpoint()
        self._taken.extend(self._subscription.take())
        if not self._taken:
            self._core.resume(self._subscription)
            await self._wait(self._subscription)


class JobWatch:
    """One job's events until it is finished: `async with job.watch() as watch: async for event in watch: …`.

    Args:
        stream: the events of this job.
        look: shows the job.
        from_start: whether the stream begins before the job can have finished.
    """

    def __init__(self, stream: EventStream, look: Callable[[], Awaitable[JobInfo]], from_start: bool) -> None:
        self._stream = stream
        self._look = look
        self._from_start = from_start
        self._unseen_to: int | None = None  # up to here it may have finished without an event for us
        self._over = False

    async def __aenter__(self) -> Self:
        await self._stream.__aenter__()
        if not self._from_start:
            self._unseen_to = self._stream.position
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stream.__aexit__(kind, error, trace)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event | Gap:
        """Waits for the next one; iteration ends after the event that finished the job.

        Raises:
            ClientError: there will be none.
        """
        if self._unseen_to is not None:
            try:
                job = await self._look()
                self._over = job.finished and job.lsn <= self._unseen_to
            except NotFound:
                self._over = True
            self._unseen_to = None
        if self._over:
            raise StopAsyncIteration
        item = await self._stream.__anext__()
        if isinstance(item, Gap):
            self._unseen_to = item.to_lsn
        elif item.event in ENDINGS:
            self._over = True
        return item


class StatusStream(_Entered):
    """The status, live: `async with client.subscribe_status(1) as statuses: async for status in statuses: …`.

    Only the newest one is kept for a slow reader. While there is no connection nothing comes."""

    def __init__(self, transport: Transport, interval: float | str) -> None:
        super().__init__(transport)
        self._subscription = StatusSubscription(interval, self._notify)

    async def __aenter__(self) -> Self:
        await self._enter(self._subscription)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._core.unsubscribe(self._subscription)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Status:
        """Waits for the next one.

        Raises:
            ClientError: there will be none.
        """
        await self._loop.checkpoint_if_cancelled()
        while (status := self._subscription.take()) is None:
            await self._wait(self._subscription)
        return status


class JobList:
    """Jobs, newest first: `async for job in client.list(state="dead"): …`. Fetched page by page as needed."""

    def __init__(self, loop: Loop, fetch: Callable[[int | None], Awaitable[Page]], limit: int | None) -> None:
        self._loop = loop
        self._fetch = fetch
        self._left = limit
        self._jobs: deque[JobInfo] = deque()
        self._cursor: int | None = None
        self._begun = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> JobInfo:
        """Waits for the next one.

        Raises:
            ClientError: it cannot be had.
        """
        await self._loop.checkpoint_if_cancelled()
        if self._left == 0:
            raise StopAsyncIteration
        while not self._jobs:
            if self._begun and self._cursor is None:
                raise StopAsyncIteration
            page = await self._fetch(self._cursor)
            self._begun, self._cursor = True, page.next
            self._jobs.extend(page.jobs)
        if self._left is not None:
            self._left -= 1
        return self._jobs.popleft()
