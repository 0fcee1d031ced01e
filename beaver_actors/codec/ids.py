"""Ids for jobs whose client chose none: UUIDv7 (RFC 9562, section 5.7) as text, which sorts by age.

Time and chance are given by the caller, so a simulation makes the same ids again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

COUNTER_BITS: Final = 74
"""What is left of 128 bits beside the time (48), the version (4) and the variant (2)."""
DRAWN_BITS: Final = 73
"""One bit of the counter starts as zero, so that counting on from a draw cannot run over."""
TAIL_BITS: Final = 48
TAIL_MASK: Final = (1 << TAIL_BITS) - 1
"""The last group of digits; mostly the only one in which the ids of one call differ."""


def uuid7(at_ms: int, counter: int) -> str:
    """Lay out an id.

    Args:
        at_ms: milliseconds UTC; 48 bits.
        counter: 74 bits: chance, or chance counted on.
    """
    high = at_ms << 16 | 0x7000 | counter >> 62
    low = 1 << 63 | counter & 0x3FFF_FFFF_FFFF_FFFF
    text = f"{high << 64 | low:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class JobIds:
    """Makes ids that only grow, even if the clock does not.

    Args:
        now_ms: the time, milliseconds UTC.
        bits: draws so many random bits.
    """

    def __init__(self, now_ms: Callable[[], int], bits: Callable[[int], int]) -> None:
        self._now_ms = now_ms
        self._bits = bits
        self._at_ms = -1
        self._counter = 0
        self._head = ""
        self._head_of = (-1, -1)
        """What these digits were made of: the time, and the counter but for its tail."""

    def take(self, count: int) -> list[str]:
        """Make `count` ids, in order. Within one millisecond they are counted on from one draw."""
        now_ms = self._now_ms()
        if now_ms > self._at_ms:
            self._at_ms = now_ms
            self._counter = self._bits(DRAWN_BITS)
        first, after = self._counter, self._counter + count
        self._counter = after
        if first >> TAIL_BITS != after >> TAIL_BITS:
            return [uuid7(self._at_ms, counter) for counter in range(first, after)]
        head_of = self._at_ms, first >> TAIL_BITS
        if head_of != self._head_of:
            self._head, self._head_of = uuid7(self._at_ms, first)[:24], head_of
        head = self._head
        if count == 1:
            return [f"{head}{first & TAIL_MASK:012x}"]
        return [f"{head}{counter & TAIL_MASK:012x}" for counter in range(first, after)]
