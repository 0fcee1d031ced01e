"""Rates: what the last few statuses say about how fast things happen. Pure; it draws nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

WINDOW_MS = 10_000
"""A rate is taken over so long: short enough to follow, long enough not to flicker."""
BARS = "▁▂▃▄▅▆▇█"
BARS_KEPT = 30


class Pulse:
    """Follows the totals of one server, which only grow."""

    def __init__(self) -> None:
        self._samples: deque[tuple[int, dict[str, int]]] = deque()
        self._steps: dict[str, deque[float]] = {}

    def feel(self, at_ms: int, totals: Mapping[str, int]) -> None:
        """Take the totals of one moment (milliseconds UTC, by the server's clock)."""
        if self._samples:
            last_ms, last = self._samples[-1]
            if at_ms <= last_ms:
                return
            if any(totals.get(name, 0) < number for name, number in last.items()):
                # Another data directory is behind the same address now: its past is not ours.
                self._samples.clear()
                self._steps.clear()
            else:
                for name, number in totals.items():
                    step = (number - last.get(name, 0)) * 1000 / (at_ms - last_ms)
                    self._steps.setdefault(name, deque(maxlen=BARS_KEPT)).append(step)
        self._samples.append((at_ms, dict(totals)))
        while len(self._samples) > 2 and self._samples[1][0] <= at_ms - WINDOW_MS:
            self._samples.popleft()

    def per_second(self, name: str) -> float:
        """How often it happens now, per second; 0 while only one moment is known."""
        if len(self._samples) < 2:
            return 0.0
        (first_ms, first), (last_ms, last) = self._samples[0], self._samples[-1]
        return (last.get(name, 0) - first.get(name, 0)) * 1000 / (last_ms - first_ms)

    def bars(self, name: str) -> str:
        """The last steps as a row of bars, the highest at full height."""
        return sparkline(self._steps.get(name, ()))


def sparkline(figures: Sequence[float] | deque[float]) -> str:
    """Figures as a row of bars. Only nothing at all has the lowest bar."""
    highest = max(figures, default=0.0)
    if highest <= 0:
        return BARS[0] * len(figures)
    return "".join(
        BARS[0] if figure <= 0 else BARS[1 + round(figure / highest * (len(BARS) - 2))] for figure in figures
    )
