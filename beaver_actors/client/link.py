"""One connection of a Trio client at work: a task that reads, a task that writes, a task that asks for a sign
of life. It ends when any of them sees the end, and tells why; whether another follows is not its business.
"""

from __future__ import annotations

from typing import Final, Protocol

import trio

from beaver_actors.client.errors import ClientError, ConnectionLost, ProtocolError
from beaver_actors.client.opening import RECEIVE_BYTES, Connection

PING_SECONDS: Final = 20.0
"""Silence after which the server is asked for a sign of life; well under the time-outs of proxies."""
PONG_SECONDS: Final = 20.0
SEND_SECONDS: Final = 20.0
"""A server that takes nothing for so long is as good as gone; slow ones take a little now and then."""
GOODBYE_SECONDS: Final = 2.0
"""For the last words, once it is clear that the connection ends."""
WRITE_BYTES: Final = 65_536
"""Messages are joined up to about this size, so that many small requests cost one system call; and written
in pieces of it, so that progress can be told from standstill."""


class Messages(Protocol):
    """Whose messages a link carries: the core of a client, or the ledger of a worker."""

    def opened(self) -> None:
        """There is a connection."""

    def next_message(self) -> str | bytes | None:
        """What to send next, None for nothing."""

    def received(self, data: str | bytes) -> None:
        """Take a message from the server. Raises ProtocolError: it cannot be understood."""


class Link:
    """Serves one open connection.

    Args:
        connection: as it was opened.
        core: takes what comes, and has what is to be sent.
    """

    def __init__(self, connection: Connection, core: Messages) -> None:
        self._stream, self._websocket, self._early = connection
        self._core = core
        self.useful = False
        """Whether the server has said anything that could be understood."""
        self._to_write = trio.Event()
        self._closing = False
        self._heard_bytes = 0
        self._writing = False
        self._error: ClientError | None = None
        self._scope = trio.CancelScope()

    def wake(self) -> None:
        """There is something to write."""
        self._to_write.set()

    def close(self) -> None:
        """Write what waits, say goodbye, and end."""
        self._closing = True
        self.wake()

    async def run(self) -> ClientError:
        """Serve until the connection ends; returns why."""
        try:
            self._core.opened()
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._read)
                    nursery.start_soon(self._write)
                    nursery.start_soon(self._keep_alive)
        finally:
            await trio.aclose_forcefully(self._stream)
        return self._error or ConnectionLost("the connection was closed")

    async def _read(self) -> None:
        try:
            for message in self._early:
                self._take(message)
            while self._websocket.over is None:
                data = await self._stream.receive_some(RECEIVE_BYTES)
                self._heard_bytes += len(data)
                for message in self._websocket.receive(bytes(data)):
                    self._take(message)
                self.wake()  # there may be a ping to answer
            self._end(self._websocket.over)
        except ProtocolError as error:
            self._websocket.close(1002, "not understood")
            self._end(error)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._end(ConnectionLost(f"the connection broke: {error.__cause__ or error}"))

    def _take(self, message: str | bytes) -> None:
        self._core.received(message)
        self.useful = True

    async def _write(self) -> None:
        try:
            while True:
                self._to_write = trio.Event()
                if data := self._next_bytes():
                    await self._write_out(memoryview(data))
                elif self._error is not None:
                    self._scope.cancel()
                    return
                else:
                    await self._to_write.wait()
        except trio.TooSlowError:
            self._end(ConnectionLost(f"the server took nothing for {SEND_SECONDS:g} s"))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._end(ConnectionLost(f"the connection broke: {error.__cause__ or error}"))
        self._scope.cancel()

    async def _write_out(self, data: memoryview) -> None:
        self._writing = True
        for start in range(0, len(data), WRITE_BYTES):
            with trio.fail_after(SEND_SECONDS):
                await self._stream.send_all(data[start : start + WRITE_BYTES])
        self._writing = False

    def _next_bytes(self) -> bytes:
        """Control frames first, then messages, then, if nobody wants more, the goodbye."""
        data = bytearray(self._websocket.control())
        while self._error is None and len(data) < WRITE_BYTES:
            message = self._core.next_message()
            if message is None:
                if self._closing:
                    self._websocket.close()
                    data += self._websocket.control()
                break
            data += self._websocket.frame(message)
        return bytes(data)

    async def _keep_alive(self) -> None:
        while True:
            heard_bytes = self._heard_bytes
            await trio.sleep(PING_SECONDS)
            if self._heard_bytes != heard_bytes:
                continue
            self._websocket.ping()
            self.wake()
            await trio.sleep(PONG_SECONDS)
            # While something large is being written, the ping is still behind it, and the writer has a limit.
            if self._heard_bytes == heard_bytes and not self._writing:
                silent_seconds = PING_SECONDS + PONG_SECONDS
                self._end(ConnectionLost(f"the server gave no sign of life for {silent_seconds:g} s"))
                return

    def _end(self, error: ClientError) -> None:
        """The connection is over; the writer gets a moment for the last words."""
        if self._error is None:
            self._error = error
            self._scope.deadline = trio.current_time() + GOODBYE_SECONDS
            self.wake()
