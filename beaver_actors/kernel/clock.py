"""Time and chance: the one place that looks at either.

Inside the program time is integer milliseconds UTC that never run backwards: the wall clock is read once,
when the clock is made, and from then on Trio's clock is followed, so a mock clock moves everything.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import trio


def wall_ms() -> int:
    """The wall clock, milliseconds UTC. It may jump, also backwards."""
    return round(time.time() * 1000)


class Clock:
    """Milliseconds UTC that follow Trio's clock.

    Args:
        start_ms: what time it is now, milliseconds UTC.
        not_before_ms: a time that has been recorded already. If the wall clock is behind it, the clock starts
            from there: time on record never runs backwards.
    """

    def __init__(self, start_ms: int, *, not_before_ms: int = 0) -> None:
        self.behind_ms = max(0, not_before_ms - start_ms)
        """How far the wall clock was behind the last recorded time; 0 in a sane world."""
        self._base_ms = start_ms + self.behind_ms
        self._base = trio.current_time()

    def now_ms(self) -> int:
        """The time, milliseconds UTC. Rounded: cutting off would mostly read a millisecond early."""
        return self._base_ms + round((trio.current_time() - self._base) * 1000)

    def deadline(self, at_ms: int) -> float:
        """Trio's time at which `now_ms` will read `at_ms`."""
        return self._base + (at_ms - self._base_ms) / 1000


class Chance:
    """Where chance comes from; seeded in simulations.

    Args:
        seed: makes every draw repeatable; None draws from the operating system's entropy.
    """

    def __init__(self, seed: int | None = None) -> None:
        # Neither ids nor the spread of back-offs need secrecy, and SystemRandom costs a system call a draw.
        source = random.Random(random.SystemRandom().getrandbits(256) if seed is None else seed)
        self.bits: Callable[[int], int] = source.getrandbits
        self.dice: Callable[[], float] = random.Random(source.getrandbits(64)).random
