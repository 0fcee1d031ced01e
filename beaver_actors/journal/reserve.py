"""The reserve: room that is kept back for a full disk (P7).

Two things are held ready: the next segment, made ahead, and a ballast file. While both are there, and the
segment that is written has all its room, new jobs may come in. When one of them cannot be had again, only
outcomes may, and they use up what was held back; so a job that has run is recorded, and not run again. This
file looks after that room and writes nothing into it.
"""

from __future__ import annotations

from enum import StrEnum

from beaver_actors.journal.disk import NO_SPACE, Disk
from beaver_actors.journal.errors import NoSpace
from beaver_actors.journal.segments import (
    ActiveSegment,
    list_segments,
    make_room,
    make_spare,
    segment_name,
)
from beaver_actors.journal.settings import JournalSettings
from beaver_actors.journal.snapshots import is_being_written

RESERVE = "reserve"


class Room(StrEnum):
    """What the log has room for."""

    NORMAL = "normal"
    """Everything."""
    OUTCOMES_ONLY = "outcomes_only"
    """What was held back is being used: no new jobs, but what has run can be recorded."""
    NONE = "none"
    """The last append was refused."""


class Reserve:
    """The spare segment and the ballast file of a data directory."""

    def __init__(self, disk: Disk, settings: JournalSettings) -> None:
        self._disk = disk
        self._settings = settings
        self._spare = False
        self.room = Room.OUTCOMES_ONLY

    @property
    def is_complete(self) -> bool:
        """Nothing has to be made again. The process that folds snapshots may have spent the ballast."""
        at_hand = self._spare and self.room is Room.NORMAL
        return at_hand and (ballast_size(self._disk) or 0) >= self._settings.reserve_bytes

    def replenish(self, active: ActiveSegment) -> None:
        """Make again what was used up, as far as there is room, and say in `room` whether it was enough.

        Args:
            active: the segment that is written; begun or cut back on a full disk, it lacks its own room.
        """
        try:
            # In the order of need: to start again, to record outcomes, and then the rest.
            self._grow_ballast(needed_to_start(self._disk))
            if not active.has_room(self._settings.segment_bytes):
                # Once that is used up, the next start needs as much.
                self._grow_ballast(self._settings.segment_bytes)
                self._expect_free(self._settings.segment_bytes - active.size)
                active.take_room(self._settings.segment_bytes)
            if not self._spare:
                self._expect_free(self._settings.segment_bytes)
                make_spare(self._disk, self._settings.segment_bytes)
                self._spare = True
                self.now_taken()
            self._grow_ballast(self._settings.reserve_bytes)
        except NoSpace:
            self.now_scarce()
        else:
            self.room = Room.NORMAL

    def now_scarce(self) -> None:
        """What was held back is being used."""
        if self.room is Room.NORMAL:
            self.room = Room.OUTCOMES_ONLY

    def now_refused(self) -> None:
        """An append found no room."""
        self.room = Room.NONE

    def now_taken(self) -> None:
        """An append found room."""
        if self.room is Room.NONE:
            self.room = Room.OUTCOMES_ONLY

    def provide_spare(self) -> None:
        """See to it that the spare is there, at the cost of the ballast if need be.

        Raises:
            NoSpace: not even so.
        """
        if self._spare:
            return
        try:
            make_spare(self._disk, self._settings.segment_bytes)
        except NoSpace:
            self.now_scarce()
            if not spend_ballast(self._disk, self._settings.segment_bytes):
                raise
            make_spare(self._disk, self._settings.segment_bytes)
        self._spare = True

    def spare_used(self) -> None:
        """The spare has become a segment, or was lost in the attempt."""
        self._spare = False

    def _grow_ballast(self, wanted: int) -> None:
        size = ballast_size(self._disk)
        if size is not None and size >= wanted:
            return
        if is_being_written(self._disk):
            raise NoSpace("a snapshot under way may need the room")
        self._expect_free(wanted - (size or 0))
        if size is None:
            make_room(self._disk, RESERVE, wanted)
            self._disk.sync_directory()
            return
        file = self._disk.open(RESERVE)
        try:
            file.preallocate(wanted)
            file.datasync()
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise
            file.truncate(size)
            raise NoSpace(f"{self._disk.place}/{RESERVE}: no room for {wanted} bytes") from error
        finally:
            file.close()

    def _expect_free(self, size: int) -> None:
        # A look costs two microseconds; filling a disk to find that it is full costs far more, each time.
        if self._disk.free_bytes() < size:
            raise NoSpace(f"{self._disk.place}: less than {size} bytes free")


def ballast_size(disk: Disk) -> int | None:
    """Bytes held back in the ballast file; None if there is no such file."""
    try:
        return disk.size(RESERVE)
    except FileNotFoundError:
        return None


def needed_to_start(disk: Disk) -> int:
    """Room for writing the last segment anew, which every start does."""
    return max(disk.size(segment_name(first_lsn)) for first_lsn in list_segments(disk))


def spend_ballast(disk: Disk, keep: int = 0) -> bool:
    """Give back to the disk what the ballast holds beyond the need of the next start; False if that is all
    there is.

    Args:
        keep: how long the last segment may yet become: what the next start will need then.
    """
    needed = max(needed_to_start(disk), keep)
    if (ballast_size(disk) or 0) <= needed:
        return False
    file = disk.open(RESERVE)
    file.truncate(needed)
    file.datasync()
    file.close()
    return True


def give_up_ballast(disk: Disk) -> None:
    """Give all of the ballast back: this is the start that it was held for."""
    if ballast_size(disk) is not None:
        disk.unlink(RESERVE)
        disk.sync_directory()
