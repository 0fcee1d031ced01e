"""The synchronous client: in threads of its own, against the same sessions and the same unkind proxy."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import pytest
import trio
from websockets.sync import client as sync_client

from beaver_actors.client import (
    BadRequest,
    ConnectFailed,
    ConnectionLost,
    JobCancelled,
    JobFailed,
    JobGone,
    JobState,
    NotFound,
    OperationInfo,
    ProtocolError,
    QueueFull,
    TooLarge,
    sync,
)
from beaver_actors.client.errors import ClientError
from beaver_actors.core.answers import Refused
from beaver_actors.core.commands import Tick
from beaver_actors.core.facts import JobEnqueued
from beaver_actors.server.listener import ListenerSettings
from beaver_actors.server.websocket import WebSocket, WebSocketSettings
from tests.client.rig import Rig, rigged
from tests.server.support import serving

T = TypeVar("T")


async def in_thread(work: Callable[[], T]) -> T:
    return await trio.to_thread.run_sync(work, abandon_on_cancel=True)


@pytest.mark.parametrize("form", ["json", "cbor"])
async def test_a_script_hands_in_jobs_and_reads_results(form: Literal["json", "cbor"]) -> None:
    """P1: one whole life from a thread, without an event loop of its own."""
    async with rigged() as rig:

        def script() -> list[object]:
            with sync.connect(rig.url, form=form) as client:
                first = client.enqueue("demo.echo", {"x": 1}, queue="mail")
                assert (first.duplicate, first.lsn) == (False, 1)
                assert client.enqueue("demo.echo", {"x": 1}, queue="mail", id=first.id).duplicate
                many = client.enqueue_many([sync.new_job("demo.echo", {"x": number}) for number in range(5)])
                assert client.status().states[JobState.PENDING] == 6
                assert [job.args["x"] for job in client.list(queue="default", page_size=2)] == [4, 3, 2, 1, 0]
                assert [job.args["x"] for job in client.list(limit=2)] == [4, 3]
                assert client.get(first.id).queue == "mail"
                return [first.result(timeout=30), [job.value()["x"] for job in client.wait_all(many)]]

        async with trio.open_nursery() as nursery:

            async def run() -> None:
                await rig.until_answered("subscribe")
                rig.queue.run()

            nursery.start_soon(run)
            assert await in_thread(script) == [{"x": 1}, [0, 1, 2, 3, 4]]
        await rig.until(lambda: bool(rig.goodbyes))
        assert rig.goodbyes == [1000]


async def test_what_can_be_done_to_jobs_and_queues() -> None:
    """Cancel, retry, delete, pause, resume, and the errors of each end."""
    async with rigged() as rig:

        def first() -> list[sync.Job]:
            with sync.connect(rig.url) as client:
                jobs = list(client.enqueue_many([sync.new_job("work") for _ in range(3)]))
                assert client.pause("default").changed
                assert client.resume("default").changed
                assert jobs[0].cancel().changed
                assert [change.changed for change in client.cancel([jobs[0].id, jobs[1].id])] == [False, True]
                assert client.retry(jobs[1].id)[0].state is JobState.PENDING
                assert client.delete([jobs[1].id])[0].changed
                with pytest.raises(NotFound):
                    jobs[1].status()
                with pytest.raises(BadRequest):
                    client.job("")
                return jobs

        jobs = await in_thread(first)
        rig.queue.reject()

        def second() -> None:
            with sync.connect(rig.url) as client:
                for job, error in zip(jobs, (JobCancelled, JobGone, JobFailed), strict=True):
                    with pytest.raises(error):
                        client.job(job.id).result(timeout=30)

        await in_thread(second)


async def test_threads_share_one_client() -> None:
    """Twenty threads and a connection that is cut: each job exists once, each thread gets its own result."""
    async with rigged() as rig:
        replies = 0

        async def cut_often(message: dict[str, object]) -> None:
            nonlocal replies
            replies += 1
            if replies % 9 == 0:
                rig.proxy.cut()

        rig.on_reply = cut_often

        def script() -> dict[int, object]:
            results: dict[int, object] = {}

            def one(number: int) -> None:
                job = client.enqueue("demo.echo", {"x": number})
                results[number] = job.result(timeout=60)

            with sync.connect(rig.url, timeout=60) as client:
                threads = [threading.Thread(target=one, args=(number,)) for number in range(20)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
            return results

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_forever, rig)
            assert await in_thread(script) == {number: {"x": number} for number in range(20)}
            nursery.cancel_scope.cancel()
        assert sum(isinstance(fact, JobEnqueued) for fact in rig.queue.log) == 20
        assert rig.proxy.connections > 1


async def run_forever(rig: Rig) -> None:
    while True:
        await rig.until(lambda: bool(rig.queue.book.state.waiting))
        rig.queue.run(count=3)
        await trio.lowlevel.checkpoint()


async def test_a_request_whose_answer_was_lost_is_asked_again_and_done_once() -> None:
    """P5: the server drops the connection after it did the work and before it said so."""
    async with rigged() as rig:
        rig.cut_at_reply("ok", times=2)

        def script() -> sync.Job:
            with sync.connect(rig.url) as client:
                return client.enqueue("work", {"x": 1})

        job = await in_thread(script)
        asked = rig.sent("enqueue")
        assert len(asked) == 3
        assert asked[0] == asked[1] == asked[2]
        assert (job.id, job.duplicate) == (asked[0]["jobs"][0]["id"], True)
        assert len(rig.queue.log) == 1


async def test_time_limits_hold_and_leave_the_client_usable() -> None:
    """A server that does not answer, and a job that does not finish: TimeoutError, then business as usual."""
    async with rigged() as rig:
        gate = trio.Event()

        async def hold(message: dict[str, object]) -> None:
            await gate.wait()

        def script() -> None:
            with sync.connect(rig.url, timeout=0.05) as client:
                rig.on_reply = hold
                with pytest.raises(TimeoutError, match="no answer within"):
                    client.status()
                trio.from_thread.run_sync(gate.set)
                client._timeout = 30.0
                job = client.enqueue("work")
                with pytest.raises(TimeoutError, match="1 of 1 jobs are not finished after"):
                    job.result(timeout=0.05)
                with pytest.raises(TimeoutError):
                    job.result(timeout=0)
                assert job.status().state is JobState.PENDING

        await in_thread(script)


async def test_a_request_given_up_without_a_connection_is_never_sent() -> None:
    """A question that took too long does not surprise anyone later."""
    async with rigged() as rig:

        def script() -> None:
            with sync.connect(rig.url, timeout=0.05) as client:
                rig.proxy.refusing = True
                trio.from_thread.run_sync(rig.proxy.cut)
                with pytest.raises(TimeoutError):
                    client.enqueue("work", id="given-up")
                rig.proxy.refusing = False
                client._timeout = 30.0
                client.enqueue("work", id="wanted")

        await in_thread(script)
        assert [fact[0] for fact in rig.queue.log] == ["wanted"]


async def test_refusals_are_raised_or_waited_out() -> None:
    """P11: with patience a full queue is asked again."""
    async with rigged() as rig:

        def script() -> None:
            rig.queue.refuse = [Refused("queue_full", "full", 10)]
            with sync.connect(rig.url) as client, pytest.raises(QueueFull):
                client.enqueue("work")
            rig.queue.refuse = [Refused("queue_full", "full", 10)]
            with sync.connect(rig.url, patience=5) as client:
                client.enqueue("work")

        await in_thread(script)
        assert len(rig.queue.log) == 1


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

        def script() -> None:
            for url, words in (
                (nowhere, f"no server at {nowhere}: connection refused; start one with"),
                (rig.url, r"wants a valid token \(401\): a token is needed"),
                (rig.url + "/elsewhere", "HTTP 404"),
                (rig.url.replace("ws:", "wss:"), "no encrypted connection to wss:"),
                (other, "the server hung up before the WebSocket was open; if it speaks TLS"),
                (other, "is no beaver_actors server"),
            ):
                with pytest.raises(ConnectFailed, match=words):
                    sync.connect(url)
            with sync.connect(rig.url, token="right") as client:
                client.status()

        await in_thread(script)
        nursery.cancel_scope.cancel()


async def test_without_reconnect_a_lost_connection_is_told() -> None:
    """Who waits learns it, and so does who asks later."""
    async with rigged() as rig:
        rig.cut_at_reply()

        def script() -> None:
            with sync.connect(rig.url, reconnect=False) as client:
                with pytest.raises(ConnectionLost):
                    client.status()
                with pytest.raises(ConnectionLost):
                    client.job("a").result()

        await in_thread(script)


async def test_a_server_that_no_longer_wants_us_ends_the_client() -> None:
    """Trying for ever makes no sense when the token was taken away."""
    async with rigged(token="right") as rig:

        def script() -> None:
            with sync.connect(rig.url, token="right") as client:
                rig.cut_at_reply()
                rig.revoke()
                with pytest.raises(ConnectFailed, match="401"):
                    client.status()

        await in_thread(script)


async def test_garbage_and_too_large_messages_are_told_and_the_client_lives_on() -> None:
    """A mad server: who waits gets the reason, nothing is repeated for ever."""
    answers = ["garbage", '{"type":"ok","re":"2","changes":[{"name":"q","changed":true}],"lsn":1}']

    async def handler(websocket: WebSocket) -> None:
        while await websocket.receive() is not None:
            await websocket.send(answers.pop(0))

    limits = ListenerSettings(websocket=WebSocketSettings(message_bytes_max=1000))
    async with serving(handler, settings=limits) as served:

        def script() -> None:
            with sync.connect(served.url("/ws")) as client:
                with pytest.raises(ProtocolError):
                    client.status()
                assert client.pause("q").changed
                with pytest.raises(TooLarge, match="expected at most 1000 bytes"):
                    client.enqueue("work", {"text": "x" * 2000})

        await in_thread(script)


async def test_closing_ends_everything_at_once() -> None:
    """Threads that wait are told, no thread is left, and closing twice is harmless."""
    async with rigged() as rig:

        def script() -> None:
            client = sync.connect(rig.url)
            job = client.enqueue("work")
            told: list[type[BaseException]] = []

            def wait() -> None:
                try:
                    job.result()
                except ConnectionLost as error:
                    told.append(type(error))

            waiting = threading.Thread(target=wait)
            waiting.start()
            trio.from_thread.run(rig.until_answered, "subscribe")
            client.close()
            client.close()
            waiting.join()
            assert told == [ConnectionLost]
            with pytest.raises(ConnectionLost, match="the client is closed"):
                client.status()
            assert not [thread for thread in threading.enumerate() if thread.name.startswith("beaver-client")]

        await in_thread(script)


async def test_closing_while_there_is_no_connection_does_not_wait_for_one() -> None:
    """The thread that tries to connect gives up."""
    async with rigged() as rig:

        def script() -> None:
            with sync.connect(rig.url, timeout=0.05) as client:
                rig.proxy.refusing = True
                trio.from_thread.run_sync(rig.proxy.cut)
                with pytest.raises(TimeoutError):
                    client.status()

        await in_thread(script)


def test_a_server_that_dies_while_a_connection_opens_is_worth_another_try(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """P5: a client that connects again just when the server is killed goes on trying. The reset comes before
    the request is sent: a few times in a thousand by itself, and here each time."""
    handshake = sync_client.ClientConnection.handshake
    opening = threading.Event()

    def after_the_reset(connection: sync_client.ClientConnection, *args: Any, **options: Any) -> None:
        opening.set()
        connection.recv_events_thread.join()
        handshake(connection, *args, **options)

    monkeypatch.setattr(sync_client.ClientConnection, "handshake", after_the_reset)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def reset() -> None:
            connection, _ = listener.accept()
            opening.wait()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

        server = threading.Thread(target=reset)
        server.start()
        with pytest.raises(ConnectFailed, match="the server hung up before the WebSocket was open") as raised:
            sync.connect(f"ws://127.0.0.1:{listener.getsockname()[1]}")
        server.join()
    assert raised.value.transient


async def test_a_client_taken_through_a_fork_says_so() -> None:
    """Its threads stay in the parent; without this the child would wait for ever."""
    async with rigged() as rig:

        def script() -> None:
            with sync.connect(rig.url) as client:
                client._transport._process_id = os.getpid() + 1
                with pytest.raises(ClientError, match="connect after the fork"):
                    client.status()
                with pytest.raises(ClientError, match="connect after the fork"):
                    client.job("a").result()
                client._transport._process_id = os.getpid()

        await in_thread(script)


def test_without_websockets_the_missing_extra_is_named() -> None:
    """The error says what to install. By importing it in a process that has no websockets."""
    code = "import sys; sys.modules['websockets'] = None; import beaver_actors.client.sync"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'beaver-actors[client]'" in done.stderr
    assert done.returncode == 1


async def test_a_script_waits_for_an_operation() -> None:
    """P3: for as long as it is told to; what it did not wait for goes on."""
    async with rigged() as rig:

        def script() -> None:
            with sync.connect(rig.url) as client:
                job = client.enqueue("demo.echo", {"x": 1})
                job.cancel()
                operation = client.retry_all(state="cancelled")
                with pytest.raises(TimeoutError, match="runs still after 0 s"):
                    client.wait_operation(operation.id, timeout=0)
                seen: list[str] = []

                def look(operation: OperationInfo) -> None:
                    seen.append(operation.state)
                    trio.from_thread.run_sync(rig.queue.book.do, Tick())

                ended = client.wait_operation(operation.id, timeout=60, on_update=look)
                assert (ended.state, ended.changed) == ("completed", 1)
                assert (seen[0], seen[-1]) == ("running", "completed")

        await in_thread(script)
