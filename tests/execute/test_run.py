"""Tests of `run_attempt` on the event loop: every way in which an `async def` can end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, NoReturn

import pytest
import trio
import trio.testing
from hypothesis import given, strategies as st

from beaver_actors.core.job import JobError
from beaver_actors.core.outcome import Failed, Rejected, Released, Snoozed, Stopped, Succeeded, TimedOut
from beaver_actors.execute.context import Cancelled, Context, Snooze
from beaver_actors.execute.control import Control
from beaver_actors.execute.outcomes import LIMITS, Limits
from beaver_actors.execute.run import Shared
from tests.execute.hostile import HOSTILE
from tests.execute.support import attempt, run
from tests.execute.test_arguments import JSON


async def add(x: int, y: int = 1) -> int:
    return x + y


async def forever() -> None:
    await trio.sleep_forever()


async def test_a_handler_is_called_with_its_arguments_and_its_value_is_the_result() -> None:
    """The plain case."""
    assert await run(add, attempt(x=1)) == Succeeded(b"2")
    assert await run(add, attempt(x=1, y=5)) == Succeeded(b"6")


async def test_arguments_that_do_not_fit_reject_the_job() -> None:
    """They never will fit, so no attempt is wasted on them; the handler is not called."""
    outcome = await run(add, attempt(x="1"))
    assert outcome == Rejected(JobError("BadArguments", "argument 'x': expected int, got str"))


@given(values=st.dictionaries(st.text(max_size=5), JSON, max_size=4))
def test_a_value_goes_through_a_job_unchanged(values: dict[str, Any]) -> None:
    """From JSON through the handler and back to JSON; by random values."""

    async def echo(**values: Any) -> Any:
        return values

    outcome = trio.run(run, echo, attempt(**values))
    assert isinstance(outcome, Succeeded)
    assert outcome.result is not None
    assert json.loads(outcome.result) == values


async def test_the_context_tells_about_the_attempt() -> None:
    """Everything a handler may want to know."""

    async def tell(context: Context, x: int) -> list[object]:
        return [
            context.job_id,
            context.kind,
            context.queue,
            context.attempt,
            context.max_attempts,
            context.fence,
            context.args,
            context.cancelled,
            context.seconds_left,
        ]

    outcome = await run(tell, attempt("job", 3, x=1))
    assert outcome == Succeeded(b'["j1","job","default",3,25,1003,{"x":1},false,null]')


@pytest.mark.parametrize("fail", HOSTILE, ids=lambda fail: fail.__name__)
async def test_no_exception_of_a_handler_gets_out(fail: Callable[[], object]) -> None:
    """Each one fails its attempt, and the next attempt in the same task runs as ever."""

    async def handler() -> None:
        await trio.lowlevel.checkpoint()
        fail()

    with trio.CancelScope() as outside:
        assert isinstance(await run(handler), Failed)
        assert await run(add, attempt(x=1)) == Succeeded(b"2")
        await trio.lowlevel.checkpoint()
    assert not outside.cancelled_caught


async def test_code_for_another_event_loop_fails_like_any_other() -> None:
    """asyncio's futures are nothing Trio can wait for."""

    async def handler() -> None:
        class Never:
            def __await__(self) -> Any:
                yield self

        await Never()

    async def asyncio_handler() -> None:
        await asyncio.sleep(1)

    for function in (handler, asyncio_handler):
        assert isinstance(await run(function), Failed)
        assert await run(add, attempt(x=1)) == Succeeded(b"2")


async def test_a_cancelled_kept_from_elsewhere_and_raised_is_a_failure() -> None:
    """Trio's Cancelled without anyone having cancelled: it must not end the worker."""

    async def handler() -> None:
        kept: list[BaseException] = []
        with trio.CancelScope() as scope:
            scope.cancel()
            try:
                await trio.lowlevel.checkpoint()
            except trio.Cancelled as cancelled:
                kept.append(cancelled)
        raise kept[0]

    outcome = await run(handler)
    assert isinstance(outcome, Failed)
    assert outcome.error.type == "Cancelled"


async def test_a_scope_left_open_does_not_harm_the_next_job() -> None:
    """Trio's own bookkeeping is broken by the handler, and mended."""

    async def handler() -> None:
        trio.CancelScope().__enter__()

    assert isinstance(await run(handler), Failed)
    assert await run(add, attempt(x=1)) == Succeeded(b"2")


async def test_a_verdict_from_inside_a_nursery_counts() -> None:
    """Nurseries wrap what their tasks raise."""

    async def snooze() -> NoReturn:
        raise Snooze(in_="2s")

    async def handler() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(snooze)

    assert await run(handler) == Snoozed(2000)


async def test_an_attempt_that_overruns_is_stopped(autojump_clock: trio.testing.MockClock) -> None:
    """At its timeout, not before; the error tells how long and where."""
    outcome = await run(forever, attempt("job", 1, 5000))
    assert trio.current_time() == 5
    assert isinstance(outcome, TimedOut)
    assert (outcome.error.type, outcome.error.message) == (
        "Timeout",
        "the attempt ran longer than its timeout of 5 s",
    )
    assert "await trio.sleep_forever()" in outcome.error.traceback


async def test_an_attempt_without_a_timeout_may_take_its_time(autojump_clock: trio.testing.MockClock) -> None:
    """A year."""

    async def handler() -> str:
        await trio.sleep(366 * 86_400)
        return "done"

    assert await run(handler) == Succeeded(b'"done"')


async def test_whatever_a_handler_raises_on_being_stopped_counts_as_stopped(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """An error in the clean-up does not turn an overrun into something else."""

    async def handler() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("while cleaning up")

    outcome = await run(handler, attempt("job", 1, 1000))
    assert isinstance(outcome, TimedOut)
    assert "ValueError: while cleaning up" in outcome.error.traceback


async def test_a_value_returned_in_spite_of_being_stopped_is_the_result(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The work is done; throwing it away would do it twice. After a timeout and after a cancel."""

    async def handler() -> str:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            return "in time after all"

    assert await run(handler, attempt("job", 1, 1000)) == Succeeded(b'"in time after all"')
    async with trio.open_nursery() as nursery:
        control = Control()
        nursery.start_soon(_later, control.cancel)
        assert await run(handler, control=control) == Succeeded(b'"in time after all"')


async def test_a_shielded_handler_is_stopped_when_its_shield_ends(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A shield delays the stop; it does not undo it."""

    async def handler() -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(10)
        await trio.sleep(1)

    assert isinstance(await run(handler, attempt("job", 1, 1000)), TimedOut)
    assert trio.current_time() == 10


async def _later(act: Callable[[], None]) -> None:
    await trio.sleep(1)
    act()


@pytest.mark.parametrize(
    ("acts", "expected"),
    [
        (["cancel"], Stopped()),
        (["release"], Released()),
        (["release", "cancel"], Stopped()),
        (["cancel", "release"], Stopped()),
    ],
)
async def test_an_attempt_can_be_cancelled_and_taken_back(
    acts: list[str], expected: object, autojump_clock: trio.testing.MockClock
) -> None:
    """While it runs and before it has begun; a cancel outweighs a release."""
    control = Control()

    def act() -> None:
        for name in acts:
            getattr(control, name)()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(_later, act)
        assert await run(forever, control=control) == expected

    early = Control()
    for name in acts:
        getattr(early, name)()
    assert await run(add, attempt(x="does not even fit"), control=early) == expected


async def test_those_who_run_an_attempt_can_be_cancelled_themselves(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Then there is no outcome, not even where the handler answers with an exception of its own."""

    async def stubborn() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("never")

    for handler in (forever, stubborn):
        with trio.move_on_after(1) as outside:
            await run(handler, attempt("job", 1, 60_000))
            raise AssertionError("an outcome although cancelled")
        assert outside.cancelled_caught


async def test_a_handler_can_see_that_it_is_no_longer_wanted(autojump_clock: trio.testing.MockClock) -> None:
    """By property and by exception, after a timeout and after a cancel."""
    seen: list[object] = []

    async def handler(context: Context) -> None:
        seen.append((context.cancelled, context.seconds_left))
        with trio.CancelScope(shield=True):
            await trio.sleep(3)
        seen.append((context.cancelled, context.seconds_left))
        context.check_cancelled()

    assert isinstance(await run(handler, attempt("job", 1, 2000)), TimedOut)
    assert seen == [(False, 2.0), (True, -1.0)]

    control = Control()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_later, control.cancel)
        assert await run(handler, control=control) == Stopped()
    assert seen[2:] == [(False, None), (True, None)]


async def test_cancelled_without_a_reason_is_a_failure() -> None:
    """A handler that raises it although nobody asked for anything has failed."""

    async def handler() -> None:
        raise Cancelled

    outcome = await run(handler)
    assert isinstance(outcome, Failed)
    assert outcome.error.type == "Cancelled"
    assert "nobody had asked" in outcome.error.message


async def test_the_limits_hold() -> None:
    """Result, message and traceback, each with its own."""
    shared = Shared(Limits(result_bytes=10, error_message_chars=100, traceback_chars=300))

    async def long_result() -> str:
        return "x" * 10

    async def long_error() -> None:
        raise ValueError("x" * 1000)

    rejected = await run(long_result, shared=shared)
    assert isinstance(rejected, Rejected)
    assert "it has 12 bytes as JSON; 10 are allowed" in rejected.error.message
    failed = await run(long_error, shared=shared)
    assert isinstance(failed, Failed)
    assert (len(failed.error.message), len(failed.error.traceback)) == (100, 300)
    assert LIMITS.error_message_chars == 10_000


async def test_without_a_pool_a_handler_for_a_process_fails_clearly() -> None:
    """A server without worker processes says so, and the job is tried again later."""
    from beaver_actors.execute.app import App

    job = App().job("job", isolation="process")(lambda: None)
    outcome = await run(job)
    assert outcome == Failed(JobError("WorkerUnavailable", "this server runs no worker processes"))
