"""Segments: the header of a log file, and the verdict on how it ends.

Frames are read until one is not what it should be; this file alone says whether that is a clean end, a torn
one (an interrupted last write, to be cut) or damage (never cut without the operator's word). It never opens
a file. The rules and their reasons are in `docs/wal-format.md`.
"""

from __future__ import annotations

from enum import StrEnum
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from beaver_actors.codec.frame import (
    FRAME_HEADER_SIZE,
    FRAME_MAGIC,
    Frame,
    FrameHeader,
    frame_body_at,
    frame_header_at,
    read_frames,
)

FORMAT_VERSION = 1

_MAGIC = b"BEAVRWAL"
_HEADER = Struct("<8sIIQQI")
_HEADER_SUMMED = 12  # the checksum covers what follows the magic and the checksum itself
SEGMENT_HEADER_SIZE = _HEADER.size

SEAL = b"\x5e"
"""The byte behind the last frame of a segment that is followed by another. It is written when that one is on
disk, so if it is found at the end of the log, the rest of the log is missing. One byte is never torn."""

SECTOR = 512  # the smallest unit that a disk writes whole or not at all


class BadHeader(ValueError):
    """A file's header is cut short or does not match its checksum."""


class UnknownVersion(ValueError):
    """A sound header of a format version that this program does not read."""

    def __init__(self, found: int, supported: int) -> None:
        super().__init__(f"format version {found}; this program reads version {supported}")
        self.found = found
        self.supported = supported


class SegmentHeader(NamedTuple):
    """The start of a segment file."""

    first_lsn: int
    """The LSN of the first fact in this file."""
    epoch: int
    """The life of the server that wrote this file."""
    chain: int
    """The header checksum of the last frame before this file; 0 at the start of the log."""


class Verdict(StrEnum):
    """What stands where the readable part of a segment ends."""

    CLEAN = "clean"
    """The end of the file, or zeros up to it."""
    TORN = "torn"
    """A last write that was interrupted before it was acknowledged: to be cut."""
    DAMAGED = "damaged"
    """Bytes that were whole once."""


class Ending(NamedTuple):
    """Where the readable part of a segment ends, and why."""

    verdict: Verdict
    offset: int
    reason: str
    lost_bytes: int = 0
    """Bytes from `offset` up to the last one that is not zero."""
    seen_lsn: int = 0
    """The highest LSN that sound headers at or behind `offset` lay claim to; 0 without any."""


class SegmentScan(NamedTuple):
    """A whole segment, read."""

    header: SegmentHeader
    frames: list[Frame]
    ending: Ending

    @property
    def last_lsn(self) -> int:
        """The LSN of the last readable fact, or of the one before this segment."""
        return self.frames[-1].last_lsn if self.frames else self.header.first_lsn - 1

    @property
    def chain(self) -> int:
        """What the frame behind the last readable one must repeat."""
        return self.frames[-1].crc if self.frames else self.header.chain

    @property
    def epoch(self) -> int:
        """The highest epoch in this segment."""
        return max(self.header.epoch, self.frames[-1].epoch if self.frames else 0)


def encode_segment_header(header: SegmentHeader) -> bytes:
    """Return the first bytes of a segment file."""
    packed = _HEADER.pack(_MAGIC, 0, FORMAT_VERSION, *header)
    return _HEADER.pack(_MAGIC, crc32(packed[_HEADER_SUMMED:]), FORMAT_VERSION, *header)


def decode_segment_header(data: bytes) -> SegmentHeader:
    """Read the first bytes of a segment file.

    Raises:
        BadHeader: not a segment, cut short, or its checksum does not match.
        UnknownVersion: sound, but of another version. Every version keeps magic, checksum and version where
            version 1 has them.
    """
    if len(data) < SEGMENT_HEADER_SIZE:
        raise BadHeader(f"segment header cut short: {len(data)} of {SEGMENT_HEADER_SIZE} bytes")
    magic, crc, version, first_lsn, epoch, chain = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise BadHeader(f"segment header begins with {magic!r} instead of {_MAGIC!r}")
    if crc != crc32(data[_HEADER_SUMMED:SEGMENT_HEADER_SIZE]):
        raise BadHeader("segment header does not match its checksum")
    if version != FORMAT_VERSION:
        raise UnknownVersion(version, FORMAT_VERSION)
    return SegmentHeader(first_lsn, epoch, chain)


def scan_segment(data: bytes, *, last: bool) -> SegmentScan:
    """Read a whole segment.

    Args:
        data: the file's bytes.
        last: whether no segment comes after it. Only there can a write have been interrupted: a next segment
            is begun when everything before it is on disk.

    Raises:
        BadHeader, UnknownVersion: as `decode_segment_header`.
    """
    header = decode_segment_header(data)
    frames, offset = read_frames(data, SEGMENT_HEADER_SIZE, header.first_lsn, header.chain)
    so_far = SegmentScan(header, frames, Ending(Verdict.CLEAN, offset, "end of the segment"))
    lost_bytes = len(data.rstrip(b"\0")) - offset
    if lost_bytes <= 0:
        return so_far
    if data[offset : offset + lost_bytes] == SEAL:
        if not last:
            return so_far
        missing = Ending(Verdict.DAMAGED, offset, "the segment that followed this one is missing", 0)
        return so_far._replace(ending=missing)
    return so_far._replace(ending=_judge(data, so_far, lost_bytes, last))


def highest_lsn(data: bytes) -> int:
    """The highest LSN that any sound frame header in these bytes lays claim to; 0 without any."""
    return _later_frames(data, 0, 0)[0]


def _judge(data: bytes, sound: SegmentScan, lost_bytes: int, last: bool) -> Ending:
    """Say what the bytes are that stand where a frame was expected.

    Torn only if nothing says otherwise: no later segment, no later frame that was written in the knowledge
    that this one was on disk, and the trace that an interrupted write leaves, which is that it ends early or
    that a whole sector of it is missing. Everything else was whole once.
    """
    offset, next_lsn = sound.ending.offset, sound.last_lsn + 1
    header = frame_header_at(data, offset)
    # Inside a body whose extent is proven, bytes that look like a frame are somebody's payload.
    search_from = offset + 1 if header is None else offset + header.frame_size
    seen_lsn, proof_offset = _later_frames(data, search_from, next_lsn)
    if header is not None:
        seen_lsn = max(seen_lsn, header.last_lsn)

    def damaged(reason: str) -> Ending:
        return Ending(Verdict.DAMAGED, offset, reason, lost_bytes, seen_lsn)

    def torn(reason: str) -> Ending:
        return Ending(Verdict.TORN, offset, reason, lost_bytes, seen_lsn)

    misfit = None if header is None else _misfit(header, next_lsn, sound)
    if misfit is not None:
        return damaged(misfit)
    what = "a frame's header" if header is None else f"the frame of LSN {next_lsn}"
    flaw = f"{what} does not match its checksum"
    if proof_offset is not None:
        return damaged(f"{flaw}; a frame at offset {proof_offset} proves that it had been on disk")
    if not last:
        return damaged(f"{flaw}, and more segments follow")
    if header is None:
        # Its extent is unknown, but were all its header there, it would match its checksum.
        if lost_bytes <= FRAME_HEADER_SIZE:
            return torn("the last write ends early")
        if _misses_a_sector(data, offset, offset + FRAME_HEADER_SIZE, round_up=True):
            return torn("a sector of the last write is missing")
    else:
        if frame_body_at(data, offset, header) is not None:
            return damaged(f"the epoch goes back from {sound.epoch} to {header.epoch}")
        if lost_bytes > header.frame_size:
            return damaged(f"{flaw}, and other bytes follow it")
        if lost_bytes < header.frame_size:
            return torn("the last write ends early")
        if _misses_a_sector(data, offset, offset + header.frame_size):
            return torn("a sector of the last write is missing")
    return damaged(f"{flaw}, and none of it is missing")


def _misfit(header: FrameHeader, next_lsn: int, sound: SegmentScan) -> str | None:
    """Why this frame, whole or not, cannot be the one that follows."""
    if header.first_lsn != next_lsn:
        return f"expected the frame of LSN {next_lsn}, found that of LSN {header.first_lsn}"
    if header.chain != sound.chain:
        return f"the frame of LSN {next_lsn} was written after another frame than the one before it"
    return None


def _later_frames(data: bytes, offset: int, next_lsn: int) -> tuple[int, int | None]:
    """The highest LSN that sound headers from `offset` on lay claim to, and the place of the first of them
    that was written when `next_lsn` was known to be on disk."""
    seen_lsn, proof_offset = 0, None
    while (offset := data.find(FRAME_MAGIC, offset)) >= 0:
        header = frame_header_at(data, offset)
        if header is not None and header.first_lsn > next_lsn:
            seen_lsn = max(seen_lsn, header.last_lsn)
            if proof_offset is None and header.durable >= next_lsn:
                proof_offset = offset
        offset += 1
    return seen_lsn, proof_offset


def _misses_a_sector(data: bytes, start: int, end: int, *, round_up: bool = False) -> bool:
    """Whether one of the sectors that hold `data[start:end]` has nothing of it. With `round_up`, the last
    sector counts to its own end."""
    for sector in range(start - start % SECTOR, end, SECTOR):
        part_end = sector + SECTOR if round_up else min(sector + SECTOR, end)
        if not any(data[max(sector, start) : part_end]):
            return True
    return False
