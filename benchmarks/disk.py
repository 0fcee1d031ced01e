"""What the disk can do without us: one small write and `fdatasync` into room that is already there."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

FRAME_BYTES = 400
"""As much as the log writes for one job that is enqueued alone, about."""


class SyncFile:
    """A file to sync in, reserved as the log reserves its segments.

    Args:
        directory: on the disk in question.
        syncs: how many there is room for; then it begins anew.
    """

    def __init__(self, directory: Path, syncs: int) -> None:
        self._directory = directory
        self._size = max(1, syncs) * FRAME_BYTES
        self._offset = 0

    def __enter__(self) -> Self:
        self._file = tempfile.NamedTemporaryFile(dir=self._directory)  # closed by __exit__
        os.posix_fallocate(self._file.fileno(), 0, self._size)
        os.fsync(self._file.fileno())
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def sync_ns(self) -> int:
        """Write one small frame and sync it; returns the nanoseconds it took."""
        began = time.monotonic_ns()
        os.pwrite(self._file.fileno(), b"x" * FRAME_BYTES, self._offset)
        os.fdatasync(self._file.fileno())
        took = time.monotonic_ns() - began
        self._offset = (self._offset + FRAME_BYTES) % self._size
        return took


def file_system(directory: Path) -> str:
    """The type of the file system that a directory is on, such as `ext4`."""
    command = ["stat", "--file-system", "--format=%T", str(directory)]
    found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    return "ext4" if found == "ext2/ext3" else found
