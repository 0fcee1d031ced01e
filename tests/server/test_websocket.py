"""The contract between a WebSocket and its handler, over loopback with real clients: the websockets package
in its three forms, and bytes made by hand."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing
import trio_websocket
import websockets.asyncio.client
import websockets.sync.client
import websockets.trio.client
from websockets.exceptions import ConnectionClosedError

from beaver_actors.server.websocket import WebSocket
from tests.server.support import (
    CLOSE,
    PING,
    PONG,
    TEXT,
    frame,
    limits,
    log_of_server,
    over_memory,
    read_all,
    read_close,
    read_frame,
    reset,
    serving,
)


async def test_each_kind_of_client_gets_its_echo() -> None:
    """The websockets package: trio, sync in a thread, asyncio in a thread; text, binary, empty, and 1 MB."""
    messages: list[str | bytes] = ["", b"", "héllo ✓", b"\x00\xff", "a" * 1_000_000, bytes(1_000_000)]

    def sync_client(url: str) -> None:
        with websockets.sync.client.connect(url, proxy=None) as client:
            for message in messages:
                client.send(message)
                assert client.recv() == message

    async def asyncio_client(url: str) -> None:
        async with websockets.asyncio.client.connect(url, proxy=None) as client:
            for message in messages:
                await client.send(message)
                assert await client.recv() == message

    async with serving() as served:
        await trio.to_thread.run_sync(sync_client, served.url())
        await trio.to_thread.run_sync(asyncio.run, asyncio_client(served.url("/")))
        async with websockets.trio.client.connect(served.url("/api/v1/ws"), proxy=None) as client:
            for message in messages:
                await client.send(message)
                assert await client.recv() == message
        assert not served.failures


async def test_a_handler_that_returns_closes_with_1000() -> None:
    """The handler's contract, over loopback: what it has sent arrives before the goodbye."""

    async def speak(opened: WebSocket) -> None:
        for number in range(1000):
            await opened.send(str(number))

    async with serving(speak) as served:
        async with websockets.trio.client.connect(served.url(), proxy=None) as client:
            assert [message async for message in client] == [str(number) for number in range(1000)]
            assert (client.close_code, client.close_reason) == (1000, "")
        assert not served.failures


async def test_a_handler_that_raises_costs_its_connection_only() -> None:
    """The handler's contract, over loopback: 1011 without details, logged, counted, no neighbour
    disturbed."""

    async def fail(opened: WebSocket) -> None:
        await opened.receive()
        async with trio.open_nursery():
            raise RuntimeError("a fault in a handler")

    async with serving(fail) as served:
        async with websockets.trio.client.connect(served.url("/api/v1/ws"), proxy=None) as neighbour:
            with log_of_server() as told:
                async with websockets.trio.client.connect(served.url(), proxy=None) as client:
                    await client.send("go")
                    with pytest.raises(ConnectionClosedError):
                        await client.recv()
                    assert (client.close_code, client.close_reason) == (1011, "internal error")
            assert [line.event for line in told] == ["a session failed"]
            assert len(served.failures) == 1
            await neighbour.send("and you?")
            assert await neighbour.recv() == "and you?"
        await served.assert_serves()


async def test_a_handler_may_close_with_its_own_words() -> None:
    """close, over loopback: code and reason arrive, receive ends, and sending is refused."""
    after: list[object] = []

    async def refuse(opened: WebSocket) -> None:
        await opened.close(4001, "é" * 100)  # too long: cut, and not within a character
        after.append(await opened.receive())
        await opened.send("too late")

    async with serving(refuse) as served:
        async with websockets.trio.client.connect(served.url(), proxy=None) as client:
            with pytest.raises(ConnectionClosedError):
                await client.recv()
            assert (client.close_code, client.close_reason) == (4001, "é" * 61)
        assert not served.failures  # WebSocketClosed out of a handler is no failure
    assert after == [None]


async def test_a_client_that_leaves_ends_the_handler_however_it_leaves() -> None:
    """receive, over loopback: with a goodbye, without one, in the middle of a message, and with a reset."""
    ended = trio.lowlevel.ParkingLot()
    ways: list[Callable[[trio.SocketStream], Awaitable[None]]] = []

    async def goodbye(stream: trio.SocketStream) -> None:
        await stream.send_all(frame(CLOSE, b"\x03\xe8"))
        assert await read_close(stream) == (1000, "")

    async def vanish(stream: trio.SocketStream) -> None:
        await stream.aclose()

    async def cut_a_message(stream: trio.SocketStream) -> None:
        await stream.send_all(frame(TEXT, b"a" * 5000)[:3000])
        await stream.aclose()

    async def cut_a_fragment(stream: trio.SocketStream) -> None:
        await stream.send_all(frame(TEXT, b"a first part", final=False))
        await stream.aclose()

    async def crash(stream: trio.SocketStream) -> None:
        await stream.send_all(frame(TEXT, b"hello")[:3])
        reset(stream)

    ways = [goodbye, vanish, cut_a_message, cut_a_fragment, crash]
    count = 0

    async def count_ends(opened: WebSocket) -> None:
        nonlocal count
        while await opened.receive() is not None:
            pass
        count += 1
        ended.unpark_all()

    async with serving(count_ends) as served:
        for expected, leave in enumerate(ways, start=1):
            stream = await served.open_raw()
            await leave(stream)
            while count < expected:
                await ended.park()
            await stream.aclose()
        assert not served.failures
        await served.assert_serves()


async def test_a_cancelled_send_sends_nothing_and_tears_nothing() -> None:
    """send, over loopback: the library's own would leave half a frame behind."""
    cancelled = trio.Event()

    async def impatient(opened: WebSocket) -> None:
        filled = 0
        while True:
            with trio.move_on_after(0.05) as scope:
                await opened.send(str(filled) + "x" * 100_000)
                filled += 1
            if scope.cancelled_caught:
                break
        cancelled.set()
        await opened.send(f"{filled} whole ones")

    settings = limits(outbox_bytes_max=300_000)
    async with serving(impatient, settings=settings) as served, await served.open_raw() as stream:
        await cancelled.wait()
        for number in range(10_000):
            _, payload = await read_frame(stream)
            if payload.endswith(b"whole ones"):
                break
            assert payload.startswith(f"{number}x".encode())
        assert payload == f"{number} whole ones".encode()


async def test_a_message_that_is_no_text_ends_its_connection_and_nobody_waits() -> None:
    """Guard, over memory: half a surrogate pair cannot be sent; who is closing the connection learns that it
    is over."""
    kept: list[WebSocket] = []

    async def careless(opened: WebSocket) -> None:
        kept.append(opened)
        await opened.send("\ud83e")
        await trio.sleep_forever()

    async with over_memory(careless) as (client, failures):
        assert await read_all(client) == b""
        await kept[0].close()
        await client.aclose()
    assert len(failures) == 1


async def test_an_unknown_fault_of_the_library_ends_one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guard, over loopback with a fault put into the library: 1011 for that client, life for all others."""

    async def fault(self: object, event: object) -> None:
        raise RuntimeError("a fault in the library")

    async with serving() as served, await served.open_raw() as neighbour:
        with monkeypatch.context() as patch:
            patch.setattr(trio_websocket.WebSocketConnection, "_handle_ping_event", fault)
            stream = await served.open_raw()
        async with stream:
            with log_of_server() as told:
                await stream.send_all(frame(PING, b"boom"))
                assert await read_close(stream) == (1011, "internal error")
                assert await read_all(stream) == b""
            assert [line.event for line in told] == ["the WebSocket library failed"]
        await neighbour.send_all(frame(PING, b"and you?"))
        assert await read_frame(neighbour) == (PONG, b"and you?")
        await served.assert_serves()
