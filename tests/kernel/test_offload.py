"""Blocking work off the loop, and inline for reproducible runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial

import pytest
import trio

from beaver_actors.kernel.offload import Offload, inline, own_thread, threads


@pytest.fixture(params=["threads", "own_thread"])
def offload(request: pytest.FixtureRequest) -> Iterator[Offload]:
    """Each of those that leave the loop."""
    if request.param == "threads":
        yield threads(1)
    else:
        with own_thread("test") as offload:
            yield offload


async def test_blocking_work_runs_in_another_thread_and_its_result_comes_back(offload: Offload) -> None:
    assert await offload(threading.get_ident) != threading.get_ident()


async def test_a_thread_of_its_own_is_always_the_same_one_and_ends() -> None:
    """In the order of asking, also when many ask at once."""
    done: list[int] = []
    with own_thread("the log") as offload:
        thread = await offload(threading.current_thread)
        assert thread.name == "the log"
        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(offload, partial(done.append, number))
        assert await offload(threading.current_thread) is thread
    assert sorted(done) == list(range(10))
    assert not thread.is_alive()


async def test_inline_work_runs_in_this_thread() -> None:
    assert await inline(threading.get_ident) == threading.get_ident()


async def test_an_error_of_the_work_reaches_the_caller(offload: Offload) -> None:
    def fail() -> None:
        raise OSError(5, "disk on fire")

    for either in (offload, inline):
        with pytest.raises(OSError, match="disk on fire"):
            await either(fail)


async def test_work_is_not_begun_for_a_caller_who_is_cancelled(offload: Offload) -> None:
    done = threading.Event()
    with trio.CancelScope() as scope:
        scope.cancel()
        await offload(done.set)
    assert scope.cancelled_caught
    assert not done.is_set()


async def test_work_once_begun_is_finished_even_if_the_caller_is_cancelled(offload: Offload) -> None:
    """P1: a write must not be left half-way by a cancel scope."""
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait(10)
        done.set()

    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(offload, work)
            await trio.to_thread.run_sync(begun.wait)
            scope.cancel()
            go_on.set()
    assert done.is_set()
