"""The stream that the WebSocket library is given instead of the socket: it replays what was read too early,
leaves the socket unread while too much waits for the handler, and gives up on a client that takes nothing. It
knows no protocol, and closing it does not close the socket: a last frame may still have to be said."""

import os
from collections import deque
from collections.abc import Callable
from typing import Final

import trio

# With 4 kB pieces a message of 100 kB costs three times the CPU in wsproto.
RECEIVE_BYTES: Final = 65_536
# Small frames are gathered up to this size: the system call costs as much as all of ours.
GATHER_BYTES: Final = 65_536


class GuardedStream(trio.abc.Stream):
    """Wraps an accepted stream.

    `first`: bytes already read from it. `inbox_bytes_max`, `inbox_messages_max`: how much may wait for the
    handler before nothing more is read; what was read with it comes on top. `send_timeout`: seconds that
    one `send_all` may take; then `on_stalled` is told why the client is given up, and the stream is torn, as
    it is when one is cancelled half-way."""

    def __init__(
        self,
        stream: trio.abc.Stream,
        first: bytes,
        inbox_bytes_max: int,
        inbox_messages_max: int,
        send_timeout: float,
        on_stalled: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self.received_bytes = 0
        self.torn = False  # a frame was sent in part, so nothing sent after it could be understood
        self.more_follows = False  # the writer is about to send again: what is sent now may wait for that
        self._gathered = bytearray()
        self._perhaps_more = True  # the socket may hold more than was read
        self._socket = stream.socket if isinstance(stream, trio.SocketStream) else None
        self._stream, self._first = stream, first
        self._inbox_bytes_max, self._inbox_messages_max = inbox_bytes_max, inbox_messages_max
        self._send_timeout = send_timeout
        self._on_stalled = on_stalled
        self._held: deque[int] = deque()  # the size of each message that waits for the handler
        self._held_bytes = 0
        self._may_read = trio.Event()
        self._is_open = self._reading = self._draining = self._closed = False

    def open(self) -> None:
        """The opening handshake is done: what follows are frames."""
        self._is_open = True
        self._may_read.set()

    def hold(self, size: int) -> None:
        """A message of `size` bytes waits for the handler."""
        self._held.append(size)
        self._held_bytes += size

    def release(self) -> None:
        """The handler took the oldest message."""
        self._held_bytes -= self._held.popleft()
        if self._inbox_has_room():
            self._may_read.set()

    def drain(self) -> None:
        """Nobody wants messages any more: read on without limit, for the client's goodbye."""
        self._draining = True
        self._may_read.set()

    def is_silent_since(self, received_bytes: int) -> bool:
        """Whether the client has sent nothing since `received_bytes` was read, although we listen. While the
        handler is behind, the socket is left unread: then the silence is ours."""
        return self.received_bytes == received_bytes and self._reading

    @property
    def has_unsent(self) -> bool:
        """Whether something was gathered that is not yet sent."""
        return bool(self._gathered)

    def unsent(self) -> bytes:
        """Returns, once, what was gathered for a send that will not come any more."""
        data, self._gathered = bytes(self._gathered), bytearray()
        return data

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        while not self._closed and not self._may_read_now():
            self._may_read = trio.Event()
            await self._may_read.wait()
        if self._closed:
            raise trio.ClosedResourceError("this stream was closed")
        if self._first:
            await trio.lowlevel.checkpoint()
            data: bytes | bytearray = self._first
            self._first = b""
        else:
            self._reading = True
            try:
                data = await self._receive(max_bytes)
            finally:
                self._reading = False
        self.received_bytes += len(data)
        return data

    async def _receive(self, max_bytes: int | None) -> bytes | bytearray:
        """What the socket has. A client that waits for an answer has sent nothing yet when all it sent was
        read: then the socket is waited for first, not asked in vain, which costs as much as reading."""
        socket = self._socket
        if socket is None or max_bytes is None or self._perhaps_more:
            data = await self._stream.receive_some(max_bytes)
        else:
            data = await self._receive_next(socket, max_bytes)
        self._perhaps_more = len(data) == max_bytes
        return data

    async def _receive_next(self, socket: trio.socket.SocketType, max_bytes: int) -> bytes:
        while True:
            await trio.lowlevel.wait_readable(socket)
            try:
                return os.read(socket.fileno(), max_bytes)
            except BlockingIOError:
                continue
            except OSError as error:
                raise trio.BrokenResourceError(str(error)) from error

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self.torn or self._closed:
            raise trio.BrokenResourceError("the connection is broken or closed")
        if self._gathered or self.more_follows:
            self._gathered += data
            if self.more_follows and len(self._gathered) < GATHER_BYTES:
                return
            data, self._gathered = self._gathered, bytearray()
        self.torn = True
        sent = self._send_now(data)
        if sent < len(data):
            with trio.move_on_after(self._send_timeout) as scope:
                await self._stream.send_all(memoryview(data)[sent:])
            if scope.cancelled_caught:
                reason = f"it took nothing for {self._send_timeout:g} s"
                self._on_stalled(reason)
                await self.aclose()  # nothing more is read either
                raise trio.BrokenResourceError(reason)
        self.torn = False

    def send_nowait(self, data: bytes) -> bool:
        """Sends without waiting, if nothing stands before it and the socket takes at least some of it;
        returns whether. Not to be called while `send_all` is under way. What the socket did not take is
        `has_unsent`, and goes with the next `send_all`: there has to be one, if only of nothing."""
        if self.torn or self._closed or self._gathered:
            return False
        try:
            sent = self._send_now(data)
        except trio.BrokenResourceError:
            return False  # whoever sends next will find out
        if 0 < sent < len(data):
            self._gathered += memoryview(data)[sent:]
        return sent > 0

    def _may_read_now(self) -> bool:
        return self._is_open and (self._draining or self._inbox_has_room())

    def _inbox_has_room(self) -> bool:
        return self._held_bytes < self._inbox_bytes_max and len(self._held) < self._inbox_messages_max

    def _send_now(self, data: bytes | bytearray | memoryview) -> int:
        """Sends what the socket takes at once, which is nearly always all: a time limit costs more than
        this."""
        if self._socket is None or not data:
            return 0
        try:
            return os.write(self._socket.fileno(), data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise trio.BrokenResourceError(str(error)) from error

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        self._closed = True
        self.drain()
        await trio.lowlevel.checkpoint()
