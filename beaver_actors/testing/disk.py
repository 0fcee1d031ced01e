"""The simulated disk: a data directory in memory that behaves as a real one may when things go wrong.

It keeps the journal's port (`journal/disk.py`), and apart from it the means to make things go wrong. What it
takes for possible is this:

* The cache. What is written is read at once and is on the disk after a sync. In between, each sector of 512
  bytes may hold anything that it has held since the last sync, whatever the others hold; or the changes
  arrived in order, and the last of them up to any byte. Sizes arrive in order. What a cut has freed comes
  back as zeros.
* Names. Files and directories made, renamed and deleted are on the disk after a sync of the directory; a
  synced file without a synced name is lost. Of the changes in between, any first part may have arrived, or
  any choice of them, but none without the earlier ones about the same names. A rename is one change.
* A killed process leaves the cache as it is, and what was not synced stays so, for all later lives.
* A failed sync (EIO) has brought any sectors of the changes to the disk or none. Its pages count as clean,
  so no later sync writes them; they stay readable until the process is gone, and may be forgotten then.
* A full disk (`capacity`): growing files and making new ones fails with ENOSPC, a write takes what fits.
* Any call that changes something may end the process, fail, or write less than it was given (`fault`).
* Bits that flip in files at rest (`flip`, `damage`), files that vanish (`take`) or come from elsewhere
  (`plant`).

What it does not model: a disk that says it has synced and has not; writes that land in another place; reads
that fail; pages forgotten while the process runs; file systems that need room to write over old bytes or to
rename; room that deleted files hold while they are open; other processes, except through the same calls.
"""

from __future__ import annotations

import errno
import os
from random import Random

from beaver_actors.journal.disk import DiskFile, DiskLock
from beaver_actors.journal.errors import DirectoryLocked
from beaver_actors.testing.disk_contents import SECTOR as SECTOR, Content
from beaver_actors.testing.disk_files import SimulatedFile, broken as broken, no_space as no_space
from beaver_actors.testing.disk_names import Directory, Names
from beaver_actors.testing.disk_process import (
    CHANGES as CHANGES,
    Fault as Fault,
    Process,
    ProcessDied as ProcessDied,
)

OWNER = 4711
"""The process id that a locked directory names."""


class SimulatedDisk:
    """A `Disk`.

    Args:
        capacity: room for the contents of files, bytes; may be changed at any time.
        random: decides what a failed sync has brought to the disk; without it, nothing.
    """

    place = "memory"

    def __init__(self, capacity: int = 1 << 30, random: Random | None = None) -> None:
        self.capacity = capacity
        self.random = random
        self.locked = False
        self._process = Process()
        self._names = Names()
        self._directories: dict[str, Directory] = {"..": self._names.outermost}
        """Those that can be seen, by path."""

    @property
    def fault(self) -> Fault | None:
        """What is called before each call that changes something; gone with the process."""
        return self._process.fault

    @fault.setter
    def fault(self, fault: Fault | None) -> None:
        self._process.fault = fault

    @property
    def calls(self) -> list[tuple[str, str]]:
        """Kind and name of each call of this life that changed something, or was to."""
        return self._process.calls

    @property
    def dead(self) -> bool:
        """The process has died: each further call raises `ProcessDied`, until `kill` or `power_loss`."""
        return self._process.dead

    @dead.setter
    def dead(self, dead: bool) -> None:
        self._process.dead = dead

    def make_directory(self, name: str = "") -> None:
        self._process.expect_alive()
        above, base = _above(name)
        if name not in self._directories:
            self._process.call("make_directory", name)
            parent = self._directory(above)
            self._expect_room()
            made = self._directories[name] = Directory()
            self._names.change((parent, base, made))
        self.sync_directory(above)

    def names(self, directory: str = "") -> list[str]:
        return sorted(self._directory(directory).cache)

    def size(self, name: str) -> int:
        return len(self._file(name).cache)

    def read(self, name: str, offset: int = 0, size: int | None = None) -> bytes:
        cache = self._file(name).cache
        return bytes(cache[offset:] if size is None else cache[offset : offset + size])

    def create(self, name: str) -> DiskFile:
        self._process.call("create", name)
        directory, base = self._slot(name)
        if base in directory.cache:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
        self._expect_room()
        content = Content(name)
        self._names.change((directory, base, content))
        return SimulatedFile(content, self._process, self.free_bytes, self.random)

    def open(self, name: str) -> DiskFile:
        return SimulatedFile(self._file(name), self._process, self.free_bytes, self.random)

    def rename(self, old: str, new: str) -> None:
        self._process.call("rename", new)
        content = self._file(old)
        content.name = new
        self._names.change((*self._slot(old), None), (*self._slot(new), content))

    def unlink(self, name: str) -> None:
        self._process.call("unlink", name)
        self._file(name)
        self._names.change((*self._slot(name), None))

    def sync_directory(self, directory: str = "") -> None:
        self._process.call("sync_directory", directory)
        self._names.sync(self._directory(directory))

    def free_bytes(self) -> int:
        self._process.expect_alive()
        used = 0
        for directory in self._directories.values():
            for node in directory.cache.values():
                if isinstance(node, Content):
                    used += len(node.cache)
        return self.capacity - used

    def lock(self, name: str) -> DiskLock:
        self._directory("")
        if self.locked:
            raise DirectoryLocked(self.place, OWNER)
        self.locked = True
        return SimulatedLock(self, self._process)

    def lock_holder(self, name: str) -> int | None:
        self._process.expect_alive()
        return OWNER if self.locked else None

    def kill(self, random: Random | None = None) -> None:
        """The process dies; what it wrote stays readable, synced or not. The next one may begin.

        Args:
            random: decides which pages are forgotten that a failed sync has left; None: none.
        """
        self._end_life()
        if random is not None:
            for directory in self._directories.values():
                for node in directory.cache.values():
                    if isinstance(node, Content) and node.astray:
                        node.forget(random)

    def power_loss(self, random: Random | None = None) -> None:
        """The power goes, and comes back. The next process may begin.

        Args:
            random: decides what has reached the disk of all that was not synced; None: nothing.
        """
        self._end_life()
        self._names.lose_power(random)
        self._directories = dict(self._names.directories())
        for path, directory in self._directories.items():
            for base, node in directory.cache.items():
                if isinstance(node, Content):
                    node.name = f"{path}/{base}" if path else base
                    node.lose_power(random)

    def copy(self) -> SimulatedDisk:
        """The same disk once more, for another future."""
        twin = SimulatedDisk(self.capacity, self.random)
        twin.locked = self.locked
        twin.fault, twin.dead = self.fault, self.dead
        twin.calls.extend(self.calls)
        twin._names = self._names.copy()
        twin._directories = dict(twin._names.directories())
        return twin

    def flip(self, name: str, random: Random) -> int:
        """Flip one bit of a file that is not empty, behind the journal's back; return its offset in bytes."""
        data = self.read(name)
        bit = random.randrange(len(data) * 8)
        self.damage(name, bit // 8, bytes([data[bit // 8] ^ 1 << bit % 8]))
        return bit // 8

    def damage(self, name: str, offset: int, data: bytes) -> None:
        """Change bytes behind the journal's back, in the cache and on the disk."""
        content = self._file(name)
        content.cache[offset : offset + len(data)] = data
        content.settle()

    def plant(self, name: str, data: bytes) -> None:
        """Put a file there behind the journal's back, in the place of one that may be there."""
        self._names.change((*self._slot(name), Content(name, data)))
        self._names.settle()

    def take(self, name: str) -> None:
        """Take a file away behind the journal's back."""
        self._file(name)
        self._names.change((*self._slot(name), None))
        self._names.settle()

    def _end_life(self) -> None:
        # Whatever the process still holds is of no use any more.
        self._process.dead = True
        self._process = Process()
        self.locked = False

    def _directory(self, name: str) -> Directory:
        self._process.expect_alive()
        directory = self._directories.get(name)
        if directory is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        return directory

    def _slot(self, name: str) -> tuple[Directory, str]:
        above, _, base = name.rpartition("/")
        return self._directory(above), base

    def _file(self, name: str) -> Content:
        directory, base = self._slot(name)
        content = directory.cache.get(base)
        if content is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        if isinstance(content, Directory):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
        return content

    def _expect_room(self) -> None:
        if self.free_bytes() <= 0:
            raise no_space()


class SimulatedLock:
    """A `DiskLock`. It ends with the life it was taken in."""

    def __init__(self, disk: SimulatedDisk, process: Process) -> None:
        self._disk = disk
        self._process = process

    def release(self) -> None:
        if not self._process.dead:
            self._disk.locked = False


def _above(name: str) -> tuple[str, str]:
    """The directory that holds the name, and the name in it."""
    if not name:
        return "..", ""
    above, _, base = name.rpartition("/")
    return above, base
