"""Runs Trio a little at a time, from a program that is not async: between two calls nothing moves.

Whoever holds a `Stepwise` is the host loop of a Trio run in guest mode. It starts something in there and lets
the run go on for as long as it likes, down to a single task's step; then everything stands still, and no time
passes, until the next call. As in `determinism`, a seed decides all of Trio's chance, and the clock jumps.

A thread or a real socket would move on its own: there must be none.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from random import Random
from typing import Any, TypeVar

import outcome
import trio
from trio.testing import MockClock

from beaver_actors.testing.determinism import log_told_to, without_chance

R = TypeVar("R")

TURNS_MAX = 200_000
"""Turns of the loop in one call. Something that needs more waits for what never comes."""


class Stuck(AssertionError):
    """What was waited for does not come."""


class Order(Random):
    """The order in which tasks that are ready get their turn: drawn from a seed, or that of their making.

    Args:
        seed: 0 for the order in which the tasks were made.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._drawn = seed != 0

    def shuffle(self, x: Any) -> None:
        """Called by Trio with the tasks of one turn, oldest first; it takes them from the end."""
        if self._drawn:
            super().shuffle(x)
        else:
            x.reverse()


class Stepwise:
    """A Trio run that moves when it is told to. Close it.

    Args:
        order: all of Trio's chance.
        complain: told of each error that the program logs.
        instruments: as for `trio.run`.
    """

    def __init__(
        self,
        order: Random,
        complain: Callable[[logging.LogRecord], None] = lambda record: None,
        instruments: Sequence[trio.abc.Instrument] = (),
    ) -> None:
        self.steps = 0
        """Of all tasks so far."""
        self._due: deque[Callable[[], object]] = deque()
        self._ended: outcome.Outcome[None] | None = None
        self._open = ExitStack()
        self._open.enter_context(without_chance(order))
        self._open.enter_context(log_told_to(complain))
        self._nursery: trio.Nursery | None = None
        trio.lowlevel.start_guest_run(
            self._main,
            run_sync_soon_threadsafe=self._due.append,
            done_callback=self._end,
            host_uses_signal_set_wakeup_fd=True,
            clock=MockClock(autojump_threshold=0),
            instruments=[_Count(self), *instruments],
        )
        self._turn_until(lambda: self._nursery is not None)

    def start(self, work: Callable[[], Awaitable[object]]) -> None:
        """Have something done on the side; it gets its turn when the run goes on. An exception of it ends the
        run, and is raised by the call that lets it happen."""
        assert self._nursery is not None
        self._nursery.start_soon(work)

    def run(self, work: Callable[[], Awaitable[R]]) -> R:
        """Do something, and let the run go on until it is done; returns what it returns.

        Raises:
            Stuck: it waits for ever.
        """
        done: list[R] = []

        async def do() -> None:
            done.append(await work())

        self.start(do)
        self._turn_until(lambda: bool(done))
        return done[0]

    def run_steps(self, count: int) -> None:
        """Let the run go on for so many steps of tasks, or the few more that its last turn takes."""
        last = self.steps + count
        self._turn_until(lambda: self.steps >= last)

    def close(self) -> None:
        """Cancel everything, and end the run. Harmless if it has ended.

        Raises:
            BaseException: whatever still went wrong in the run.
        """
        if self._ended is None:
            assert self._nursery is not None
            self._nursery.cancel_scope.cancel()
        with self._open:
            self._turn_until(lambda: self._ended is not None)
        assert self._ended is not None
        self._ended.unwrap()

    async def _main(self) -> None:
        async with trio.open_nursery() as self._nursery:
            await trio.sleep_forever()

    def _end(self, ended: outcome.Outcome[None]) -> None:
        self._ended = ended

    def _turn_until(self, enough: Callable[[], bool]) -> None:
        for _ in range(TURNS_MAX):
            if enough():
                return
            if self._ended is not None:
                self._ended.unwrap()
                raise Stuck("the run has ended")
            if not self._due:
                raise Stuck("something in the simulation waits for a thread, or for the world outside")
            self._due.popleft()()
        raise Stuck(f"the loop has turned {TURNS_MAX} times, and what is waited for has not come")


class _Count(trio.abc.Instrument):
    def __init__(self, run: Stepwise) -> None:
        self._run = run

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._run.steps += 1
