"""Figures and times as people read them in a terminal. Pure: the time is an argument."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

from beaver_actors.core.durations import UNITS, spoken

duration = spoken
"""A length of time in its one or two largest units."""


def ago(at_ms: int | None, now_ms: int) -> str:
    """A moment as seen from now, to the second: "3 m 20 s ago", "in 2 s", "now"; "–" for none."""
    if at_ms is None:
        return "–"
    away_ms = abs(now_ms - at_ms) // 1_000 * 1_000
    if away_ms == 0:
        return "now"
    return f"in {duration(away_ms)}" if at_ms > now_ms else f"{duration(away_ms)} ago"


def age(duration_ms: int) -> str:
    """A length of time in its largest unit alone, where there is little room: "42 s", "3 m", "5 d"."""
    for unit, unit_ms in UNITS:
        if duration_ms >= unit_ms:
            return f"{duration_ms // unit_ms} {unit}"
    return "0 s"


def size(size_bytes: int) -> str:
    """An amount of bytes in the unit that leaves one to three digits: "812 B", "1.2 MiB"."""
    if size_bytes < 1024:
        return f"{size_bytes} B"
    amount = float(size_bytes)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        amount /= 1024
        if amount < 999.5 or unit == "TiB":
            return f"{amount:.3g} {unit}" if amount < 999.5 else f"{amount:,.0f} {unit}"
    raise AssertionError(size_bytes)


def count(number: int) -> str:
    """A whole number with commas between thousands."""
    return f"{number:,}"


def many(number: int, noun: str) -> str:
    """A number of things: "1 job", "2,000 jobs"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def rate(per_second: float) -> str:
    """A rate per second without false precision: "0.25/s", "1,240/s"."""
    if per_second == 0:
        return "0/s"
    if per_second < 10:
        return f"{per_second:.2g}/s"
    return f"{per_second:,.0f}/s"


def to_ms(moment: datetime) -> int:
    """A moment as milliseconds UTC."""
    return round(moment.timestamp() * 1000)


def clock_time(at_ms: int) -> str:
    """Milliseconds UTC as this machine's wall clock shows them: "2026-11-23 21:52:00.250"."""
    moment = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone()
    return f"{moment:%Y-%m-%d %H:%M:%S}.{at_ms % 1000:03d}"


def time_of_day(at_ms: int) -> str:
    """Milliseconds UTC as the hour of this machine's wall clock: "21:52:00.250"."""
    return clock_time(at_ms)[11:]


def compact(value: Any, width: int | None = None) -> str:
    """A JSON value in one line, cut to `width` characters."""
    return cut(json.dumps(value, ensure_ascii=False, separators=(", ", ": ")), width)


def cut(text: str, width: int | None = None) -> str:
    """Text in one line without control characters, which could rewrite the terminal; cut to `width`."""
    line = _UNPRINTABLE.sub("·", text.replace("\n", " ⏎ "))
    return line if width is None or len(line) <= width else line[: max(0, width - 1)] + "…"


def printable(text: str) -> str:
    """Text of several lines without the control characters that could rewrite the terminal."""
    return "\n".join(_UNPRINTABLE.sub("·", line.replace("\t", "    ")) for line in text.splitlines())


# C0 and C1 control characters, DEL, and the marks that turn the direction of writing.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
