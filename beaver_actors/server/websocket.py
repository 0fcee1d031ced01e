"""One WebSocket connection, guarded: the only server module that knows trio-websocket. It bounds what a
client can cost (its own memory and time, nothing of its neighbours') and contains every fault of the
library. It never opens a socket, never decides who may connect, and never looks into a message."""

import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from beaver_actors.observe.log import get_logger
from beaver_actors.server.guarded_protocol import GuardedProtocol
from beaver_actors.server.guarded_stream import RECEIVE_BYTES, GuardedStream
from beaver_actors.server.http import Request
from beaver_actors.server.http_connection import close_gently
from beaver_actors.server.upgrade import Upgrade

log = get_logger("beaver_actors.server")


@dataclass(frozen=True, slots=True)
class WebSocketSettings:
    """Limits of one connection: sizes in bytes, times in seconds."""

    message_bytes_max: int = 8_388_608
    inbox_messages_max: int = 16  # came in and wait for the handler; above it the socket is left unread
    inbox_bytes_max: int = 8_388_608
    outbox_messages_max: int = 256  # given to `send`, not yet written; above it `send` waits
    outbox_bytes_max: int = 4_194_304
    send_timeout: float = 20.0
    ping_interval: float = 20.0
    ping_timeout: float = 20.0
    close_timeout: float = 5.0  # for writing what `send` has taken, and for the client's goodbye


class WebSocketClosed(Exception):
    """The connection is closed or closing: the message will not be sent."""


class WebSocket:
    """An open connection, as its handler sees it. `request` is the opening request."""

    def __init__(
        self,
        stream: trio.abc.Stream,
        first: bytes,
        request: Request,
        upgrade: Upgrade,
        settings: WebSocketSettings,
    ) -> None:
        self.request = request
        self.subprotocol = upgrade.subprotocol
        self._settings, self._socket = settings, stream
        self._stream = GuardedStream(
            stream,
            first,
            settings.inbox_bytes_max,
            settings.inbox_messages_max,
            settings.send_timeout,
            self._tell_cut_off,
        )
        self._protocol = GuardedProtocol(
            upgrade, settings.message_bytes_max, self._arrived, self._start_closing
        )
        self._connection = WebSocketConnection(
            self._stream, self._protocol, receive_buffer_size=RECEIVE_BYTES
        )
        self._nursery: trio.Nursery | None = None
        self._take: Callable[[str | bytes], bool] | None = None
        self._inbox: deque[str | bytes] = deque()
        self._inbox_filled = trio.lowlevel.ParkingLot()
        self._outbox: deque[str | bytes] = deque()
        self._outbox_bytes = 0
        self._outbox_filled = trio.lowlevel.ParkingLot()
        self._outbox_has_room = trio.lowlevel.ParkingLot()
        self._closing = self._deaf = self._reader_ended = self._told_cut_off = False
        self._goodbye_scope = trio.CancelScope()
        self._written, self._closed = trio.Event(), trio.Event()

    @property
    def outbox_messages(self) -> int:
        """How many messages given to `send` are not yet written."""
        return len(self._outbox)

    def take_over(self, take: Callable[[str | bytes], bool]) -> None:
        """From now on each message is given to `take` as it comes, in the task that reads, which saves a turn
        of the loop. `take` does not wait; a message that it does not take (False) waits for `receive`, and so
        do all behind it until it has been received. What it raises ends the connection."""
        self._take = take

    async def receive(self) -> str | bytes | None:
        """Waits for the next message that was not taken, and returns it; None when there will be no more."""
        await trio.lowlevel.checkpoint()
        while not self._inbox:
            if self._reader_ended or self._deaf:
                return None
            await self._inbox_filled.park()
        self._stream.release()
        return self._inbox.popleft()

    def send_nowait(self, data: str | bytes) -> bool:
        """Sends a message that need not wait for another, or for room in the socket; returns whether that was
        so, and nothing is sent otherwise. Raises WebSocketClosed when the connection is closed or closing."""
        if self._closing or self._written.is_set():
            raise WebSocketClosed
        connection, protocol = self._connection, self._protocol
        if self._outbox or connection._stream_lock.locked() or connection._close_reason is not None:
            return False
        if not protocol.is_open or not self._stream.send_nowait(protocol.frame(data)):
            return False
        if self._stream.has_unsent:
            self._outbox_filled.unpark()
        return True

    async def send(self, data: str | bytes) -> None:
        """Puts a message into the outbox; waits while that is full. Cancelling it sends nothing.

        Raises WebSocketClosed when the connection is closed or closing; a handler may let that pass."""
        size = _size(data)
        while self._outbox and (
            len(self._outbox) >= self._settings.outbox_messages_max
            or self._outbox_bytes + size > self._settings.outbox_bytes_max
        ):
            if self._closing or self._written.is_set():
                break
            await self._outbox_has_room.park()
        if self._closing or self._written.is_set():
            raise WebSocketClosed
        # Room and the end can come in the same turn: then it is the end that counts.
        await trio.lowlevel.checkpoint_if_cancelled()
        self._outbox.append(data)
        self._outbox_bytes += size
        self._outbox_filled.unpark()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Writes what the outbox holds, says goodbye, and waits for the client's; all within `close_timeout`.

        Afterwards `receive` returns None. Only the first call's code (RFC 6455 §7.4) counts; `reason` is cut
        to 123 bytes. Cancelling it stops the waiting, not the closing."""
        self._start_closing(code, reason)
        await self._closed.wait()

    def _start_closing(self, code: int, reason: str) -> None:
        if self._closing:
            return
        self._closing = True
        self._outbox_filled.unpark_all()
        assert self._nursery is not None
        self._nursery.start_soon(self._say_goodbye, code, reason)

    async def _say_goodbye(self, code: int, reason: str) -> None:
        with trio.move_on_after(self._settings.close_timeout):
            await self._written.wait()
            if not self._reader_ended:
                self._fall_deaf()
                with self._goodbye_scope:  # ends when the client's goodbye has come, or never will
                    await self._connection.aclose(code, reason)
        with contextlib.suppress(trio.BrokenResourceError):
            await self._hang_up()
        await trio.aclose_forcefully(self._socket)
        self._closed.set()

    def _arrived(self, data: str | bytes, size: int) -> None:
        """Called with each message as soon as all of it is there."""
        if self._deaf or (self._take is not None and not self._inbox and self._take(data)):
            return
        self._stream.hold(size)
        self._inbox.append(data)
        self._inbox_filled.unpark()

    def _fall_deaf(self) -> None:
        """Nobody wants messages any more; the client's goodbye may be behind some."""
        self._deaf = True
        self._inbox.clear()
        self._inbox_filled.unpark_all()
        self._stream.drain()

    async def _hang_up(self) -> None:
        """Tells the client what the library does not, and lets it read its last frames."""
        if self._stream.torn or not self._written.is_set():
            return
        if last_words := self._stream.unsent() + self._protocol.farewell():
            with trio.move_on_after(self._settings.close_timeout):
                await self._socket.send_all(last_words)
        if self._reader_ended and (last_words or not self._protocol.is_closed):
            await close_gently(self._socket)

    async def _run(self, handler: "Handler", on_failure: Callable[[Exception], None]) -> None:
        try:
            async with trio.open_nursery() as self._nursery:
                self._nursery.start_soon(self._read)
                proposal = await self._connection._get_request()
                await proposal.accept(subprotocol=self.subprotocol)
                self._stream.open()
                self._nursery.start_soon(self._write)
                self._nursery.start_soon(self._keep_alive)
                await self.close(*await self._handle(handler, on_failure))
                self._nursery.cancel_scope.cancel()
        finally:
            self._closing = True
            self._closed.set()

    async def _handle(self, handler: "Handler", on_failure: Callable[[Exception], None]) -> tuple[int, str]:
        """Runs the handler; returns the code and reason to close with."""
        code, reason = 1000, ""
        try:
            await handler(self)
        except* WebSocketClosed:
            pass
        except* Exception as group:  # noqa: BLE001  # it costs this connection, and no other
            error = group.exceptions[0] if len(group.exceptions) == 1 else group
            log.error("a session failed", error=error, peer=self.request.peer)
            on_failure(error)
            code, reason = 1011, "internal error"
        return code, reason

    async def _read(self) -> None:
        try:
            await self._connection._reader_task()
        except Exception as error:  # noqa: BLE001  # a fault in the library ends this connection alone
            log.error("the WebSocket library failed", error=error, peer=self.request.peer)
        self._reader_ended = True
        self._inbox_filled.unpark_all()
        self._goodbye_scope.cancel()
        self._start_closing(1000, "")

    async def _write(self) -> None:
        """The only task that waits for the socket to take messages: one cancelled half-way would tear the
        stream."""
        outbox, stream = self._outbox, self._stream
        try:
            while outbox or stream.has_unsent or not self._closing:
                if outbox:
                    stream.more_follows = len(outbox) > 1
                    await self._connection.send_message(outbox[0])
                    self._outbox_bytes -= _size(outbox.popleft())
                    self._outbox_has_room.unpark()
                elif stream.has_unsent:
                    async with self._connection._stream_lock:
                        await stream.send_all(b"")
                else:
                    await self._outbox_filled.park()
        except (ConnectionClosed, trio.BrokenResourceError):
            self._start_closing(1000, "")
        finally:
            self._written.set()
            self._outbox_has_room.unpark_all()

    async def _keep_alive(self) -> None:
        while True:
            heard_bytes = self._stream.received_bytes
            await trio.sleep(self._settings.ping_interval)
            if not self._stream.is_silent_since(heard_bytes):
                continue
            with trio.move_on_after(self._settings.ping_timeout):
                try:
                    await self._connection.ping()
                except ConnectionClosed:
                    return
            if self._stream.is_silent_since(heard_bytes):
                reason = f"no answer to a ping within {self._settings.ping_timeout:g} s"
                self._tell_cut_off(reason)
                self._start_closing(1011, reason)
                return

    def _tell_cut_off(self, reason: str) -> None:
        """Once: one that is deaf on the way out is not told of again."""
        if not self._told_cut_off:
            self._told_cut_off = True
            log.warning("a client was cut off", peer=self.request.peer, reason=reason)


Handler = Callable[[WebSocket], Awaitable[None]]


async def serve(
    stream: trio.abc.Stream,
    request: Request,
    upgrade: Upgrade,
    handler: Handler,
    settings: WebSocketSettings,
    *,
    first: bytes = b"",
    on_failure: Callable[[Exception], None] = lambda error: None,
) -> None:
    """Answers a valid opening request and runs `handler` until one side ends the connection.

    When the handler returns, the connection is closed with 1000; when it raises, with 1011, and the error is
    logged and given to `on_failure`. Raises nothing of its own. `first` is what was read behind the request.
    The caller closes `stream` in the end."""
    websocket = WebSocket(stream, first, request, upgrade, settings)
    try:
        await websocket._run(handler, on_failure)
    except* (ConnectionClosed, trio.BrokenResourceError, trio.ClosedResourceError):
        pass  # the client went away
    except* Exception as group:  # noqa: BLE001  # it costs this connection, and no other
        log.error("a WebSocket failed", error=group, peer=request.peer)
        on_failure(group)


def _size(data: str | bytes) -> int:
    """At least the bytes that `data` takes on the wire, told without encoding it."""
    return len(data) if isinstance(data, bytes) or data.isascii() else 4 * len(data)
