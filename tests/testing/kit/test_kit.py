"""The kit: a queue inside a test that does what a server would do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trio
import trio.testing

from beaver_actors.client import (
    BadRequest,
    Conflict,
    Event,
    JobCancelled,
    JobFailed,
    JobState,
    NewJob,
    Refused,
    add_meta,
)
from beaver_actors.core.outcome import Failed, Rejected, Snoozed, Stopped, Succeeded, TimedOut
from beaver_actors.execute.app import App
from beaver_actors.execute.context import Context, Reject, Retry, Snooze
from beaver_actors.execute.hooks import Failure
from beaver_actors.testing.kit import Kit, NotFinished
from beaver_actors.testing.kit.kit import ATTEMPTS_MAX

NOON = datetime(2027, 3, 1, 12, tzinfo=UTC)


class Shop:
    """An app, its kit, and what its jobs have done."""

    def __init__(self, *, inline: bool = False) -> None:
        self.did: list[Any] = []
        self.app = app = App("shop")
        self.kit = Kit(app, inline=inline, now=NOON)
        did = self.did

        @app.job("send", queue="mail", max_attempts=3, backoff=["1m", "10m"], timeout="30s")
        async def send(context: Context, to: str) -> str:
            did.append((to, context.attempt, self.kit.now))
            if to == "down":
                raise ConnectionError("no route")
            if to == "busy" and context.attempt == 1:
                raise Retry("2h", "busy")
            if to == "slow":
                await trio.sleep(3600)
            await trio.sleep(5)
            return f"sent to {to}"

        @app.job("count")
        def count(context: Context, to: int) -> int:
            for number in range(to):
                context.check_cancelled()
                context.progress(100 * number / to)
                did.append(number)
            return to

        @app.job("wait_for_stock")
        def wait_for_stock(context: Context, until: int) -> str:
            did.append(self.kit.now)
            if len(did) < until:
                raise Snooze("1h")
            return "in stock"

        @app.job("order")
        def order(lines: list[str], at: datetime | None = None) -> int:
            if not lines:
                raise Reject("nothing to order")
            for line in lines:
                self.kit.client.enqueue(send.call(line))
            return len(lines)

        @app.job("for_ever")
        def for_ever() -> None:
            self.kit.client.enqueue(for_ever.call())

        self.send, self.count, self.stock, self.order, self.for_ever = (
            send,
            count,
            wait_for_stock,
            order,
            for_ever,
        )
        self.kit = Kit(app, inline=inline, now=NOON)


@pytest.fixture
def shop() -> Shop:
    return Shop()


def test_jobs_wait_until_they_are_told_to_run(shop: Shop) -> None:
    """Manual mode, from enqueue to result; an `async def` sleeps by the kit's clock, and that goes on."""
    job = shop.kit.client.enqueue(shop.send.call("ada"))
    assert job.status().state is JobState.PENDING
    assert shop.did == []
    (ran,) = shop.kit.drain_queue()
    assert (ran.kind, ran.attempt, ran.outcome) == ("send", 1, Succeeded(b'"sent to ada"'))
    assert job.result() == "sent to ada"
    assert shop.kit.now == NOON + timedelta(seconds=5)
    assert shop.kit.ran == [ran]


def test_a_result_that_cannot_come_fails_the_test_at_once(shop: Shop) -> None:
    """Instead of waiting for ever: nothing runs by itself."""
    job = shop.kit.client.enqueue(shop.send.call("ada"))
    with pytest.raises(NotFinished, match=r"\(send\) is pending, and nothing runs it: .* drain_queue\(\)"):
        job.result()
    shop.kit.drain_queue()
    assert [one.value() for one in shop.kit.client.wait_all([job])] == ["sent to ada"]


def test_retries_come_when_they_would_in_production(shop: Shop) -> None:
    """The job's own back-off, on the real core: a minute, ten minutes, dead. By moving the clock around
    them."""
    job = shop.kit.client.enqueue(shop.send.call("down"))
    shop.kit.drain_queue()
    assert (job.status().state, job.status().waits_for) == (JobState.SCHEDULED, "retry")
    shop.kit.advance("59s")
    assert shop.kit.drain_queue() == []
    shop.kit.advance(1)
    assert len(shop.kit.drain_queue()) == 1
    shop.kit.advance(timedelta(minutes=10))
    (ran,) = shop.kit.drain_queue()
    assert isinstance(ran.outcome, Failed)
    with pytest.raises(JobFailed, match=r"is dead \(max_attempts\): ConnectionError: no route") as raised:
        job.result()
    assert [error.attempt for error in raised.value.errors] == [1, 2, 3]


def test_settle_runs_everything_to_its_end(shop: Shop) -> None:
    """Delays, retries, snoozes, each at its own time."""
    shop.kit.client.enqueue(shop.send.call("busy"))
    shop.kit.client.enqueue(shop.send.call("later"), delay="1d")
    ran = shop.kit.settle()
    assert [(one.kind, one.attempt) for one in ran] == [("send", 1), ("send", 2), ("send", 1)]
    assert shop.did == [
        ("busy", 1, NOON),
        ("busy", 2, NOON + timedelta(hours=2)),
        ("later", 1, NOON + timedelta(days=1)),
    ]
    shop.did.clear()
    shop.kit.client.enqueue(shop.stock.call(3))
    assert [type(one.outcome) for one in shop.kit.settle()] == [Snoozed, Snoozed, Succeeded]
    assert shop.did[2] - shop.did[0] == timedelta(hours=2)


def test_time_limits_hold_without_waiting_for_them(shop: Shop) -> None:
    """A handler that sleeps longer than it may is stopped, by the clock of the kit."""
    shop.kit.client.enqueue(shop.send.call("slow"), max_attempts=1)
    (ran,) = shop.kit.drain_queue()
    assert isinstance(ran.outcome, TimedOut)
    assert shop.kit.now == NOON + timedelta(seconds=30)


def test_what_expires_dies_by_the_passing_of_time(shop: Shop) -> None:
    """Expiry and retention are the core's too."""
    job = shop.kit.client.enqueue(shop.send.call("ada"), expires_at=NOON + timedelta(hours=1), retention="1h")
    shop.kit.advance("1h")
    assert (job.status().state, job.status().reason) == (JobState.DEAD, "expired")
    shop.kit.advance("1h")
    assert shop.kit.jobs() == []
    shop.kit.refute_enqueued()


def test_a_job_that_is_cancelled_while_it_runs_is_asked_to_stop(shop: Shop) -> None:
    """By a handler that looks, cancelled by what it does itself."""
    kit = shop.kit

    @shop.app.job("suicide")
    def suicide(context: Context) -> None:
        kit2.client.cancel([context.job_id])
        context.check_cancelled()
        pytest.fail("it was not asked to stop")

    @shop.app.job("async.suicide")
    async def async_suicide(context: Context) -> None:
        kit2.client.cancel([context.job_id])
        await trio.sleep(10)
        pytest.fail("it was not stopped")

    kit2 = Kit(shop.app)
    for function in (suicide, async_suicide):
        job = kit2.client.enqueue(function.call())
        kit2.drain_queue()
        with pytest.raises(JobCancelled):
            job.result()
    assert isinstance(kit2.ran[-1].outcome, Stopped)
    assert kit.ran == []


def test_inline_runs_each_job_when_it_is_enqueued() -> None:
    """Children too, before their parent's enqueue returns to the test; what is delayed, when it falls due."""
    shop = Shop(inline=True)
    job = shop.kit.client.enqueue(shop.order.call(["ada", "bob"]))
    assert job.result() == 2
    assert [to for to, _, _ in shop.did] == ["ada", "bob"]
    later = shop.kit.client.enqueue(shop.send.call("eve"), delay="1h")
    assert later.status().state is JobState.SCHEDULED
    shop.kit.advance("59m")
    assert later.status().state is JobState.SCHEDULED
    shop.kit.advance("2m")
    assert later.result() == "sent to eve"
    busy = shop.kit.client.enqueue(shop.send.call("busy"))
    assert [error.message for error in busy.status().errors] == ["busy"]
    shop.kit.advance("3h")
    assert busy.result() == "sent to busy"
    assert [type(one.outcome) for one in shop.kit.ran[-2:]] == [Failed, Succeeded]


def test_arguments_and_results_go_through_the_codec() -> None:
    """What production would refuse is refused here: no object slips through because the test shares
    memory."""
    shop = Shop(inline=True)
    with pytest.raises(TypeError, match="argument 'lines'"):
        shop.order.call({"a": 1})  # type: ignore[arg-type]  # that is the point
    with pytest.raises(TypeError, match="Encoding objects of type object is unsupported"):
        shop.kit.client.enqueue("order", {"lines": object()})
    job = shop.kit.client.enqueue("order", {"lines": "no list"})
    assert (job.status().state, job.status().reason) == (JobState.DEAD, "rejected")
    assert isinstance(shop.kit.ran[-1].outcome, Rejected)
    with pytest.raises(BadRequest, match="priority"):
        shop.kit.client.enqueue(shop.order.call([]), priority=1000)
    shop.kit.client.enqueue("order", {"lines": []}, id="a")
    with pytest.raises(Conflict):
        shop.kit.client.enqueue("order", {"lines": ["x"]}, id="a")


def test_assertions_find_what_was_enqueued(shop: Shop) -> None:
    """By function, call, kind, some arguments, queue, state, and number; the failure shows what there was."""
    kit, client = shop.kit, shop.kit.client
    client.enqueue(shop.send.call("ada"))
    client.enqueue(shop.order.call(["x"], at=NOON))
    client.enqueue(shop.order.call(["y"]), queue="other", delay="1h")
    assert kit.assert_enqueued(shop.send)[0].args == {"to": "ada"}
    kit.assert_enqueued(shop.send.call("ada"), queue="mail", state="pending", count=1)
    kit.assert_enqueued("order", count=2)
    kit.assert_enqueued(args={"lines": ["x"]}, count=1)
    kit.assert_enqueued(shop.order, args={"at": NOON})
    kit.assert_enqueued(shop.order, queue="other", state=JobState.SCHEDULED)
    kit.refute_enqueued(shop.send.call("bob"))
    kit.refute_enqueued(shop.order, args={"lines": []})
    kit.refute_enqueued(shop.send, queue="other")
    kit.drain_queue("mail")
    assert len(kit.ran) == 1
    kit.assert_enqueued(shop.send, state="completed")
    for broken, words in (
        (lambda: kit.assert_enqueued(shop.send.call("bob")), "at least one job of send with exactly"),
        (lambda: kit.assert_enqueued(queue="nowhere"), "at least one job in nowhere, found 0"),
        (lambda: kit.assert_enqueued("order", count=1), "expected 1 jobs of order, found 2"),
        (lambda: kit.refute_enqueued(shop.order), "expected 0 jobs of order, found 2"),
    ):
        with pytest.raises(AssertionError, match=words) as raised:
            broken()
        assert "\n  order {'lines': ['y']} in other, scheduled" in str(raised.value)


def test_a_queue_that_fills_itself_is_told(shop: Shop) -> None:
    """Instead of running for ever."""
    shop.kit.client.enqueue(shop.for_ever.call())
    with pytest.raises(AssertionError, match=f"after {ATTEMPTS_MAX} attempts .*, of for_ever"):
        shop.kit.drain_queue()


@pytest.mark.parametrize("die", [Kit.crash, Kit.power_loss])
def test_what_was_acknowledged_survives(shop: Shop, die: Callable[[Kit], None]) -> None:
    """P1, P3: the real log on a simulated disk; the clients connect again, and go on."""
    kit = shop.kit
    jobs = [kit.client.enqueue(shop.send.call(name)) for name in ("ada", "busy")]
    later = kit.client.enqueue(shop.send.call("eve"), delay="1d")
    kit.drain_queue()
    before = kit.jobs()
    die(kit)
    assert kit.jobs() == before
    kit.settle()
    assert [job.result() for job in (*jobs, later)] == ["sent to ada", "sent to busy", "sent to eve"]


def test_a_server_that_crashes_under_a_job_runs_it_again() -> None:
    """P4: what the first run reports comes too late and changes nothing; the second one's result counts."""
    app = App()

    @app.job("work")
    def work(context: Context) -> int:
        if context.attempt == 1:
            kit.crash()
        return context.attempt

    kit = Kit(app)
    job = kit.client.enqueue(work.call())
    assert [ran.outcome for ran in kit.drain_queue()] == [Succeeded(b"1"), Succeeded(b"2")]
    assert job.result() == 2
    assert job.status().rescues == 1


def test_hooks_run_as_in_production() -> None:
    """Those of the app around attempts and for failures, those of the client for each job."""
    app, seen = App(), list[Any]()

    @app.on_failure
    def told(context: Context, failure: Failure) -> None:
        seen.append((context.attempt, failure.how))

    @app.job("work", max_attempts=2, backoff=0)
    def work(context: Context) -> None:
        seen.append(context.meta)
        raise ValueError

    def stamp(job: NewJob[Any]) -> None:
        add_meta(job, {"tenant": 7})

    kit = Kit(app, on_enqueue=[stamp])
    kit.client.enqueue(work.call())
    kit.settle()
    assert seen == [{"tenant": 7}, (1, "failed"), {"tenant": 7}, (2, "failed")]


async def on_trio(work: Callable[[], Any]) -> None:
    await work()


async def on_asyncio(work: Callable[[], Any]) -> None:
    await trio.to_thread.run_sync(lambda: asyncio.run(work()))


@pytest.mark.parametrize("on_loop", [on_trio, on_asyncio])
async def test_the_asynchronous_client_on_either_loop(on_loop: Callable[[Any], Any]) -> None:
    """Jobs, results, events and lists, with a handler that is `async def` itself."""
    shop = Shop()

    async def script() -> None:
        client, kit = shop.kit.async_client, shop.kit
        job = await client.enqueue(shop.send.call("ada"))
        kit.drain_queue()
        assert await job.result() == "sent to ada"
        async with job.watch() as watch:
            assert [event.event async for event in watch if isinstance(event, Event)] == [
                "job_enqueued",
                "job_started",
                "job_completed",
            ]
        async with client.subscribe_events(1, kind="count", events=["job_progressed"]) as events:
            await client.enqueue(shop.count.call(2))
            kit.drain_queue()
            assert [await anext(events) is not None for _ in range(2)] == [True, True]
        async with client.subscribe_status() as statuses:
            assert (await anext(statuses)).states[JobState.COMPLETED] == 2
        assert [one.kind async for one in client.list()] == ["count", "send"]
        with pytest.raises(BadRequest, match="from_lsn"):
            async with client.subscribe_events(1000):
                pass

    await on_loop(script)


async def test_one_task_may_wait_while_another_lets_the_jobs_run(
    shop: Shop, autojump_clock: trio.testing.MockClock
) -> None:
    """In a Trio test, handlers may share its event loop and its clock."""
    kit = shop.kit
    job = await kit.async_client.enqueue(shop.send.call("ada"))
    results: list[str] = []

    async def wait() -> None:
        results.append(await job.result())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        before = trio.current_time()
        (ran,) = await kit.adrain_queue()
        assert trio.current_time() - before == 5
    assert results == ["sent to ada"]
    assert ran.outcome == Succeeded(b'"sent to ada"')


def test_schedules_bring_their_jobs_as_the_clock_moves() -> None:
    """P3: each time once, as on a server; they are set, shown, paused and triggered by the client."""
    kit = Kit(App("shop"), now=NOON)
    kit.client.schedules.set("hourly", "demo.echo", {"n": 1}, cron="0 * * * *")
    kit.advance("59m")
    assert not kit.jobs("demo.echo")
    kit.advance("2h")
    names = {job.id for job in kit.jobs("demo.echo")}
    assert names == {"hourly@2027-03-01T13:00:00Z", "hourly@2027-03-01T14:00:00Z"}
    assert len(kit.drain_queue()) == 2
    shown = kit.client.schedules.get("hourly")
    assert (shown.fired, shown.skipped) == (2, 0)
    kit.client.schedules.pause("hourly")
    kit.advance("5h")
    assert len(kit.jobs("demo.echo")) == 2
    kit.client.schedules.trigger("hourly")
    assert len(kit.drain_queue()) == 1


def test_schedules_of_the_app_are_there_if_the_test_says_so() -> None:
    """By example: declared, and their jobs run inline too, also after a crash."""
    app = App("shop")
    did: list[str] = []

    @app.schedule("0 3 * * *")
    @app.job("nightly")
    def nightly() -> None:
        did.append(kit.now.isoformat())

    kit = Kit(app, now=NOON, inline=True)
    kit.advance("2d")
    assert did == []
    kit = Kit(app, now=NOON, inline=True, schedules=True)
    kit.advance("2d")
    assert did == ["2027-03-02T03:00:00+00:00", "2027-03-03T03:00:00+00:00"]
    kit.crash()
    kit.advance("1d")
    assert len(did) == 3


def test_a_kit_has_no_workers_but_itself() -> None:
    """By example: told, where a server would list them."""
    with pytest.raises(Refused, match="no workers but itself"):
        Kit(App("shop")).client.workers()
