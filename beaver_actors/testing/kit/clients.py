"""The clients of a test kit: the classes of production, on a connection that is a function call.

What a client has to say is said as soon as nobody is in the middle of something, and answered at once. Only
where someone waits, and nothing that runs could end the wait, is it different: then the test is told, and
does not hang.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import trio

from beaver_actors.client import async_client, job_questions, sync_client
from beaver_actors.client.aio_transport import AsyncioLoop
from beaver_actors.client.core import Core
from beaver_actors.client.errors import ConnectionLost
from beaver_actors.client.loop import Event, Loop
from beaver_actors.client.middleware import OnEnqueue
from beaver_actors.client.trio_transport import TrioLoop
from beaver_actors.client.views import FinishedJob
from beaver_actors.codec.wire import Ok, Request
from beaver_actors.codec.wire_jobs import Defaults
from beaver_actors.testing.kit.engine import Engine
from beaver_actors.testing.kit.far_end import FarEnd


class NotFinished(AssertionError):
    """A result was waited for that cannot come: in a kit nothing runs by itself."""


class Line:
    """The connection of one client: its core, and the far end.

    Args:
        engine: the queue.
        defaults: for jobs that do not say.
        enqueued: called when jobs have been accepted.
    """

    def __init__(self, engine: Engine, defaults: Defaults, enqueued: Callable[[], None]) -> None:
        self.core = Core("json", lambda: None)
        self._far_end = FarEnd(engine, defaults, self.core.received, enqueued)
        self._busy = False
        engine.listeners.append(self._far_end.push)
        self.core.opened()

    def flush(self) -> None:
        """Say what there is to say. Harmless in the middle of it."""
        if self._busy:
            return
        self._busy = True
        try:
            while (data := self.core.next_message()) is not None:
                self._far_end.take(data)
        finally:
            self._busy = False

    def ask(self, request: Request) -> Ok:
        """Ask, and return the answer."""
        pending = self.core.ask(request, lambda _: None)
        try:
            self._far_end_takes(pending.data)
        finally:
            self.core.forget(pending)
        return pending.ok()

    def _far_end_takes(self, data: str | bytes) -> None:
        # Not through `flush`: a handler may ask while its own enqueuing is under way.
        self._far_end.take(data)

    def lose(self) -> None:
        """The connection breaks, and there is another one."""
        self._far_end.hang_up()
        self.core.lost(ConnectionLost("the server died"))
        self.core.opened()
        self.flush()


class _Lock:
    """What the synchronous client holds while it uses its core. When it lets go, what waits is said."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        self._line.flush()


class _SyncTransport:
    """In the place of `client.sync_transport.Transport`."""

    def __init__(self, line: Line) -> None:
        self.core = line.core
        self.lock = _Lock(line)
        self._line = line

    def ask(self, request: Request, timeout: float | None) -> Ok:
        return self._line.ask(request)

    def check_process(self) -> None:
        pass

    def close(self) -> None:
        """The kit outlives its clients."""


class SyncClient(sync_client.Client):
    """The synchronous client."""

    def __init__(self, line: Line, on_enqueue: Sequence[OnEnqueue]) -> None:
        super().__init__(_SyncTransport(line), None, 0, on_enqueue)  # type: ignore[arg-type]  # all that it uses

    def wait_all(
        self,
        jobs: Iterable[sync_client.Job[Any]],
        on_update: Callable[[FinishedJob], object] | None = None,
        *,
        timeout: float | None = None,
    ) -> Sequence[FinishedJob]:
        """As in production; but a job that waits for the kit raises NotFinished, whatever the timeout."""
        waited = job_questions.waited_for(jobs)
        for job in waited:
            if (info := self._known(job.id)) is not None and not info.finished:
                advice = "the kit runs jobs only when it is told: drain_queue(), settle(), or inline mode"
                raise NotFinished(
                    f"job {job.id} ({info.kind}) is {info.state}, and nothing runs it: {advice}"
                )
        return super().wait_all(waited, on_update, timeout=timeout)

    def _known(self, job_id: str) -> Any:
        from beaver_actors.client.errors import NotFound

        try:
            return self.get(job_id)
        except NotFound:
            return None


class _Event:
    """Happens once. Whoever waits for it says first what there is to say."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._happened = False
        self._waited: Event | None = None

    def set(self) -> None:
        self._happened = True
        if self._waited is not None:
            self._waited.set()

    async def wait(self) -> None:
        self._line.flush()
        loop = _loop()
        if self._happened:
            await loop.checkpoint()
            return
        self._waited = self._waited or loop.event()
        await self._waited.wait()


class _EitherLoop:
    """The event loop that the caller runs on, Trio or asyncio."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def event(self) -> Event:
        return _Event(self._line)

    async def sleep(self, seconds: float) -> None:
        await _loop().sleep(seconds)

    async def checkpoint(self) -> None:
        self._line.flush()
        await _loop().checkpoint()

    async def checkpoint_if_cancelled(self) -> None:
        await _loop().checkpoint_if_cancelled()


class _AsyncTransport:
    """In the place of a transport of the asynchronous client."""

    dice: Final = staticmethod(lambda: 0.5)

    def __init__(self, line: Line) -> None:
        self.core = line.core
        self.loop = _EitherLoop(line)
        self._line = line

    async def ask(self, request: Request) -> Ok:
        await _loop().checkpoint()
        answer = self._line.ask(request)
        self._line.flush()
        return answer


def async_client_on(line: Line, on_enqueue: Sequence[OnEnqueue]) -> async_client.Client:
    """The client for Trio and asyncio; which of the two is seen when it is used."""
    return async_client.Client(_AsyncTransport(line), 0, on_enqueue)


def in_event_loop() -> bool:
    """Whether an event loop runs in this thread."""
    return _in_asyncio() or trio.lowlevel.in_trio_run()


def _in_asyncio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _loop() -> Loop:
    return AsyncioLoop() if _in_asyncio() else TrioLoop()
