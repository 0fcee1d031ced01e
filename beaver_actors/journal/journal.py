"""The journal on files: appends commits, changes segments, and reads committed facts back.

One writer, one commit at a time, every call synchronous. It makes facts durable and has no idea what they
mean; what the files held before is read by `journal/recovery.py`, which also is the only one to make a
`FileJournal`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from beaver_actors.codec.fact_codec import CodecError, encode_facts
from beaver_actors.codec.frame import encode_frame
from beaver_actors.codec.segment import SegmentHeader
from beaver_actors.core.facts import Fact
from beaver_actors.journal.disk import Disk, DiskLock
from beaver_actors.journal.errors import AppendRefused, JournalPoisoned, NoSpace
from beaver_actors.journal.history import History
from beaver_actors.journal.reserve import Reserve, Room, spend_ballast
from beaver_actors.journal.segments import LOG, ActiveSegment, segment_name, start_segment
from beaver_actors.journal.settings import JournalSettings


class FileJournal:
    """The log of one data directory, owned by this process.

    `read_from` may be called from any thread at any time; everything else from one thread at a time.

    Args:
        lock: the ownership of the directory; released by `close`.
        active: the segment to go on in.
        sealed: the earlier segments, as (first LSN, bytes), ascending.
        head: the last fact on disk.
        chain: the header checksum of the last frame on disk.
        epoch: this life; written into every frame.
    """

    def __init__(
        self,
        disk: Disk,
        settings: JournalSettings,
        lock: DiskLock,
        *,
        active: ActiveSegment,
        sealed: Sequence[tuple[int, int]],
        head: int,
        chain: int,
        epoch: int,
    ) -> None:
        self._disk = disk
        self._settings = settings
        self._lock = lock
        self._active = active
        self._sealed_bytes = dict(sealed)
        # Replaced, never changed: `read_from` may be looking at it.
        self._first_lsns = (*self._sealed_bytes, active.header.first_lsn)
        self._head = head
        self._chain = chain
        self._epoch = epoch
        self._trimmed_bytes = 0
        self._reserve = Reserve(disk, settings)
        self._history = History(disk)
        self._poison: BaseException | None = None
        self._closed = False

    @property
    def head(self) -> int:
        """The LSN of the last fact on disk; 0 if there is none."""
        return self._head

    @property
    def epoch(self) -> int:
        """This life of the server: one more than any before."""
        return self._epoch

    @property
    def oldest_lsn(self) -> int:
        """The oldest fact that can be read back; `head + 1` if none can."""
        return self._first_lsns[0]

    @property
    def size_bytes(self) -> int:
        """Bytes of log, without room that is held but not used."""
        return sum(self._sealed_bytes.values()) + self._active.used

    @property
    def appended_bytes(self) -> int:
        """Bytes of log that there were at the start and have come since, trimmed or not: it only grows."""
        return self.size_bytes + self._trimmed_bytes

    @property
    def room(self) -> Room:
        """What may be appended; new jobs only while this is `normal` (P7)."""
        return self._reserve.room

    @property
    def wants_replenishing(self) -> bool:
        """Something that is held ready for a full disk is missing: call `replenish`."""
        return not (self._reserve.is_complete and self._active.has_room(self._settings.segment_bytes))

    def append(self, facts: Sequence[Fact]) -> int:
        """Make facts durable with one write and one sync, and return the LSN of the last.

        Raises:
            AppendRefused: the disk is full beyond the reserve; the facts are definitely not written.
            CodecError: a fact that the format cannot hold; nothing is written.
            OSError: whether they are written is unknown. The process must end (P8).
            JournalPoisoned: an earlier call ended so.
        """
        if not facts:
            return self._head
        with self._poisoning():
            body = encode_facts(facts)
            first_lsn = self._head + 1
            frame, crc = encode_frame(
                body, first_lsn, len(facts), chain=self._chain, epoch=self._epoch, durable=self._head
            )
            self._commit(frame)
            self._head += len(facts)
            self._chain = crc
            return self._head

    def rotate(self) -> int:
        """Seal the active segment, if there is anything in it and room for another; return the last LSN in
        sealed segments.

        Raises:
            OSError, JournalPoisoned: as `append`.
        """
        with self._poisoning():
            if not self._active.is_empty:
                # Without room, it is sealed another time: appending goes on where it is.
                with suppress(AppendRefused):
                    self._change_segment()
            return self._active.header.first_lsn - 1

    def trim(self, keep_from_lsn: int) -> None:
        """Delete the sealed segments that hold only facts before `keep_from_lsn`.

        Raises:
            OSError, JournalPoisoned: as `append`.
        """
        with self._poisoning():
            place = bisect_right(self._first_lsns, keep_from_lsn) - 1
            for first_lsn in self._first_lsns[: max(place, 0)]:
                self._disk.unlink(segment_name(first_lsn))
                # One by one: were they to vanish in another order, the log would have a hole.
                self._disk.sync_directory(LOG)
                self._first_lsns = self._first_lsns[1:]
                self._trimmed_bytes += self._sealed_bytes.pop(first_lsn)
                self._history.forget(first_lsn)

    def replenish(self) -> None:
        """Make ready again what a full disk has used up, if there is room now; `room` tells. To be called
        whenever `wants_replenishing`, also while nothing is appended.

        Raises:
            OSError, JournalPoisoned: as `append`.
        """
        with self._poisoning():
            self._reserve.replenish(self._active)

    def read_from(self, lsn: int, limit: int) -> list[tuple[int, Fact]]:
        """Return up to `limit` durable facts from `lsn` on, with their LSNs; none if `lsn` is past the head.

        Raises:
            HistoryGone: they were deleted.
            Damaged: the files do not hold what was written to them.
        """
        head = self._head  # first: a segment is on the list before facts in it are counted
        return self._history.read(self._first_lsns, lsn, head, limit)

    def close(self) -> None:
        """Close the files and give the directory up. Nothing is written: everything is on disk already."""
        if not self._closed:
            self._closed = True
            self._poison = self._poison or ValueError("the journal is closed")
            try:
                self._active.close()
            finally:
                self._lock.release()

    def _commit(self, frame: bytes) -> None:
        try:
            if self._active.used + len(frame) > self._settings.segment_bytes and not self._active.is_empty:
                self._change_segment()
            try:
                self._active.commit(frame)
            except AppendRefused:
                # A frame longer than a segment, or a file system that does not keep the room it gave.
                self._reserve.now_scarce()
                if not spend_ballast(self._disk, self._settings.segment_bytes):
                    raise
                self._active.commit(frame)
        except AppendRefused:
            self._reserve.now_refused()
            raise
        self._reserve.now_taken()

    def _change_segment(self) -> None:
        header = SegmentHeader(self._head + 1, self._epoch, self._chain)
        try:
            self._reserve.provide_spare()
            try:
                following = start_segment(self._disk, header, self._settings.segment_bytes)
            finally:
                self._reserve.spare_used()
        except NoSpace as error:
            raise AppendRefused(str(error)) from error
        sealed, self._active = self._active, following
        self._sealed_bytes[sealed.header.first_lsn] = sealed.used
        self._first_lsns = (*self._first_lsns, header.first_lsn)
        sealed.seal()

    @contextmanager
    def _poisoning(self) -> Iterator[None]:
        """After a failure that leaves the files unknown, nothing is tried again (P8)."""
        if self._poison is not None:
            raise JournalPoisoned(self._poison)
        try:
            yield
        except (AppendRefused, CodecError):
            raise
        except BaseException as error:
            self._poison = error
            raise
