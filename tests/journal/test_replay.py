"""Replay: a snapshot and the log after it, every seam between them checked (P6)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from random import Random
from struct import pack
from zlib import crc32

import pytest

from beaver_actors.codec.fact_codec import encode_facts
from beaver_actors.codec.frame import FRAME_MAGIC, encode_frame
from beaver_actors.codec.segment import SEGMENT_HEADER_SIZE, SegmentHeader, encode_segment_header
from beaver_actors.core.facts import JobCompleted
from beaver_actors.journal.errors import Damaged, UnknownFormat
from beaver_actors.journal.folding import fold_snapshot
from beaver_actors.journal.recovery import open_journal
from beaver_actors.journal.replay import read_log, replay
from beaver_actors.journal.segments import list_segments, segment_name
from beaver_actors.journal.settings import JournalSettings
from beaver_actors.journal.snapshots import list_snapshots, snapshot_name
from tests.journal.disks import MemoryDisk
from tests.journal.happenings import essence, happen, state_after

SETTINGS = JournalSettings(segment_bytes=4096, reserve_bytes=4096)
FACTS = happen(Random(3), 300)


@pytest.fixture
def filled(memory: MemoryDisk) -> MemoryDisk:
    """A log of 300 facts in many segments, none of them trimmed, and three snapshots."""
    journal = open_journal(memory, SETTINGS).journal
    for place in range(0, 300, 5):
        journal.append(FACTS[place : place + 5])
        if place in (50, 150, 250):
            fold_snapshot(memory, journal.rotate(), keep=9, owner="t")
    journal.close()
    assert len(list_segments(memory)) > 6
    assert len(list_snapshots(memory)) == 3
    return memory


def last_segment(disk: MemoryDisk) -> str:
    return segment_name(list_segments(disk)[-1])


def test_snapshot_and_log_give_the_state(filled: MemoryDisk) -> None:
    """P3, by example: and no more of the log is read than comes after the snapshot."""
    replayed = replay(filled)
    assert essence(replayed.state) == essence(state_after(FACTS))
    assert replayed.snapshot_lsn == list_snapshots(filled)[0] == 255
    assert replayed.facts == 45


@pytest.mark.parametrize("broken", [1, 2, 3])
def test_an_older_snapshot_or_the_whole_log_stands_in(filled: MemoryDisk, broken: int) -> None:
    """P6, by example: newer ones that cannot be read are passed over, and told."""
    names = [snapshot_name(lsn) for lsn in list_snapshots(filled)]
    for name in names[:broken]:
        filled.damage(name, 100, b"\xff\xff")
    replayed = replay(filled)
    assert essence(replayed.state) == essence(state_after(FACTS))
    assert [refused.name for refused in replayed.refused] == names[:broken]
    assert replayed.snapshot_lsn == (None if broken == 3 else list_snapshots(filled)[broken])


def test_a_state_is_read_back_to_any_commit(filled: MemoryDisk) -> None:
    """P3, exhaustive over commits: what `fold_snapshot` relies on."""
    for lsn in range(5, 301, 5):
        assert essence(replay(filled, lsn).state) == essence(state_after(FACTS[:lsn]))


def test_half_a_commit_is_not_asked_for(filled: MemoryDisk) -> None:
    """By example: a caller's mistake, told as one."""
    with pytest.raises(ValueError, match="LSN 8 is not the last of a commit"):
        replay(filled, 8)


def test_a_log_that_ends_before_it_should_is_damage(filled: MemoryDisk) -> None:
    """P6, by example: asked for more than there is."""
    with pytest.raises(Damaged, match="ends with LSN 300, but LSN 301 had been written"):
        replay(filled, 301)


Damage = Callable[[MemoryDisk], None]


def lose(*places: int) -> Damage:
    """Segments vanish, by their place in the log."""

    def damage(disk: MemoryDisk) -> None:
        names = [segment_name(first_lsn) for first_lsn in list_segments(disk)]
        for place in places:
            disk.take(names[place])

    return damage


def lose_log(disk: MemoryDisk) -> None:
    for first_lsn in list_segments(disk):
        disk.take(segment_name(first_lsn))


def lose_log_since(lsn: int) -> Damage:
    """Segments vanish, and with them the seal of the one that is last now."""

    def damage(disk: MemoryDisk) -> None:
        for first_lsn in list_segments(disk):
            if first_lsn > lsn:
                disk.take(segment_name(first_lsn))
        name = last_segment(disk)
        disk.plant(name, disk.read(name)[:-1])

    return damage


def lose_snapshots_and_the_beginning(disk: MemoryDisk) -> None:
    for lsn in list_snapshots(disk):
        disk.take(snapshot_name(lsn))
    lose(0)(disk)


def spoil_snapshots_and_lose_the_beginning(disk: MemoryDisk) -> None:
    for lsn in list_snapshots(disk):
        disk.damage(snapshot_name(lsn), 100, b"\xff\xff")
    lose(0)(disk)


def spoil(place: int, offset: int) -> Damage:
    return lambda disk: disk.damage(segment_name(list_segments(disk)[place]), offset, b"\xff\xff\xff")


def lose_a_commit(disk: MemoryDisk) -> None:
    """A whole commit vanishes from the end of a sealed segment."""
    name = segment_name(list_segments(disk)[-2])
    data = disk.read(name)
    disk.plant(name, data[: data.rfind(FRAME_MAGIC)])


def swap_names(disk: MemoryDisk) -> None:
    first, second = (segment_name(first_lsn) for first_lsn in list_segments(disk)[-2:])
    contents = disk.read(first), disk.read(second)
    disk.plant(first, contents[1])
    disk.plant(second, contents[0])


def other_log(disk: MemoryDisk) -> None:
    """The last segment comes from another log: its own checksums are sound."""
    first_lsn = list_segments(disk)[-1]
    disk.plant(segment_name(first_lsn), encode_segment_header(SegmentHeader(first_lsn, 1, chain=77)))


def other_snapshot(lsn: int, length: int) -> Damage:
    """The newest snapshot is one of another history, of a commit that ends with the same LSN."""

    def damage(disk: MemoryDisk) -> None:
        other = MemoryDisk()
        journal = open_journal(other, SETTINGS).journal
        facts = happen(Random(4), lsn)
        for place in range(0, lsn, length):
            journal.append(facts[place : place + length])
        fold_snapshot(other, journal.rotate(), keep=2, owner="t")
        disk.plant(snapshot_name(lsn), other.read(snapshot_name(lsn)))

    return damage


def no_such_fact(disk: MemoryDisk) -> None:
    add_frame(disk, b"\x81\x82\x18\x63\x00", 1)


def fact_out_of_place(disk: MemoryDisk) -> None:
    add_frame(disk, encode_facts([JobCompleted("nobody", 1, 1)]), 1)


def miscounted(disk: MemoryDisk) -> None:
    add_frame(disk, encode_facts(happen(Random(1), 1, state_after(FACTS))), 2)


def add_frame(disk: MemoryDisk, body: bytes, fact_count: int) -> None:
    """One more frame with sound checksums."""
    replayed = replay(disk)
    assert replayed.last is not None
    frame, _ = encode_frame(body, 301, fact_count, chain=replayed.chain, epoch=1, durable=300)
    disk.damage(last_segment(disk), replayed.last.ending.offset, frame)


DAMAGE: dict[str, tuple[Damage, str]] = {
    "no log": (lose_log, "the log is gone"),
    "last segment lost": (lose(-1), "the segment that followed this one is missing"),
    "two segments lost": (lose(-1, -2), "the segment that followed this one is missing"),
    "log shorter than snapshot": (lose_log_since(200), "but LSN 255 had been written"),
    "segment lost": (lose(-2), "but the segment before it ends with LSN|the log begins with LSN"),
    "no beginning": (lose_snapshots_and_the_beginning, r"the log begins with LSN 6 \(there is no snapshot\)"),
    "no snapshot": (spoil_snapshots_and_lose_the_beginning, "snapshots/0.*255.snap cannot be read: chunk 0"),
    "segment's magic": (spoil(-1, 3), "segment header begins with"),
    "segment's header": (spoil(-1, 20), "segment header does not match its checksum"),
    "last segment's frame": (spoil(-1, SEGMENT_HEADER_SIZE + 60), "does not match its checksum"),
    "sealed segment's frame": (spoil(-2, SEGMENT_HEADER_SIZE + 60), "does not match its checksum"),
    "commit lost": (lose_a_commit, "but the segment before it ends with LSN"),
    "names swapped": (swap_names, "not the one its name says"),
    "other log": (other_log, "does not follow the end of the segment before it"),
    "other snapshot at a seam": (other_snapshot(255, 5), "does not follow the snapshot before it"),
    "other snapshot in a segment": (other_snapshot(275, 5), "is not the frame that the snapshot of LSN 275"),
    "other snapshot in a commit": (other_snapshot(278, 2), "the snapshot ends inside this frame"),
    "unknown fact": (no_such_fact, r"facts\[0\]: unknown fact code 99"),
    "fact out of place": (
        fact_out_of_place,
        "does not fit the state before it: job_completed about job nobody",
    ),
    "miscounted": (miscounted, "the frame counts 2 facts and holds 1"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_told_and_nothing_is_changed(filled: MemoryDisk, kind: str) -> None:
    """P6, by example: recovery refuses with file and reason, names the command, and leaves every byte."""
    damage, told = DAMAGE[kind]
    damage(filled)
    before = contents(filled)
    with pytest.raises(Damaged, match=told) as caught:
        open_journal(filled, SETTINGS)
    assert "python -m beaver_actors verify --data-dir memory --repair --accept-loss" in str(caught.value)
    assert contents(filled) == before
    assert not filled.locked


def contents(disk: MemoryDisk) -> dict[str, bytes]:
    names = [f"{directory}/{name}" for directory in ("wal", "snapshots") for name in disk.names(directory)]
    return {name: disk.read(name) for name in names}


def test_another_version_is_told_from_damage(filled: MemoryDisk) -> None:
    """P6, by example: sound headers of version 2, in the format file, a segment and a snapshot."""
    for name, magic, rest in (
        (last_segment(filled), b"BEAVRWAL", pack("<IQQI", 2, 1, 1, 0)),
        (snapshot_name(255), b"BEAVRSNP", pack("<IQQIQ", 2, 255, 1, 0, 0)),
    ):
        disk = filled.copy()
        disk.damage(name, 0, magic + pack("<I", crc32(rest)) + rest)
        with pytest.raises(UnknownFormat, match="has format version 2; this program reads version 1"):
            open_journal(disk, SETTINGS)
    filled.plant("format", b"beaver-actors data directory, format 7\n")
    with pytest.raises(UnknownFormat, match="has format version 7; this program reads version 1"):
        open_journal(filled, SETTINGS)


@pytest.mark.parametrize("text", [b"", b"hello", b"beaver-actors data directory, format x\n"])
def test_a_format_file_that_says_something_else_is_damage(filled: MemoryDisk, text: bytes) -> None:
    """P6, by example."""
    filled.plant("format", text)
    with pytest.raises(Damaged, match="expected 'beaver-actors data directory, format 1"):
        open_journal(filled, SETTINGS)


def test_the_log_is_read_as_it_is(filled: MemoryDisk) -> None:
    """P10, by example: every fact with LSN and epoch, from any of them on, with no lock."""
    open_journal(filled, SETTINGS)
    assert list(read_log(filled)) == [(lsn, 1, fact) for lsn, fact in enumerate(FACTS, start=1)]
    for from_lsn in (0, 1, 2, 77, 300, 301):
        assert [lsn for lsn, _, _ in read_log(filled, from_lsn)] == list(range(max(from_lsn, 1), 301))


def test_the_log_is_read_up_to_the_damage(filled: MemoryDisk) -> None:
    """P6, by example: what can be read is shown before the error."""
    spoil(4, 600)(filled)
    with pytest.raises(Damaged) as caught:
        list(read_log(filled))
    lsns: list[int] = []
    with suppress(Damaged):
        for lsn, _, _ in read_log(filled):
            lsns.append(lsn)
    assert lsns == list(range(1, caught.value.lsn))
    assert len(lsns) > 20
