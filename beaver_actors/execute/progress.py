"""Progress on its way out: at most five words a second for each attempt, the last one always.

Every progress becomes a fact in the log, so a handler that reports in a tight loop must not fill the disk.
This file only thins out; what is reported, and where it goes, is not its affair.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import trio

INTERVAL_SECONDS = 0.2
"""Faster than this an eye does not follow a progress bar."""


class Thinner:
    """Lets held-back progress go when its time has come. One for all attempts, with one task."""

    def __init__(self) -> None:
        self._holding: dict[Valve, None] = {}  # walked in the order of arrival
        self._wanted = trio.Event()

    async def run(self) -> None:
        """Work until cancelled. Without it held-back progress goes out at the end of its attempt."""
        while True:
            await self._wanted.wait()
            self._wanted = trio.Event()
            while self._holding:
                await trio.sleep(INTERVAL_SECONDS)
                now = trio.current_time()
                for valve in [valve for valve in self._holding if valve.due <= now]:
                    valve.flush()

    def hold(self, valve: Valve) -> None:
        """A valve holds something back."""
        self._holding[valve] = None
        self._wanted.set()

    def forget(self, valve: Valve) -> None:
        """A valve holds nothing any more."""
        self._holding.pop(valve, None)


class Valve:
    """The progress of one attempt. To be used in the Trio thread.

    Args:
        sink: where the JSON text goes.
        thinner: lets go later what came too early.
    """

    __slots__ = ("_held", "_sink", "_thinner", "closed", "due")

    def __init__(self, sink: Callable[[bytes], None], thinner: Thinner) -> None:
        self._sink = sink
        self._thinner = thinner
        self._held: bytes | None = None
        self.due = -inf
        """Trio's time from which on the next word may go out."""
        self.closed = False

    def put(self, progress: bytes) -> None:
        """Pass a word on, now or a little later; once closed, never."""
        if self.closed:
            return
        if self._held is None and trio.current_time() >= self.due:
            self._pass_on(progress)
        else:
            self._held = progress
            self._thinner.hold(self)

    def flush(self) -> None:
        """Pass on what is held back, if anything."""
        if self._held is not None:
            self._thinner.forget(self)
            progress, self._held = self._held, None
            self._pass_on(progress)

    def close(self) -> None:
        """The attempt is over: its last word goes out, and nothing after it."""
        self.flush()
        self.closed = True

    def _pass_on(self, progress: bytes) -> None:
        self.due = trio.current_time() + INTERVAL_SECONDS
        self._sink(progress)
