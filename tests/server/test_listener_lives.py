"""A listener that stops, says goodbye, and serves again on the same sockets."""

import contextlib

import pytest
import trio
import trio.testing
import websockets.sync.client
import websockets.trio.client
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK

from beaver_actors.server.http import Request, Response, Routes, json_response
from beaver_actors.server.listener import Listener
from beaver_actors.server.sockets import open_listeners
from beaver_actors.server.websocket import WebSocket
from tests.server.support import (
    echo,
    healthz,
    read_all,
    read_until,
)

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


LAST_HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(("code", "reason"), [(1001, "going away"), (1012, "restarting")])
async def test_stopping_says_goodbye_finishes_what_runs_and_serves_again(code: int, reason: str) -> None:
    """stop, over loopback: WebSockets get the code, a request under way its answer, idle connections their
    end; who comes in between is served by the next life on the same socket."""
    entered = finish = trio.Event()

    async def slow(request: Request) -> Response:
        entered.set()
        await finish.wait()
        return json_response(200, "done")

    routes = Routes()
    routes.add("GET", "/slow", slow)
    routes.add("GET", "/healthz", healthz)
    listener = Listener(routes, websocket_handler=echo)
    listeners, _ = await open_listeners("127.0.0.1", 0)
    port = listeners[0].socket.getsockname()[1]
    for _ in range(2):
        entered, finish = trio.Event(), trio.Event()
        async with contextlib.AsyncExitStack() as stack:
            nursery = await stack.enter_async_context(trio.open_nursery())
            await nursery.start(listener.serve, listeners)
            client = await stack.enter_async_context(
                websockets.trio.client.connect(f"ws://127.0.0.1:{port}/ws", proxy=None)
            )
            idle = await stack.enter_async_context(await trio.open_tcp_stream("127.0.0.1", port))
            asking = await stack.enter_async_context(await trio.open_tcp_stream("127.0.0.1", port))
            await idle.send_all(HEALTH)
            await read_until(idle, b"}")
            await asking.send_all(
                LAST_HEALTH.replace(b"healthz", b"slow").replace(b"Connection: close\r\n", b"")
            )
            await entered.wait()

            listener.stop(code, reason)
            assert await read_all(idle) == b""
            with pytest.raises(ConnectionClosedOK if code == 1001 else ConnectionClosedError):
                await client.recv()
            assert (client.close_code, client.close_reason) == (code, reason)
            early = await stack.enter_async_context(await trio.open_tcp_stream("127.0.0.1", port))
            await early.send_all(LAST_HEALTH)
            finish.set()
            answer = await read_all(asking)
            assert answer.endswith(b'"done"')
            assert b"Connection: close\r\n" in answer
            await asking.aclose()
            await idle.aclose()
            while listener.connections:
                await trio.lowlevel.checkpoint()
            await nursery.start(listener.serve, listeners)
            assert (await read_all(early)).startswith(b"HTTP/1.1 200 ")
            nursery.cancel_scope.cancel()
    listeners[0].socket.close()


async def test_a_stop_with_a_deadline_ends_what_does_not_end() -> None:
    """stop, over memory with a jumping clock would do as well: a handler that never returns is cancelled by
    the caller's scope."""
    cancelled = trio.Event()

    async def stubborn(opened: WebSocket) -> None:
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()

    listener = Listener(Routes(), websocket_handler=stubborn)
    listeners, (address,) = await open_listeners("127.0.0.1", 0)
    async with trio.open_nursery() as nursery:
        await nursery.start(listener.serve, listeners)
        async with websockets.trio.client.connect(f"ws://{address}/", proxy=None) as client:
            listener.stop()
            with pytest.raises(ConnectionClosedOK):
                await client.recv()
            assert not cancelled.is_set()
            nursery.cancel_scope.cancel()
    assert cancelled.is_set()
    assert listener.connections == 0
    listeners[0].socket.close()
