"""What a queue allows: how many of its jobs wait, run and start, all together and for each concurrency key.

Rates are token buckets, kept as what has been spent: a start adds the price of a token, time pays it off. So
a bucket follows from the starts on record alone, and one that is paid off is the same as none. Prices are in
milliseconds times `limit`, which keeps every rate exact in whole numbers: a start costs `period_ms`, and each
millisecond pays `limit`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from beaver_actors.core.durations import shown

LIMIT_MAX = 1_000_000
"""Of a number of jobs in a rule, but for how many may wait."""
PERIOD_MS_MAX = 30 * 24 * 3_600_000
"""Of a rate: with the limit above, what is owed fits 63 bits."""


class Rate(NamedTuple):
    """At most `limit` starts in each period, evenly spread; up to `burst` of them at once after a pause."""

    limit: int
    period_ms: int
    burst: int


class QueueRules(NamedTuple):
    """What an operator has set for one queue; None: no such limit, but for those of the server."""

    jobs_max: int | None = None
    """Waiting jobs; None for the server's own limit."""
    concurrency: int | None = None
    """Jobs that run at the same time."""
    rate: Rate | None = None
    key_concurrency: int | None = None
    """Jobs of the same concurrency key that run at the same time."""
    key_rate: Rate | None = None
    """For each concurrency key."""
    ageing_ms: int | None = None
    """For each such time that a job has waited since it may run, its priority counts for one more."""


NO_RULES = QueueRules()

_RATE_TEXT = re.compile(r" *([0-9]{1,9}) */ *([0-9.]*) *(ms|s|m|h|d)(?: +burst +([0-9]{1,9}))? *")


def split_rate(text: str) -> tuple[int, str, int | None]:
    """Take apart a rate such as `"100/1m"`, `"5/s"` or `"100/1m burst 20"`.

    Returns:
        Limit, period as text, and burst if it is named. Whether they are in range is not judged.

    Raises:
        ValueError: the text says what was expected and what came.
    """
    match = _RATE_TEXT.fullmatch(text)
    if match is None:
        raise ValueError(f'expected a rate such as "100/1m", "5/s" or "100/1m burst 20", got {shown(text)}')
    limit, amount, unit, burst = match.groups()
    return int(limit), f"{amount or 1}{unit}", None if burst is None else int(burst)


@dataclass(slots=True, eq=True)
class Bucket:
    """What starts have cost and time has not paid off."""

    owed: int = 0
    at_ms: int = 0
    """When that was so."""

    def owed_at(self, rate: Rate, now_ms: int) -> int:
        return max(0, self.owed - (now_ms - self.at_ms) * rate.limit) if self.owed else 0

    def spend(self, rate: Rate, at_ms: int) -> None:
        """A job has started."""
        self.owed, self.at_ms = self.owed_at(rate, at_ms) + rate.period_ms, at_ms

    def clear(self) -> None:
        self.owed = self.at_ms = 0

    def room(self, rate: Rate, now_ms: int) -> int:
        """How many jobs may start now."""
        if not self.owed:
            return rate.burst
        return max(0, rate.burst - -(-self.owed_at(rate, now_ms) // rate.period_ms))

    def next_ms(self, rate: Rate, now_ms: int) -> int | None:
        """When the next job may start, if none may now."""
        over = self.owed_at(rate, now_ms) - (rate.burst - 1) * rate.period_ms
        return now_ms + -(-over // rate.limit) if over > 0 else None
