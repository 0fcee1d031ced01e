"""Whether blocking work is so quick that it is done on the loop: a hop to a thread and back costs a tenth of
a millisecond, and several under load, because the two threads take the interpreter from each other.

What is quick is known from how long it took. After work that was slow it goes to its thread for twenty times
as long, so that a slow disk holds the loop up for a twentieth of the time at most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

SLOW_SECONDS: Final = 0.002
"""Work that takes longer is no work for the loop."""
REST: Final = 20
"""So many times as long as it took, the thread does it."""
REST_SECONDS_MAX: Final = 60.0


class Pace:
    """One for each kind of work.

    Args:
        now: a clock, seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._not_before = 0.0

    def is_quick(self) -> bool:
        """Whether to do the next piece of work on the loop."""
        return self._now() >= self._not_before

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Around a piece of work that is done on the loop, whether it fails or not."""
        began = self._now()
        try:
            yield
        finally:
            now = self._now()
            if now - began > SLOW_SECONDS:
                self._not_before = now + min(REST * (now - began), REST_SECONDS_MAX)
