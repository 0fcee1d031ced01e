"""The connection of a Trio client, kept alive: it connects again when one is lost, until it is closed.

Callers only leave requests with the core and wait for their outcome, so one who is cancelled tears nothing.
What requests and replies mean is the core's business.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import trio

from beaver_actors.client.chance import draw
from beaver_actors.client.core import CLOSED, Core, reconnect_seconds
from beaver_actors.client.errors import ConnectFailed, ConnectionLost
from beaver_actors.client.link import Link
from beaver_actors.client.loop import Event
from beaver_actors.client.opening import Connection, Opener
from beaver_actors.codec.wire import Ok, Request
from beaver_actors.codec.wire_decode import Form

CLOSE_SECONDS: Final = 5.0
"""For writing what is left and for the server's goodbye."""

log = logging.getLogger("beaver_actors.client")


class TrioLoop:
    """What the client needs of Trio."""

    def event(self) -> Event:
        """An event that has not happened."""
        return trio.Event()

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        await trio.sleep(seconds)

    async def checkpoint(self) -> None:
        """Let others run, and end here if the task is cancelled."""
        await trio.lowlevel.checkpoint()

    async def checkpoint_if_cancelled(self) -> None:
        """End here if the task is cancelled."""
        await trio.lowlevel.checkpoint_if_cancelled()


class Transport:
    """Moves the messages of one client.

    Args:
        form: how messages are written.
        opener: connects.
        reconnect: whether to connect again when the connection is lost.
        dice: draws chance from [0, 1), for the length of pauses; from the system if not given.
    """

    def __init__(
        self,
        form: Form,
        opener: Opener,
        reconnect: bool,
        dice: Callable[[], float] | None = None,
    ) -> None:
        self.dice = dice or draw
        self.loop = TrioLoop()
        self.core = Core(form, self._wake)
        self._opener = opener
        self._reconnect = reconnect
        self._link: Link | None = None
        self._room = trio.lowlevel.ParkingLot()
        self._closing = False
        self._failures = 0
        """Connections in a row that came to nothing: not opened, or lost before the server said anything."""
        self._connecting = trio.CancelScope()
        self._ended = trio.Event()

    async def ask(self, request: Request) -> Ok:
        """Ask and wait for the answer, across reconnects. Waits first while too much is unanswered.

        If it is cancelled, what was asked for may or may not have been done.

        Raises:
            ClientError: it was refused, or there will be no answer.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        while not self.core.has_room() and self.core.error is None:
            await self._room.park()
        settled = trio.Event()
        pending = self.core.ask(request, lambda _: settled.set())
        if self.core.has_room():
            self._room.unpark()  # a large request that leaves may make room for several small ones
        try:
            await settled.wait()
        finally:
            self.core.forget(pending)
            self._room.unpark()
        return pending.ok()

    async def run(self, connection: Connection) -> None:
        """Serve until closed, or until connecting again makes no sense.

        Args:
            connection: the first one.
        """
        try:
            while True:
                self._link = link = Link(connection, self.core)
                if self._closing:
                    link.close()
                error = await link.run()
                self._link = None
                self._failures = 0 if link.useful else self._failures + 1
                self.core.lost(error)
                if self._closing:
                    return
                if not self._reconnect:
                    self.core.end(ConnectionLost(str(error)))
                    return
                log.warning("%s; connecting again", error)
                connection = await self._connect_again()
                log.info("connected again")
        except ConnectFailed as failure:
            self.core.end(failure)
        finally:
            self.core.end(ConnectionLost(CLOSED))
            self._room.unpark_all()
            self._ended.set()

    async def close(self) -> None:
        """Write what is left, say goodbye, and let `run` end."""
        self._closing = True
        self._connecting.cancel()
        if self._link is not None:
            self._link.close()
        with trio.move_on_after(CLOSE_SECONDS):
            await self._ended.wait()

    def _wake(self) -> None:
        if self._link is not None:
            self._link.wake()

    async def _connect_again(self) -> Connection:
        """Raises ConnectFailed if it makes no sense to go on trying, or the client is being closed."""
        if self._closing:
            raise ConnectFailed(CLOSED)
        with trio.CancelScope() as self._connecting:
            while True:
                await trio.sleep(reconnect_seconds(self._failures, self.dice()))
                try:
                    return await self._opener.open()
                except ConnectFailed as error:
                    if not error.transient:
                        raise
                self._failures += 1
        raise ConnectFailed(CLOSED)
