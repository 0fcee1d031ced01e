"""A file of the simulated disk, open for writing: its calls, and when they fail for want of room.

What becomes of the bytes is the business of `testing/disk_contents.py`.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from random import Random

from beaver_actors.testing.disk_contents import Content
from beaver_actors.testing.disk_process import Process


def no_space() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def broken() -> OSError:
    return OSError(errno.EIO, os.strerror(errno.EIO))


class SimulatedFile:
    """A `DiskFile`.

    Args:
        process: the one that opened it, and with whose life it ends.
        free_bytes: tells the room that is left.
        random: decides what a failed sync has brought to the disk; None: nothing.
    """

    __slots__ = ("_content", "_free_bytes", "_process", "_random")

    def __init__(
        self, content: Content, process: Process, free_bytes: Callable[[], int], random: Random | None
    ) -> None:
        self._content = content
        self._process = process
        self._free_bytes = free_bytes
        self._random = random

    def write_at(self, data: bytes, offset: int) -> int:
        content = self._content
        shorter = self._process.call("write_at", content.name)
        taken = len(data) if shorter is None else min(shorter, len(data))
        if offset + taken > len(content.cache):
            room = len(content.cache) + max(0, self._free_bytes()) - offset
            if room <= 0:
                raise no_space()
            taken = min(taken, room)
        if taken:
            content.write(data if taken == len(data) else data[:taken], offset)
        return taken

    def datasync(self) -> None:
        try:
            self._process.call("datasync", self._content.name)
        except OSError:
            self._content.fail_sync(self._random)
            raise
        self._content.sync()

    def truncate(self, size: int) -> None:
        self._process.call("truncate", self._content.name)
        self._content.resize(size)

    def preallocate(self, size: int) -> None:
        self._process.call("preallocate", self._content.name)
        held = len(self._content.cache)
        if size <= held:
            return
        free = max(0, self._free_bytes())
        if free:
            self._content.resize(min(size, held + free))
        if size > held + free:
            raise no_space()

    def close(self) -> None:
        pass
