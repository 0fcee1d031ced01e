"""Frames: how one commit lies in a log file.

This file packs a commit into bytes and reads commits back that follow one another. It does not say what the
bytes are where that ends (`codec/segment.py` does), never opens a file, and never looks into a frame's body.
The layout and its reasons are in `docs/wal-format.md`.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple
from zlib import crc32

# No zero byte, so that a missing first sector shows; 0xff never occurs in UTF-8, so the JSON that users send
# cannot hold it; and no byte becomes zero by the flip of a single bit.
FRAME_MAGIC = b"\xb5BV\xff"
_FRAME = Struct("<4sIIIQIIQQ")
_FRAME_SUMMED = 8  # the header's checksum covers what follows the magic and the checksum itself
FRAME_HEADER_SIZE = _FRAME.size
TRAILER = b"\xa5"  # not zero: a missing last sector shows even if the body ends in zeros


class Frame(NamedTuple):
    """One commit, read back and proven whole."""

    offset: int
    first_lsn: int
    fact_count: int
    epoch: int
    crc: int
    """Its header checksum, which the next frame repeats."""
    body: bytes

    @property
    def last_lsn(self) -> int:
        return self.first_lsn + self.fact_count - 1

    @property
    def end(self) -> int:
        return self.offset + FRAME_HEADER_SIZE + len(self.body) + len(TRAILER)


class FrameHeader(NamedTuple):
    """A header that matches its checksum; its body may still be damaged."""

    crc: int
    body_crc: int
    body_size: int
    first_lsn: int
    fact_count: int
    chain: int
    """The header checksum of the frame before."""
    epoch: int
    """The life of the server that wrote it."""
    durable: int
    """The highest LSN that was known to be on disk when it was written."""

    @property
    def last_lsn(self) -> int:
        return self.first_lsn + self.fact_count - 1

    @property
    def frame_size(self) -> int:
        return FRAME_HEADER_SIZE + self.body_size + len(TRAILER)


def encode_frame(
    body: bytes, first_lsn: int, fact_count: int, *, chain: int, epoch: int, durable: int
) -> tuple[bytes, int]:
    """Return the bytes of one commit and its header checksum, which the next frame gets as `chain`.

    Args:
        body: the facts, not empty.
        first_lsn: the LSN of the first of them.
        fact_count: how many there are, at least one.
        chain: the header checksum of the frame before.
        epoch: this life of the server.
        durable: the highest LSN known to be on disk now: proof, if the frame before is ever found damaged,
            that it had been acknowledged.
    """
    packed = _FRAME.pack(FRAME_MAGIC, 0, crc32(body), len(body), first_lsn, fact_count, chain, epoch, durable)
    summed = packed[_FRAME_SUMMED:]
    crc = crc32(summed)
    return b"".join((FRAME_MAGIC, crc.to_bytes(4, "little"), summed, body, TRAILER)), crc


def read_frames(
    data: bytes, offset: int, next_lsn: int, chain: int, epoch: int = 0
) -> tuple[list[Frame], int]:
    """Read frames that follow one another, up to the first that is not whole or does not follow.

    Args:
        data: bytes of a segment, perhaps not up to its end.
        offset: where the first frame begins.
        next_lsn: the LSN it must begin with.
        chain: the header checksum it must repeat.
        epoch: the epoch it must have at least.

    Returns:
        The frames, and the offset behind the last of them.
    """
    frames: list[Frame] = []
    while (header := frame_header_at(data, offset)) is not None:
        if header.first_lsn != next_lsn or header.chain != chain or header.epoch < epoch:
            break
        body = frame_body_at(data, offset, header)
        if body is None:
            break
        frames.append(Frame(offset, next_lsn, header.fact_count, header.epoch, header.crc, body))
        next_lsn, chain, epoch = next_lsn + header.fact_count, header.crc, header.epoch
        offset += header.frame_size
    return frames, offset


def frame_header_at(data: bytes, offset: int) -> FrameHeader | None:
    """The header at this place, if there is one that matches its checksum and makes sense."""
    if data[offset : offset + 4] != FRAME_MAGIC or len(data) < offset + FRAME_HEADER_SIZE:
        return None
    _, crc, *fields = _FRAME.unpack_from(data, offset)
    if crc != crc32(data[offset + _FRAME_SUMMED : offset + FRAME_HEADER_SIZE]):
        return None
    header = FrameHeader(crc, *fields)
    sensible = header.fact_count > 0 and header.body_size > 0 and header.durable < header.first_lsn
    return header if sensible else None


def frame_body_at(data: bytes, offset: int, header: FrameHeader) -> bytes | None:
    """The body of the frame at this place, if it matches its checksum and the trailer is there."""
    start = offset + FRAME_HEADER_SIZE
    end = start + header.body_size
    body = data[start:end]
    return body if data[end : end + 1] == TRAILER and crc32(body) == header.body_crc else None
