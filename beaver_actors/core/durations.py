"""Durations as people write them: a number of seconds, or text such as "30s". This file alone says which
forms there are; it knows nothing of where they are used.
"""

from __future__ import annotations

import re
from itertools import pairwise

UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
UNITS = tuple(reversed([unit for unit in UNITS_MS.items() if unit[0] != "ms"]))
"""Those of a second and more, the largest first."""

DURATION_MS_MAX = 36_500 * UNITS_MS["d"]
"""A hundred years: a longer wait is a slip of the pen, and added to a date it could leave the calendar."""

EXPECTED = 'a number of seconds, or text such as "250ms", "30s", "5m", "1h", "7d"'

# Not \d: that would take the digits of every script.
_TEXT = re.compile(r" *([0-9]{1,15}(?:\.[0-9]{1,15})?) *(ms|s|m|h|d) *")


def parse_duration_ms(value: object) -> int:
    """Read a duration.

    Args:
        value: seconds as int or float, or text: a number and one of ms, s, m, h, d.

    Returns:
        Whole milliseconds, from 0 to `DURATION_MS_MAX`.

    Raises:
        ValueError: the text says what was expected and what came.
    """
    if isinstance(value, str):
        match = _TEXT.fullmatch(value)
        if match is None:
            raise ValueError(f"expected {EXPECTED}, got {shown(value)}")
        amount, unit_ms = float(match[1]), UNITS_MS[match[2]]
    elif isinstance(value, int | float) and not isinstance(value, bool):
        amount, unit_ms = value, 1_000
    else:
        raise ValueError(f"expected {EXPECTED}, got {shown(value)}")
    if not 0 <= amount <= DURATION_MS_MAX / unit_ms:  # NaN is refused here too
        raise ValueError(f"expected a duration from 0 to 36500 days, got {shown(value)}")
    duration_ms = round(amount * unit_ms)
    if amount and not duration_ms:
        raise ValueError(f"expected whole milliseconds, got {shown(value)}")
    return duration_ms


def seconds(duration_ms: int) -> int | float:
    """The duration in seconds, whole where it is."""
    whole, rest = divmod(duration_ms, 1_000)
    return duration_ms / 1_000 if rest else whole


def shown(value: object) -> str:
    """What came, as an error message shows it: short, whatever it is."""
    if isinstance(value, str):
        return f'"{escaped(value)}"' if len(value) <= 60 else f'"{escaped(value[:60])}…"'
    if isinstance(value, int) and abs(value) >= 10**20:
        return "a longer number"  # and turning a very long one into text may be refused
    return "null" if value is None else str(value)[:60]


def escaped(text: str) -> str:
    """Text without characters that a terminal or a log would obey: they stand as Python writes them."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def spoken(duration_ms: float) -> str:
    """A length of time in its one or two largest units: "340 ms", "2.5 s", "3 m 20 s", "5 d 2 h"."""
    whole_ms = round(duration_ms)
    if whole_ms < 1_000:
        return f"{whole_ms} ms"
    if whole_ms < 59_950:
        return f"{whole_ms / 1_000:.1f}".removesuffix(".0") + " s"
    whole_ms = max(whole_ms, 60_000)
    for (unit, unit_ms), (below, below_ms) in pairwise(UNITS):
        if whole_ms >= unit_ms:
            many, rest = divmod(whole_ms // below_ms, unit_ms // below_ms)
            return f"{many} {unit} {rest} {below}" if rest else f"{many} {unit}"
    raise AssertionError(whole_ms)
