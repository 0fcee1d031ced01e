"""Sessions: what one connection may rely on, over the real actors."""

from __future__ import annotations

import json
from typing import Any

import cbor2
import pytest
import trio
from hypothesis import given, settings, strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked
from websockets.trio.client import connect

from beaver_actors.codec.ids import JobIds
from beaver_actors.codec.wire_decode import Limits
from beaver_actors.core.answers import Answer, Enqueued, Page
from beaver_actors.core.commands import Command, Enqueue
from beaver_actors.core.facts import JobEnqueued
from beaver_actors.core.job import JobState
from beaver_actors.kernel.mailbox import Closed, Reply
from beaver_actors.server.service import Service
from beaver_actors.server.session import LISTED_JOB_BYTES, Session, SessionSettings
from beaver_actors.server.websocket import WebSocket
from tests.server.house import Client, House, Node, NoFleet, open_house
from tests.server.support import serving

JOB = {"kind": "work"}
DONE = (JobState.COMPLETED,)


def enqueue(*job_ids: str, **fields: Any) -> dict[str, Any]:
    """A request to enqueue these jobs."""
    return {"type": "enqueue", "jobs": [{**JOB, "id": job_id, **fields} for job_id in job_ids]}


async def test_an_enqueue_is_answered_when_it_is_in_the_log(autojump_clock: MockClock) -> None:
    """P1: by reading the log when the answer is there. All jobs of a message or none."""
    async with open_house() as house:
        client = house.connect()
        assert await client.ask({"type": "enqueue", "jobs": [JOB, {**JOB, "id": "mine"}]}) == {
            "type": "ok",
            "re": "q",
            "jobs": [{"id": made_id(house), "duplicate": False}, {"id": "mine", "duplicate": False}],
            "lsn": 2,
        }
        assert house.service.waiting_bytes == 0
        conflict = await client.ask(
            {"type": "enqueue", "jobs": [{**JOB, "id": "new"}, {"kind": "other", "id": "mine"}]}
        )
        assert conflict["code"] == "conflict"
        assert (await client.ask({"type": "get", "job_id": "new"}))["code"] == "not_found"


def made_id(house: House) -> str:
    """The id that the server has made for the first job in the log."""
    fact = house.world.log.facts[0]
    assert isinstance(fact, JobEnqueued)
    return fact.job_id


async def test_repeating_an_enqueue_is_harmless(autojump_clock: MockClock) -> None:
    """P5: the same request over another connection finds its jobs there, and nothing is written."""
    async with open_house() as house:
        await house.connect().ask(enqueue("a", "b"))
        written = house.world.log.head
        again = await house.connect().ask(enqueue("a", "b"))
        assert [job["duplicate"] for job in again["jobs"]] == [True, True]
        assert [fact for fact in house.world.log.facts[written:] if isinstance(fact, JobEnqueued)] == []


async def test_requests_may_be_sent_without_waiting_and_keep_their_order(autojump_clock: MockClock) -> None:
    """P1: 200 enqueues at once; the log has them in the order sent, and so are the replies."""
    async with open_house() as house:
        client = house.connect()
        for number in range(200):
            client.tell({"id": str(number), **enqueue(f"job-{number}")})
        replies = [await client.hear() for _ in range(200)]
    assert [reply["re"] for reply in replies] == [str(number) for number in range(200)]
    assert [fact.job_id for fact in house.world.log.facts if isinstance(fact, JobEnqueued)] == [
        f"job-{number}" for number in range(200)
    ]


class SlowJobs:
    """A job manager that answers when the test says."""

    def __init__(self) -> None:
        self.posted: list[tuple[Command, Reply[Answer]]] = []

    has_room = True

    async def post(self, command: Command) -> Reply[Answer]:
        await trio.lowlevel.checkpoint()
        return self.post_nowait(command)

    def post_nowait(self, command: Command) -> Reply[Answer]:
        reply: Reply[Answer] = Reply()
        self.posted.append((command, reply))
        return reply

    async def ask(self, command: Command) -> Answer:
        return await (await self.post(command)).wait()

    def answer(self, count: int) -> None:
        """Answer the oldest requests, all of them enqueues."""
        for _, reply in self.posted[:count]:
            reply.give(Enqueued((), 1))
        del self.posted[:count]


class NoStream:
    """Nothing ever happens."""

    async def read(self, after_lsn: int, limit: int) -> Any:
        await trio.sleep_forever()


def service_over(jobs: SlowJobs, **options: Any) -> Service:
    """A service whose job manager the test plays."""
    return Service(
        jobs,
        NoStream(),
        Node(),
        fleet=NoFleet(),
        now_ms=lambda: 0,
        ids=JobIds(lambda: 0, lambda bits: 0),
        **options,
    )


async def test_nothing_is_read_while_too_many_requests_are_under_way(autojump_clock: MockClock) -> None:
    """P11: the client's own socket fills up; no request is lost or refused."""
    jobs = SlowJobs()
    client = Client()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Session(client, service_over(jobs), SessionSettings(requests_max=3)).run)
        for number in range(8):
            client.tell({"id": str(number), **enqueue(f"job-{number}")})
        await wait_all_tasks_blocked()
        assert len(jobs.posted) == 3
        jobs.answer(2)
        await wait_all_tasks_blocked()
        assert len(jobs.posted) == 3
        while jobs.posted:
            jobs.answer(1)
            await wait_all_tasks_blocked()
        assert [(await client.hear())["re"] for _ in range(8)] == [str(number) for number in range(8)]
        client.leave()


async def test_too_many_bytes_under_way_stop_the_reading_too(autojump_clock: MockClock) -> None:
    """P11: a few large messages count like many small ones."""
    jobs = SlowJobs()
    client = Client()
    async with trio.open_nursery() as nursery:
        session = Session(client, service_over(jobs), SessionSettings(request_bytes_max=5_000))
        nursery.start_soon(session.run)
        for number in range(3):
            client.tell(enqueue(f"job-{number}", args={"x": "y" * 4_000}) | {"id": "1"})
        await wait_all_tasks_blocked()
        assert len(jobs.posted) == 2
        jobs.answer(1)
        await wait_all_tasks_blocked()
        assert len(jobs.posted) == 2
        jobs.answer(2)
        client.leave()


async def test_pages_that_nobody_has_taken_stop_the_reading_too(autojump_clock: MockClock) -> None:
    """P11: a list asks in a few bytes for many, so a client that never reads could make the server hold
    page upon page."""
    jobs = SlowJobs()
    client = Client()
    async with trio.open_nursery() as nursery:
        settings = SessionSettings(request_bytes_max=2_500 * LISTED_JOB_BYTES)
        nursery.start_soon(Session(client, service_over(jobs), settings).run)
        for number in range(5):
            client.tell({"type": "list", "id": str(number), "limit": 1000})
        await wait_all_tasks_blocked()
        assert len(jobs.posted) == 3
        for _ in range(5):
            _, reply = jobs.posted.pop(0)
            reply.give(Page((), None))
            await wait_all_tasks_blocked()
        assert [(await client.hear())["re"] for _ in range(5)] == [str(number) for number in range(5)]
        client.leave()


async def test_jobs_beyond_what_may_wait_for_the_disk_are_refused(autojump_clock: MockClock) -> None:
    """P11: over all connections; what was refused can be sent again once others are answered or gone."""
    jobs = SlowJobs()
    service = service_over(jobs, waiting_bytes_max=250)
    first, second = Client(), Client()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Session(first, service).run)
        nursery.start_soon(Session(second, service).run)
        first.tell({"id": "1", **enqueue("a", args={"x": "y" * 300})})
        await wait_all_tasks_blocked()
        refused = await second.ask(enqueue("b"))
        assert (refused["code"], refused["retry_after"]) == ("overloaded", 1)
        assert len(jobs.posted) == 1
        first.leave()
        await wait_all_tasks_blocked()
        second.tell({"id": "2", **enqueue("b")})
        await wait_all_tasks_blocked()
        assert [command.jobs[0].job_id for command, _ in jobs.posted if isinstance(command, Enqueue)] == [
            "a",
            "b",
        ]
        second.leave()
    assert service.waiting_bytes == 0


async def test_a_bad_message_is_answered_and_the_connection_lives(autojump_clock: MockClock) -> None:
    """Bad input of every sort between good requests; each gets one reply, in its place."""
    async with open_house() as house:
        client = house.connect()
        for message in (
            "{",
            '{"id":"1"}',
            b"\xff",
            '{"type":"lease","id":"2"}',
            b"\xa0",
            '{"id":"3","type":"status"}',
        ):
            client.tell(message)
        replies = [await client.hear() for _ in range(6)]
    assert [(reply["type"], reply["re"]) for reply in replies] == [
        ("error", None), ("error", "1"), ("error", None), ("error", "2"), ("error", None), ("ok", "3"),
    ]  # fmt: skip
    assert house.node.refusals == ["bad_request", "bad_request", "bad_request", "unsupported", "bad_request"]


async def test_a_reply_has_the_form_of_its_request(autojump_clock: MockClock) -> None:
    """JSON and CBOR may be mixed on one connection; args stay the same value in both."""
    async with open_house() as house:
        client = house.connect()
        client.tell({"id": "1", **enqueue("a", args={"ü": [1, 2.5, None]})}, cbor=True)
        assert isinstance(await client.hear_raw(), bytes)
        client.tell({"id": "2", "type": "get", "job_id": "a"})
        text = await client.hear_raw()
        assert isinstance(text, str)
        assert '"args":{"ü":[1,2.5,null]}' in text
        shown = await client.ask({"type": "get", "job_id": "a"}, cbor=True)
        assert shown["job"]["args"] == {"ü": [1, 2.5, None]}
        client.tell({"id": "3", "type": "subscribe", "topic": "events", "from_lsn": 1}, cbor=True)
        await client.hear()
        assert isinstance(await client.hear_raw(), bytes)


async def test_a_draining_server_takes_no_new_jobs_but_answers(autojump_clock: MockClock) -> None:
    """P11: refused with a time to come back; reading and cancelling go on."""
    async with open_house() as house:
        client = house.connect()
        await client.ask(enqueue("a", delay="1h"))
        house.node.draining = True
        refused = await client.ask(enqueue("b"))
        assert (refused["code"], refused["retry_after"]) == ("draining", 1)
        cancelled = await client.ask({"type": "cancel", "job_ids": ["a", "?"]})
        assert cancelled["changes"] == [
            {"name": "a", "changed": True, "code": None, "state": "cancelled"},
            {"name": "?", "changed": False, "code": "not_found", "state": None},
        ]


async def test_every_request_does_what_it_says(autojump_clock: MockClock) -> None:
    """A walk through pause, list, resume, retry and delete."""
    async with open_house() as house:
        client = house.connect()
        assert (await client.ask({"type": "pause", "queue": "default"}))["changes"][0]["changed"]
        await client.ask(enqueue("a", "b"))
        status = (await client.ask({"type": "status"}))["status"]
        assert status["queues"]["default"]["paused"]
        assert (status["states"]["pending"], status["version"], status["workers"]) == (2, "0.1.0", 2)
        first = await client.ask({"type": "list", "limit": 1})
        assert [job["id"] for job in first["jobs"]] == ["b"]
        assert first["jobs"][0]["waits_for"] == "queue_paused"
        second = await client.ask({"type": "list", "limit": 1, "after": first["next"]})
        assert [job["id"] for job in second["jobs"]] == ["a"]
        await client.ask({"type": "cancel", "job_ids": ["a"]})
        assert (await client.ask({"type": "retry", "job_ids": ["a"]}))["changes"][0]["state"] == "pending"
        assert (await client.ask({"type": "delete", "job_ids": ["b"]}))["changes"][0]["changed"]
        assert (await client.ask({"type": "resume", "queue": "default"}))["changes"][0]["changed"]
        await house.world.until("a", *DONE)
        assert (await client.ask({"type": "get", "job_id": "a"}))["job"]["result"] == 1


async def test_a_client_that_leaves_takes_nothing_with_it(autojump_clock: MockClock) -> None:
    """P3: what it had sent is done all the same; its subscriptions end."""
    async with open_house() as house:
        client = house.connect()
        await client.ask({"type": "subscribe", "topic": "events"})
        await client.ask({"type": "subscribe", "topic": "status"})
        assert house.service.subscriptions == 2
        client.tell({"id": "1", **enqueue("a")})
        await wait_all_tasks_blocked()
        client.leave()
        await wait_all_tasks_blocked()
        await house.world.until("a", *DONE)
        assert house.service.subscriptions == 0
        assert house.service.waiting_bytes == 0


class GoneJobs(SlowJobs):
    """The node goes down."""

    async def post(self, command: Command) -> Reply[Answer]:
        raise Closed("job_manager")


async def test_a_node_that_goes_down_says_goodbye(autojump_clock: MockClock) -> None:
    """A close code that tells the client to come back; nothing is answered that is not true."""
    client = Client()
    client.tell({"id": "1", **enqueue("a")})
    await Session(client, service_over(GoneJobs())).run()
    assert client.closed_with == (1012, "the server is restarting")
    assert not client.outbox


@given(st.lists(st.text() | st.binary() | st.sampled_from(['{"id":"x","type":"status"}']), max_size=12))
@settings(max_examples=50)
def test_any_message_gets_exactly_one_reply(messages: list[str | bytes]) -> None:
    """Fuzz: whatever is sent, the replies are as many, in order, and the connection lives."""

    async def main() -> None:
        async with open_house() as house:
            client = house.connect()
            for message in messages:
                client.tell(message)
            client.tell('{"id":"last","type":"status"}')
            with trio.fail_after(60):
                replies = [await client.hear() for _ in range(len(messages) + 1)]
            assert replies[-1]["re"] == "last"
            assert all(reply["type"] in ("ok", "error") for reply in replies)

    trio.run(main, clock=MockClock(autojump_threshold=0))


@pytest.mark.parametrize("cbor", [False, True])
async def test_a_message_over_the_limit_is_refused(autojump_clock: MockClock, cbor: bool) -> None:
    """P11: too_large, in either form."""
    async with open_house(limits=Limits(message_bytes=100)) as house:
        client = house.connect()
        refused = await client.ask(enqueue("a", args={"x": "y" * 100}), cbor=cbor)
        assert refused["code"] == "too_large"


async def test_a_session_over_a_real_websocket() -> None:
    """P1, P10: the whole way over loopback with a client of another make, in both forms."""
    async with open_house() as house:

        async def talk(opened: WebSocket) -> None:
            await Session(opened, house.service).run()

        async with serving(talk) as server, connect(server.url(), proxy=None) as client:
            await client.send(json.dumps({"id": "1", "type": "subscribe", "topic": "events", "batch": 100}))
            assert json.loads(await client.recv())["subscription"] == "s1"
            await client.send(cbor2.dumps({"id": "2", **enqueue("a", "b")}))
            events: list[str] = []
            reply: Any = None
            while reply is None or len(events) < 6:
                message = await client.recv()
                if isinstance(message, bytes):
                    reply = cbor2.loads(message)
                else:
                    events += [event["event"] for event in json.loads(message)["events"]]
            assert reply["jobs"] == [{"id": "a", "duplicate": False}, {"id": "b", "duplicate": False}]
            assert sorted(events) == ["job_completed"] * 2 + ["job_enqueued"] * 2 + ["job_started"] * 2
            await client.send("{")
            assert json.loads(await client.recv())["code"] == "bad_request"
            assert not server.failures
