"""The Trio client when things go wrong: connections cut at bad moments, servers slow, silent or mad."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest
import trio
import trio.testing

from beaver_actors.client import (
    ClientError,
    ConnectFailed,
    ConnectionLost,
    Event,
    Gap,
    ProtocolError,
    Refused,
    TooLarge,
    connect as trio_connect,
    new_job,
    subscriptions,
)
from beaver_actors.core.facts import JobEnqueued
from beaver_actors.server.listener import ListenerSettings
from beaver_actors.server.websocket import WebSocket, WebSocketSettings
from tests.client.conftest import Connect
from tests.client.rig import rigged
from tests.server.support import serving


async def test_a_request_whose_answer_was_lost_is_asked_again_and_done_once(connect: Connect) -> None:
    """P5: the server drops the connection after it did the work and before it said so."""
    async with rigged() as rig, connect(rig.url) as client:
        rig.cut_at_reply("ok", times=2)
        job = await client.enqueue("work", {"x": 1})
        assert len(rig.queue.log) == 1
        asked = rig.sent("enqueue")
        assert len(asked) == 3
        assert asked[0] == asked[1] == asked[2]
        assert job.id == asked[0]["jobs"][0]["id"]
        assert job.duplicate
        assert rig.proxy.connections == 3


async def test_whatever_was_under_way_is_asked_again(connect: Connect) -> None:
    """P5: many tasks, a connection cut every few replies; each job exists exactly once."""
    async with rigged() as rig, connect(rig.url) as client:
        replies = 0

        async def cut_often(message: dict[str, object]) -> None:
            nonlocal replies
            replies += 1
            if replies % 17 == 0:
                rig.proxy.cut()

        rig.on_reply = cut_often
        ids: list[str] = []

        async def one(number: int) -> None:
            ids.append((await client.enqueue("work", {"x": number})).id)

        async with trio.open_nursery() as nursery:
            for number in range(60):
                nursery.start_soon(one, number)
        assert sorted(fact.job_id for fact in rig.queue.log if isinstance(fact, JobEnqueued)) == sorted(ids)
        assert rig.proxy.connections > 3


async def test_no_event_is_lost_or_doubled_when_connections_break(connect: Connect) -> None:
    """P10: a subscription is cut again and again, events happen meanwhile, and each comes once, in order."""
    async with rigged() as rig, connect(rig.url) as client:
        rig.cut_at_reply("events", times=5)
        async with client.subscribe_events() as stream:
            seen: list[int] = []
            async with trio.open_nursery() as nursery:

                async def happen() -> None:
                    for number in range(100):
                        rig.queue.book.enqueue(f"job-{number}", kind="demo.echo")
                        rig.queue.run()
                        await trio.lowlevel.checkpoint()

                nursery.start_soon(happen)
                async for event in stream:
                    assert isinstance(event, Event)
                    seen.append(event.lsn)
                    if event.lsn == 300:
                        break
        assert seen == list(range(1, 301))
        assert rig.proxy.connections > 2


async def test_events_trimmed_while_away_are_told_as_a_gap(connect: Connect) -> None:
    """P10: nothing is left out silently when the server forgot events during an outage."""
    async with rigged() as rig, connect(rig.url) as client, client.subscribe_events() as stream:
        rig.queue.book.enqueue("before")
        rig.queue.grew()
        assert (await anext(stream)) is not None
        rig.proxy.refusing = True
        rig.proxy.cut()
        rig.queue.book.enqueue("during", "and", "more")
        rig.queue.trim()
        rig.queue.book.enqueue("after")
        rig.proxy.refusing = False
        assert await anext(stream) == Gap(2, 4)
        event = await anext(stream)
        assert isinstance(event, Event)
        assert (event.lsn, event.job_id) == (5, "after")


async def test_results_are_found_across_an_outage(connect: Connect) -> None:
    """P10: jobs finish while the client is away, and their events are gone when it comes back."""
    async with rigged() as rig, connect(rig.url) as client:
        jobs = await client.enqueue_many([new_job("demo.echo", {"x": number}) for number in range(20)])
        async with trio.open_nursery() as nursery:

            async def outage() -> None:
                await rig.until_answered("subscribe")
                rig.queue.run(count=5)
                rig.proxy.refusing = True
                rig.proxy.cut()
                rig.queue.run(count=10)
                rig.queue.trim()
                rig.proxy.refusing = False
                await rig.until_answered("subscribe", 2)
                rig.queue.run()

            nursery.start_soon(outage)
            ended = await client.wait_all(jobs)
        assert [one.value()["x"] for one in ended] == list(range(20))


async def test_the_live_status_goes_on_after_an_outage(connect: Connect) -> None:
    """Subscriptions to the status are renewed too."""
    async with rigged() as rig, connect(rig.url) as client, client.subscribe_status(0.1) as stream:
        await anext(stream)
        rig.proxy.cut()
        rig.queue.book.enqueue("new")
        while not (await anext(stream)).lsn:
            pass


async def test_a_slow_reader_of_events_costs_bounded_memory(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P10, P11: past the limit the server is told to stop, then asked to go on from there; none is lost."""
    monkeypatch.setattr(subscriptions, "WAITING_BYTES_MAX", 20_000)
    async with rigged() as rig, connect(rig.url) as client, client.subscribe_events() as stream:
        for number in range(20):
            await client.enqueue("demo.echo", {"text": "x" * 3000, "number": number})
        await rig.until_answered("unsubscribe")
        await client.status()
        assert len(rig.sent("subscribe")) == 1
        seen = [await anext(stream) for _ in range(20)]
        assert [event.lsn for event in seen if isinstance(event, Event)] == list(range(1, 21))
        assert len(rig.sent("subscribe")) > 1


async def test_a_cancelled_request_leaves_the_client_usable(connect: Connect) -> None:
    """Cancellation tears nothing: the answer that comes later is nobody's, and the next request works."""
    async with rigged() as rig, connect(rig.url) as client:
        gate = trio.Event()

        async def hold(message: dict[str, object]) -> None:
            await gate.wait()

        rig.on_reply = hold
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.enqueue, "work", {"text": "x" * 500_000})
                await rig.until(lambda: bool(rig.requests))
                scope.cancel()
        gate.set()
        assert (await client.enqueue("work", {"x": 2})).lsn == 2
        assert rig.proxy.connections == 1


async def test_a_cancelled_subscription_ends_at_the_server_too(connect: Connect) -> None:
    """Whoever gives up while subscribing leaves nothing behind."""
    async with rigged() as rig, connect(rig.url) as client:
        gate = trio.Event()

        async def hold(message: dict[str, object]) -> None:
            await gate.wait()

        rig.on_reply = hold
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.subscribe_events().__aenter__)
                await rig.until(lambda: bool(rig.requests))
                scope.cancel()
        gate.set()
        await rig.until_answered("unsubscribe")


async def test_a_request_still_waiting_when_cancelled_is_never_sent(connect: Connect) -> None:
    """While there is no connection, giving up means that nothing happens later."""
    async with rigged() as rig, connect(rig.url) as client:
        rig.proxy.refusing = True
        rig.proxy.cut()
        with pytest.raises(trio.TooSlowError), trio.fail_after(0.05):
            await client.enqueue("work", id="given-up")
        rig.proxy.refusing = False
        await client.enqueue("work", id="wanted")
        assert [fact[0] for fact in rig.queue.log] == ["wanted"]


async def test_without_reconnect_a_lost_connection_is_told(connect: Connect) -> None:
    """Everyone who waits learns that there will be no answer, and so does who asks later."""
    async with rigged() as rig, connect(rig.url, reconnect=False) as client:
        rig.cut_at_reply()
        with pytest.raises(ConnectionLost, match="the connection broke"):
            await client.enqueue("work")
        with pytest.raises(ConnectionLost):
            await client.status()
        with pytest.raises(ConnectionLost):
            async with client.subscribe_events():
                pass
        with pytest.raises(ConnectionLost):
            await client.job("some").result()


async def test_a_stream_without_reconnect_ends_with_the_connection(connect: Connect) -> None:
    """A reader is not left waiting: what has come is given, then the loss is raised."""
    async with (
        rigged() as rig,
        connect(rig.url, reconnect=False) as client,
        client.subscribe_events() as stream,
    ):
        await client.enqueue("work")
        await rig.until(lambda: any(reply["type"] == "events" for reply in rig.replies))
        await client.status()
        rig.proxy.cut()
        assert isinstance(await anext(stream), Event)
        with pytest.raises(ConnectionLost):
            await anext(stream)


async def test_a_server_that_no_longer_wants_us_ends_the_client(connect: Connect) -> None:
    """Trying for ever makes no sense when the token was taken away: the reason is raised."""
    async with rigged(token="right") as rig, connect(rig.url, token="right") as client:
        rig.cut_at_reply()
        rig.revoke()
        with pytest.raises(ConnectFailed, match="401") as raised:
            await client.status()
        assert raised.value.status == 401


async def test_a_server_that_says_nothing_any_more_is_left(autojump_clock: trio.testing.MockClock) -> None:
    """A connection that is dead without having been closed is found out, and replaced."""
    async with rigged() as rig, trio_connect(rig.url) as client:
        thaw = rig.proxy.frozen = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.enqueue, "work")
            await trio.sleep(39)
            assert rig.proxy.connections == 1
            await trio.sleep(2)
            thaw.set()
        assert len(rig.queue.log) == 1
        assert rig.proxy.connections == 2


@asynccontextmanager
async def mad(handler: Callable[[WebSocket], Awaitable[None]], **settings: int) -> AsyncIterator[str]:
    """The URL of a server that does what the test says."""
    limits = ListenerSettings(websocket=WebSocketSettings(**settings))
    async with serving(handler, settings=limits) as served:
        yield served.url("/ws")


@pytest.mark.parametrize(
    "garbage",
    [
        "garbage",
        "{}",
        "[]",
        '{"type":"ok"}',
        '{"type":"nonsense","re":"1"}',
        b"\x00\x01",
        b"\xa1\x64type\x62ok",
        '{"type":"ok","re":"1"}',
        '{"type":"ok","re":"1","jobs":[{"id":1}],"lsn":1}',
        '{"type":"ok","re":"1","jobs":[],"lsn":1}',
    ],
)
async def test_garbage_from_the_server_is_told_and_the_client_lives_on(
    connect: Connect, garbage: str | bytes
) -> None:
    """Who waits gets ProtocolError, nothing is retried for ever, and later requests work."""
    answers: list[str | bytes] = [
        garbage,
        '{"type":"ok","re":"2","changes":[{"name":"q","changed":true}],"lsn":1}',
    ]

    async def handler(websocket: WebSocket) -> None:
        while await websocket.receive() is not None:
            await websocket.send(answers.pop(0))

    async with mad(handler) as url, connect(url) as client:
        with pytest.raises(ProtocolError):
            await client.enqueue("work")
        assert (await client.pause("q")).changed


async def test_answers_to_nobody_are_ignored(connect: Connect) -> None:
    """A reply to a request that was never made, a push to a subscription that is not there: no harm."""

    async def handler(websocket: WebSocket) -> None:
        while await websocket.receive() is not None:
            await websocket.send('{"type":"ok","re":"999"}')
            await websocket.send('{"type":"gap","subscription":"s9","from":1,"to":2}')
            await websocket.send(
                '{"type":"error","re":"1","code":"not_found","message":"no","retry_after":null}'
            )

    async with mad(handler) as url, connect(url) as client:
        with pytest.raises(Refused, match="not_found: no"):
            await client.status()


async def test_a_message_too_large_for_this_server_fails_only_itself(connect: Connect) -> None:
    """A server with a lower limit ends the connection; only what is too large is not tried again."""
    served: list[str] = []

    async def handler(websocket: WebSocket) -> None:
        while (message := await websocket.receive()) is not None:
            request = msgspec.json.decode(message)
            served.append(request["type"])
            changes = [{"name": "q", "changed": True}]
            reply = {"type": "ok", "re": request["id"], "changes": changes, "lsn": 1}
            await websocket.send(msgspec.json.encode(reply).decode())

    async with mad(handler, message_bytes_max=1000) as url, connect(url) as client:
        failures: list[ClientError] = []

        async def large() -> None:
            try:
                await client.enqueue("work", {"text": "x" * 2000})
            except TooLarge as error:
                failures.append(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(large)
            nursery.start_soon(client.pause, "q")
        assert "expected at most 1000 bytes" in str(failures)
        assert set(served) == {"pause"}


async def test_an_error_without_a_request_fails_those_who_wait(connect: Connect) -> None:
    """A server that could not read the request's id answers nobody in particular; nobody waits for ever."""

    async def handler(websocket: WebSocket) -> None:
        while await websocket.receive() is not None:
            await websocket.send(
                '{"type":"error","re":null,"code":"bad_request","message":"?","retry_after":null}'
            )

    async with mad(handler) as url, connect(url) as client:
        with pytest.raises(Refused, match="bad_request"):
            await client.status()


async def test_a_closed_client_says_so(connect: Connect) -> None:
    """After its block a client asks nobody, and raises what it is."""
    async with rigged() as rig:
        async with connect(rig.url) as client:
            pass
        with pytest.raises(ConnectionLost, match="the client is closed"):
            await client.status()
        await rig.until(lambda: bool(rig.goodbyes))
        assert rig.goodbyes == [1000]


async def test_an_error_in_the_block_comes_out_as_it_is(connect: Connect) -> None:
    """No exception groups around what the program itself raised; also while being cancelled."""
    async with rigged() as rig:
        with pytest.raises(ZeroDivisionError):
            async with connect(rig.url):
                raise ZeroDivisionError
        came_out: list[type[BaseException]] = []
        with trio.CancelScope() as scope:
            try:
                async with connect(rig.url):
                    scope.cancel()
                    raise ZeroDivisionError
            except ZeroDivisionError as error:
                came_out.append(type(error))
        assert came_out == [ZeroDivisionError]
        with trio.move_on_after(0.05) as scope:
            async with connect(rig.url):
                await trio.sleep_forever()
        assert scope.cancelled_caught


async def test_closing_while_there_is_no_connection_does_not_wait_for_one(connect: Connect) -> None:
    """Leaving the block ends the tries to connect."""
    async with rigged() as rig:
        with trio.fail_after(5):
            async with connect(rig.url) as client:
                rig.proxy.refusing = True
                rig.proxy.cut()
                with trio.move_on_after(0.05):
                    await client.status()
