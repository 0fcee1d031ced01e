"""Bytes read as decisions: how one input of a fuzzer becomes numbers, picks and pieces of content.

Every target is a function of bytes, so that Hypothesis and a coverage-guided fuzzer can both drive it, and
a failing input is one file. Bytes that have run out count as zeros, and zero always means the plain choice,
so a shorter input is a simpler case. This file knows nothing of what is tested.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

RAW = b"raw:"
"""Begins an input that is no decisions but the thing itself: a log, a message, a file."""


class Choices:
    """Reads decisions from `data`, front to back."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def raw(self) -> bytes | None:
        """All that follows the mark, if the input begins with it: content to be taken as it is."""
        if not self._data.startswith(RAW):
            return None
        self._position = len(RAW)
        return self.rest()

    @property
    def left(self) -> int:
        """Bytes not yet read."""
        return len(self._data) - self._position

    def take(self, size: int) -> bytes:
        """The next bytes; fewer if they have run out."""
        start = self._position
        self._position = min(start + size, len(self._data))
        return self._data[start : self._position]

    def rest(self) -> bytes:
        """All bytes that are left."""
        return self.take(self.left)

    def number(self, below: int) -> int:
        """A number from 0 up to, not with, `below`."""
        size = (max(below - 1, 1).bit_length() + 7) // 8
        return int.from_bytes(self.take(size), "little") % below

    def pick(self, options: Sequence[T]) -> T:
        """One of these; the first is the plain one."""
        return options[self.number(len(options))]

    def one_in(self, times: int) -> bool:
        """True about once in so many times; False when the bytes have run out."""
        return self.number(times) == times - 1

    def some(self, most: int) -> range:
        """A number of times to do something, 0 to `most`."""
        return range(self.number(most + 1))

    def content(self, most: int) -> bytes:
        """Bytes of any length up to `most`."""
        return self.take(self.number(most + 1))
