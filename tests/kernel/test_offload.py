"""Blocking work off the loop, and inline for reproducible runs."""

from __future__ import annotations

import threading

import pytest
import trio

from beaver_actors.kernel.offload import inline, threads


async def test_blocking_work_runs_in_another_thread_and_its_result_comes_back() -> None:
    offload = threads(2)
    assert await offload(threading.get_ident) != threading.get_ident()


async def test_inline_work_runs_in_this_thread() -> None:
    assert await inline(threading.get_ident) == threading.get_ident()


async def test_an_error_of_the_work_reaches_the_caller() -> None:
    def fail() -> None:
        raise OSError(5, "disk on fire")

    for offload in (threads(1), inline):
        with pytest.raises(OSError, match="disk on fire"):
            await offload(fail)


async def test_work_once_begun_is_finished_even_if_the_caller_is_cancelled() -> None:
    """P1: a write must not be left half-way by a cancel scope."""
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait(10)
        done.set()

    offload = threads(1)
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(offload, work)
            await trio.to_thread.run_sync(begun.wait)
            scope.cancel()
            go_on.set()
    assert done.is_set()
