"""Sizes as people write them, to and from whole bytes; and how a duration is written back.

Reading a duration is `core/durations.py`: clients and settings write them alike. This file knows no setting.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from beaver_actors.core.durations import UNITS_MS

DURATION_PATTERN = r"^ *[0-9]{1,15}(\.[0-9]{1,15})? *(ms|s|m|h|d) *$"
"""For editors: what `parse_duration_ms` reads as text."""

BYTES = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
SIZE_BYTES_MAX = 2**63 - 1
SIZE_PATTERN = r"^ *[0-9]{1,15}(\.[0-9]{1,15})? *([kKMGT]i?)?B *$"
"""For editors: what `parse_size` reads as text, in its usual spelling."""

_SIZE = re.compile(r" *([0-9]{1,15}(?:\.[0-9]{1,15})?) *([A-Za-z]+) *")
_BYTES_BY_SPELLING = {unit.lower(): size for unit, size in BYTES.items()}


def parse_size(value: object) -> int:
    """Read an amount of memory or disk.

    Args:
        value: bytes as a whole number, or text of a number and a unit: "512B", "8MB" (powers of 1000),
            "16MiB" (powers of 1024). Capitals and small letters mean the same.

    Returns:
        Whole bytes, from 0 to `SIZE_BYTES_MAX`.

    Raises:
        ValueError: says what was expected and what came.
    """
    expected = 'expected a size such as "16MiB" or "16MB", or a whole number of bytes'
    if isinstance(value, str):
        match = _SIZE.fullmatch(value)
        unit = _BYTES_BY_SPELLING.get(match[2].lower()) if match is not None else None
        if match is None or unit is None:
            raise ValueError(f"{expected}, got {show(value)}")
        exact = float(match[1]) * unit
        if exact and exact < 1:
            raise ValueError(f"expected whole bytes, got {show(value)}")
        size_bytes = round(exact)
    elif isinstance(value, int) and not isinstance(value, bool):
        size_bytes = value
    else:
        raise ValueError(f"{expected}, got {show(value)}")
    if not 0 <= size_bytes <= SIZE_BYTES_MAX:
        raise ValueError(f"expected a size from 0 to {SIZE_BYTES_MAX} bytes, got {show(value)}")
    return size_bytes


def format_size(size_bytes: int) -> str:
    """Write a size with the largest unit of 1024 that leaves a whole number: 16777216 is "16MiB"."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size_bytes and size_bytes % BYTES[unit] == 0:
            return f"{size_bytes // BYTES[unit]}{unit}"
    return f"{size_bytes}B"


def format_duration(duration_ms: int) -> str:
    """Write a duration with the largest unit that leaves a whole number: 1800000 is "30m"."""
    for unit in ("d", "h", "m", "s"):
        if duration_ms and duration_ms % UNITS_MS[unit] == 0:
            return f"{duration_ms // UNITS_MS[unit]}{unit}"
    return f"{duration_ms}ms" if duration_ms else "0s"


class Several(ValueError):
    """Several things wrong with what stands in one setting by names; `problems` has each, in order."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


def show(value: object) -> str:
    """Name a value that was not expected, for an error message: its sort, and the value where it is short."""
    match value:
        case None:
            return "nothing (null)"
        case bool():
            return "true" if value else "false"
        case int() if abs(value) >= 10**30:
            return "a very long number"  # and turning one into text may be refused
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the text {value!r}" if len(value) <= 80 else f"a text of {len(value)} characters"
        case list() if len(value) <= 8 and all(isinstance(item, str | float | None) for item in value):
            return f"the list [{', '.join(map(_item, value))}]"
        case list():
            return f"a list of {len(value)}"
        case dict():
            return "a mapping"
        case _:
            return f"a {type(value).__name__}"


def _item(value: object) -> str:
    return repr(value) if isinstance(value, str) and len(value) <= 40 else show(value)
