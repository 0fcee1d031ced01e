"""Directories that no accident makes, or that two accidents make together: found by fuzzing (P6)."""

from __future__ import annotations

from zlib import crc32

import pytest

from beaver_actors.codec.fact_codec import encode_facts
from beaver_actors.codec.frame import encode_frame
from beaver_actors.codec.ranges import EPOCH_MAX
from beaver_actors.codec.segment import SegmentHeader, encode_segment_header
from beaver_actors.core.facts import QueuePaused
from beaver_actors.journal.errors import Damaged, UnknownFormat
from beaver_actors.journal.recovery import open_journal
from beaver_actors.journal.repair import repair
from beaver_actors.journal.replay import replay
from beaver_actors.journal.segments import list_segments, segment_name
from beaver_actors.journal.snapshots import list_snapshots, snapshot_name
from beaver_actors.journal.verify import verify
from beaver_actors.testing.disk import SimulatedDisk
from tests.journal.damages import FACTS, SETTINGS, contents, lose, spoil
from tests.journal.happenings import essence, state_after


def test_a_damaged_format_file_stops_a_start_and_verify_says_so(filled: SimulatedDisk) -> None:
    """P6, by example: `verify` must not call it harmless when the server refuses to start."""
    filled.plant("format", b"rubbish")
    assert not verify(filled).starts
    with pytest.raises(Damaged):
        open_journal(filled, SETTINGS)


def test_a_newer_format_may_say_more_than_its_number(filled: SimulatedDisk) -> None:
    """P6, by example: it is a newer version and no damage, whatever follows the number."""
    filled.plant("format", b"beaver-actors data directory, format 2, with wings\nand more\n")
    with pytest.raises(UnknownFormat, match="format version 2; this program reads version 1"):
        open_journal(filled, SETTINGS)
    filled.plant("format", b"beaver-actors data directory, format 1, with wings\n")
    with pytest.raises(Damaged):
        open_journal(filled, SETTINGS)


@pytest.mark.parametrize(
    "name",
    ["wal/٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٢.wal", "wal/09223372036854775808.wal", "snapshots/18446744073709551615.snap"],
    ids=["digits of another script", "segment beyond all LSNs", "snapshot beyond all LSNs"],
)
def test_a_name_that_is_not_ours_is_not_looked_at(filled: SimulatedDisk, name: str) -> None:
    """P6, by example: such a file is nobody's, and cannot be opened or counted on from."""
    filled.plant(name, b"what")
    assert verify(filled).ok
    recovered = open_journal(filled, SETTINGS)
    recovered.journal.close()
    assert essence(recovered.state) == essence(state_after(FACTS))


def test_a_hole_before_a_damaged_header_is_repaired_from_where_it_begins(filled: SimulatedDisk) -> None:
    """P6, by example: what is lost begins at the hole, not at the name of the segment behind it."""
    for lsn in list_snapshots(filled):
        filled.take(snapshot_name(lsn))
    lose(2)(filled)
    spoil(2, 3)(filled)
    hole = list_segments(filled)[1:3]
    with pytest.raises(Damaged) as caught:
        replay(filled)
    assert caught.value.file == segment_name(hole[1])
    assert hole[0] < caught.value.lsn < hole[1]
    repaired = repair(filled, SETTINGS)
    assert repaired is not None
    assert repaired.kept_lsn == caught.value.lsn - 1
    assert (
        essence(open_journal(filled, SETTINGS).state)[2]
        == essence(state_after(FACTS[: repaired.kept_lsn]))[2]
    )


def test_a_segment_that_overlaps_the_one_before_it_is_repaired(filled: SimulatedDisk) -> None:
    """P6, by example: a name that lies about where it begins; all before it is kept."""
    for lsn in list_snapshots(filled):
        filled.take(snapshot_name(lsn))
    second = list_segments(filled)[1]
    filled.plant(segment_name(second - 1), filled.read(segment_name(second)))
    repaired = repair(filled, SETTINGS)
    assert repaired is not None
    assert repaired.kept_lsn == second - 1
    open_journal(filled, SETTINGS).journal.close()


def test_a_format_file_is_mended_over_one_that_was_left_unfinished(filled: SimulatedDisk) -> None:
    """P6, by example: the remains of an earlier try are in the way of nothing."""
    filled.plant("format", b"rubbish")
    filled.plant("format.tmp", b"beaver-act")
    assert repair(filled, SETTINGS) is not None
    assert verify(filled).ok


def test_a_repair_leaves_a_newer_log_alone_even_if_the_format_file_is_damaged(filled: SimulatedDisk) -> None:
    """P6, by example: nothing is changed before it is known that all can be read or is damaged."""
    filled.plant("format", b"rubbish")
    name = segment_name(list_segments(filled)[-1])
    filled.plant(name, _as_version_2(filled.read(name)))
    before = {**contents(filled), "format": filled.read("format")}
    with pytest.raises(UnknownFormat):
        repair(filled, SETTINGS)
    assert {**contents(filled), "format": filled.read("format")} == before


@pytest.mark.parametrize("where", ["header", "frame"])
def test_an_epoch_that_leaves_no_room_for_the_next_start_is_refused(where: str) -> None:
    """P6, by example: sound checksums around it."""
    disk = SimulatedDisk()
    open_journal(disk, SETTINGS).journal.close()
    header = SegmentHeader(1, EPOCH_MAX + 1 if where == "header" else 1, 0)
    epoch = EPOCH_MAX + 1 if where == "frame" else 1
    frame, _ = encode_frame(encode_facts([QueuePaused("q", 1)]), 1, 1, chain=0, epoch=epoch, durable=0)
    disk.plant(segment_name(1), encode_segment_header(header) + frame)
    with pytest.raises(Damaged, match="an LSN or an epoch that is never written"):
        open_journal(disk, SETTINGS)
    assert repair(disk, SETTINGS) is not None
    open_journal(disk, SETTINGS).journal.close()


def _as_version_2(segment: bytes) -> bytes:
    """The segment with another version in its header, and a sound checksum."""
    summed = (2).to_bytes(4, "little") + segment[16:36]
    return segment[:8] + crc32(summed).to_bytes(4, "little") + summed + segment[36:]
