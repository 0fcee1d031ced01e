"""Frames: one commit as bytes, and back."""

from __future__ import annotations

import pytest

from beaver_actors.codec.frame import (
    FRAME_HEADER_SIZE,
    FRAME_MAGIC,
    TRAILER,
    encode_frame,
    frame_body_at,
    frame_header_at,
    read_frames,
)


def chain_of(*bodies: bytes) -> bytes:
    data, chain = b"", 0
    for lsn, body in enumerate(bodies, start=1):
        frame, chain = encode_frame(body, lsn, 1, chain=chain, epoch=3, durable=lsn - 1)
        data += frame
    return data


def test_frames_come_back_as_they_were_written() -> None:
    """P6, by example: bodies, LSNs, epochs and the places of a chain of three."""
    bodies = (b"a", b"bb" * 100, bytes(600))
    frames, end = read_frames(chain_of(*bodies), 0, 1, 0)
    assert [frame.body for frame in frames] == list(bodies)
    assert [(frame.first_lsn, frame.last_lsn, frame.epoch) for frame in frames] == [
        (1, 1, 3),
        (2, 2, 3),
        (3, 3, 3),
    ]
    assert end == len(chain_of(*bodies)) == frames[-1].end


def test_a_frame_has_the_documented_layout() -> None:
    """P6, by bytes: what `docs/wal-format.md` says stands where it says."""
    frame, crc = encode_frame(
        b"BODY", 0x1122334455667788, 2, chain=0xAABBCCDD, epoch=7, durable=0x1122334455667787
    )
    assert frame[0:4] == FRAME_MAGIC == b"\xb5BV\xff"
    assert frame[4:8] == crc.to_bytes(4, "little")
    assert frame[12:16] == (4).to_bytes(4, "little")
    assert frame[16:24] == bytes.fromhex("8877665544332211")
    assert frame[24:28] == (2).to_bytes(4, "little")
    assert frame[28:32] == bytes.fromhex("ddccbbaa")
    assert frame[32:40] == (7).to_bytes(8, "little")
    assert frame[40:48] == bytes.fromhex("8777665544332211")
    assert frame[48:] == b"BODY" + TRAILER
    assert FRAME_HEADER_SIZE == 48


def test_a_frame_that_does_not_follow_is_not_read() -> None:
    """P6, by example: a wrong LSN, a wrong chain, an epoch that goes back."""
    data = chain_of(b"one", b"two")
    assert len(read_frames(data, 0, 1, 0)[0]) == 2
    assert read_frames(data, 0, 2, 0) == ([], 0)
    assert read_frames(data, 0, 1, 1) == ([], 0)
    assert read_frames(data, 0, 1, 0, epoch=4) == ([], 0)


def test_every_flipped_bit_of_a_frame_is_noticed() -> None:
    """P6, exhaustive: each bit of a frame, flipped alone."""
    data = chain_of(b"a body of some length")
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        assert read_frames(bytes(flipped), 0, 1, 0) == ([], 0), f"bit {bit}"


def test_every_cut_of_a_frame_is_noticed() -> None:
    """P6, exhaustive: the file ends at each place inside the frame."""
    data = chain_of(b"a body of some length")
    for size in range(len(data)):
        assert read_frames(data[:size], 0, 1, 0) == ([], 0), f"{size} bytes"


@pytest.mark.parametrize("byte", FRAME_MAGIC + TRAILER)
def test_one_flip_makes_no_mark_vanish(byte: int) -> None:
    """P6, by arithmetic: the bytes whose absence means "never written" are two flips away from zero."""
    assert byte.bit_count() >= 2


def test_json_cannot_hold_the_mark_of_a_frame() -> None:
    """P6, by example: users' bytes in a torn write are not taken for a later frame."""
    with pytest.raises(UnicodeDecodeError):
        FRAME_MAGIC.decode()


def test_a_header_is_told_from_its_body() -> None:
    """P6, by example: with the body damaged the header still says how far the frame goes."""
    data = bytearray(chain_of(b"body"))
    data[FRAME_HEADER_SIZE] ^= 1
    header = frame_header_at(bytes(data), 0)
    assert header is not None
    assert (header.last_lsn, header.frame_size) == (1, len(data))
    assert frame_body_at(bytes(data), 0, header) is None
