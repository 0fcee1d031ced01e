"""The asynchronous client against real sessions: what it asks, what it returns, what it raises."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

import pytest
import trio
import trio.testing

from beaver_actors.client import (
    BadRequest,
    Client,
    Conflict,
    Event,
    Fixed,
    Gap,
    Job,
    JobCancelled,
    JobFailed,
    JobGone,
    JobState,
    Listed,
    NotFound,
    OperationInfo,
    Overloaded,
    QueueFull,
    TooLarge,
    connect as trio_connect,
    new_job,
)
from beaver_actors.client.new_jobs import as_it_is
from beaver_actors.client.questions import Accepted
from beaver_actors.core.answers import Refused
from beaver_actors.core.commands import Tick
from beaver_actors.core.facts import JobEnqueued
from beaver_actors.core.job import Backoff
from beaver_actors.execute.app import App
from tests.client.conftest import Connect
from tests.client.rig import ERROR, Rig, rigged


class Both(NamedTuple):
    """A server and a client of it."""

    rig: Rig
    client: Client


@asynccontextmanager
async def pair(
    connect: Connect, form: Literal["json", "cbor"] = "json", patience: float = 0.0
) -> AsyncIterator[Both]:
    async with rigged() as rig, connect(rig.url, form=form, patience=patience) as client:
        yield Both(rig, client)


@pytest.mark.parametrize("form", ["json", "cbor"])
async def test_a_job_goes_in_and_its_result_comes_out(
    connect: Connect, form: Literal["json", "cbor"]
) -> None:
    """P1: a result is waited for by one subscription, without asking for the job. By one whole life."""
    async with pair(connect, form) as (rig, client):
        job = await client.enqueue("demo.echo", {"x": 1, "text": "Ünïcode"})
        assert not job.duplicate
        assert job.lsn == 1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(finish_when_watched, rig)
            assert await job.result() == {"x": 1, "text": "Ünïcode"}
        assert not rig.sent("get")
        await rig.until_answered("unsubscribe")


async def finish_when_watched(rig: Rig) -> None:
    await rig.until_answered("subscribe")
    rig.queue.run()


async def test_a_job_says_all_there_is_to_say(connect: Connect) -> None:
    """Every option of a job arrives, whatever Python type it was given as. By reading the job back."""
    async with pair(connect) as (rig, client):
        expires = datetime(2100, 1, 1, 12, tzinfo=UTC)
        job = await client.enqueue(
            "work",
            {"at": expires},
            id="my-own-id",
            queue="mail",
            priority=-7,
            delay=timedelta(minutes=2),
            timeout="none",
            max_attempts=3,
            backoff=[1, "2s", timedelta(seconds=3)],
            expires_at=expires,
            retention="7d",
            tags=["red", "blue"],
            meta={"customer": 12},
        )
        info = await job.status()
        assert job.id == info.id == "my-own-id"
        assert info.args == {"at": "2100-01-01T12:00:00Z"}
        assert (info.queue, info.priority, info.max_attempts, info.timeout) == ("mail", -7, 3, None)
        assert info.backoff == Listed(delays=(1, 2, 3))
        assert (info.retention, info.tags, info.meta) == (604_800, ("red", "blue"), {"customer": 12})
        assert info.expires_at == expires
        assert info.run_at - info.created_at == timedelta(minutes=2)
        assert info.state is JobState.SCHEDULED
        assert info.waits_for == "run_at"
        assert not info.finished
        assert rig.sent("enqueue")[0]["jobs"][0]["timeout"] is None


async def test_a_call_of_a_job_function_is_a_job(connect: Connect) -> None:
    """An app's call brings its args and options in the core's units; what is said here goes before them."""

    class Call(NamedTuple):
        kind: str = "work"
        args: bytes = b'{"path": "a.png"}'
        options: dict[str, object] = {  # noqa: RUF012  # a tuple's default, never changed
            "timeout_ms": 2_500,
            "retention_ms": None,
            "queue": "images",
            "backoff": Backoff("fixed", base_ms=1_500, jitter=False),
        }
        read_result: Callable[[Any], Any] = as_it_is

    async with pair(connect) as (_, client):
        info = await (await client.enqueue(Call(), priority=5)).status()
        assert (info.kind, info.args, info.queue, info.priority) == ("work", {"path": "a.png"}, "images", 5)
        assert (info.timeout, info.backoff) == (2.5, Fixed(delay=1.5))
        assert (await (await client.enqueue(Call(), queue="other")).status()).queue == "other"
        with pytest.raises(TypeError, match="args: expected none beside a call"):
            await client.enqueue(Call(), {"x": 1})  # type: ignore[call-overload]  # that is the point


async def test_a_call_of_an_apps_function_is_accepted(connect: Connect) -> None:
    """The real thing: the app checks the arguments, its options travel with the job."""
    app = App()

    @app.job("work", queue="images", timeout="90s", max_attempts=3, backoff=[1, "5s"], retention="1h")
    def thumbnail(path: str, size: int = 100) -> str:
        return path

    async with pair(connect) as (_, client):
        info = await (await client.enqueue(thumbnail.call("a.png", size=5), tags=["x"])).status()
        assert info.args == {"path": "a.png", "size": 5}
        assert (info.queue, info.timeout, info.max_attempts, info.retention) == ("images", 90, 3, 3600)
        assert (info.backoff, info.tags) == (Listed(delays=(1, 5)), ("x",))


async def test_the_same_id_twice_is_one_job(connect: Connect) -> None:
    """P5: by enqueuing the same thing twice, then something else under the same id."""
    async with pair(connect) as (rig, client):
        first = await client.enqueue("work", {"x": 1}, id="a")
        again = await client.enqueue("work", {"x": 1}, id="a")
        assert (first.duplicate, again.duplicate, again.lsn) == (False, True, None)
        with pytest.raises(Conflict, match="job a exists with other content"):
            await client.enqueue("work", {"x": 2}, id="a")
        assert len(rig.queue.log) == 1


async def test_many_jobs_go_in_one_message_or_not_at_all(connect: Connect) -> None:
    """All or none, and more than fit are split only when asked. By counting messages."""
    async with pair(connect) as (rig, client):
        jobs = [new_job("work", {"number": number}) for number in range(2500)]
        with pytest.raises(
            TooLarge, match="expected at most 1000 jobs in one message, got 2500; with atomic"
        ):
            await client.enqueue_many(jobs)
        assert not rig.requests
        handles = await client.enqueue_many(jobs, atomic=False)
        assert [job.id for job in handles] == [job.id for job in jobs]
        assert [job.lsn for job in handles] == list(range(1, 2501))
        assert [len(request["jobs"]) for request in rig.sent("enqueue")] == [1000, 1000, 500]
        large = [new_job("work", {"text": "x" * 900_000}) for _ in range(7)]
        with pytest.raises(Conflict):
            await client.enqueue_many(
                [new_job("work", {}), new_job("work", {"other": 1}, id=jobs[0].id or "")]
            )
        assert len(rig.queue.log) == 2500
        await client.enqueue_many(large, atomic=False)
        assert [len(request["jobs"]) for request in rig.sent("enqueue")[-4:]] == [2, 2, 2, 1]
        assert await client.enqueue_many([]) == []


async def test_positions_of_new_jobs_among_old_ones_are_right(connect: Connect) -> None:
    """A handle's LSN is that of its own `job_enqueued`, also where a message holds duplicates."""
    async with pair(connect) as (rig, client):
        jobs = [new_job("work", {"number": number}) for number in range(6)]
        await client.enqueue_many([jobs[1], jobs[4]])
        handles = await client.enqueue_many(jobs)
        assert [job.lsn for job in handles] == [3, None, 4, 5, None, 6]
        for job in handles:
            if job.lsn is not None:
                assert rig.queue.log[job.lsn - 1][0] == job.id


async def test_a_message_over_the_limit_is_not_even_sent(connect: Connect) -> None:
    """A message that would cost the connection is refused here, naming the limit."""
    async with pair(connect) as (rig, client):
        large = [new_job("work", {"text": "x" * 900_000}) for _ in range(10)]
        with pytest.raises(TooLarge, match="expected at most 8388608 bytes, got 9"):
            await client.enqueue_many(large)
        assert not rig.requests
        with pytest.raises(TooLarge, match=r"jobs\[0\].args: expected at most 1048576 bytes"):
            await client.enqueue("work", {"text": "x" * 1_100_000})
        await client.status()


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ({"x": float("nan")}, "args: nan is not a JSON number"),
        ({"x": [{"y": float("inf")}]}, "args: inf is not a JSON number"),
        ({"x": "\ud800"}, "args: .*surrogates not allowed"),
        ({"x": json.loads("[" * 64 + "]" * 64)}, "args: it has more than 64 levels"),
        ({"x": object()}, "args: Encoding objects of type object is unsupported"),
        ([1], r"args: expected an object \(a dict\), got a list"),
    ],
)
async def test_what_json_cannot_say_is_refused_before_it_is_sent(
    args: dict[str, object], expected: str
) -> None:
    """A value is carried as it is or refused, never changed."""
    with pytest.raises((TypeError, ValueError), match=expected):
        new_job("work", args)


def test_a_job_that_contains_itself_is_refused() -> None:
    """A cycle is told as one."""
    args: dict[str, object] = {}
    args["self"] = args
    with pytest.raises(ValueError, match="args: it is nested too deeply, or contains itself"):
        new_job("work", args)


def test_a_time_without_zone_is_refused() -> None:
    """Nobody can know which hour was meant."""
    with pytest.raises(ValueError, match="run_at: expected a datetime with a time zone"):
        new_job("work", run_at=datetime(2026, 1, 1))  # noqa: DTZ001  # that is the point
    with pytest.raises(TypeError, match="tags: expected a list of texts"):
        new_job("work", tags="red")


async def test_a_refusal_names_the_field(connect: Connect) -> None:
    """The server's words reach the program. By a job of an impossible priority."""
    async with pair(connect) as (_, client):
        with pytest.raises(BadRequest, match=r"jobs\[0\].priority: expected .* got 1000") as raised:
            await client.enqueue("work", priority=1000)
        assert raised.value.code == "bad_request"
        with pytest.raises(NotFound):
            await client.get("nobody")
        with pytest.raises(
            BadRequest, match="job_id: expected 1 to 200 printable ASCII characters without spaces"
        ):
            client.job("with space")


async def test_patience_waits_as_long_as_the_server_says(autojump_clock: trio.testing.MockClock) -> None:
    """P11: a passing refusal is raised at once, or waited out as far as the patience goes."""
    async with rigged() as rig:
        full = Refused("queue_full", "the queue is full", 2_000)
        async with trio_connect(rig.url) as client:
            rig.queue.refuse = [full]
            with pytest.raises(QueueFull, match="the queue is full") as raised:
                await client.enqueue("work")
            assert raised.value.retry_after == 2
        async with trio_connect(rig.url, patience=60) as client:
            rig.queue.refuse = [full, Refused("overloaded", "slow down", None)]
            before = trio.current_time()
            await client.enqueue("work")
            assert trio.current_time() - before >= 3
            assert len(rig.queue.log) == 1
            rig.queue.refuse = [Refused("overloaded", "slow down", 50_000) for _ in range(9)]
            with pytest.raises(Overloaded):
                await client.enqueue("work")
            assert len(rig.queue.refuse) in (6, 7)  # asked at once, after 50 s and more, and at the end


async def test_ends_of_jobs_are_told_apart(connect: Connect) -> None:
    """A result is returned; a dead, a cancelled and a deleted job raise, with the errors of all attempts."""
    async with pair(connect) as (rig, client):
        dead = await client.enqueue("work", max_attempts=2, backoff=0)
        rig.queue.fail()
        rig.queue.fail()
        with pytest.raises(JobFailed, match=r"is dead \(max_attempts\): ValueError: no luck") as raised:
            await dead.result()
        assert [(error.attempt, error.message) for error in raised.value.errors] == [
            (1, "no luck"),
            (2, "no luck"),
        ]
        assert raised.value.errors[0].traceback == ERROR.traceback
        rejected = await client.enqueue("work")
        rig.queue.reject()
        with pytest.raises(JobFailed, match="rejected"):
            await rejected.result()
        cancelled = await client.enqueue("work", delay=60)
        assert (await cancelled.cancel()).changed
        with pytest.raises(JobCancelled):
            await cancelled.result()
        assert (await client.delete([cancelled.id]))[0].changed
        for handle in (cancelled, client.job(cancelled.id), client.job("never-was")):
            with pytest.raises(JobGone, match="does not exist"):
                await handle.result()


async def test_a_job_that_is_put_back_is_still_waited_for(connect: Connect) -> None:
    """A dead job that was retried has not ended. By a retry before the event is looked at."""
    async with pair(connect) as (rig, client):
        job = await client.enqueue("work", {"x": 3})
        rig.queue.reject()
        assert (await client.retry([job.id]))[0].changed
        async with trio.open_nursery() as nursery:
            nursery.start_soon(finish_when_watched, rig)
            assert await job.result() == {"x": 3}


async def test_a_job_known_by_id_only_can_be_waited_for(connect: Connect) -> None:
    """Finished or not, seen by this client or not: the end is found. By handles made from ids."""
    async with pair(connect) as (rig, client):
        await client.enqueue("demo.echo", {"x": 1}, id="old")
        rig.queue.run()
        assert await client.job("old").result() == {"x": 1}
        await client.enqueue("demo.echo", {"x": 2}, id="new")
        async with trio.open_nursery() as nursery:

            async def finish() -> None:
                await rig.until_answered("get", 2)
                rig.queue.run()

            nursery.start_soon(finish)
            assert await client.job("new").result() == {"x": 2}


async def test_thousands_of_jobs_are_waited_for_with_one_subscription(connect: Connect) -> None:
    """No polling and no job by job: 3000 handles, one subscribe, no get."""
    async with pair(connect) as (rig, client):
        jobs = await client.enqueue_many(
            [new_job("demo.echo", {"x": number}) for number in range(3000)], atomic=False
        )
        updates: list[str] = []
        async with trio.open_nursery() as nursery:

            async def finish() -> None:
                await rig.until_answered("subscribe")
                for _ in range(3):
                    rig.queue.run(count=1000)
                    await trio.lowlevel.checkpoint()

            nursery.start_soon(finish)
            ended = await client.wait_all(jobs, lambda one: updates.append(one.id))
        assert [one.value()["x"] for one in ended] == list(range(3000))
        assert sorted(updates) == sorted(job.id for job in jobs)
        assert len(rig.sent("subscribe")) == 1
        assert not rig.sent("get")


async def test_many_tasks_wait_for_their_own_jobs_side_by_side(connect: Connect) -> None:
    """Subscriptions stay few however many tasks wait; every task gets its own result."""
    async with pair(connect) as (rig, client):
        results: dict[int, object] = {}
        open_most = 0

        async def one(number: int) -> None:
            nonlocal open_most
            job = await client.enqueue("demo.echo", {"x": number})
            results[number] = await job.result()
            open_most = max(open_most, len(rig.sent("subscribe")) - len(rig.sent("unsubscribe")))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_forever, rig, nursery.cancel_scope)
            async with trio.open_nursery() as tasks:
                for number in range(200):
                    tasks.start_soon(one, number)
            nursery.cancel_scope.cancel()
        assert results == {number: {"x": number} for number in range(200)}
        assert open_most <= 6


async def run_forever(rig: Rig, scope: trio.CancelScope) -> None:
    while True:
        await rig.until(lambda: bool(rig.queue.book.state.waiting))
        rig.queue.run(count=3)
        await trio.lowlevel.checkpoint()


async def test_a_gap_in_the_events_loses_no_result(connect: Connect) -> None:
    """P10: where events are gone, the jobs are asked for. By trimming the log before anyone looks."""
    async with pair(connect) as (rig, client):
        jobs = await client.enqueue_many([new_job("demo.echo", {"x": number}) for number in range(10)])
        rig.queue.run(count=5)
        rig.queue.trim()
        async with trio.open_nursery() as nursery:

            async def finish() -> None:
                await rig.until_answered("get", 10)
                rig.queue.run()

            nursery.start_soon(finish)
            ended = await client.wait_all(jobs)
        assert [one.value()["x"] for one in ended] == list(range(10))


async def test_events_come_live_and_from_the_past(connect: Connect) -> None:
    """P10: in order, from the position asked for, with what they carry; a gap where they are gone."""
    async with pair(connect) as (rig, client):
        job = await client.enqueue("demo.echo", {"x": 1}, queue="mail", tags=["red"])
        rig.queue.run()
        async with client.subscribe_events(from_lsn=1) as stream:
            enqueued, started, completed = [await anext(stream) for _ in range(3)]
            assert isinstance(enqueued, Event)
            assert (enqueued.lsn, enqueued.event, enqueued.job_id) == (1, "job_enqueued", job.id)
            assert (enqueued.kind, enqueued.queue, enqueued.args) == ("demo.echo", "mail", {"x": 1})
            assert enqueued.tags == ("red",)
            assert enqueued.at == (await job.status()).created_at
            assert isinstance(started, Event)
            assert started.worker_id == "worker"
            assert isinstance(completed, Event)
            assert (completed.event, completed.result, completed.fence) == ("job_completed", {"x": 1}, 2)
            await client.pause("mail")
            paused = await anext(stream)
            assert isinstance(paused, Event)
            assert (paused.event, paused.queue, paused.job_id) == ("queue_paused", "mail", None)
        rig.queue.trim()
        async with client.subscribe_events(from_lsn=2) as stream:
            await client.resume("mail")
            assert await anext(stream) == Gap(2, 4)
            last = await anext(stream)
            assert isinstance(last, Event)
            assert (last.lsn, last.event) == (5, "queue_resumed")
        with pytest.raises(BadRequest, match="from_lsn: expected at most 6"):
            async with client.subscribe_events(from_lsn=100):
                pytest.fail("the server agreed to a position that does not exist")


async def test_events_can_be_filtered_and_taken_in_batches(connect: Connect) -> None:
    """Only what was asked for comes, by kind, queue, job and event."""
    async with pair(connect) as (rig, client):
        jobs = [
            await client.enqueue("demo.echo", {"x": number}, queue=f"q{number % 2}") for number in range(6)
        ]
        rig.queue.run()
        async with client.subscribe_events(1, queue="q1", events=["job_completed"]) as stream:
            batch = await stream.batch()
            assert [event.result for event in batch if isinstance(event, Event)] == [
                {"x": n} for n in (1, 3, 5)
            ]
        async with client.subscribe_events(1, job_ids=[jobs[2].id]) as stream:
            assert [event.event for event in await stream.batch() if isinstance(event, Event)] == [
                "job_enqueued",
                "job_started",
                "job_completed",
            ]
        async with client.subscribe_events(1, kind="nothing") as stream:
            with trio.move_on_after(0) as scope:
                await anext(stream)
            assert scope.cancelled_caught


async def test_a_watch_ends_with_its_job(connect: Connect) -> None:
    """A job's own events, from its beginning to its end; for a handle from elsewhere, from now on."""
    async with pair(connect) as (rig, client):
        await client.enqueue("work", id="other")
        job = await client.enqueue("demo.echo", {"x": 1}, max_attempts=2, backoff=0)
        async with job.watch() as watch:
            rig.queue.fail()
            rig.queue.run()
            events = [event.event async for event in watch if isinstance(event, Event)]
        assert events == ["job_enqueued", "job_started", "job_failed", "job_started", "job_completed"]
        async with client.job(job.id).watch() as watch:
            assert [event async for event in watch] == []
        async with client.job("never-was").watch() as watch:
            assert [event async for event in watch] == []
        rig.queue.trim()
        async with Job(client, job_accepted(job)).watch() as watch:
            assert [event async for event in watch] == [Gap(2, rig.queue.trimmed_lsn)]


async def test_a_watch_shows_an_end_that_comes_while_it_begins(connect: Connect) -> None:
    """The job finishes after the events began and before it is looked at: its event is still to come."""
    async with pair(connect) as (rig, client):
        job = await client.enqueue("demo.echo", {"x": 1})

        async def finish(message: dict[str, object]) -> None:
            if message["type"] == "get":
                rig.queue.run()

        rig.on_request = finish
        async with client.job(job.id).watch() as watch:
            events = [event.event async for event in watch if isinstance(event, Event)]
        assert events == ["job_started", "job_completed"]


def job_accepted(job: Job) -> Accepted:
    return Accepted(job.id, job.duplicate, job.lsn)


async def test_the_status_comes_again_and_again(connect: Connect) -> None:
    """One look, and a stream of them; leaving the block ends it at the server too."""
    async with pair(connect) as (rig, client):
        await client.enqueue("work")
        status = await client.status()
        assert status.states[JobState.PENDING] == 1
        assert status.version == "1.2.3"
        async with client.subscribe_status(0.1) as stream:
            assert (await anext(stream)).states[JobState.PENDING] == 1
            rig.queue.run()
            async for status in stream:
                if status.states.get(JobState.COMPLETED):
                    break
        await rig.until_answered("unsubscribe")


async def test_lists_are_fetched_page_by_page(connect: Connect) -> None:
    """All that fit, newest first, no more pages than needed."""
    async with pair(connect) as (rig, client):
        jobs = await client.enqueue_many([new_job("work", {"x": number}) for number in range(25)])
        rig.queue.run(count=10)
        listed = [job.id async for job in client.list(state="pending", page_size=4)]
        assert listed == [job.id for job in reversed(jobs[10:])]
        assert len(rig.sent("list")) == 4
        assert [job.args["x"] async for job in client.list(limit=3)] == [24, 23, 22]
        assert len(rig.sent("list")) == 5
        assert [job async for job in client.list(state="dead")] == []
        with pytest.raises(ValueError, match=r"state: expected one of scheduled, .*; got the text 'ded'"):
            client.list(state="ded")


async def test_changes_name_each_job_and_why_not(connect: Connect) -> None:
    """Cancel, retry and delete answer for each id, however many messages it takes."""
    async with pair(connect) as (rig, client):
        jobs = await client.enqueue_many([new_job("work") for _ in range(1000)])
        ids = [job.id for job in jobs]
        changes = await client.cancel([*ids, "nobody"])
        assert [change.name for change in changes] == [*ids, "nobody"]
        assert all(change.changed and change.state is JobState.CANCELLED for change in changes[:-1])
        assert (changes[-1].changed, changes[-1].code) == (False, "not_found")
        assert len(rig.sent("cancel")) == 2
        assert (await client.retry(ids[:1]))[0].state is JobState.PENDING
        assert (await client.delete(ids[:1]))[0].changed
        assert await client.cancel([]) == ()
        paused = await client.pause("mail")
        assert (paused.name, paused.changed) == ("mail", True)
        assert not (await client.pause("mail")).changed


async def test_requests_of_many_tasks_share_the_connection(connect: Connect) -> None:
    """Pipelining: all are on their way before the first is answered, up to the bound; none is lost."""
    async with pair(connect) as (rig, client):
        gate = trio.Event()

        async def hold(message: dict[str, object]) -> None:
            await gate.wait()

        rig.on_reply = hold
        answered = 0

        async def one() -> None:
            nonlocal answered
            await client.enqueue("work")
            answered += 1

        async with trio.open_nursery() as nursery:
            for _ in range(400):
                nursery.start_soon(one)
            await rig.until(lambda: len(rig.requests) == 64)  # the session's own bound
            assert answered == 0
            gate.set()
        assert answered == len(rig.queue.log) == 400
        assert all(isinstance(fact, JobEnqueued) for fact in rig.queue.log)


async def test_a_number_that_cbor_cannot_carry_is_refused_and_not_turned_into_text(connect: Connect) -> None:
    """P5: what is accepted is what was sent. JSON carries whole numbers of any length, CBOR up to 64 bits."""
    async with pair(connect, form="cbor") as (rig, client):
        with pytest.raises(BadRequest, match="64 bits"):
            await client.enqueue("work", {"n": 10**20})
        assert rig.queue.log == []
    async with pair(connect, form="json") as (rig, client):
        await client.enqueue("work", {"n": 10**20})
        (fact,) = rig.queue.log
        assert isinstance(fact, JobEnqueued)
        assert fact.args == b'{"n":1' + b"0" * 20 + b"}"


async def test_an_operation_is_waited_for_until_it_has_ended(connect: Connect) -> None:
    """P3: what is seen of it grows, and the last look is at its end; an unknown one is told."""
    async with pair(connect) as (rig, client):
        jobs = await client.enqueue_many([new_job("demo.echo", {"x": number}) for number in range(600)])
        await client.cancel([job.id for job in jobs])
        operation = await client.delete_all(state="cancelled")
        assert operation.state == "running"
        seen: list[int] = []

        def look(operation: OperationInfo) -> None:
            seen.append(operation.looked_at)
            rig.queue.book.do(Tick())

        ended = await client.wait_operation(operation.id, look)
        assert (ended.state, ended.changed) == ("completed", 600)
        assert seen == sorted(seen)
        assert len(set(seen)) > 2
        assert await client.wait_operation(operation.id) == ended
        with pytest.raises(NotFound):
            await client.wait_operation("nobody")
