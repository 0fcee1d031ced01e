"""Repair: past damage, at the price of the facts that cannot be read. Only ever on the operator's word.

The readable state becomes a new snapshot, a new log begins behind it, and all the old files are moved aside,
unchanged. The new log begins far behind every LSN ever given out, so fences go on growing. This file does not
judge what is damaged: that is what recovery stumbled over.
"""

from __future__ import annotations

from typing import NamedTuple

from beaver_actors.codec.ranges import EPOCH_MAX, LSN_MAX
from beaver_actors.codec.segment import BadHeader, SegmentHeader, UnknownVersion, highest_lsn, scan_segment
from beaver_actors.core.state import State
from beaver_actors.journal.disk import Disk
from beaver_actors.journal.errors import Damaged
from beaver_actors.journal.recovery import (
    FORMAT,
    FORMAT_UNFINISHED,
    LOCK,
    has_format,
    mark_format,
    remove_unfinished,
)
from beaver_actors.journal.replay import Replayed, replay
from beaver_actors.journal.reserve import give_up_ballast
from beaver_actors.journal.segments import LOG, list_segments, make_spare, segment_name, start_segment
from beaver_actors.journal.settings import JournalSettings
from beaver_actors.journal.snapshots import (
    SNAPSHOTS,
    list_snapshots,
    load_newest,
    save_snapshot,
    snapshot_name,
)

LSNS_SKIPPED = 1_000_000
"""More than one commit ever holds: what the damage hides may be the last commit, of unknown length."""


class Repaired(NamedTuple):
    """The data directory can be started again."""

    aside: str
    """The directory, inside the data directory, that the old files are in."""
    kept_lsn: int
    """The state is the one after this fact."""
    lost_from_lsn: int
    lost_through_lsn: int
    """The last fact known to be lost; less than `lost_from_lsn` if none is known for certain."""
    jobs: int
    next_lsn: int
    """The new log begins here."""
    damage: Damaged
    """What was wrong."""


def repair(disk: Disk, settings: JournalSettings) -> Repaired | None:
    """Give up the facts that cannot be read, so that a server can start again.

    Returns:
        What was lost; None if a server would start as it is, and nothing was done.

    Raises:
        DirectoryLocked: a server owns the directory.
        UnknownFormat: another version of the program wrote it: nothing is damaged.
        NoSpace, OSError: the disk is full or failed.
    """
    lock = disk.lock(LOCK)
    try:
        damage = None
        try:
            replayed = replay(disk)
        except Damaged as found:
            damage = found
        # From here on something is changed: what a newer version wrote has been refused.
        mended = _mend_format(disk)
        if damage is not None:
            return _repair(disk, settings, damage)
        return mended and mended._replace(
            kept_lsn=replayed.state.lsn,
            lost_from_lsn=replayed.state.lsn + 1,
            lost_through_lsn=replayed.state.lsn,
            jobs=len(replayed.state.jobs),
            next_lsn=replayed.state.lsn + 1,
        )
    finally:
        lock.release()


def _mend_format(disk: Disk) -> Repaired | None:
    """Write the file `format` anew if it cannot be read: no fact is in it."""
    try:
        has_format(disk)
    except Damaged as damage:
        aside = _move_aside(disk, [FORMAT])
        if FORMAT_UNFINISHED in disk.names():
            disk.unlink(FORMAT_UNFINISHED)
        mark_format(disk)
        return Repaired(aside, 0, 1, 0, 0, 1, damage)
    return None


def _repair(disk: Disk, settings: JournalSettings, damage: Damaged) -> Repaired:
    old_segments, old_snapshots = list_segments(disk), list_snapshots(disk)
    replayed = _readable(disk)
    kept_lsn = replayed.state.lsn
    seen_lsn, epoch = _seen(disk, replayed.epoch)
    seen_lsn = max([seen_lsn, kept_lsn, *old_snapshots])
    head = seen_lsn + LSNS_SKIPPED
    remove_unfinished(disk)
    give_up_ballast(disk)
    replayed.state.lsn = head
    save_snapshot(disk, replayed.state, epoch=epoch, chain=0, owner="repair", make_room=lambda: False)
    make_spare(disk, settings.segment_bytes)
    start_segment(disk, SegmentHeader(head + 1, epoch, chain=0), settings.segment_bytes).close()
    # From here on a server starts; what is moved last is never missed.
    aside = _move_aside(
        disk,
        [segment_name(lsn) for lsn in old_segments],
        [snapshot_name(lsn) for lsn in old_snapshots],
    )
    return Repaired(
        aside=aside,
        kept_lsn=kept_lsn,
        lost_from_lsn=kept_lsn + 1,
        lost_through_lsn=seen_lsn,
        jobs=len(replayed.state.jobs),
        next_lsn=head + 1,
        damage=damage,
    )


def _readable(disk: Disk) -> Replayed:
    """The state up to the first thing that cannot be read."""
    try:
        return replay(disk)
    except Damaged as damage:
        readable_lsn = damage.lsn - 1
    snapshot, refused = load_newest(disk)
    snapshot_lsn = 0 if snapshot is None else snapshot.header.lsn
    if readable_lsn > snapshot_lsn:
        return replay(disk, readable_lsn)
    if snapshot is None:
        return Replayed(State(), chain=0, epoch=0, refused=refused)
    header = snapshot.header
    return Replayed(snapshot.state, header.chain, header.epoch, header.lsn, refused)


def _seen(disk: Disk, epoch: int) -> tuple[int, int]:
    """The highest LSN that anything in the log lays claim to, and an epoch above all in it. Numbers that are
    never written are claims of nobody."""
    seen_lsn = 0
    for first_lsn in list_segments(disk):
        data = disk.read(segment_name(first_lsn))
        claimed_lsn = highest_lsn(data)
        seen_lsn = max(seen_lsn, first_lsn - 1, claimed_lsn if claimed_lsn <= LSN_MAX else 0)
        try:
            claimed_epoch = scan_segment(data, last=False).epoch
        except (BadHeader, UnknownVersion):
            continue
        epoch = max(epoch, claimed_epoch if claimed_epoch <= EPOCH_MAX else 0)
    return seen_lsn, epoch + 1


def _move_aside(disk: Disk, *groups: list[str]) -> str:
    taken = disk.names()
    number = next(number for number in range(1, len(taken) + 2) if f"damaged-{number}" not in taken)
    aside = f"damaged-{number}"
    for directory in (aside, f"{aside}/{LOG}", f"{aside}/{SNAPSHOTS}"):
        disk.make_directory(directory)
    for names in groups:
        for name in names:
            disk.rename(name, f"{aside}/{name}")
    for directory in (LOG, SNAPSHOTS, f"{aside}/{LOG}", f"{aside}/{SNAPSHOTS}", aside, ""):
        disk.sync_directory(directory)
    return aside
