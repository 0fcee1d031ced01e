"""One integer decides everything: runs Trio so that a seed repeats a run step for step.

Trio breaks ties between tasks by chance, and walks sets of them, on purpose. Two of its private names switch
that off; a test pins a known seed to a known trace, so that a release of Trio that changes them is noticed.
Everything else is up to the program: no threads, no real files or sockets, no set of objects walked, no clock
but Trio's.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from random import Random
from typing import TypeVar

import trio
from trio._core import _run as scheduler
from trio.testing import MockClock

R = TypeVar("R")

FLAG = "_ALLOW_DETERMINISTIC_SCHEDULING"
"""Trio looks at this name of its scheduler on every turn; to a type checker it is a constant."""


class Trace:
    """A running hash of everything that happens: two runs are the same if theirs are."""

    def __init__(self, keep: bool = False) -> None:
        self.kept: list[str] | None = [] if keep else None
        """Every note as text, for those who look for the first difference."""
        self.notes = 0
        self._hash = blake2b(digest_size=16)

    def note(self, *what: object) -> None:
        """Something happens. What it is must have a repr without addresses."""
        text = repr(what)
        self.notes += 1
        self._hash.update(text.encode())
        if self.kept is not None:
            self.kept.append(text)

    def digest(self) -> str:
        """The hash so far."""
        return self._hash.hexdigest()


def run_repeatably(
    seed: int,
    main: Callable[[], Awaitable[R]],
    instruments: Sequence[trio.abc.Instrument] = (),
    complain: Callable[[logging.LogRecord], None] = lambda record: None,
) -> R:
    """Run an async function to its end, on a clock that jumps, with all of Trio's chance drawn from a seed.

    Args:
        seed: any integer.
        main: what to run.
        instruments: as for `trio.run`.
        complain: told of each error that the program logs.
    """
    clock = MockClock(autojump_threshold=0)
    with without_chance(Random(seed)), log_told_to(complain):
        return trio.run(main, clock=clock, instruments=instruments)


@contextmanager
def without_chance(drawn_from: Random) -> Iterator[None]:
    """Within, Trio draws all of its chance from there, and no order is that of a set. Nor does it spend its
    time on describing each cancellation by the one that caused it, and that by its own cause, and so on."""
    chance, fixed = scheduler._r, getattr(scheduler, FLAG)
    described = trio.Cancelled.__repr__
    scheduler._r = drawn_from
    setattr(scheduler, FLAG, True)
    trio.Cancelled.__repr__ = _cancelled  # type: ignore[method-assign]  # put back below
    try:
        yield
    finally:
        scheduler._r = chance
        setattr(scheduler, FLAG, fixed)
        trio.Cancelled.__repr__ = described  # type: ignore[method-assign]  # as it was


def _cancelled(error: BaseException) -> str:
    return "Cancelled"


@contextmanager
def log_told_to(complain: Callable[[logging.LogRecord], None]) -> Iterator[None]:
    """Within, errors in the program's log go there, and its other lines are not even made. A simulated server
    dies a hundred times a second, and need not say so; but an error is a finding."""
    logger, ears = logging.getLogger("beaver_actors"), _Ears(complain)
    level, propagate = logger.level, logger.propagate
    logger.addHandler(ears)
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(ears)
        logger.setLevel(level)
        logger.propagate = propagate


class _Ears(logging.Handler):
    def __init__(self, complain: Callable[[logging.LogRecord], None]) -> None:
        super().__init__()
        self._complain = complain

    def emit(self, record: logging.LogRecord) -> None:
        self._complain(record)
