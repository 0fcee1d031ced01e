"""Segments: what stands where a log ends, judged for every way it can end."""

from __future__ import annotations

from itertools import product
from random import Random
from struct import pack
from zlib import crc32

import pytest
from hypothesis import given, settings, strategies as st

from beaver_actors.codec.frame import encode_frame
from beaver_actors.codec.segment import (
    SEAL,
    SECTOR,
    SEGMENT_HEADER_SIZE,
    BadHeader,
    SegmentHeader,
    UnknownVersion,
    Verdict,
    decode_segment_header,
    encode_segment_header,
    highest_lsn,
    scan_segment,
)

CLEAN, TORN, DAMAGED = Verdict.CLEAN, Verdict.TORN, Verdict.DAMAGED


class Log:
    """A segment in the making, with room behind what is written, and the places where its frames end."""

    def __init__(self, first_lsn: int = 1, room: int = 2048) -> None:
        self.data = bytearray(encode_segment_header(SegmentHeader(first_lsn, 1, 0)).ljust(room, b"\0"))
        self.ends = [SEGMENT_HEADER_SIZE]
        self.next_lsn = first_lsn
        self.chain = 0

    def write(self, body: bytes, durable: int | None = None) -> bytes:
        durable = self.next_lsn - 1 if durable is None else durable
        frame, self.chain = encode_frame(body, self.next_lsn, 1, chain=self.chain, epoch=1, durable=durable)
        self.data[self.ends[-1] : self.ends[-1] + len(frame)] = frame
        self.ends.append(self.ends[-1] + len(frame))
        self.next_lsn += 1
        return frame

    def flipped(self, bit: int) -> bytes:
        data = bytearray(self.data)
        data[bit // 8] ^= 1 << bit % 8
        return bytes(data)


@pytest.fixture
def log() -> Log:
    log = Log()
    for body in (b"x" * 30, b"y" * 200, b"z" * 90):
        log.write(body)
    return log


def test_a_whole_log_ends_clean(log: Log) -> None:
    """P6, by example: zeros behind the last frame, or the end of the file."""
    for data in (bytes(log.data), bytes(log.data[: log.ends[-1]])):
        scan = scan_segment(data, last=True)
        assert scan.ending.verdict is CLEAN
        assert (scan.last_lsn, scan.ending.offset, scan.chain) == (3, log.ends[-1], log.chain)


def test_an_empty_log_ends_clean() -> None:
    """P6, by example: a segment that was just begun, and one without its room."""
    for data in (bytes(Log(7).data), encode_segment_header(SegmentHeader(7, 1, 9))):
        scan = scan_segment(data, last=True)
        assert (scan.ending.verdict, scan.last_lsn) == (CLEAN, 6)


@pytest.mark.parametrize("last", [True, False])
def test_no_flipped_bit_is_taken_for_a_torn_write(log: Log, last: bool) -> None:
    """P6, exhaustive: every bit of the header and of every frame, flipped alone, is told as damage, and all
    frames before it are read."""
    for bit in range(log.ends[-1] * 8):
        data = log.flipped(bit)
        if bit // 8 < SEGMENT_HEADER_SIZE:
            with pytest.raises(BadHeader):
                scan_segment(data, last=last)
            continue
        scan = scan_segment(data, last=last)
        whole = sum(end * 8 <= bit for end in log.ends) - 1
        assert (scan.ending.verdict, len(scan.frames)) == (DAMAGED, whole), f"bit {bit}: {scan.ending}"


def test_a_flipped_bit_in_the_empty_room_loses_nothing(log: Log) -> None:
    """P6, exhaustive: every bit behind the last frame. Nothing was there, so cutting it is right too."""
    for bit in range(log.ends[-1] * 8, len(log.data) * 8):
        scan = scan_segment(log.flipped(bit), last=True)
        assert len(scan.frames) == 3
        assert scan.ending.verdict is not CLEAN
        assert "is missing" not in scan.ending.reason or "sector" in scan.ending.reason


@pytest.mark.parametrize("zeros_follow", [True, False])
def test_every_cut_is_torn_and_loses_only_the_cut_frame(log: Log, zeros_follow: bool) -> None:
    """P6, exhaustive: the writing stops at each byte, in a file with its room and in one without."""
    for size in range(SEGMENT_HEADER_SIZE, log.ends[-1]):
        data = bytes(log.data[:size])
        scan = scan_segment(data.ljust(len(log.data), b"\0") if zeros_follow else data, last=True)
        whole = sum(end <= size for end in log.ends) - 1
        assert len(scan.frames) == whole
        assert scan.ending.verdict is (CLEAN if size in log.ends else TORN), f"{size}: {scan.ending}"


def test_a_cut_in_a_sealed_segment_is_damage(log: Log) -> None:
    """P6, exhaustive: what a later segment follows was on disk. (A cut between two frames is told by the
    later segment, which does not follow.)"""
    for size in range(SEGMENT_HEADER_SIZE, log.ends[-1]):
        ending = scan_segment(bytes(log.data[:size]), last=False).ending
        assert ending.verdict is (CLEAN if size in log.ends else DAMAGED)


@pytest.mark.parametrize("start", [SEGMENT_HEADER_SIZE, 400, 463, 464, 465, 490, 511, 512, 513, 700])
@pytest.mark.parametrize("size", [60, 600, 1100, 1500])
def test_a_last_write_that_lacks_sectors_is_torn(start: int, size: int) -> None:
    """P6, exhaustive: every set of sectors of the last write missing, for frames that lie across sectors in
    different ways. With none missing it is whole."""
    log = Log(room=4096)
    if start > SEGMENT_HEADER_SIZE:
        log.write(b"p" * (start - SEGMENT_HEADER_SIZE - 49))
    assert log.ends[-1] == start
    before = bytes(log.data)
    log.write(b"q" * (size - 49))
    sectors = range(start // SECTOR, (start + size - 1) // SECTOR + 1)
    for kept in product([True, False], repeat=len(sectors)):
        data = bytearray(log.data)
        for sector, keep in zip(sectors, kept, strict=True):
            if not keep:
                place = slice(sector * SECTOR, (sector + 1) * SECTOR)
                data[place] = before[place]
        expected = CLEAN if all(kept) or not any(kept) else TORN
        scan = scan_segment(bytes(data), last=True)
        assert scan.ending.verdict is expected, f"{kept}: {scan.ending}"
        assert len(scan.frames) == (start > SEGMENT_HEADER_SIZE) + all(kept)


def test_a_missing_sector_is_damage_if_a_later_frame_knew_it_on_disk() -> None:
    """P6, by example: the traces of an interrupted write, before frames that prove that it had ended well."""
    log = Log(room=4096)
    for body in (b"a" * 900, b"b" * 900, b"c" * 900):
        log.write(body)
    log.data[SECTOR : 2 * SECTOR] = bytes(SECTOR)
    ending = scan_segment(bytes(log.data), last=True).ending
    assert ending.verdict is DAMAGED
    assert "proves" in ending.reason
    assert ending.seen_lsn == 3


def test_the_header_of_a_torn_frame_still_proves_the_frame_before_it() -> None:
    """P6, by example: the last acknowledged frame is damaged, and the commit after it was interrupted."""
    log = Log(room=4096)
    log.write(b"a" * 100)
    log.write(b"b" * 2000)
    log.data[log.ends[0] + 20] ^= 1
    log.data[2 * SECTOR : 3 * SECTOR] = bytes(SECTOR)
    assert scan_segment(bytes(log.data), last=True).ending.verdict is DAMAGED


@pytest.mark.parametrize("zeros_follow", [True, False])
def test_a_sealed_segment_at_the_end_of_the_log_lacks_its_successor(log: Log, zeros_follow: bool) -> None:
    """P6, by example: the newest file has vanished, and with it acknowledged facts."""
    data = bytes(log.data[: log.ends[-1]]) + SEAL + (bytes(100) if zeros_follow else b"")
    assert scan_segment(data, last=False).ending.verdict is CLEAN
    ending = scan_segment(data, last=True).ending
    assert ending.verdict is DAMAGED
    assert "is missing" in ending.reason


def test_users_bytes_that_look_like_a_frame_prove_nothing() -> None:
    """P6, by example: a torn frame whose payload holds a frame with a high claim."""
    bait, _ = encode_frame(b"bait", 1000, 1, chain=0, epoch=1, durable=999)
    log = Log(room=4096)
    log.write(bait + b"b" * 2000)
    log.data[2 * SECTOR : 3 * SECTOR] = bytes(SECTOR)
    assert scan_segment(bytes(log.data), last=True).ending.verdict is TORN


@pytest.mark.parametrize(("first_lsn", "chain"), [(5, None), (3, None), (4, 1)])
def test_a_sound_frame_in_the_wrong_place_is_damage(log: Log, first_lsn: int, chain: int | None) -> None:
    """P6, by example: frames of another place or another log are never read, and never cut."""
    chain = log.chain if chain is None else chain
    frame, _ = encode_frame(b"stray", first_lsn, 1, chain=chain, epoch=1, durable=0)
    log.data[log.ends[-1] : log.ends[-1] + len(frame)] = frame
    scan = scan_segment(bytes(log.data), last=True)
    assert (scan.ending.verdict, len(scan.frames)) == (DAMAGED, 3)


def test_an_epoch_that_goes_back_is_damage(log: Log) -> None:
    """P9, by example: a frame of an earlier life behind one of a later."""
    for epoch in (2, 1):
        frame, log.chain = encode_frame(b"e", log.next_lsn, 1, chain=log.chain, epoch=epoch, durable=0)
        log.data[log.ends[-1] : log.ends[-1] + len(frame)] = frame
        log.ends.append(log.ends[-1] + len(frame))
        log.next_lsn += 1
    ending = scan_segment(bytes(log.data), last=True).ending
    assert ending.verdict is DAMAGED
    assert "epoch goes back from 2 to 1" in ending.reason


def test_bytes_behind_a_damaged_frame_are_no_torn_write() -> None:
    """P6, by example: an interrupted write has nothing behind its end."""
    log = Log(room=4096)
    log.write(b"a" * 1500)
    log.data[SECTOR : 2 * SECTOR] = bytes(SECTOR)
    log.data[log.ends[-1] + 5] = 1
    assert scan_segment(bytes(log.data), last=True).ending.verdict is DAMAGED


def test_what_is_lost_is_measured(log: Log) -> None:
    """P6, by example: how many bytes, and which LSNs were claimed behind the damage."""
    data = log.flipped(log.ends[0] * 8 + 100)
    ending = scan_segment(data, last=True).ending
    assert ending.lost_bytes == log.ends[-1] - log.ends[0]
    assert ending.seen_lsn == 3
    assert highest_lsn(data) == 3


def test_an_unknown_version_is_told_from_damage() -> None:
    """P6, by example: a sound header of version 2 (its checksum is computed as in version 1)."""
    summed = pack("<IQQI", 2, 1, 1, 0)
    with pytest.raises(UnknownVersion) as caught:
        decode_segment_header(b"BEAVRWAL" + crc32(summed).to_bytes(4, "little") + summed)
    assert (caught.value.found, caught.value.supported) == (2, 1)


@given(seed=st.integers(0, 2**32))
@settings(deadline=None, max_examples=300)
def test_damage_of_any_kind_invents_nothing(seed: int) -> None:
    """P6, by random damage: what is read is always a first part of what was written."""
    random = Random(seed)
    log = Log(room=4096)
    bodies = [random.randbytes(random.randrange(1, 700)) for _ in range(4)]
    for body in bodies:
        log.write(body)
    data = bytearray(log.data)
    for _ in range(random.randrange(1, 5)):
        start = random.randrange(SEGMENT_HEADER_SIZE, len(data))
        size = random.choice((1, 8, SECTOR))
        data[start : start + size] = random.choice((bytes(size), random.randbytes(size)))
    read = [frame.body for frame in scan_segment(bytes(data[:4096]), last=True).frames]
    assert read == bodies[: len(read)]
