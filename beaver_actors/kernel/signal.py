"""Signals: how a lower actor wakes a higher one without owning a handle to it.

A mailbox edge upwards would close a cycle, and bounded cycles deadlock. A signal is not a mailbox: ringing
never waits, and what rings twice before anyone listens is heard once.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import trio

T = TypeVar("T")


class Signal(Generic[T]):
    """A set of things to look at. `T` must be hashable; the order of ringing is kept."""

    def __init__(self) -> None:
        self._rung: dict[T, None] = {}
        self._lot = trio.lowlevel.ParkingLot()

    def ring(self, what: T) -> None:
        """Leave `what` to be looked at, and wake the listener."""
        self._rung[what] = None
        self._lot.unpark_all()

    async def wait(self) -> list[T]:
        """Wait until something is rung, and take all of it."""
        while not self._rung:
            await self._lot.park()
        rung = list(self._rung)
        self._rung.clear()
        return rung
