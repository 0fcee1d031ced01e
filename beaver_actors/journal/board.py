"""The board: which attempts were really under way, written where it survives the death of the process.

A memory-mapped file of fences. Setting one costs a store to memory, no system call and no sync: it need not
survive a power cut, which is no job's fault, only a crash of this process, which may be one's (P12). Recovery
blames the jobs on the board for the crash and hands the other leases back as if they had never begun.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path

from beaver_actors.journal.disk import NO_SPACE

SLOTS = 4096
"""More attempts at once than any one process runs; those beyond are not blamed."""

_FENCE = struct.Struct("=Q")  # only ever read on the machine that wrote it


class Board:
    """The file `running` in a data directory.

    Args:
        path: the file; created or cleared.
    """

    def __init__(self, path: Path) -> None:
        self._memory = _cleared(path, SLOTS * _FENCE.size)
        self._fences = memoryview(self._memory).cast("Q")
        self._free = list(range(SLOTS - 1, -1, -1))
        self._slots: dict[int, int] = {}

    def begin(self, fence: int) -> None:
        """The attempt under this fence begins."""
        if self._free:
            slot = self._slots[fence] = self._free.pop()
            self._fences[slot] = fence

    def end(self, fence: int) -> None:
        """The attempt under this fence is over."""
        slot = self._slots.pop(fence, None)
        if slot is not None:
            self._fences[slot] = 0
            self._free.append(slot)

    def close(self) -> None:
        """Unmap the file; what is on it stays."""
        self._fences.release()
        self._memory.close()


def _cleared(path: Path, size: int) -> mmap.mmap:
    """Map the file, all zeros, with all its room on disk: storing into a page that a full disk cannot hold
    would kill the process (SIGBUS). Without room there is no file, and recovery blames whoever was leased."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(descriptor, size)  # room that an earlier board has taken stays taken
        os.posix_fallocate(descriptor, 0, size)
        os.pwrite(descriptor, bytes(size), 0)
        return mmap.mmap(descriptor, size)
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        path.unlink()
        return mmap.mmap(-1, size)
    finally:
        os.close(descriptor)


def read_board(path: Path) -> frozenset[int] | None:
    """The fences on the board that an earlier process left; None if there is none or it was cut short."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    if len(data) != SLOTS * _FENCE.size:
        return None
    return frozenset(fence for (fence,) in _FENCE.iter_unpack(data) if fence)
