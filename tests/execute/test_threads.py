"""Tests of `run_attempt` in threads: real ones, held and let go by events."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest
import trio
import trio.testing

from beaver_actors.core.outcome import Failed, Rejected, Released, Snoozed, Stopped, Succeeded, TimedOut
from beaver_actors.execute.context import Context, Snooze
from beaver_actors.execute.control import Control
from beaver_actors.execute.run import Shared
from tests.execute.hostile import HOSTILE
from tests.execute.support import attempt, run


@pytest.fixture
def let_go() -> Iterator[threading.Event]:
    """What stuck handlers wait for; set at the end at the latest, so that no thread stays."""
    event = threading.Event()
    yield event
    event.set()


async def until_none_is_abandoned(shared: Shared) -> None:
    give_up = time.monotonic() + 20  # real time: some tests have a clock that jumps
    while shared.threads_abandoned or shared.threads.borrowed_tokens:
        assert time.monotonic() < give_up, "a thread is counted as abandoned although it has ended"
        await trio.lowlevel.checkpoint()


async def test_a_plain_function_runs_in_a_thread_of_its_own() -> None:
    """The loop's thread is another one; the value is the result."""

    def handler(x: int) -> list[object]:
        return [x, threading.current_thread() is threading.main_thread()]

    assert await run(handler, attempt(x=1)) == Succeeded(b"[1,false]")


@pytest.mark.parametrize("fail", HOSTILE, ids=lambda fail: fail.__name__)
async def test_no_exception_of_a_function_gets_out(fail: Callable[[], object]) -> None:
    """Each one fails its attempt, and only that."""
    assert isinstance(await run(fail), Failed)


async def test_bad_arguments_and_verdicts_mean_the_same_in_a_thread() -> None:
    """The function's outcome does not depend on where it runs."""

    def handler(x: int) -> NoReturn:
        raise Snooze(in_=x)

    assert await run(handler, attempt(x=3)) == Snoozed(3000)
    assert isinstance(await run(handler, attempt(x="3")), Rejected)


async def test_a_wrapped_coroutine_function_is_told_from_a_result() -> None:
    """A decorator that hides an `async def` is a common slip."""

    async def inner() -> None: ...

    def handler() -> object:
        return inner()

    outcome = await run(handler)
    assert isinstance(outcome, Rejected)
    assert "it is a coroutine" in outcome.error.message


async def test_a_thread_that_overruns_is_abandoned_and_counted(
    let_go: threading.Event, mock_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    """The outcome comes at once and tells where the thread is; the count falls when it really ends."""
    shared, begun = Shared(), trio.Event()

    def stuck() -> None:
        trio.from_thread.run_sync(begun.set)
        let_go.wait()

    async def jump_when_begun() -> None:
        await begun.wait()
        mock_clock.jump(5)

    nursery.start_soon(jump_when_begun)
    outcome = await run(stuck, attempt("job", 1, 5000), shared=shared)
    assert isinstance(outcome, TimedOut)
    assert "in stuck" in outcome.error.traceback
    assert "calling.py" not in outcome.error.traceback
    assert shared.threads_abandoned == 1
    assert shared.threads.borrowed_tokens == 1
    let_go.set()
    await until_none_is_abandoned(shared)


@pytest.mark.parametrize(("end", "expected"), [(Control.cancel, Stopped()), (Control.release, Released())])
async def test_a_thread_can_be_cancelled_and_taken_back(
    end: Callable[[Control], None], expected: object, let_go: threading.Event, nursery: trio.Nursery
) -> None:
    """The attempt ends, whatever the thread does."""
    control, begun, shared = Control(), trio.Event(), Shared()

    def stuck() -> None:
        trio.from_thread.run_sync(begun.set)
        let_go.wait()

    async def end_when_begun() -> None:
        await begun.wait()
        end(control)

    nursery.start_soon(end_when_begun)
    assert await run(stuck, control=control, shared=shared) == expected
    assert shared.threads_abandoned == 1
    let_go.set()
    await until_none_is_abandoned(shared)


@pytest.mark.parametrize("repetition", range(50))
async def test_a_thread_that_looks_ends_by_itself(repetition: int) -> None:
    """`check_cancelled` ends the handler when its attempt ends, so nothing stays abandoned; many times over,
    because it is a race which of both ends first."""
    control, shared, saw = Control(), Shared(), threading.Event()

    def handler(context: Context) -> None:
        trio.from_thread.run_sync(control.cancel)
        try:
            while True:
                context.check_cancelled()
        finally:
            assert context.cancelled
            saw.set()

    assert await run(handler, control=control, shared=shared) == Stopped()
    await until_none_is_abandoned(shared)
    assert saw.is_set()


async def test_a_thread_sees_that_its_caller_has_been_cancelled() -> None:
    """As when the server ends in a hurry: there is no outcome, and the handler can notice."""
    shared, saw = Shared(), threading.Event()

    with trio.CancelScope() as outside:

        def handler(context: Context) -> None:
            trio.from_thread.run_sync(outside.cancel)
            while not context.cancelled:
                pass
            saw.set()

        await run(handler, shared=shared)
        raise AssertionError("an outcome although cancelled")
    await until_none_is_abandoned(shared)
    assert saw.is_set()


async def test_an_attempt_that_gets_no_thread_goes_back_unstarted(
    let_go: threading.Event, autojump_clock: trio.testing.MockClock
) -> None:
    """All threads are taken by stuck handlers: after the time it might have taken it is released."""
    shared = Shared(threads=1)
    called = threading.Event()

    def stuck() -> None:
        let_go.wait()

    def handler() -> None:
        called.set()

    assert isinstance(await run(stuck, attempt("job", 1, 1000), shared=shared), TimedOut)
    assert await run(handler, attempt("job", 1, 7000), shared=shared) == Released()
    assert trio.current_time() == 8
    assert not called.is_set()
    let_go.set()
    await until_none_is_abandoned(shared)
    assert await run(handler, shared=shared) == Succeeded(None)


async def test_progress_from_a_thread_arrives_before_the_outcome() -> None:
    """The last word always does, however many there were."""
    words: list[bytes] = []

    def handler(context: Context) -> None:
        for percent in range(101):
            context.progress(percent)

    assert await run(handler, report=words.append) == Succeeded(None)
    assert words[-1] == b'{"percent":100}'


async def test_progress_of_an_abandoned_thread_goes_nowhere(let_go: threading.Event) -> None:
    """Its attempt is over; a word now would be about another one."""
    words: list[bytes] = []
    control, shared = Control(), Shared()

    def handler(context: Context) -> None:
        context.progress(1)
        trio.from_thread.run_sync(control.cancel)
        let_go.wait()
        context.progress(99)

    assert await run(handler, control=control, shared=shared, report=words.append) == Stopped()
    let_go.set()
    await until_none_is_abandoned(shared)
    assert words == [b'{"percent":1}']


async def test_a_function_may_run_an_event_loop_of_its_own() -> None:
    """The way for code written for asyncio."""

    async def fetch() -> int:
        await asyncio.sleep(0)
        return 7

    def handler() -> int:
        return asyncio.run(fetch())

    assert await run(handler) == Succeeded(b"7")
