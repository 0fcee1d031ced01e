"""Blocking work, off the loop: one injectable function, because threads make a run irreproducible."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

import trio

R = TypeVar("R")


class Offload(Protocol):
    """Runs a blocking function and waits for it. Never cancelled half-way: what was begun is finished."""

    def __call__(self, work: Callable[[], R], /) -> Awaitable[R]: ...


def threads(limit: int) -> Offload:
    """Work runs in at most `limit` threads at a time; the loop goes on meanwhile."""
    limiter = trio.CapacityLimiter(limit)

    async def offload(work: Callable[[], R]) -> R:
        return await trio.to_thread.run_sync(work, limiter=limiter, abandon_on_cancel=False)

    return offload


@contextmanager
def own_thread(name: str) -> Iterator[Offload]:
    """Work runs in one thread, in the order in which it is asked for, while the body runs.

    For what is done all the time, such as writing the log: a hop costs half of one to `threads`, which look
    for an idle thread and give it a name each time.

    Args:
        name: of the thread.
    """
    wanted: SimpleQueue[_Work[Any] | None] = SimpleQueue()

    def run() -> None:
        while (work := wanted.get()) is not None:
            work.run()

    async def offload(work: Callable[[], R]) -> R:
        await trio.lowlevel.checkpoint_if_cancelled()
        begun = _Work(work)
        wanted.put(begun)
        return await begun.wait()

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield offload
    finally:
        wanted.put(None)
        thread.join()


class _Work(Generic[R]):
    """A function on its way through the thread, and the task that waits for it."""

    def __init__(self, call: Callable[[], R]) -> None:
        self._call = call
        self._task = trio.lowlevel.current_task()
        self._token = trio.lowlevel.current_trio_token()
        self._result: R | None = None
        self._error: BaseException | None = None

    def run(self) -> None:
        """In the thread."""
        try:
            self._result = self._call()
        except BaseException as error:  # noqa: BLE001  # it is raised where it is waited for
            self._error = error
        self._token.run_sync_soon(trio.lowlevel.reschedule, self._task)

    async def wait(self) -> R:
        """On the loop."""
        await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)
        try:
            if self._error is not None:
                raise self._error
            return self._result  # type: ignore[return-value]  # no error, so it is an R
        finally:
            del self._error  # an error that holds its own frame would keep everything in it


async def inline(work: Callable[[], R]) -> R:
    """Work runs here and now, between two checkpoints: for simulations, which must be reproducible."""
    await trio.lowlevel.checkpoint()
    result = work()
    await trio.lowlevel.cancel_shielded_checkpoint()
    return result
