"""Snapshot files: written aside, synced, renamed; the newest one that can be read is the one that counts.

This file looks after the files of `snapshots/`. What makes the state in them is `journal/folding.py`; what
the bytes mean is `codec/snapshot_codec.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from typing import NamedTuple

from beaver_actors.codec.fact_codec import CodecError
from beaver_actors.codec.segment import BadHeader, UnknownVersion
from beaver_actors.codec.snapshot_codec import SnapshotHeader, decode_snapshot, encode_snapshot
from beaver_actors.core.state import State, reindex
from beaver_actors.journal.disk import NO_SPACE, Disk, DiskFile, write_whole
from beaver_actors.journal.errors import NoSpace, UnknownFormat
from beaver_actors.journal.segments import lsns_in_names

SNAPSHOTS = "snapshots"
TEMPORARY = ".tmp"
READ_BYTES = 1 << 20  # at a time
WRITE_BYTES = 1 << 20
SYNC_BYTES = 4 << 20
"""After so many bytes what is written so far is synced. A snapshot of a million jobs that goes to the disk in
one piece holds up the server's own syncs for as long as that takes."""


class Snapshot(NamedTuple):
    """A snapshot that was read."""

    header: SnapshotHeader
    state: State
    """With its indexes."""


class RefusedSnapshot(NamedTuple):
    """A snapshot that cannot be read."""

    name: str
    lsn: int
    reason: str


def snapshot_name(lsn: int) -> str:
    """The name of the snapshot after this fact; names sort like LSNs."""
    return f"{SNAPSHOTS}/{lsn:020}.snap"


def list_snapshots(disk: Disk) -> list[int]:
    """The LSN of each snapshot in the directory, newest first. Other names are not looked at."""
    return lsns_in_names(disk.names(SNAPSHOTS), r"([0-9]{20})\.snap")[::-1]


def load_newest(disk: Disk, through_lsn: int | None = None) -> tuple[Snapshot | None, list[RefusedSnapshot]]:
    """Load the newest snapshot that can be read, passing over those that cannot.

    Args:
        through_lsn: do not look at later ones.

    Returns:
        The snapshot, None if there is none, and the ones that were passed over, newest first.

    Raises:
        UnknownFormat: a sound one of another version.
    """
    refused: list[RefusedSnapshot] = []
    for lsn in list_snapshots(disk):
        if through_lsn is not None and lsn > through_lsn:
            continue
        name = snapshot_name(lsn)
        try:
            return load_snapshot(disk, lsn), refused
        except (BadHeader, CodecError) as error:
            refused.append(RefusedSnapshot(name, lsn, str(error)))
        except FileNotFoundError:
            continue  # deleted since it was listed, because newer ones are there
    return None, refused


def load_snapshot(disk: Disk, lsn: int) -> Snapshot:
    """Load one snapshot.

    Raises:
        BadHeader, CodecError: it cannot be read.
        UnknownFormat: of another version.
    """
    name = snapshot_name(lsn)
    try:
        header, state = decode_snapshot(_Reader(disk, name).read)
    except UnknownVersion as error:
        raise UnknownFormat(f"{disk.place}/{name}", error.found, error.supported) from error
    if header.lsn != lsn:
        raise CodecError(f"holds the state after LSN {header.lsn}, not the one its name says")
    reindex(state)
    return Snapshot(header, state)


def save_snapshot(
    disk: Disk, state: State, *, epoch: int, chain: int, owner: str, make_room: Callable[[], bool]
) -> int:
    """Write a snapshot of this state; it is durable when this returns.

    Args:
        epoch, chain: of the frame that ends with `state.lsn`.
        owner: makes the temporary name this process' own, so that two never write one file.
        make_room: called when the disk is full; True if it has freed something.

    Returns:
        The size of the file in bytes.

    Raises:
        NoSpace: nothing is left behind.
    """
    name = snapshot_name(state.lsn)
    temporary = f"{name}.{owner}{TEMPORARY}"
    try:
        file = _create(disk, temporary, make_room)
        try:
            size = _write(file, encode_snapshot(state, epoch=epoch, chain=chain), make_room)
            file.datasync()
        finally:
            file.close()
    except OSError as error:
        with suppress(FileNotFoundError):  # not even the name found room
            disk.unlink(temporary)
        if error.errno not in NO_SPACE:
            raise
        raise NoSpace(f"{disk.place}/{name}: no room for a snapshot: {error}") from error
    disk.rename(temporary, name)
    disk.sync_directory(SNAPSHOTS)
    return size


def is_being_written(disk: Disk) -> bool:
    """Whether a snapshot is under way, or was when its process died."""
    return any(name.endswith(TEMPORARY) for name in disk.names(SNAPSHOTS))


def remove_temporaries(disk: Disk) -> list[str]:
    """Delete what unfinished snapshots left behind; return the names."""
    names = [f"{SNAPSHOTS}/{name}" for name in disk.names(SNAPSHOTS) if name.endswith(TEMPORARY)]
    for name in names:
        disk.unlink(name)
    return names


def prune_snapshots(disk: Disk, keep: int, refused_lsns: Collection[int] = ()) -> int:
    """Delete what is older than the `keep` newest snapshots; return the first LSN that the oldest of those
    lacks: the log is needed from there on.

    Args:
        refused_lsns: snapshots that are known to be unreadable; they count for nothing.
    """
    lsns = list_snapshots(disk)
    readable = [lsn for lsn in lsns if lsn not in refused_lsns]
    if len(readable) < keep:
        return 1  # the whole log stands in for the missing ones
    oldest_kept = readable[keep - 1]
    for lsn in lsns:
        if lsn < oldest_kept:
            disk.unlink(snapshot_name(lsn))
    disk.sync_directory(SNAPSHOTS)
    return oldest_kept + 1


def _create(disk: Disk, name: str, make_room: Callable[[], bool]) -> DiskFile:
    try:
        return disk.create(name)
    except OSError as error:
        if error.errno not in NO_SPACE or not make_room():
            raise
        return disk.create(name)


def _write(file: DiskFile, pieces: Iterable[bytes], make_room: Callable[[], bool]) -> int:
    size, synced, waiting = 0, 0, bytearray()

    def flush() -> int:
        data = bytes(waiting)
        waiting.clear()
        try:
            write_whole(file, data, size)
        except OSError as error:
            if error.errno not in NO_SPACE or not make_room():
                raise
            write_whole(file, data, size)
        return size + len(data)

    for piece in pieces:
        waiting += piece
        if len(waiting) >= WRITE_BYTES:
            size = flush()
            if size - synced >= SYNC_BYTES:
                file.datasync()
                synced = size
    return flush()


class _Reader:
    """A file, read from start to end in large pieces."""

    def __init__(self, disk: Disk, name: str) -> None:
        self._disk = disk
        self._name = name
        self._data = b""
        self._position = 0
        self._offset = 0

    def read(self, size: int) -> bytes:
        if self._position + size > len(self._data):
            rest = self._data[self._position :]
            wanted = max(size - len(rest), READ_BYTES)
            more = self._disk.read(self._name, self._offset, wanted)
            self._offset += len(more)
            self._data, self._position = rest + more, 0
        start = self._position
        self._position = min(start + size, len(self._data))
        return self._data[start : self._position]
