"""Small file systems of their own for a data directory, which can fill up, lose power or turn read-only.

Mounting takes root. Elsewhere the tests that need it are skipped, with the reason; where CI runs as root,
they fail if they cannot have it, lest they be skipped for ever. Nothing stays mounted, whatever happens, and
the kernel frees loop devices with their mount.
"""

from __future__ import annotations

import fcntl
import filecmp
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

IMAGE_BYTES = 48 << 20
EXT4_SHUTDOWN = 0x8004587D
"""EXT4_IOC_SHUTDOWN of <linux/ext4.h>: from now on every call fails, and nothing more reaches the device."""
WITHOUT_FLUSH = 2
"""EXT4_GOING_FLAGS_NOLOGFLUSH: not even what the file system's own journal has collected."""


def run(*command: str | Path) -> None:
    """Run a command as root would; skip the test where that cannot be."""
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = str(getattr(error, "stderr", "") or "").strip()
        reason = f"{command[0]} does not work here, which takes root and devices: {error} {said}"
        if "CI" in os.environ and os.geteuid() == 0:
            raise AssertionError(reason) from error
        pytest.skip(reason)


@contextmanager
def small_disk(place: Path, size: str = "8m") -> Iterator[Path]:
    """A file system in memory that really fills up."""
    place.mkdir()
    run("mount", "-t", "tmpfs", "-o", f"size={size}", "beaver-test", place)
    try:
        yield place
    finally:
        unmount(place)


def unmount(place: Path) -> None:
    """Take a file system away, now or when the last process that uses it has ended."""
    if subprocess.run(["umount", place], check=False, capture_output=True).returncode != 0:
        subprocess.run(["umount", "--lazy", place], check=True)


class Image:
    """An ext4 file system in a file, by a loop device. The file is its disk: what the file system has not
    written to it is lost with the power.

    Args:
        place: where it is mounted.
        store: a directory for the images.
    """

    def __init__(self, place: Path, store: Path) -> None:
        self.place = place
        self._current = store / "disk.img"
        self._copy = store / "copy.img"

    def format(self, *options: str) -> None:
        """Make it, empty."""
        with self._current.open("wb") as file:
            file.truncate(IMAGE_BYTES)
        run("mkfs.ext4", "-q", "-F", "-J", "size=4", *options, self._current)

    def mount(self, options: str = "defaults") -> None:
        """Mount what the disk holds now, as after a start of the machine."""
        run("mount", "-t", "ext4", "-o", f"loop,{options}", self._current, self.place)

    def unmount(self) -> None:
        unmount(self.place)

    def copy(self) -> None:
        """Copy the disk as it is at one instant: equal when read twice, nothing was written in between."""
        same = False
        while not same:
            shutil.copyfile(self._current, self._copy)
            same = filecmp.cmp(self._current, self._copy, shallow=False)

    def use_copy(self) -> None:
        """From now on the disk is the copy."""
        self._copy.rename(self._current)

    def shut_down(self) -> None:
        """Cut the file system off from its disk, in the middle of whatever it does. Syncs that are under way
        may then end as if they had succeeded."""
        descriptor = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, EXT4_SHUTDOWN, struct.pack("I", WITHOUT_FLUSH))
        finally:
            os.close(descriptor)

    def turn_read_only(self) -> None:
        """Let the kernel find a fault in the file system: mounted with `errors=remount-ro`, it then takes no
        more writes, from processes that are in the middle of some, too."""
        device = subprocess.check_output(["findmnt", "-no", "SOURCE", self.place], text=True).strip()
        Path("/sys/fs/ext4", Path(device).name, "trigger_fs_error").write_text("1")


@contextmanager
def image(directory: Path) -> Iterator[Image]:
    """An ext4 image, not yet made; it is not mounted any more in the end."""
    place = directory / "disk"
    place.mkdir()
    with ExitStack() as stack:
        # In memory if possible: a copy of a disk should take an instant.
        memory = "/dev/shm"
        parent = memory if os.access(memory, os.W_OK) else directory
        store = stack.enter_context(tempfile.TemporaryDirectory(dir=parent, prefix="beaver-test-"))
        made = Image(place, Path(store))
        try:
            yield made
        finally:
            while place.is_mount():
                made.unmount()
