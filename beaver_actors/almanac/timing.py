"""When a schedule is due, by cron or at an interval: the next time, and the times of a stretch."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import count, islice
from typing import NamedTuple, Protocol

from beaver_actors.almanac.cron import cron_times, parse_cron
from beaver_actors.almanac.zones import zone
from beaver_actors.core.durations import parse_duration_ms, shown

EVERY_MS_MIN = 1_000
EVERY_MS_MAX = 366 * 24 * 3_600_000
FIRST_STRETCH_MS = 3_600_000
COUNTED_MAX = 1_000
"""Times of a stretch that are counted, so that a schedule of seconds that was off for years is no burden."""


class Timing(Protocol):
    """What says when a schedule is due; a `Plan` is one."""

    @property
    def cron(self) -> str | None: ...
    @property
    def every_ms(self) -> int | None: ...
    @property
    def tz(self) -> str: ...


class Due(NamedTuple):
    """Times of a stretch, the newest of them."""

    times_ms: tuple[int, ...]
    earlier: int
    """Times before those; of a cron expression counted up to `COUNTED_MAX` in all."""


def check_timing(cron: object, every: object, tz: object) -> tuple[str | None, int | None, str]:
    """Judge the timing of a schedule as people give it: a cron expression with a time zone, or an interval.

    Returns:
        The expression, the interval in milliseconds (one of the two is None) and the zone.

    Raises:
        ValueError: names the field, what was expected and what came.
    """
    if (cron is None) == (every is None):
        raise ValueError(f"cron: expected cron or every, got {'neither' if cron is None else 'both'}")
    if every is not None:
        if tz is not None:
            raise ValueError("tz: expected none with every, which counts from 1970 in UTC")
        try:
            every_ms = parse_duration_ms(every)
            if not EVERY_MS_MIN <= every_ms <= EVERY_MS_MAX:
                raise ValueError(f"expected 1 s to 366 d, got {shown(every)}")
        except ValueError as error:
            raise ValueError(f"every: {error}") from None
        return None, every_ms, "UTC"
    for name, value in (("cron", cron), ("tz", "" if tz is None else tz)):
        if not isinstance(value, str):
            raise ValueError(f"{name}: expected text, got {shown(value)}")
    assert isinstance(cron, str)
    where = str(tz) if tz is not None else "UTC"
    try:
        zone(where)
    except ValueError as error:
        raise ValueError(f"tz: {error}") from None
    try:
        parse_cron(cron)
    except ValueError as error:
        raise ValueError(f"cron: {error}") from None
    return cron, None, where


def times(timing: Timing, after_ms: int) -> Iterator[int]:
    """All times after this one, milliseconds UTC, in order."""
    if timing.every_ms is not None:
        # From 1970 on, so that a restart, or setting it again, does not shift them.
        return count((after_ms // timing.every_ms + 1) * timing.every_ms, timing.every_ms)
    assert timing.cron is not None, "a schedule without a timing"
    return cron_times(parse_cron(timing.cron), zone(timing.tz), after_ms)


def next_times(timing: Timing, after_ms: int, most: int = 1) -> list[int]:
    """The next so many times."""
    return list(islice(times(timing, after_ms), most))


def due_times(timing: Timing, after_ms: int, until_ms: int, most: int) -> Due:
    """The newest so many times after the first moment and not after the second.

    Looks back only as far as it must: a schedule that was not looked at for years costs no more than one that
    was not for a day.
    """
    if timing.every_ms is not None:
        every_ms = timing.every_ms
        first, last = after_ms // every_ms + 1, until_ms // every_ms
        begin = max(first, last + 1 - most)
        newest_ms = tuple(number * every_ms for number in range(begin, last + 1))
        return Due(newest_ms, max(begin - first, 0))
    stretch_ms = FIRST_STRETCH_MS
    while True:
        start_ms = max(after_ms, until_ms - stretch_ms)
        newest: deque[int] = deque(maxlen=most)
        found = 0
        for at_ms in times(timing, start_ms):
            if at_ms > until_ms:
                break
            newest.append(at_ms)
            found += 1
        if start_ms == after_ms or found >= COUNTED_MAX:
            return Due(tuple(newest), min(found, COUNTED_MAX) - len(newest))
        stretch_ms *= 2
