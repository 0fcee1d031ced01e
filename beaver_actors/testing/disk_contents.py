"""The bytes of one file on the simulated disk: what reads return, and what the disk is sure to hold.

Between two syncs they differ. This file alone says what the disk may hold then: what a power cut leaves, and
what a failed sync has done. It knows no names and raises no errors. The rules are in `testing/disk.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

SECTOR = 512
"""The smallest unit that a disk writes whole or not at all, bytes."""

Change = tuple[int, bytes | None]
"""A write, as offset and data, or a new size and None."""


class Content:
    """One file.

    Args:
        name: where it is now, for whoever watches the calls.
        data: what is in it, synced.
    """

    __slots__ = ("astray", "cache", "changes", "disk", "name")

    def __init__(self, name: str, data: bytes | bytearray = b"") -> None:
        self.name = name
        self.cache = bytearray(data)
        self.disk = bytearray(data)
        self.changes: list[Change] = []
        """All since the last sync, in order."""
        self.astray: set[int] = set()
        """Sectors that a sync would not write, although the disk holds something else: one has failed."""

    def write(self, data: bytes, offset: int) -> None:
        """Put bytes into the cache; what lies between the end and `offset` becomes zeros."""
        _apply(self.cache, (offset, data))
        if self.astray:
            start, end = offset - offset % SECTOR, _round_up(offset + len(data))
            touched = self.astray.intersection(range(start // SECTOR, end // SECTOR))
            if touched:
                # The cache writes sectors whole: with these bytes goes what the failed sync has left behind.
                self.astray -= touched
                offset, data = start, bytes(self.cache[start:end])
        self.changes.append((offset, data))

    def resize(self, size: int) -> None:
        """Cut the file in the cache, or let it grow by zeros."""
        self.changes.append((size, None))
        _apply(self.cache, self.changes[-1])

    def sync(self) -> None:
        """Bring all changes to the disk."""
        for change in self.changes:
            _apply(self.disk, change)
        self.changes.clear()

    def fail_sync(self, random: Random | None) -> None:
        """A sync has failed, and as Linux has it, the pages count as clean from now on and stay readable.

        Args:
            random: decides what has reached the disk all the same; None: nothing.
        """
        for offset, data in self.changes:
            if data:
                self.astray.update(range(offset // SECTOR, (offset + len(data) - 1) // SECTOR + 1))
        if random is not None:
            self.disk = self._left(random, in_order=False)
        # The size is not lost with the pages: the next sync brings it.
        self.changes = [(len(self.cache), None)] if len(self.cache) != len(self.disk) else []

    def lose_power(self, random: Random | None) -> None:
        """What is on the disk becomes what is read.

        Args:
            random: decides what of the changes has reached the disk; None: nothing.
        """
        if random is not None and self.changes:
            self.disk = self._left(random, in_order=random.random() < 0.25)
        if self.changes or self.astray:
            self.cache = bytearray(self.disk)
            self.changes.clear()
            self.astray.clear()

    def forget(self, random: Random) -> None:
        """Memory is short, and some pages that count as clean are dropped: what is read is the disk's."""
        for sector in sorted(self.astray):
            if random.random() < 0.5:
                self.astray.discard(sector)
                place = slice(sector * SECTOR, min((sector + 1) * SECTOR, len(self.cache)))
                held = self.disk[place]
                self.cache[place] = held.ljust(place.stop - place.start, b"\0")

    def settle(self) -> None:
        """Make the disk hold what the cache holds."""
        self.disk = bytearray(self.cache)
        self.changes.clear()
        self.astray.clear()

    def copy(self) -> Content:
        twin = Content(self.name)
        twin.cache, twin.disk = bytearray(self.cache), bytearray(self.disk)
        twin.changes, twin.astray = self.changes.copy(), self.astray.copy()
        return twin

    def _left(self, random: Random, *, in_order: bool) -> bytearray:
        """Something the disk may hold between the last sync and the next."""
        changes = self.changes
        if in_order:
            return _torn(self.disk, changes, random)
        last = len(changes)
        # All of it but for one sector is the hardest to judge.
        odd = random.choice(_touched(changes) or [0]) if random.random() < 0.33 else None
        sized = last if odd is not None else random.randint(0, last)
        moments = {
            sector: random.randint(0, last) if odd in (None, sector) else last for sector in _touched(changes)
        }
        return _scattered(self.disk, changes, sized, moments)


def _torn(disk: bytearray, changes: Sequence[Change], random: Random) -> bytearray:
    """The changes arrived in order, and the last of those that did only up to some byte."""
    kept = random.randrange(len(changes))
    left = bytearray(disk)
    for change in changes[:kept]:
        _apply(left, change)
    offset, data = changes[kept]
    if data is None:
        _apply(left, (offset, None))
    else:
        _apply(left, (offset, data[: random.randint(0, len(data))]))
    return left


def _scattered(disk: bytearray, changes: Sequence[Change], sized: int, moments: dict[int, int]) -> bytearray:
    """The file with its size from one moment and each sector from one of its own.

    A moment is a number of changes that had been made. Sectors are written to the disk at any time; sizes in
    order, and what a cut has freed comes back as zeros.
    """
    sizes = [len(disk)]
    for offset, data in changes:
        sizes.append(offset if data is None else max(sizes[-1], offset + len(data)))
    size = sizes[sized]
    left = disk[: min(sizes[: sized + 1])].ljust(size, b"\0")
    for sector, moment in moments.items():
        start = sector * SECTOR
        if start >= size:
            continue
        if moment > sized and min(sizes[sized : moment + 1]) <= start:
            moment = sized  # cut off in between, and given room elsewhere: not to be seen at this size
        held = _sector_at(disk, changes[:moment], start)
        kept = max(0, min(sizes[moment : sized + 1], default=size) - start)
        left[start : start + SECTOR] = held[:kept].ljust(SECTOR, b"\0")[: size - start]
    return left


def _sector_at(disk: bytearray, changes: Sequence[Change], start: int) -> bytearray:
    """One sector after these changes."""
    held = disk[start : start + SECTOR].ljust(SECTOR, b"\0")
    for offset, data in changes:
        if data is None:
            kept = max(0, offset - start)
            held[kept:] = bytes(max(0, SECTOR - kept))
        elif offset < start + SECTOR and start < offset + len(data):
            begin = max(offset, start)
            part = data[begin - offset : start + SECTOR - offset]
            held[begin - start : begin - start + len(part)] = part
    return held


def _touched(changes: Sequence[Change]) -> list[int]:
    """The sectors that are not what they were."""
    touched: set[int] = set()
    for offset, data in changes:
        if data:
            touched.update(range(offset // SECTOR, (offset + len(data) - 1) // SECTOR + 1))
        elif data is None and offset % SECTOR:
            touched.add(offset // SECTOR)
    return sorted(touched)


def _apply(content: bytearray, change: Change) -> None:
    offset, data = change
    if data is None:
        del content[offset:]
        data = b""
    if offset > len(content):
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


def _round_up(offset: int) -> int:
    return -(-offset // SECTOR) * SECTOR
