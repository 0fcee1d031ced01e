"""Live subscriptions: the status at an interval, events from any position, and no silent holes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import trio
from hypothesis import given, settings, strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from beaver_actors.actors.publisher import Chunk, Gap
from beaver_actors.codec.ids import JobIds
from beaver_actors.core.answers import Answer, Status
from beaver_actors.core.commands import Command
from beaver_actors.core.facts import EVENT_NAMES, Fact
from beaver_actors.core.job import JobState
from beaver_actors.kernel.mailbox import Reply
from beaver_actors.server.service import Service
from beaver_actors.server.session import Session, SessionSettings
from beaver_actors.testing.strategies import histories
from tests.server.house import Client, House, Node, NoFleet, open_house

COMPLETED = JobState.COMPLETED
EVENTS = {"type": "subscribe", "topic": "events"}


async def until_idle(house: House, *job_ids: str) -> None:
    """Wait until these jobs are done and everything is said."""
    for job_id in job_ids:
        await house.world.until(job_id, COMPLETED)
    await wait_all_tasks_blocked()


async def hear_events(client: Client, count: int) -> list[tuple[int, str, str]]:
    """So many events, as (lsn, name, job)."""
    heard = [await client.hear() for _ in range(count)]
    assert all(message["type"] == "event" for message in heard)
    return [(event["lsn"], event["event"], event["job_id"]) for event in heard]


async def test_the_status_comes_at_once_and_then_at_the_interval(autojump_clock: MockClock) -> None:
    """By the mock clock; the push has the same fields as the reply to a request."""
    async with open_house() as house:
        client = house.connect()
        reply = await client.ask({"type": "subscribe", "topic": "status", "interval": "5s"})
        assert reply == {"type": "ok", "re": "q", "subscription": "s1"}
        began = trio.current_time()
        first = await client.hear()
        assert trio.current_time() == began
        await house.world.enqueue("a")
        second = await client.hear()
        assert trio.current_time() == began + 5
        assert (first["type"], first["subscription"]) == ("status", "s1")
        assert (first["status"]["lsn"], second["status"]["totals"]["enqueued"]) == (0, 1)
        asked = (await client.ask({"type": "status"}))["status"]
        assert asked.keys() == second["status"].keys()


async def test_a_client_that_does_not_read_has_one_status_waiting(autojump_clock: MockClock) -> None:
    """P11: however long it sleeps; what it reads then is the old one and, an interval later, a fresh one."""
    async with open_house() as house:
        client = house.connect()
        await client.ask({"type": "subscribe", "topic": "status", "interval": 0.1})
        await trio.sleep(60)
        assert len(client.outbox) == 1
        await house.world.enqueue("a")
        assert (await client.hear())["status"]["totals"]["enqueued"] == 0
        assert (await client.hear())["status"]["totals"]["enqueued"] == 1


async def test_many_status_subscribers_ask_the_queue_once(autojump_clock: MockClock) -> None:
    """All that is due within a tenth of a second gets the same text."""
    async with open_house() as house:
        clients = [house.connect() for _ in range(5)]
        for client in clients:
            client.tell({"id": "1", "type": "subscribe", "topic": "status"})
        texts = set()
        for client in clients:
            await client.hear()
            texts.add(str((await client.hear())["status"]))
        assert len(texts) == 1


async def test_events_begin_now_or_at_a_position(autojump_clock: MockClock) -> None:
    """P10: the reply tells the position; from there on every event comes once, in order."""
    async with open_house() as house:
        await house.world.enqueue("a")
        await until_idle(house, "a")
        now, all_, some = house.connect(), house.connect(), house.connect()
        assert (await now.ask(EVENTS))["lsn"] == 3
        assert (await all_.ask({**EVENTS, "from_lsn": 0}))["lsn"] == 0
        assert (await some.ask({**EVENTS, "from_lsn": 3}))["lsn"] == 2
        await house.world.enqueue("b")
        names = ("job_enqueued", "job_started", "job_completed")
        of_a = [(1 + place, name, "a") for place, name in enumerate(names)]
        of_b = [(4 + place, name, "b") for place, name in enumerate(names)]
        assert await hear_events(now, 3) == of_b
        assert await hear_events(all_, 6) == of_a + of_b
        assert await hear_events(some, 4) == of_a[2:] + of_b
        for client in (now, all_, some):
            await client.nothing_more()


async def test_a_position_that_does_not_exist_yet_is_refused(autojump_clock: MockClock) -> None:
    """P10: waiting for it would pass over all events before it; the next position is fine."""
    async with open_house() as house:
        await house.world.enqueue("a", delay_ms=1_000_000)
        client = house.connect()
        assert await client.ask({**EVENTS, "from_lsn": 3}) == {
            "type": "error",
            "re": "q",
            "code": "bad_request",
            "message": "from_lsn: expected at most 2, the next position, got 3",
            "retry_after": None,
        }
        assert (await client.ask({**EVENTS, "from_lsn": 2}))["lsn"] == 1


async def test_a_subscriber_that_comes_back_misses_nothing(autojump_clock: MockClock) -> None:
    """P10: a client leaves at every possible point and resumes after its last event; together: the log."""
    async with open_house() as house:
        heard: list[int] = []
        for number in range(10):
            client = house.connect()
            await client.ask({**EVENTS, "from_lsn": len(heard) + 1})
            await house.world.enqueue(f"a{number}", f"b{number}")
            heard += [lsn for lsn, _, _ in await hear_events(client, number)]
            client.leave()
        client = house.connect()
        await until_idle(house, *(f"{name}{number}" for number in range(10) for name in "ab"))
        await client.ask({**EVENTS, "from_lsn": len(heard) + 1})
        heard += [lsn for lsn, _, _ in await hear_events(client, house.world.log.head - len(heard))]
        assert heard == list(range(1, 61))


async def test_a_slow_subscriber_gets_everything_at_its_own_pace(autojump_clock: MockClock) -> None:
    """P10, P11: 4,500 events, more than are kept written, through an outbox of two; nothing is left out."""
    async with open_house() as house:
        client = house.connect(outbox_max=2)
        await client.ask(EVENTS)
        names = [f"job-{number}" for number in range(1500)]
        await house.world.enqueue(*names)
        await until_idle(house, *names)
        assert len(client.outbox) == 2
        assert [lsn for lsn, _, _ in await hear_events(client, 4500)] == list(range(1, 4501))


async def test_events_can_be_had_in_batches(autojump_clock: MockClock) -> None:
    """P10: as many as asked for in one message, in order, with the same fields."""
    async with open_house() as house:
        await house.world.enqueue(*(f"job-{number}" for number in range(10)), delay_ms=1_000_000)
        client, single = house.connect(), house.connect()
        await client.ask({**EVENTS, "from_lsn": 1, "batch": 4})
        await single.ask({**EVENTS, "from_lsn": 1})
        batches = [await client.hear() for _ in range(3)]
        assert [len(batch["events"]) for batch in batches] == [4, 4, 2]
        assert {(batch["type"], batch["subscription"]) for batch in batches} == {("events", "s1")}
        for event in [event for batch in batches for event in batch["events"]]:
            assert await single.hear() == {"type": "event", "subscription": "s1", **event}


async def test_a_filter_lets_through_what_fits_all_of_it(autojump_clock: MockClock) -> None:
    """P10: by kind, queue, jobs and events, also for events that name only the job."""
    async with open_house() as house:
        client = house.connect()
        filters: list[dict[str, Any]] = [
            {"kind": "work"},
            {"queue": "other"},
            {"job_ids": ["c", "q"]},
            {"events": ["job_cancelled", "queue_paused"]},
            {"kind": "work", "events": ["job_completed"]},
            {"queue": "default", "kind": "idle"},
        ]
        for wanted in filters:
            await client.ask({**EVENTS, "filter": wanted})
        await house.world.enqueue("a", kind="work")
        await house.world.enqueue("b", kind="idle")
        await house.world.enqueue("c", kind="idle", queue="other")
        await until_idle(house, "a")
        await house.connect().ask({"type": "cancel", "job_ids": ["b", "c"]})
        await house.connect().ask({"type": "pause", "queue": "other"})
        await wait_all_tasks_blocked()
        heard: dict[str, list[str]] = {}
        while client.outbox:
            event = await client.hear()
            name = event.get("job_id", event.get("queue"))
            heard.setdefault(event["subscription"], []).append(f"{event['event']} {name}")
    assert heard == {
        "s1": ["job_enqueued a", "job_started a", "job_completed a"],
        "s2": ["job_enqueued c", "job_cancelled c", "queue_paused other"],
        "s3": ["job_enqueued c", "job_cancelled c"],
        "s4": ["job_cancelled b", "job_cancelled c", "queue_paused other"],
        "s5": ["job_completed a"],
        "s6": ["job_enqueued b", "job_cancelled b"],
    }


async def test_a_filter_by_kind_knows_jobs_from_before_it(autojump_clock: MockClock) -> None:
    """P10: the kind of an old job is looked up; a job that nobody knows any more is let through."""
    async with open_house() as house:
        for name, kind in (("a", "idle"), ("b", "other"), ("gone", "other")):
            await house.world.enqueue(name, kind=kind)
        asker = house.connect()
        await asker.ask({"type": "delete", "job_ids": ["gone"]})
        client = house.connect()
        await client.ask({**EVENTS, "from_lsn": 4, "filter": {"kind": "idle"}})
        await asker.ask({"type": "cancel", "job_ids": ["a", "b"]})
        assert await hear_events(client, 2) == [(4, "job_deleted", "gone"), (5, "job_cancelled", "a")]
        await client.nothing_more()


async def test_nothing_is_pushed_after_the_end_of_a_subscription(autojump_clock: MockClock) -> None:
    """Also when it was in the middle of a long history; its id is never used again."""
    async with open_house() as house:
        await house.world.enqueue(*(f"job-{number}" for number in range(50)), delay_ms=1_000_000)
        client = house.connect(outbox_max=5)
        await client.ask({**EVENTS, "from_lsn": 1})
        await wait_all_tasks_blocked()
        client.tell({"id": "end", "type": "unsubscribe", "subscription": "s1"})
        heard = []
        while (message := await client.hear())["type"] == "event":
            heard.append(message["lsn"])
        assert message == {"type": "ok", "re": "end", "subscription": "s1"}
        assert heard == list(range(1, len(heard) + 1))
        await client.nothing_more()
        again = await client.ask({"type": "unsubscribe", "subscription": "s1"})
        assert (again["code"], again["message"]) == (
            "not_found",
            "subscription s1 does not exist on this connection",
        )
        assert (await client.ask(EVENTS))["subscription"] == "s2"


async def test_a_connection_has_only_so_many_subscriptions(autojump_clock: MockClock) -> None:
    """P11: one more is refused until another ends; a refused one counts for nothing."""
    async with open_house() as house:
        client = house.connect(SessionSettings(subscriptions_max=2))
        await client.ask({**EVENTS, "from_lsn": 99})
        await client.ask(EVENTS)
        await client.ask(EVENTS)
        refused = await client.ask(EVENTS)
        assert (refused["code"], refused["message"]) == (
            "overloaded",
            "this connection holds its limit of 2 subscriptions",
        )
        await client.ask({"type": "unsubscribe", "subscription": "s2"})
        assert (await client.ask(EVENTS))["type"] == "ok"
        assert house.service.subscriptions == 2


class TrimmedStream:
    """A log of given facts whose beginning is gone, in chunks of given sizes."""

    def __init__(self, facts: Sequence[Fact], first_lsn: int, sizes: Sequence[int]) -> None:
        self._facts = facts
        self._first_lsn = first_lsn
        self._sizes = sizes
        self._reads = 0

    async def read(self, after_lsn: int, limit: int) -> Chunk | Gap:
        await trio.lowlevel.checkpoint()
        if after_lsn + 1 < self._first_lsn:
            return Gap(after_lsn + 1, self._first_lsn - 1)
        size = min(limit, self._sizes[self._reads % len(self._sizes)])
        self._reads += 1
        facts = self._facts[after_lsn : after_lsn + size]
        if not facts:
            await trio.sleep_forever()
        return Chunk(after_lsn + 1, facts)


class CountingJobs:
    """A job manager that knows nothing but where the log ends."""

    def __init__(self, head: int) -> None:
        self._head = head

    has_room = True

    async def post(self, command: Command) -> Reply[Answer]:
        return self.post_nowait(command)

    def post_nowait(self, command: Command) -> Reply[Answer]:
        reply: Reply[Answer] = Reply()
        reply.give(Status(self._head, {}, (), {}, {}))
        return reply

    async def ask(self, command: Command) -> Answer:
        return await (await self.post(command)).wait()


@given(histories(), st.data())
@settings(max_examples=50)
def test_events_are_contiguous_or_the_hole_is_told(facts: list[Fact], data: st.DataObject) -> None:
    """P10: any history, any position, any part of it gone, any chunks, single or in batches."""
    head = len(facts)
    kept_from = data.draw(st.integers(1, head + 1), label="first LSN that is left")
    from_lsn = data.draw(st.integers(0, head + 1), label="from_lsn")
    batch = data.draw(st.none() | st.integers(1, 5), label="batch")
    sizes = data.draw(st.lists(st.integers(1, 7), min_size=1), label="chunks")

    async def main() -> list[tuple[int, int, str]]:
        stream = TrimmedStream(facts, kept_from, sizes)
        ids = JobIds(lambda: 0, lambda bits: 0)
        service = Service(CountingJobs(head), stream, Node(), fleet=NoFleet(), now_ms=lambda: 0, ids=ids)
        client = Client()
        pieces: list[tuple[int, int, str]] = []
        with trio.fail_after(60):
            await listen(client, service, pieces)
        return pieces

    async def listen(client: Client, service: Service, pieces: list[tuple[int, int, str]]) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Session(client, service).run)
            await client.ask({**EVENTS, "from_lsn": from_lsn, "batch": batch})
            while max(from_lsn, 1) <= head and (not pieces or pieces[-1][1] < head):
                message = await client.hear()
                if message["type"] == "gap":
                    pieces.append((message["from"], message["to"], "gap"))
                    continue
                events = message["events"] if message["type"] == "events" else [message]
                pieces += [(event["lsn"], event["lsn"], event["event"]) for event in events]
            await wait_all_tasks_blocked()
            assert not client.outbox
            client.leave()

    pieces = trio.run(main, clock=MockClock(autojump_threshold=0))
    position = max(from_lsn, 1)
    for first, last, name in pieces:
        assert first == position
        assert name == "gap" or (first >= kept_from and name == EVENT_NAMES[type(facts[first - 1])])
        position = last + 1
    assert position == head + 1
