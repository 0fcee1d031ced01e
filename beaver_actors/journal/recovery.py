"""Recovery: from a data directory as the last life left it to a state and a journal that goes on.

The one way a server comes to its state. It takes the ownership, reads the newest snapshot and the log after
it, cuts a torn end, and makes all that it read durable anew before anything is answered: what a killed
process wrote, or what a failed sync left in memory, may be readable and yet not on the disk. Damage is told,
never repaired here (P6); `journal/repair.py` does that, on request.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import NamedTuple

from beaver_actors.codec.segment import (
    SEGMENT_HEADER_SIZE,
    SegmentHeader,
    Verdict,
    encode_segment_header,
    scan_segment,
)
from beaver_actors.core.state import State
from beaver_actors.journal.disk import NO_SPACE, Disk, DiskLock, write_whole
from beaver_actors.journal.errors import Damaged, DirectoryLocked, DirectoryUnusable, NoSpace, UnknownFormat
from beaver_actors.journal.journal import FileJournal
from beaver_actors.journal.replay import Replayed, replay
from beaver_actors.journal.reserve import give_up_ballast
from beaver_actors.journal.segments import (
    LOG,
    ActiveSegment,
    list_segments,
    make_room,
    make_spare,
    segment_name,
    start_segment,
)
from beaver_actors.journal.settings import JournalSettings
from beaver_actors.journal.snapshots import SNAPSHOTS, list_snapshots, remove_temporaries

LOCK = "lock"
FORMAT = "format"
"""Says that this directory holds a log, so that an empty `wal/` is not taken for a new one."""
FORMAT_UNFINISHED = f"{FORMAT}.tmp"
FORMAT_VERSION = 1
_FORMAT_TEXT = "beaver-actors data directory, format %d\n"
_REWRITTEN = f"{LOG}/rewritten.tmp"


@dataclass(frozen=True, slots=True)
class RecoveryReport:
    """What recovery found and did, for the log."""

    is_new: bool
    """There was nothing yet."""
    head: int
    """The last fact."""
    epoch: int
    snapshot_lsn: int | None
    refused_snapshots: tuple[str, ...]
    """Snapshots that could not be read, each with the reason; an older one or the log stood in."""
    segments: int
    frames: int
    facts: int
    """How many were read from the log, after the snapshot."""
    torn_bytes: int
    """How much of an interrupted last write was cut; 0 for none."""
    torn_reason: str | None


class Recovered(NamedTuple):
    """Ready to serve."""

    state: State
    journal: FileJournal
    report: RecoveryReport


def open_journal(disk: Disk, settings: JournalSettings) -> Recovered:
    """Take the data directory and bring back what is in it; a missing one is made.

    Raises:
        DirectoryLocked: another process owns it (P9).
        DirectoryUnusable: it cannot be read or written, or is not a directory.
        UnknownFormat: another version of the program wrote it.
        Damaged: something that had been written cannot be read (P6); nothing was changed.
        NoSpace: the disk is full, and giving up the reserve was not enough.
        OSError: the disk failed.
    """
    with _telling_when_full(disk):
        with _telling_what_to_do(disk):
            disk.make_directory()
            lock = disk.lock(LOCK)
        try:
            return _open(disk, settings, lock)
        except BaseException:
            lock.release()
            raise


def taken_by_another(disk: Disk) -> DirectoryLocked | None:
    """Whether another process owns the data directory; nothing is made where there is none."""
    try:
        if LOCK in disk.names():
            disk.lock(LOCK).release()
    except DirectoryLocked as error:
        return error
    except OSError:
        pass
    return None


def _open(disk: Disk, settings: JournalSettings, lock: DiskLock) -> Recovered:
    with _telling_what_to_do(disk):
        is_new = _prepare(disk, settings)
    replayed = replay(disk)
    remove_unfinished(disk)
    active = _make_durable(disk, settings, replayed)
    journal = FileJournal(
        disk,
        settings,
        lock,
        active=active,
        sealed=[(lsn, disk.size(segment_name(lsn))) for lsn in list_segments(disk)[:-1]],
        head=replayed.state.lsn,
        chain=replayed.chain,
        epoch=active.header.epoch,
    )
    try:
        mark_format(disk)
        journal.replenish()
    except BaseException:
        active.close()
        raise
    return Recovered(replayed.state, journal, _report(replayed, journal, is_new))


def _prepare(disk: Disk, settings: JournalSettings) -> bool:
    """Check whose directory this is, and begin a log if there is nothing yet; True if so."""
    marked = has_format(disk)
    disk.make_directory(LOG)
    disk.make_directory(SNAPSHOTS)
    if marked or list_segments(disk) or list_snapshots(disk):
        return False
    remove_unfinished(disk)
    make_spare(disk, settings.segment_bytes)
    start_segment(disk, SegmentHeader(first_lsn=1, epoch=0, chain=0), settings.segment_bytes).close()
    return True


def has_format(disk: Disk) -> bool:
    """Whether the directory says that it holds a log of this version; False if it says nothing.

    Raises:
        UnknownFormat: of another version.
        Damaged: it says something else.
    """
    try:
        text = disk.read(FORMAT)
    except FileNotFoundError:
        return False
    # What a newer version writes behind its number is its own affair.
    match = re.match(
        re.escape(_FORMAT_TEXT.strip()).replace("%d", r"([0-9]{1,9})").encode() + b"(?![0-9])", text
    )
    if match is None or (int(match[1]) == FORMAT_VERSION and text != _FORMAT_TEXT.encode() % FORMAT_VERSION):
        reason = f"expected {_FORMAT_TEXT % FORMAT_VERSION!r}, found {text!r:.80}"
        raise Damaged(disk.place, FORMAT, 0, 1, reason)
    if int(match[1]) != FORMAT_VERSION:
        raise UnknownFormat(f"{disk.place}/{FORMAT}", int(match[1]), FORMAT_VERSION)
    return True


def mark_format(disk: Disk) -> None:
    """Say that this directory holds a log. Left for the next start if the disk is full."""
    if has_format(disk):
        return
    try:
        file = disk.create(FORMAT_UNFINISHED)
        try:
            write_whole(file, (_FORMAT_TEXT % FORMAT_VERSION).encode(), 0)
            file.datasync()
        finally:
            file.close()
    except OSError as error:
        with suppress(FileNotFoundError):  # not even the name found room
            disk.unlink(FORMAT_UNFINISHED)
        if error.errno not in NO_SPACE:
            raise
        return
    disk.rename(FORMAT_UNFINISHED, FORMAT)
    disk.sync_directory()


def _make_durable(disk: Disk, settings: JournalSettings, replayed: Replayed) -> ActiveSegment:
    """Write the readable part of the last segment into a new file, and put that in its place.

    Only the last segment can hold what was never synced: another is begun when all before it is on disk.
    """
    last = replayed.last
    assert last is not None, "replay ends with a segment"
    name = segment_name(last.header.first_lsn)
    header = last.header._replace(epoch=replayed.epoch + 1)
    frames = disk.read(name, SEGMENT_HEADER_SIZE, last.ending.offset - SEGMENT_HEADER_SIZE)
    content = encode_segment_header(header) + frames
    written = scan_segment(content, last=True)
    if written.frames != last.frames or written.ending.verdict is not Verdict.CLEAN:
        raise Damaged(disk.place, name, None, header.first_lsn, "read twice, it is not the same")
    size = _find_room(disk, len(content), max(settings.segment_bytes, len(content)))
    file = disk.open(_REWRITTEN)
    write_whole(file, content, 0)
    file.datasync()
    disk.rename(_REWRITTEN, name)
    for directory in (LOG, SNAPSHOTS, ""):
        disk.sync_directory(directory)
    return ActiveSegment(file, header, len(content), size)


def _find_room(disk: Disk, needed: int, wanted: int) -> int:
    """Make the new file of `wanted` bytes, or of fewer but at least `needed`; return its size."""
    try:
        make_room(disk, _REWRITTEN, wanted)
    except NoSpace:
        give_up_ballast(disk)
        try:
            make_room(disk, _REWRITTEN, wanted)
        except NoSpace:
            make_room(disk, _REWRITTEN, needed)
            return needed
    return wanted


def remove_unfinished(disk: Disk) -> None:
    """Delete what a life that was cut short left unfinished; nothing in such a file counts."""
    remove_temporaries(disk)
    for directory in (LOG, ""):
        for name in disk.names(directory):
            if name.endswith(".tmp"):
                disk.unlink(f"{directory}/{name}" if directory else name)


def _report(replayed: Replayed, journal: FileJournal, is_new: bool) -> RecoveryReport:
    assert replayed.last is not None
    ending = replayed.last.ending
    torn = ending.verdict is Verdict.TORN
    return RecoveryReport(
        is_new=is_new,
        head=journal.head,
        epoch=journal.epoch,
        snapshot_lsn=replayed.snapshot_lsn,
        refused_snapshots=tuple(f"{refused.name}: {refused.reason}" for refused in replayed.refused),
        segments=replayed.segments,
        frames=replayed.frames,
        facts=replayed.facts,
        torn_bytes=ending.lost_bytes if torn else 0,
        torn_reason=ending.reason if torn else None,
    )


_ADVICE = {
    errno.ENOTDIR: "it is not a directory",
    errno.EEXIST: "it is not a directory",
    errno.EROFS: "it is on a read-only file system",
    errno.EACCES: "this user may not read or write it",
    errno.EPERM: "this user may not read or write it",
    errno.ENOENT: "it is not there and cannot be made there",
    errno.ENAMETOOLONG: "its name is too long",
}


@contextmanager
def _telling_what_to_do(disk: Disk) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _ADVICE:
            raise
        raise DirectoryUnusable(
            f"{disk.place} cannot be the data directory: {_ADVICE[error.errno]} ({error}). "
            "Correct that, or start with another one (--data-dir)."
        ) from error


@contextmanager
def _telling_when_full(disk: Disk) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        raise NoSpace(f"{disk.place}: the disk is full; free some space and start again") from error
