"""The asyncio client in a Trio test: an event loop in a thread beside it, and stand-ins that pass on every
call.

So the same tests run against both. A stand-in shows what the real object shows; what must be awaited runs
over there, and cancelling the wait here cancels it there.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

import trio

from beaver_actors.client import aio
from beaver_actors.client.async_client import Client, Job
from beaver_actors.client.streams import EventStream, JobList, JobWatch, StatusStream

SHOWN_THROUGH = (Client, Job, EventStream, JobList, JobWatch, StatusStream)
"""What lives on the other loop and must not be touched from here."""


class Loop:
    """An asyncio event loop in a thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="asyncio")
        self._thread.start()

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def now(self, call: Callable[[], Any]) -> Any:
        """Call something over there, and wait for it as one waits for a plain call."""

        async def there() -> Any:
            return call()

        return asyncio.run_coroutine_threadsafe(there(), self.loop).result(30)

    async def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Await something over there."""
        token, over = trio.lowlevel.current_trio_token(), trio.Event()
        outcome: list[Any] = []

        async def there() -> None:
            try:
                outcome[:] = [await work, None]
            except BaseException as error:  # noqa: BLE001  # raised again over here
                outcome[:] = [None, error]
            finally:
                with suppress(trio.RunFinishedError):
                    token.run_sync_soon(over.set)

        task = self.now(lambda: self.loop.create_task(there()))
        try:
            await over.wait()
        except trio.Cancelled:
            self.loop.call_soon_threadsafe(task.cancel)
            with trio.CancelScope(shield=True):
                await over.wait()
            raise
        if outcome[1] is not None:
            raise outcome[1]
        return outcome[0]


class StandIn:
    """Stands for an object on the other loop."""

    def __init__(self, real: Any, loop: Loop) -> None:
        self._real = real
        self._over_there = loop

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if not inspect.ismethod(found):
            return found
        if inspect.iscoroutinefunction(found):

            async def awaited(*args: Any, **options: Any) -> Any:
                return self._shown(await self._over_there.run(found(*map(_real, args), **options)))

            return awaited
        return lambda *args, **options: self._shown(
            self._over_there.now(lambda: found(*map(_real, args), **options))
        )

    async def __aenter__(self) -> Self:
        await self._over_there.run(self._real.__aenter__())
        return self

    async def __aexit__(self, *error: object) -> None:
        with trio.CancelScope(shield=True):
            await self._over_there.run(self._real.__aexit__(None, None, None))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        end = object()

        async def following() -> Any:
            try:
                return await self._real.__anext__()
            except StopAsyncIteration:
                return end

        item = await self._over_there.run(following())
        if item is end:
            raise StopAsyncIteration
        return item

    def _shown(self, value: Any) -> Any:
        if isinstance(value, list | tuple) and value and isinstance(value[0], SHOWN_THROUGH):
            return [self._shown(item) for item in value]
        return StandIn(value, self._over_there) if isinstance(value, SHOWN_THROUGH) else value


def _real(value: Any) -> Any:
    if isinstance(value, StandIn):
        return value._real
    return [_real(item) for item in value] if isinstance(value, list) else value


@asynccontextmanager
async def connect(loop: Loop, *args: Any, **options: Any) -> AsyncIterator[Any]:
    """`aio.connect`, with the client shown to a Trio test."""
    opening = aio.connect(*args, **options)
    client = await loop.run(_coroutine(opening.__aenter__()))
    try:
        yield StandIn(client, loop)
    finally:
        with trio.CancelScope(shield=True):
            await loop.run(_coroutine(opening.__aexit__(None, None, None)))


async def _coroutine(work: Awaitable[Any]) -> Any:
    return await work
