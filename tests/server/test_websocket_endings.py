"""How a WebSocket ends when one side is silent, deaf, busy or broken; over memory with a jumping clock."""

import contextlib

import pytest
import trio
import trio.testing
import trio_websocket

from beaver_actors.server import websocket
from beaver_actors.server.http import Request
from beaver_actors.server.upgrade import Upgrade
from beaver_actors.server.websocket import WebSocket, WebSocketClosed, WebSocketSettings
from tests.server.support import (
    BINARY,
    CLOSE,
    KEY,
    PING,
    PONG,
    TEXT,
    frame,
    log_of_server,
    over_memory,
    read_all,
    read_close,
    read_frame,
    read_until,
)


async def test_a_silent_client_is_asked_and_let_go(autojump_clock: trio.testing.MockClock) -> None:
    """Keepalive, over memory with a jumping clock: after one interval a ping, after one time limit the
    end."""
    async with over_memory(ping_interval=20, ping_timeout=15, close_timeout=5) as (client, failures):
        assert (await read_frame(client))[0] == PING
        assert trio.current_time() == pytest.approx(20)
        reason = "no answer to a ping within 15 s"
        with log_of_server() as told:
            assert await read_close(client) == (1011, reason)
        assert [(line.event, line.fields["reason"]) for line in told] == [("a client was cut off", reason)]
        assert trio.current_time() == pytest.approx(35)
        assert await read_all(client) == b""
        assert trio.current_time() <= 35 + 5 + 1.1  # it may say goodbye, and read its last frames
        await client.aclose()
    assert not failures


async def test_a_client_that_answers_or_speaks_is_kept(autojump_clock: trio.testing.MockClock) -> None:
    """Keepalive, over memory with a jumping clock: pongs keep a connection, messages make pings needless."""
    async with over_memory(ping_interval=20, ping_timeout=15) as (client, failures):
        for _ in range(100):
            opcode, payload = await read_frame(client)
            assert opcode == PING
            await client.send_all(frame(PONG, payload))
        assert trio.current_time() == pytest.approx(2000, abs=30)
        for _ in range(100):
            await trio.sleep(15)
            await client.send_all(frame(TEXT, b"busy"))
            assert await read_frame(client) == (TEXT, b"busy")
        await client.send_all(frame(CLOSE, b"\x03\xe8"))
        assert await read_close(client) == (1000, "")
        await client.aclose()
    assert not failures


async def test_a_client_that_does_not_say_goodbye_is_not_waited_for(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """close, over memory with a jumping clock: bounded by close_timeout."""
    async with over_memory(lambda opened: opened.close(1001, "bye"), close_timeout=5) as (client, failures):
        assert await read_close(client) == (1001, "bye")
        started = trio.current_time()
        assert await read_all(client) == b""
        assert 5 <= trio.current_time() - started < 6.1
        await client.aclose()
    assert not failures


async def test_a_goodbye_overtakes_the_messages_that_nobody_takes(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """close, over memory with a jumping clock: inbox and socket are full, and both still end in order."""

    async def busy(opened: WebSocket) -> None:
        await trio.sleep(100)
        await opened.close(1001, "going away")
        assert await opened.receive() is None

    for size in (10, 60_000):
        async with over_memory(busy, inbox_bytes_max=200_000) as (client, failures):
            await client.send_all(frame(BINARY, bytes(size)) * 100)
            started = trio.current_time()
            assert await read_close(client) == (1001, "going away")
            await client.send_all(frame(CLOSE, b"\x03\xe9"))
            assert await read_all(client) == b""
            assert trio.current_time() - started == pytest.approx(100)
            await client.aclose()
        assert not failures


async def test_a_connection_ends_although_its_handler_goes_on(autojump_clock: trio.testing.MockClock) -> None:
    """Guard, over memory with a jumping clock: a handler that does not listen keeps no client waiting. One
    client says goodbye, one breaks the protocol (and may answer), one takes nothing."""

    async def absent(opened: WebSocket) -> None:
        with contextlib.suppress(WebSocketClosed):
            while True:
                await opened.send("x" * 1000)
        await trio.sleep(500)

    async def deaf(opened: WebSocket) -> None:
        await trio.sleep(500)

    async with over_memory(deaf) as (client, failures):
        await client.send_all(frame(CLOSE, b"\x0f\xa1"))
        assert await read_close(client) == (4001, "")
        assert await read_all(client) == b""
        assert trio.current_time() == 0
        await client.aclose()
    async with over_memory(deaf) as (client, failures):
        started = trio.current_time()
        await client.send_all(b"\xff\xff")
        assert (await read_close(client))[0] == 1002
        assert await read_all(client) == b""
        await client.send_all(frame(CLOSE, b"\x03\xea"))
        assert trio.current_time() == started
        await client.aclose()
    async with over_memory(deaf, lockstep=True, send_timeout=30) as (client, failures):
        started = trio.current_time()
        await client.send_all(frame(PING, b"answer this"))
        await trio.sleep(31)
        await read_all(client)
        assert trio.current_time() == started + 31
        await client.aclose()
    async with over_memory(absent, lockstep=True, send_timeout=30) as (client, failures):
        started = trio.current_time()
        await trio.sleep(31)
        await read_all(client)
        assert trio.current_time() == started + 31
        await client.aclose()
    assert not failures


async def test_a_client_that_is_deaf_and_dumb_is_told_of_once(autojump_clock: trio.testing.MockClock) -> None:
    """Log, over memory that is full at once: it takes neither messages nor pings, and the end of both its
    time limits is the end of one connection."""

    async def speak(opened: WebSocket) -> None:
        with contextlib.suppress(WebSocketClosed):
            while True:
                await opened.send("x" * 1000)

    limits = {"ping_interval": 20.0, "ping_timeout": 8.0, "send_timeout": 30.0, "close_timeout": 5.0}
    with log_of_server() as told:
        async with over_memory(speak, lockstep=True, **limits) as (client, failures):
            await trio.sleep(60)
            await read_all(client)
            await client.aclose()
    assert not failures
    assert [line.event for line in told] == ["a client was cut off"]


async def test_leaving_the_node_cuts_connections_at_once(autojump_clock: trio.testing.MockClock) -> None:
    """Cancellation, over memory that is full at once: a client that takes nothing delays no shutdown."""

    async def speak(opened: WebSocket) -> None:
        while True:
            await opened.send("x" * 1000)

    pair = trio.testing.lockstep_stream_pair()
    request, upgrade = Request("GET", "/ws"), Upgrade(KEY, None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(websocket.serve, pair[1], request, upgrade, speak, WebSocketSettings())
        await read_until(pair[0], b"\r\n\r\n")
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert trio.current_time() == 0


async def test_a_fault_of_the_library_in_the_goodbye_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """Guard, over memory with a jumping clock and a fault put into the library."""

    async def fault(self: object, event: object) -> None:
        raise RuntimeError("a fault in the library")

    monkeypatch.setattr(trio_websocket.WebSocketConnection, "_handle_ping_event", fault)
    async with over_memory(lambda opened: opened.close(1000, "done"), close_timeout=100) as (
        client,
        failures,
    ):
        assert await read_close(client) == (1000, "done")
        await client.send_all(frame(PING))
        assert await read_all(client) == b""
        await client.aclose()
    assert trio.current_time() < 2
    assert not failures
