"""Times on the wire: RFC 3339 text to milliseconds UTC and back."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from beaver_actors.core.durations import shown

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TIME_MS_MAX = 253_402_300_799_999
"""The end of the year 9999: later times cannot be written."""

_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,18})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def parse_time_ms(text: str) -> int:
    """Read a time with its offset.

    Returns:
        Milliseconds UTC, 0 for anything before 1970; what is finer than a millisecond is cut off.

    Raises:
        ValueError: says what was expected and what came.
    """
    if _RFC3339.fullmatch(f"{text}Z"):
        expected = "expected a time with its zone, such as 2026-09-01T08:00:00Z or 2026-09-01T08:00:00+02:00"
        raise ValueError(f"{expected}, got {shown(text)} without one")
    try:
        if not _RFC3339.fullmatch(text):
            raise ValueError
        found_ms = (datetime.fromisoformat(text.upper()) - EPOCH) // timedelta(milliseconds=1)
    except ValueError:
        raise ValueError(f"expected a time such as 2026-09-01T08:00:00Z, got {shown(text)}") from None
    if found_ms > TIME_MS_MAX:
        raise ValueError(f"expected a time before the year 10000, got {shown(text)}")
    return max(0, found_ms)


def time_text(at_ms: int) -> str:
    """Write milliseconds UTC, as 2026-09-01T08:00:00.000Z."""
    second, rest_ms = divmod(at_ms, 1_000)
    return f"{_second_text(second)}.{rest_ms:03}Z"


@lru_cache(maxsize=4096)  # jobs and events of the same second are written together
def _second_text(second: int) -> str:
    return (EPOCH + timedelta(seconds=second)).isoformat()[:19]
