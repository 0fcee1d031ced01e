"""Segments, the writing side: the one file that is appended to, and the change to the next one.

A commit is one write and one sync. Files get all their room when they are made, so that a commit does not
have to find any; the next file is made ahead. This file decides nothing about what is written, and never
reads a log.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress

from beaver_actors.codec.ranges import LSN_MAX
from beaver_actors.codec.segment import SEAL, SEGMENT_HEADER_SIZE, SegmentHeader, encode_segment_header
from beaver_actors.journal.disk import NO_SPACE, Disk, DiskFile, write_whole
from beaver_actors.journal.errors import AppendRefused, NoSpace

LOG = "wal"
SPARE = f"{LOG}/spare.tmp"
"""The next segment, made ahead; its name tells recovery that nothing in it counts."""


def segment_name(first_lsn: int) -> str:
    """The name of the segment that begins with this fact; names sort like LSNs."""
    return f"{LOG}/{first_lsn:020}.wal"


def list_segments(disk: Disk) -> list[int]:
    """The first LSN of each segment in the directory, ascending. Other names are not looked at."""
    return lsns_in_names(disk.names(LOG), r"([0-9]{20})\.wal")


def lsns_in_names(names: Iterable[str], pattern: str) -> list[int]:
    """The LSNs in those of the names that match the pattern, in their order. A number that is no LSN is in a
    name that is not ours."""
    matches = (re.fullmatch(pattern, name) for name in names)
    return [lsn for match in matches if match and (lsn := int(match[1])) <= LSN_MAX]


class ActiveSegment:
    """The segment that is written.

    Args:
        file: open, and owned by this object from now on.
        header: what stands at its start.
        used: where the next frame goes.
        size: the length of the file: its room.
    """

    def __init__(self, file: DiskFile, header: SegmentHeader, used: int, size: int) -> None:
        self._file = file
        self.header = header
        self.used = used
        self.size = size

    @property
    def is_empty(self) -> bool:
        return self.used == SEGMENT_HEADER_SIZE

    def commit(self, frame: bytes) -> None:
        """Write one frame and sync it.

        Raises:
            AppendRefused: there was no room; nothing of the frame is left, and that is synced.
            OSError: whether the frame is on disk is unknown.
        """
        for _ in range(2):
            try:
                written = self._file.write_at(frame, self.used)
            except OSError as error:
                if error.errno not in NO_SPACE:
                    raise
                self._cut_back()
                raise AppendRefused(f"the disk is full: {error}") from error
            if written == len(frame):
                self._file.datasync()
                self.used += written
                self.size = max(self.size, self.used)
                return
            # Never continued in place: the two parts could reach the disk one without the other, and that
            # would look like damage.
            self._cut_back()
        raise AppendRefused(f"the disk takes only part of a frame of {len(frame)} bytes")

    def has_room(self, size: int) -> bool:
        """Whether the file is as long as this."""
        return self.size >= size

    def take_room(self, size: int) -> None:
        """Make the file as long as this, with room for all of it.

        Raises:
            NoSpace: there is none.
        """
        try:
            self._file.preallocate(size)
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise
            raise NoSpace(f"no room for a segment of {size} bytes: {error}") from error
        self.size = size

    def seal(self) -> None:
        """Mark the end, give back the room that was not used, and close the file. To be called when the next
        segment is on disk. Not synced: without the mark nothing is lost but the proof that there was more."""
        try:
            self._file.write_at(SEAL, self.used)
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise
        if self.size > self.used + len(SEAL):
            self._file.truncate(self.used + len(SEAL))
        self._file.close()

    def close(self) -> None:
        """Close the file as it is."""
        self._file.close()

    def _cut_back(self) -> None:
        self._file.truncate(self.used)
        self._file.datasync()
        size, self.size = self.size, self.used
        with suppress(NoSpace):  # it is taken when there is some again
            self.take_room(size)


def make_spare(disk: Disk, size: int) -> None:
    """Make the next segment ahead, with all its room.

    Raises:
        NoSpace: there is none; nothing is left behind.
    """
    make_room(disk, SPARE, size)


def make_room(disk: Disk, name: str, size: int) -> None:
    """Make a file of zeros that holds its room on disk.

    Raises:
        NoSpace: there is none; nothing is left behind.
    """
    try:
        file = disk.create(name)
        try:
            file.preallocate(size)
            file.datasync()
        finally:
            file.close()
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        with suppress(FileNotFoundError):  # not even the name found room
            disk.unlink(name)
        raise NoSpace(f"{disk.place}/{name}: no room for {size} bytes: {error}") from error


def start_segment(disk: Disk, header: SegmentHeader, size: int) -> ActiveSegment:
    """Turn the spare file into the segment that begins with `header`, durable when this returns.

    Raises:
        NoSpace: there was none even for the header; the spare is gone.
    """
    file = disk.open(SPARE)
    try:
        write_whole(file, encode_segment_header(header), 0)
    except OSError as error:
        file.close()
        if error.errno not in NO_SPACE:
            raise
        disk.unlink(SPARE)
        raise NoSpace(f"{disk.place}/{SPARE}: no room for a header: {error}") from error
    file.datasync()
    disk.rename(SPARE, segment_name(header.first_lsn))
    disk.sync_directory(LOG)
    return ActiveSegment(file, header, SEGMENT_HEADER_SIZE, size)
