"""History: reading committed facts back from the files, for streams that catch up.

Runs beside the writer, from any thread: it reads files anew each time and never past the LSN it is told is on
disk. Marks taken on the way spare it from reading a segment from its start again. It folds nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from threading import Lock
from typing import NamedTuple

from beaver_actors.codec.fact_codec import CodecError, decode_facts
from beaver_actors.codec.frame import Frame, frame_header_at, read_frames
from beaver_actors.codec.segment import SEGMENT_HEADER_SIZE, BadHeader, UnknownVersion, decode_segment_header
from beaver_actors.core.facts import Fact
from beaver_actors.journal.disk import Disk
from beaver_actors.journal.errors import Damaged, HistoryGone
from beaver_actors.journal.segments import segment_name

READ_BYTES = 64 << 10  # at a time: some hundred facts, a page of a stream
MARK_BYTES = 32 << 10  # between two marks at least: a segment of 16 MiB has 500 of them


class _Mark(NamedTuple):
    """A place where a frame begins, with what `read_frames` must know to start there."""

    lsn: int
    offset: int
    chain: int
    epoch: int


class History:
    """The readable past of one data directory."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._marks: dict[int, list[_Mark]] = {}
        self._lock = Lock()

    def read(
        self, first_lsns: Sequence[int], from_lsn: int, through_lsn: int, limit: int
    ) -> list[tuple[int, Fact]]:
        """Return up to `limit` facts with their LSNs, in order and without a hole.

        Args:
            first_lsns: the first LSN of each segment there is, ascending.
            from_lsn: the first fact wanted.
            through_lsn: the last fact known to be on disk.

        Raises:
            HistoryGone: `from_lsn` was deleted, before or during this call.
            Damaged: the files do not hold what was once written to them.
        """
        facts: list[tuple[int, Fact]] = []
        next_lsn = from_lsn
        while next_lsn <= through_lsn and len(facts) < limit:
            place = bisect_right(first_lsns, next_lsn) - 1
            if place < 0:
                raise HistoryGone(from_lsn, first_lsns[0])
            try:
                self._read_segment(first_lsns[place], facts, next_lsn, through_lsn, limit)
            except FileNotFoundError:
                oldest = first_lsns[place + 1] if place + 1 < len(first_lsns) else through_lsn + 1
                raise HistoryGone(from_lsn, oldest) from None
            read_through = facts[-1][0] if facts else next_lsn - 1
            if read_through < next_lsn:
                name = segment_name(first_lsns[place])
                raise Damaged(self._disk.place, name, None, next_lsn, "the segment ends too early")
            next_lsn = read_through + 1
        return facts

    def forget(self, first_lsn: int) -> None:
        """A segment was deleted."""
        with self._lock:
            self._marks.pop(first_lsn, None)

    def _read_segment(
        self, first_lsn: int, facts: list[tuple[int, Fact]], next_lsn: int, through_lsn: int, limit: int
    ) -> None:
        name = segment_name(first_lsn)
        for frame in self._frames(first_lsn, next_lsn):
            if frame.first_lsn > through_lsn:
                return
            if frame.last_lsn < next_lsn:
                continue
            try:
                decoded = decode_facts(frame.body)
            except CodecError as error:
                raise Damaged(self._disk.place, name, frame.offset, frame.first_lsn, str(error)) from error
            for lsn, fact in enumerate(decoded, start=frame.first_lsn):
                if lsn > through_lsn or len(facts) == limit:
                    return
                if lsn >= next_lsn:
                    facts.append((lsn, fact))

    def _frames(self, first_lsn: int, next_lsn: int) -> Iterator[Frame]:
        """The frames of a segment, from the last mark before `next_lsn` on."""
        name = segment_name(first_lsn)
        mark = self._nearest(first_lsn, next_lsn)
        while True:
            data = self._disk.read(name, mark.offset, READ_BYTES)
            frames, end = read_frames(data, 0, mark.lsn, mark.chain, mark.epoch)
            if not frames:
                header = frame_header_at(data, 0)
                if header is None:
                    return
                # One frame longer than a read.
                data = self._disk.read(name, mark.offset, header.frame_size)
                frames, end = read_frames(data, 0, mark.lsn, mark.chain, mark.epoch)
                if not frames:
                    return
            offset = mark.offset
            for frame in frames:
                yield frame._replace(offset=offset + frame.offset)
            last = frames[-1]
            mark = _Mark(last.last_lsn + 1, offset + end, last.crc, last.epoch)
            self._remember(first_lsn, mark)

    def _nearest(self, first_lsn: int, lsn: int) -> _Mark:
        with self._lock:
            marks = self._marks.get(first_lsn)
            if marks is not None:
                return marks[bisect_right(marks, lsn, key=_lsn) - 1]
        name = segment_name(first_lsn)
        try:
            header = decode_segment_header(self._disk.read(name, 0, SEGMENT_HEADER_SIZE))
        except (BadHeader, UnknownVersion) as error:
            raise Damaged(self._disk.place, name, 0, first_lsn, str(error)) from error
        mark = _Mark(header.first_lsn, SEGMENT_HEADER_SIZE, header.chain, 0)
        self._remember(first_lsn, mark)
        return mark

    def _remember(self, first_lsn: int, mark: _Mark) -> None:
        with self._lock:
            marks = self._marks.setdefault(first_lsn, [])
            if not marks or mark.offset >= marks[-1].offset + MARK_BYTES:
                marks.append(mark)


def _lsn(mark: _Mark) -> int:
    return mark.lsn
