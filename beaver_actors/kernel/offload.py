"""Blocking work, off the loop: one injectable function, because threads make a run irreproducible."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

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


async def inline(work: Callable[[], R]) -> R:
    """Work runs here and now, between two checkpoints: for simulations, which must be reproducible."""
    await trio.lowlevel.checkpoint()
    result = work()
    await trio.lowlevel.cancel_shielded_checkpoint()
    return result
