"""A server on a free loopback port, and hand-made clients for bytes that no library would send."""

import logging
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import trio
import trio.testing
import websockets.trio.client

from beaver_actors.server import websocket
from beaver_actors.server.auth import Auth
from beaver_actors.server.http import Request, Response, Routes, json_response
from beaver_actors.server.listener import Listener, ListenerSettings
from beaver_actors.server.sockets import open_listeners
from beaver_actors.server.upgrade import Upgrade
from beaver_actors.server.websocket import WebSocket, WebSocketSettings

OPENING: Final = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
KEY: Final = "dGhlIHNhbXBsZSBub25jZQ=="
TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA


class Told(NamedTuple):
    """A line of the server's log."""

    level: str
    event: str
    fields: Mapping[str, object]


@contextmanager
def log_of_server() -> Iterator[list[Told]]:
    """What the server writes to its log meanwhile."""
    told: list[Told] = []

    class Listening(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(Told(record.levelname, record.getMessage(), record.__dict__["fields"]))

    logger, listening = logging.getLogger("beaver_actors.server"), Listening()
    logger.addHandler(listening)
    try:
        yield told
    finally:
        logger.removeHandler(listening)


async def echo(opened: WebSocket) -> None:
    while (message := await opened.receive()) is not None:
        await opened.send(message)


@dataclass
class Served:
    """A running server. Its handler under test is at /ws; at /api/v1/ws is always an echo."""

    listener: Listener
    port: int
    listeners: list[trio.SocketListener]
    failures: list[Exception] = field(default_factory=list)

    def url(self, path: str = "/ws") -> str:
        return f"ws://127.0.0.1:{self.port}{path}"

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    async def ask(self, data: bytes) -> bytes:
        """Sends `data` on a new connection and returns all that comes until the server ends it."""
        async with await self.connect() as stream:
            await stream.send_all(data)
            return await read_all(stream)

    async def open_raw(self, *, behind: bytes = b"") -> trio.SocketStream:
        """Opens a WebSocket by hand, with `behind` in the same segment as the request."""
        stream = await self.connect()
        await stream.send_all(OPENING + behind)
        assert (await read_until(stream, b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        return stream

    async def assert_serves(self) -> None:
        """A normal client gets its echo, and another one its health."""
        async with websockets.trio.client.connect(self.url("/api/v1/ws"), proxy=None) as client:
            await client.send("still there?")
            assert await client.recv() == "still there?"
        head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        assert (await self.ask(head)).startswith(b"HTTP/1.1 200 ")


async def healthz(request: Request) -> Response:
    return json_response(200, {"healthy": True})


@asynccontextmanager
async def serving(
    handler: Callable[[WebSocket], Awaitable[None]] = echo,
    *,
    routes: Routes | None = None,
    auth: Auth | None = None,
    settings: ListenerSettings | None = None,
) -> AsyncIterator[Served]:
    """Serves on a free port of 127.0.0.1 while the body runs."""

    async def choose(opened: WebSocket) -> None:
        await (handler if opened.request.path == "/ws" else echo)(opened)

    routes = routes or Routes()
    routes.add("GET", "/healthz", healthz, guarded=False)
    failures: list[Exception] = []
    listener = Listener(
        routes, auth=auth, websocket_handler=choose, settings=settings, on_failure=failures.append
    )
    listeners, _ = await open_listeners("127.0.0.1", 0)
    port = listeners[0].socket.getsockname()[1]
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(listener.serve, listeners)
            yield Served(listener, port, listeners, failures)
            nursery.cancel_scope.cancel()
    finally:
        for opened in listeners:
            opened.socket.close()


def limits(**values: float) -> ListenerSettings:
    return ListenerSettings(websocket=WebSocketSettings(**values))  # type: ignore[arg-type]  # a mixture


@asynccontextmanager
async def over_memory(
    handler: Callable[[WebSocket], Awaitable[None]] = echo, *, lockstep: bool = False, **values: float
) -> AsyncIterator[tuple[trio.abc.Stream, list[Exception]]]:
    """The client's end of an open connection, and what the handler raised. With `lockstep`, what is sent
    waits until it is read, as with a full socket."""
    pair = trio.testing.lockstep_stream_pair() if lockstep else trio.testing.memory_stream_pair()
    failures: list[Exception] = []

    async def serve(stream: trio.abc.Stream) -> None:
        settings = WebSocketSettings(**values)  # type: ignore[arg-type]  # a mixture of int and float
        request, upgrade = Request("GET", "/ws"), Upgrade(KEY, None)
        await websocket.serve(stream, request, upgrade, handler, settings, on_failure=failures.append)
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, pair[1])
        await read_until(pair[0], b"\r\n\r\n")
        yield pair[0], failures


async def read_all(stream: trio.abc.ReceiveStream) -> bytes:
    data = b""
    try:
        async for part in stream:
            data += part
    except trio.BrokenResourceError:
        pass
    return data


async def read_until(stream: trio.abc.ReceiveStream, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        part = await stream.receive_some(1)
        assert part, f"the server ended the connection after {data!r}"
        data += part
    return data


def frame(opcode: int, payload: bytes = b"", *, final: bool = True) -> bytes:
    """A client's frame, masked as it has to be."""
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 65_536:
        length = bytes([0x80 | 126]) + struct.pack("!H", size)
    else:
        length = bytes([0x80 | 127]) + struct.pack("!Q", size)
    return bytes([(0x80 if final else 0) | opcode]) + length + mask + masked


async def read_frame(stream: trio.abc.ReceiveStream) -> tuple[int, bytes]:
    """Returns the opcode and payload of the server's next frame."""
    first, size = await _read_exactly(stream, 2)
    if size == 126:
        size = int.from_bytes(await _read_exactly(stream, 2), "big")
    elif size == 127:
        size = int.from_bytes(await _read_exactly(stream, 8), "big")
    return first & 0xF, await _read_exactly(stream, size)


async def read_close(stream: trio.abc.ReceiveStream) -> tuple[int, str]:
    """Skips frames up to the server's goodbye, and returns its code and reason."""
    while True:
        opcode, payload = await read_frame(stream)
        if opcode == CLOSE:
            return int.from_bytes(payload[:2], "big"), payload[2:].decode()


def reset(stream: trio.SocketStream) -> None:
    """Ends a connection as a crashed client's system does."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.socket.close()


async def _read_exactly(stream: trio.abc.ReceiveStream, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = await stream.receive_some(count - len(data))
        assert part, f"the server ended the connection in a frame, after {data!r}"
        data += part
    return data
