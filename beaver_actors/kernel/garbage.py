"""Keeps the garbage collector away from a backlog that grows.

A full collection looks at every object that lives long: with a million jobs that takes 0.2 s, in which nobody
is answered, and it finds nothing, because jobs form no cycles. So while the backlog grows, what has survived
is frozen from time to time, and later collections pass it by. A cycle that was alive then and dies
later stays until the frozen is let go: when the backlog is small, and after many freezes anyway.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

GROWTH = 10_000
"""By so much the backlog grows before it is frozen again. A full collection in between takes milliseconds."""
FREEZES_MAX = 1000
"""After so many, one full collection looks at all of it: once for ten million jobs at least."""
YOUNG = 2000
"""Objects made and not yet gone before the youngest are looked at. Python's own 700 are less than a batch."""


class Gardener:
    """Told by the collector of its work; freezes what has survived when there is more of it.

    Args:
        backlog: how many long-lived things there are now; called within collections, so it must be quick.
    """

    def __init__(self, backlog: Callable[[], int]) -> None:
        self._backlog = backlog
        self._frozen = backlog()
        self._freezes = 0
        self._looking = False
        """All is let go, and the next full collection looks at it."""

    def __call__(self, phase: str, info: dict[str, Any]) -> None:
        """A collection begins or ends; what is younger than one of generation 1 is not known to last."""
        generation = info["generation"]
        if phase != "stop" or generation == 0:
            return
        backlog = self._backlog()
        self._frozen = min(self._frozen, backlog)
        if self._looking and generation < 2:
            return
        if self._freezes >= FREEZES_MAX or (self._freezes and backlog < GROWTH):
            gc.unfreeze()
            self._freezes, self._looking = 0, True
        elif self._looking or backlog - self._frozen >= GROWTH:
            self._looking = False
            gc.freeze()
            self._frozen = backlog
            self._freezes += 1


@contextmanager
def tended(backlog: Callable[[], int]) -> Iterator[None]:
    """Tend the collector while the block runs. What is frozen afterwards stays so until it is let go."""
    before = gc.get_threshold()
    gardener = Gardener(backlog)
    gc.set_threshold(YOUNG, *before[1:])
    gc.callbacks.append(gardener)
    try:
        yield
    finally:
        gc.callbacks.remove(gardener)
        gc.set_threshold(*before)
