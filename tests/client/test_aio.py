"""What is asyncio's own: opening, closing, cancellation. All else is tested together with the Trio client."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from beaver_actors.client import ConnectFailed, ConnectionLost, Event, JobCancelled, aio
from beaver_actors.client.aio_transport import Transport
from beaver_actors.client.core import UNANSWERED_MAX
from tests.client.real import server
from tests.client.rig import rigged


async def on_asyncio(work: Callable[[], Awaitable[Any]]) -> Any:
    """Run a coroutine function under asyncio, in a thread beside this test."""

    async def main() -> Any:
        return await work()

    return await trio.to_thread.run_sync(lambda: asyncio.run(main()))


async def test_failures_to_connect_are_told_as_the_trio_client_tells_them() -> None:
    """No server, a wrong token, a wrong path, a server that hangs up, one that is none."""
    async with rigged(token="right") as rig, trio.open_nursery() as nursery:

        async def answer(stream: trio.SocketStream) -> None:
            await stream.receive_some()
            await stream.send_all(answers.pop(0))

        answers = [b"", b"SSH-2.0-OpenSSH_9.2\r\n\r\n"]
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, answer, listeners)
        other = f"ws://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        gone = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nowhere = f"ws://127.0.0.1:{gone[0].socket.getsockname()[1]}"
        await gone[0].aclose()

        async def script() -> None:
            for url, words in (
                (nowhere, f"no server at {nowhere}: connection refused; start one with"),
                (rig.url, r"wants a valid token \(401\): a token is needed"),
                (rig.url + "/elsewhere", "HTTP 404"),
                (rig.url.replace("ws:", "wss:"), "no encrypted connection to wss:"),
                (other, "the server hung up before the WebSocket was open; if it speaks TLS"),
                (other, "is no beaver_actors server"),
            ):
                with pytest.raises(ConnectFailed, match=words):
                    async with aio.connect(url):
                        pass
            async with aio.connect(rig.url, token="right") as client:
                await client.status()

        await on_asyncio(script)
        nursery.cancel_scope.cancel()


async def test_a_redirect_is_not_followed() -> None:
    """The token goes to the server that was named and to no other. By a server that sends it on to a
    second."""
    heard: list[bytes] = []

    async def listen(stream: trio.SocketStream) -> None:
        heard.append(bytes(await stream.receive_some()))

    async with trio.open_nursery() as nursery:
        strangers = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, listen, strangers)
        elsewhere = f"ws://127.0.0.1:{strangers[0].socket.getsockname()[1]}"

        async def send_on(stream: trio.SocketStream) -> None:
            await stream.receive_some()
            answer = f"HTTP/1.1 302 Found\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n"
            await stream.send_all(answer.encode())

        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, send_on, listeners)

        async def script() -> None:
            with pytest.raises(ConnectFailed, match="HTTP 302"):
                async with aio.connect(f"ws://127.0.0.1:{listeners[0].socket.getsockname()[1]}", token="t"):
                    pass

        await on_asyncio(script)
        nursery.cancel_scope.cancel()
    assert heard == []


async def test_leaving_the_block_says_goodbye_and_leaves_no_task() -> None:
    """Also when the block raises, which comes out as it is, and when its task is cancelled."""
    async with rigged() as rig:

        async def script() -> None:
            with pytest.raises(ZeroDivisionError):  # noqa: PT012  # the block is what is tested
                async with aio.connect(rig.url) as client:
                    await client.status()
                    raise ZeroDivisionError
            with pytest.raises(ConnectionLost, match="the client is closed"):
                await client.status()

            async def wait() -> None:
                async with aio.connect(rig.url):
                    connected.set()
                    await asyncio.sleep(3600)

            connected = asyncio.Event()
            waiting = asyncio.create_task(wait())
            await connected.wait()
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert asyncio.all_tasks() == {asyncio.current_task()}

        await on_asyncio(script)
        await rig.until(lambda: len(rig.goodbyes) == 2)
        assert rig.goodbyes == [1000, 1000]


async def test_a_caller_who_gives_up_while_waiting_for_room_gives_its_turn_to_the_next() -> None:
    """P11: the number of unanswered requests is bounded, and nobody waits for ever. By cancelling one whose
    turn has just come."""
    async with rigged() as rig:
        gate = trio.Event()
        token = trio.lowlevel.current_trio_token()

        async def hold(message: dict[str, object]) -> None:
            await gate.wait()

        async def script() -> None:
            async with aio.connect(rig.url) as client:
                await client.status()
                rig.on_reply = hold
                first = [asyncio.create_task(client.status()) for _ in range(UNANSWERED_MAX)]
                await asyncio.sleep(0)
                second, third = asyncio.create_task(client.status()), asyncio.create_task(client.status())
                await asyncio.sleep(0)
                transport = client._transport
                assert isinstance(transport, Transport)
                transport.core.forget(next(iter(transport.core._pending.values())))
                transport._tell_room()  # as one does whose answer has come
                second.cancel()  # it is told of the room, and has not run since
                await asyncio.wait([second])
                await asyncio.sleep(0)
                assert len(transport.core._pending) == UNANSWERED_MAX, "the third is not on its way"
                token.run_sync_soon(gate.set)
                await asyncio.wait_for(third, 30)
                await asyncio.gather(*first[1:])
                first[0].cancel()

        await on_asyncio(script)


@pytest.mark.process
async def test_an_asyncio_program_talks_to_the_real_server(tmp_path: Path) -> None:
    """Jobs, results, events, cancel: end to end, without a stand-in."""
    async with server(tmp_path) as running:

        async def script() -> None:
            async with aio.connect(running.url) as client:
                job = await client.enqueue("demo.echo", {"x": 1})
                assert await job.result() == {"x": 1}
                jobs = await client.enqueue_many([aio.new_job("demo.echo", {"x": x}) for x in range(50)])
                results = await asyncio.gather(*(job.result() for job in jobs))
                assert [result["x"] for result in results] == list(range(50))
                async with job.watch() as watch:
                    assert [event.event async for event in watch if isinstance(event, Event)] == [
                        "job_enqueued",
                        "job_started",
                        "job_completed",
                    ]
                slow = await client.enqueue("demo.sleep", {"seconds": 300})
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.01):
                        await slow.result()
                await slow.cancel()
                with pytest.raises(JobCancelled):
                    await slow.result()

        await on_asyncio(script)


def test_without_websockets_the_missing_extra_is_named() -> None:
    """The error says what to install. By importing it in a process that has no websockets."""
    code = "import sys; sys.modules['websockets'] = None; import beaver_actors.client.aio"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'beaver-actors[client]'" in done.stderr
