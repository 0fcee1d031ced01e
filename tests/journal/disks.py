"""A disk in memory that behaves as a real one does when things go wrong, for the tests of the journal.

It keeps apart what was written (the cache) and what is on the disk (after a sync), for bytes and for names.
It can fail or end at any call, fill up, lose power, or let the process die. It simulates no other process.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from random import Random

from beaver_actors.journal.disk import DiskFile, DiskLock
from beaver_actors.journal.errors import DirectoryLocked

SECTOR = 512
CHANGES = frozenset(
    {
        "make_directory", "create", "write_at", "datasync", "truncate", "preallocate",
        "rename", "unlink", "sync_directory",
    }
)  # fmt: skip


class Gone(BaseException):
    """The process has died in this call. Not an `Exception`, so nothing swallows it."""


@dataclass(slots=True)
class Bytes:
    """One file's content, in the cache and on the disk."""

    cache: bytearray = field(default_factory=bytearray)
    disk: bytearray = field(default_factory=bytearray)
    dirty: dict[int, list[bytes]] = field(default_factory=dict)
    """Sectors that a sync would write, each with what it has been since the last sync."""


Names = dict[str, Bytes]
Fault = Callable[[int, str, str], int | None]
"""Called with the number, kind and name of each call that changes something; may raise, or return how many
bytes a write takes."""


class MemoryDisk:
    """A `Disk`."""

    def __init__(self, capacity: int = 1 << 30) -> None:
        self.capacity = capacity
        self.fault: Fault | None = None
        self.calls: list[tuple[str, str]] = []
        self.locked = False
        self._cache: dict[str, Names] = {}
        self._disk: dict[str, Names] = {}
        self._changes: dict[str, list[Names]] = {}
        """For each directory, its names after each change since its last sync."""

    place = "memory"

    def make_directory(self, name: str = "") -> None:
        if name in self._cache:
            return
        self.call("make_directory", name)
        self._cache[name] = {}
        # That the directory itself may vanish is left out: the real one is synced as it is made.
        self._disk[name] = {}
        self._changes[name] = []

    def names(self, directory: str = "") -> list[str]:
        below = {other for other in self._cache if other and _split(other)[0] == directory}
        return sorted({*self._names(directory), *(_split(other)[1] for other in below)})

    def size(self, name: str) -> int:
        return len(self._file(name).cache)

    def read(self, name: str, offset: int = 0, size: int | None = None) -> bytes:
        cache = self._file(name).cache
        return bytes(cache[offset:] if size is None else cache[offset : offset + size])

    def create(self, name: str) -> DiskFile:
        self.call("create", name)
        directory, base = _split(name)
        names = self._names(directory)
        if base in names:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
        names[base] = Bytes()
        self._changed(directory)
        return MemoryFile(self, name, names[base])

    def open(self, name: str) -> DiskFile:
        return MemoryFile(self, name, self._file(name))

    def rename(self, old: str, new: str) -> None:
        self.call("rename", new)
        (old_directory, old_base), (new_directory, new_base) = _split(old), _split(new)
        content = self._file(old)
        del self._names(old_directory)[old_base]
        self._names(new_directory)[new_base] = content
        for directory in {old_directory, new_directory}:
            self._changed(directory)

    def unlink(self, name: str) -> None:
        self.call("unlink", name)
        self._file(name)
        directory, base = _split(name)
        del self._names(directory)[base]
        self._changed(directory)

    def sync_directory(self, directory: str = "") -> None:
        self.call("sync_directory", directory)
        self._disk[directory] = dict(self._names(directory))
        self._changes[directory] = []

    def free_bytes(self) -> int:
        contents = {id(content): content for names in self._cache.values() for content in names.values()}
        return self.capacity - sum(len(content.cache) for content in contents.values())

    def lock(self, name: str) -> DiskLock:
        if self.locked:
            raise DirectoryLocked(self.place, 4711)
        self.locked = True
        return MemoryLock(self)

    def lock_holder(self, name: str) -> int | None:
        return 4711 if self.locked else None

    def kill(self) -> None:
        """The process dies; what it wrote stays readable, synced or not."""
        self.fault = None
        self.locked = False
        self.calls.clear()

    def power_loss(self, random: Random | None = None) -> None:
        """The power goes. Without `random`, nothing is left but what was synced. With it, of the rest any
        sector may have reached the disk, and of the changed names any first part."""
        self.kill()
        for directory, synced in self._disk.items():
            changes = [synced, *self._changes[directory]]
            self._cache[directory] = dict(random.choice(changes) if random else synced)
            self._disk[directory] = dict(self._cache[directory])
            self._changes[directory] = []
        for names in self._cache.values():
            for content in names.values():
                _settle(content, random)

    def copy(self) -> MemoryDisk:
        return deepcopy(self)

    def damage(self, name: str, offset: int, data: bytes) -> None:
        """Change bytes behind the journal's back, in the cache and on the disk."""
        content = self._file(name)
        content.cache[offset : offset + len(data)] = data
        content.disk[:] = content.cache
        content.dirty.clear()

    def plant(self, name: str, data: bytes) -> None:
        """Put a file there behind the journal's back, in the place of one that may be there."""
        directory, base = _split(name)
        for names in (self._cache[directory], self._disk[directory]):
            names[base] = Bytes(bytearray(data), bytearray(data))
        self._disk[directory][base] = self._cache[directory][base]

    def take(self, name: str) -> None:
        """Take a file away behind the journal's back."""
        directory, base = _split(name)
        del self._cache[directory][base]
        self._disk[directory].pop(base, None)

    def call(self, kind: str, name: str) -> int | None:
        self.calls.append((kind, name))
        return self.fault(len(self.calls), kind, name) if self.fault else None

    def _names(self, directory: str) -> Names:
        if directory not in self._cache:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), directory)
        return self._cache[directory]

    def _file(self, name: str) -> Bytes:
        directory, base = _split(name)
        content = self._names(directory).get(base)
        if content is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        return content

    def _changed(self, directory: str) -> None:
        self._changes[directory].append(dict(self._names(directory)))


class MemoryFile:
    """A `DiskFile`."""

    def __init__(self, disk: MemoryDisk, name: str, content: Bytes) -> None:
        self._disk = disk
        self._name = name
        self._content = content

    def write_at(self, data: bytes, offset: int) -> int:
        taken = self._disk.call("write_at", self._name)
        cache = self._content.cache
        taken = len(data) if taken is None else min(taken, len(data))
        room = len(cache) + self._disk.free_bytes() - offset
        if room <= 0:
            raise no_space()
        taken = min(taken, room)
        if len(cache) < offset + taken:
            self._resize(offset + taken)
        _remember(self._content, offset, offset + taken)
        cache[offset : offset + taken] = data[:taken]
        return taken

    def datasync(self) -> None:
        content = self._content
        try:
            self._disk.call("datasync", self._name)
        except OSError:
            # As Linux does: the pages count as clean from now on, and stay readable.
            content.dirty.clear()
            raise
        _resize_disk(content, len(content.cache))
        for sector in content.dirty:
            place = slice(sector * SECTOR, (sector + 1) * SECTOR)
            content.disk[place] = content.cache[place]
        content.dirty.clear()

    def truncate(self, size: int) -> None:
        self._disk.call("truncate", self._name)
        self._resize(size)

    def preallocate(self, size: int) -> None:
        self._disk.call("preallocate", self._name)
        missing = size - len(self._content.cache)
        free = self._disk.free_bytes()
        if missing > 0:
            self._resize(len(self._content.cache) + min(missing, free))
        if missing > free:
            raise no_space()

    def close(self) -> None:
        pass

    def _resize(self, size: int) -> None:
        cache = self._content.cache
        _remember(self._content, min(size, len(cache)), max(size, len(cache)))
        if size < len(cache):
            del cache[size:]
        else:
            cache.extend(bytes(size - len(cache)))


class MemoryLock:
    """A `DiskLock`."""

    def __init__(self, disk: MemoryDisk) -> None:
        self._disk = disk

    def release(self) -> None:
        self._disk.locked = False


def no_space() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def broken() -> OSError:
    return OSError(errno.EIO, os.strerror(errno.EIO))


def _split(name: str) -> tuple[str, str]:
    directory, _, base = name.rpartition("/")
    return directory, base


def _remember(content: Bytes, start: int, end: int) -> None:
    """These bytes are about to change: keep what their sectors are now."""
    for sector in range(start // SECTOR, (max(end, start + 1) - 1) // SECTOR + 1):
        before = bytes(content.cache[sector * SECTOR : (sector + 1) * SECTOR])
        content.dirty.setdefault(sector, []).append(before)


def _resize_disk(content: Bytes, size: int) -> None:
    if size < len(content.disk):
        del content.disk[size:]
    else:
        content.disk.extend(bytes(size - len(content.disk)))


def _settle(content: Bytes, random: Random | None) -> None:
    """What is on the disk becomes what is read."""
    if random is not None:
        # Any mixture, or all but one sector: what is nearly whole is the hardest to judge.
        odd = random.choice([None, *content.dirty])
        if odd is not None or random.random() < 0.5:
            _resize_disk(content, len(content.cache))
        for sector, past in sorted(content.dirty.items()):
            start = sector * SECTOR
            held = bytes(content.disk[start : start + SECTOR])
            now = bytes(content.cache[start : start + SECTOR])
            kept = now if odd not in (None, sector) else random.choice([held, now, random.choice(past)])
            content.disk[start : start + SECTOR] = kept.ljust(SECTOR, b"\0")[: len(held)]
    content.cache[:] = content.disk
    content.dirty.clear()
