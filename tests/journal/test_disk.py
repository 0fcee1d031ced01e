"""The disk port: the real disk and the one in memory keep one contract; one process owns a directory."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from beaver_actors.journal import disk as disk_module
from beaver_actors.journal.disk import Disk, RealDisk, write_whole
from beaver_actors.journal.errors import DirectoryLocked
from beaver_actors.testing.disk import SimulatedDisk


@pytest.fixture
def made(disk: Disk) -> Disk:
    disk.make_directory()
    disk.make_directory("wal")
    return disk


def test_files_are_made_written_read_and_listed(made: Disk) -> None:
    """P3, by example: the contract that simulation relies on."""
    file = made.create("wal/b")
    assert file.write_at(b"hello", 3) == 5
    file.datasync()
    file.close()
    made.create("wal/a").close()
    assert made.names("wal") == ["a", "b"]
    assert "wal" in made.names()
    assert made.size("wal/b") == 8
    assert made.read("wal/b") == b"\0\0\0hello"
    assert made.read("wal/b", 4) == b"ello"
    assert made.read("wal/b", 4, 2) == b"el"
    assert made.read("wal/b", 4, 100) == b"ello"
    assert made.read("wal/b", 100, 5) == b""


def test_a_file_is_written_in_place_cut_and_given_room(made: Disk) -> None:
    """P3, by example: what is cut off and grown back reads as zeros."""
    made.create("f").close()
    file = made.open("f")
    file.preallocate(1000)
    assert made.read("f") == bytes(1000)
    file.write_at(b"x" * 600, 100)
    file.preallocate(50)
    assert made.size("f") == 1000
    file.truncate(300)
    file.preallocate(900)
    assert made.read("f") == bytes(100) + b"x" * 200 + bytes(600)


def test_names_change_at_once(made: Disk) -> None:
    """P3, by example: a rename takes the place of what was there, and open files go on."""
    for name in ("wal/old", "wal/new"):
        write_whole(made.create(name), name.encode(), 0)
    file = made.open("wal/old")
    made.rename("wal/old", "wal/new")
    assert made.names("wal") == ["new"]
    file.write_at(b"WAL", 0)
    assert made.read("wal/new") == b"WAL/old"
    made.sync_directory("wal")
    made.unlink("wal/new")
    assert made.names("wal") == []
    made.sync_directory()


def test_what_is_not_there_or_there_already_is_told(made: Disk) -> None:
    """P6, by example: the operating system's errors."""
    for call in (made.size, made.read, made.open, made.unlink, made.names):
        with pytest.raises(FileNotFoundError):
            call("nothing")
    made.create("f").close()
    with pytest.raises(FileExistsError):
        made.create("f")
    made.make_directory("wal")
    assert made.names("wal") == []


def test_free_space_is_known(made: Disk) -> None:
    """P7, by example."""
    assert made.free_bytes() > 0


def test_a_second_owner_is_refused(made: Disk) -> None:
    """P9, by example: until the first lets go; the holder is named."""
    lock = made.lock("lock")
    with pytest.raises(DirectoryLocked, match="in use by process") as caught:
        made.lock("lock")
    assert caught.value.pid == made.lock_holder("lock") in (os.getpid(), 4711)
    lock.release()
    assert made.lock_holder("lock") is None
    made.lock("lock").release()


def test_a_short_write_of_a_new_file_is_continued() -> None:
    """P3, by example: outside the log, where nobody reads before the sync."""
    disk = SimulatedDisk()
    disk.make_directory()
    file = disk.create("f")
    disk.fault = lambda number, kind, name: 7
    write_whole(file, bytes(range(100)), 5)
    assert disk.read("f", 5) == bytes(range(100))


def test_a_disk_that_takes_nothing_is_full() -> None:
    """P7, by example: no endless loop."""
    disk = SimulatedDisk()
    disk.make_directory()
    file = disk.create("f")
    disk.fault = lambda number, kind, name: 0
    with pytest.raises(OSError, match="No space left"):
        write_whole(file, b"x", 0)


def test_a_directory_is_on_disk_whoever_made_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """P3, by watching the syncs: also if it is there already, and those above it that had to be made."""
    synced: list[str] = []
    sync_directory = disk_module._sync_directory

    def watch(path: str) -> None:
        synced.append(os.path.relpath(path, tmp_path))
        sync_directory(path)

    monkeypatch.setattr(disk_module, "_sync_directory", watch)
    disk = RealDisk(str(tmp_path / "a/b/data"))
    disk.make_directory()
    assert synced == [".", "a", "a/b"]
    disk.make_directory()
    disk.make_directory("wal")
    disk.make_directory("wal")
    assert synced[3:] == ["a/b", "a/b/data", "a/b/data"]


def test_a_directory_above_that_may_not_be_looked_into_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By example: the data directory was prepared for a user who has no rights beside it. One who has to make
    it needs them."""
    disk = RealDisk(str(tmp_path / "data"))
    disk.make_directory()

    def refuse(path: str) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    monkeypatch.setattr(disk_module, "_sync_directory", refuse)
    disk.make_directory()
    with pytest.raises(PermissionError):
        disk.make_directory("wal")


def test_only_the_owner_may_read_the_files(tmp_path: Path) -> None:
    """By example: job arguments may be secret."""
    disk = RealDisk(str(tmp_path / "deep" / "data"))
    disk.make_directory()
    disk.create("f").close()
    assert (tmp_path / "deep/data").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "deep/data/f").stat().st_mode & 0o777 == 0o600


def test_a_dead_process_holds_nothing(tmp_path: Path) -> None:
    """P9, by real processes: the lock ends with its process, and a stale name in the file is not believed."""
    path = str(tmp_path)
    take = f"from beaver_actors.journal.disk import RealDisk; RealDisk({path!r}).lock('lock'); print('taken')"
    subprocess.run([sys.executable, "-c", take], check=True, capture_output=True, timeout=60)
    disk = RealDisk(path)
    assert (tmp_path / "lock").read_text().strip().isdigit()
    assert disk.lock_holder("lock") is None
    disk.lock("lock").release()


@pytest.mark.parametrize("text", [b"", b"0\n", b"99999999999999999999", b"-1", b"\xb2", b"4711 and more"])
def test_what_is_no_process_in_the_lock_file_holds_nothing(tmp_path: Path, text: bytes) -> None:
    """P9, by example: the file only helps a message; whatever is in it, `verify` can look."""
    (tmp_path / "lock").write_bytes(text)
    assert RealDisk(str(tmp_path)).lock_holder("lock") is None


@pytest.mark.parametrize("text", ["", "who\n"])
def test_a_lock_that_names_nobody_still_locks(tmp_path: Path, text: str) -> None:
    """P9, by example: the lock is the kernel's, the name only for the message."""
    disk = RealDisk(str(tmp_path))
    lock = disk.lock("lock")
    (tmp_path / "lock").write_text(text)
    with pytest.raises(DirectoryLocked, match="another process"):
        disk.lock("lock")
    lock.release()


def test_an_error_of_an_open_file_names_it(tmp_path: Path) -> None:
    """P6: the operator learns which file it was, not only that something failed."""
    disk = RealDisk(str(tmp_path))
    file = disk.create("log")
    file.close()
    for use in (
        lambda: file.write_at(b"x", 0),
        file.datasync,
        lambda: file.truncate(0),
        lambda: file.preallocate(1),
    ):
        with pytest.raises(OSError, match=f"Bad file descriptor: '{tmp_path}/log'"):
            use()
