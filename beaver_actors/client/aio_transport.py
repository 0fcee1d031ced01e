"""The connection of an asyncio client, kept alive: it connects again when one is lost, until it is closed.

Callers only leave requests with the core and wait for their outcome, so one who is cancelled tears nothing.
Everything happens on the loop that the client was opened on.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import suppress
from typing import Final

from beaver_actors.client.aio_opening import Connection, Opener
from beaver_actors.client.chance import draw
from beaver_actors.client.core import CLOSED, Core, reconnect_seconds
from beaver_actors.client.errors import ClientError, ConnectFailed, ConnectionLost, ProtocolError
from beaver_actors.client.loop import Event
from beaver_actors.client.websockets_peer import ConnectionClosed, why_closed
from beaver_actors.codec.wire import Ok, Request
from beaver_actors.codec.wire_decode import Form

CLOSE_SECONDS: Final = 5.0
"""For writing what is left and for the server's goodbye."""

log = logging.getLogger("beaver_actors.client")


class AsyncioLoop:
    """What the client needs of asyncio."""

    def event(self) -> Event:
        """An event that has not happened."""
        return asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)

    async def checkpoint(self) -> None:
        """Let others run, and end here if the task is cancelled."""
        await asyncio.sleep(0)

    async def checkpoint_if_cancelled(self) -> None:
        """Nothing: asyncio cancels a task where it next waits, and nowhere else."""


class Transport:
    """Moves the messages of one client.

    Args:
        form: how messages are written.
        opener: connects.
        reconnect: whether to connect again when the connection is lost.
    """

    def __init__(self, form: Form, opener: Opener, reconnect: bool) -> None:
        self.dice = draw
        self.loop = AsyncioLoop()
        self.core = Core(form, self._wake)
        self._opener = opener
        self._reconnect = reconnect
        self._waiting: deque[asyncio.Future[None]] = deque()
        """Who waits for room, the longest first."""
        self._to_write = asyncio.Event()
        self._closing = asyncio.Event()
        self._failures = 0
        """Connections in a row that came to nothing: not opened, or lost before the server said anything."""

    async def ask(self, request: Request) -> Ok:
        """Ask and wait for the answer, across reconnects. Waits first while too much is unanswered.

        If it is cancelled, what was asked for may or may not have been done.

        Raises:
            ClientError: it was refused, or there will be no answer.
        """
        while not self.core.has_room() and self.core.error is None:
            await self._wait_for_room()
        settled = asyncio.Event()
        pending = self.core.ask(request, lambda _: settled.set())
        if self.core.has_room():
            self._tell_room()  # a large request that leaves may make room for several small ones
        try:
            await settled.wait()
        finally:
            self.core.forget(pending)
            self._tell_room()
        return pending.ok()

    async def run(self, connection: Connection) -> None:
        """Serve until closed, or until connecting again makes no sense.

        Args:
            connection: the first one.
        """
        try:
            while True:
                error, useful = await self._serve(connection)
                self._failures = 0 if useful else self._failures + 1
                self.core.lost(error)
                if self._closing.is_set():
                    return
                if not self._reconnect:
                    self.core.end(ConnectionLost(str(error)))
                    return
                log.warning("%s; connecting again", error)
                connection = await self._connect_again()
                log.info("connected again")
        except ConnectFailed as failure:
            self.core.end(failure)
        except Exception as bug:
            self.core.end(ClientError(f"the client failed, please report this: {bug!r}"))
            raise
        finally:
            self.core.end(ConnectionLost(CLOSED))
            while self._waiting:
                self._tell_room()

    def close(self) -> None:
        """Have what is left written and goodbye said; `run` ends then."""
        self._closing.set()
        self._wake()

    def _wake(self) -> None:
        self._to_write.set()

    async def _serve(self, connection: Connection) -> tuple[ClientError, bool]:
        """Serve until the connection ends; returns why, and whether anything sensible came before."""
        useful = False
        self.core.opened()
        writing = asyncio.create_task(self._write(connection), name="beaver-client-write")
        try:
            while True:
                self.core.received(await connection.recv())
                useful = True
        except ProtocolError as error:
            await connection.close(1002, "not understood")
            return error, useful
        except ConnectionClosed as closed:
            return why_closed(closed), useful
        finally:
            writing.cancel()
            with suppress(asyncio.CancelledError):
                await writing
            connection.transport.abort()

    async def _write(self, connection: Connection) -> None:
        # What is lost here is still pending, so it is sent again over the next connection.
        with suppress(ConnectionClosed, OSError):
            while True:
                self._to_write.clear()
                while (data := self.core.next_message()) is not None:
                    await connection.send(data)
                if self._closing.is_set():
                    await connection.close()
                    return
                await self._to_write.wait()

    async def _connect_again(self) -> Connection:
        """Raises ConnectFailed if it makes no sense to go on trying, or the client is being closed."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(reconnect_seconds(self._failures, self.dice())):
                    await self._closing.wait()
            if self._closing.is_set():
                raise ConnectFailed(CLOSED)
            try:
                return await self._opener.open()
            except ConnectFailed as error:
                if not error.transient:
                    raise
            self._failures += 1

    async def _wait_for_room(self) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._tell_room()  # it was this one's turn; now it is another's
            raise

    def _tell_room(self) -> None:
        """There may be room: let one of those who wait look."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
