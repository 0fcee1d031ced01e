"""A log with snapshots, and the ways in which its files can be damaged, each with what must be told."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from beaver_actors.codec.fact_codec import encode_facts
from beaver_actors.codec.frame import FRAME_MAGIC, encode_frame
from beaver_actors.codec.segment import SEGMENT_HEADER_SIZE, SegmentHeader, encode_segment_header
from beaver_actors.core.facts import JobCompleted
from beaver_actors.journal.folding import fold_snapshot
from beaver_actors.journal.recovery import open_journal
from beaver_actors.journal.replay import replay
from beaver_actors.journal.segments import list_segments, segment_name
from beaver_actors.journal.settings import JournalSettings
from beaver_actors.journal.snapshots import list_snapshots, snapshot_name
from beaver_actors.testing.disk import SimulatedDisk
from tests.journal.happenings import happen, state_after

SETTINGS = JournalSettings(segment_bytes=4096, reserve_bytes=4096)
FACTS = happen(Random(3), 300)


def fill(memory: SimulatedDisk) -> None:
    """A log of 300 facts in many segments, none of them trimmed, and three snapshots."""
    journal = open_journal(memory, SETTINGS).journal
    for place in range(0, 300, 5):
        journal.append(FACTS[place : place + 5])
        if place in (50, 150, 250):
            fold_snapshot(memory, journal.rotate(), keep=9, owner="t")
    journal.close()
    assert len(list_segments(memory)) > 6
    assert len(list_snapshots(memory)) == 3


def last_segment(disk: SimulatedDisk) -> str:
    return segment_name(list_segments(disk)[-1])


def contents(disk: SimulatedDisk) -> dict[str, bytes]:
    names = [f"{directory}/{name}" for directory in ("wal", "snapshots") for name in disk.names(directory)]
    return {name: disk.read(name) for name in names}


Damage = Callable[[SimulatedDisk], None]


def lose(*places: int) -> Damage:
    """Segments vanish, by their place in the log."""

    def damage(disk: SimulatedDisk) -> None:
        names = [segment_name(first_lsn) for first_lsn in list_segments(disk)]
        for place in places:
            disk.take(names[place])

    return damage


def lose_log(disk: SimulatedDisk) -> None:
    for first_lsn in list_segments(disk):
        disk.take(segment_name(first_lsn))


def lose_all(disk: SimulatedDisk) -> None:
    """Nothing is left but the file that says that there was something."""
    lose_log(disk)
    for lsn in list_snapshots(disk):
        disk.take(snapshot_name(lsn))


def lose_log_since(lsn: int) -> Damage:
    """Segments vanish, and with them the seal of the one that is last now."""

    def damage(disk: SimulatedDisk) -> None:
        for first_lsn in list_segments(disk):
            if first_lsn > lsn:
                disk.take(segment_name(first_lsn))
        name = last_segment(disk)
        disk.plant(name, disk.read(name)[:-1])

    return damage


def lose_snapshots_and_the_beginning(disk: SimulatedDisk) -> None:
    for lsn in list_snapshots(disk):
        disk.take(snapshot_name(lsn))
    lose(0)(disk)


def spoil_snapshots_and_lose_the_beginning(disk: SimulatedDisk) -> None:
    for lsn in list_snapshots(disk):
        disk.damage(snapshot_name(lsn), 100, b"\xff\xff")
    lose(0)(disk)


def spoil(place: int, offset: int) -> Damage:
    return lambda disk: disk.damage(segment_name(list_segments(disk)[place]), offset, b"\xff\xff\xff")


def lose_a_commit(disk: SimulatedDisk) -> None:
    """A whole commit vanishes from the end of a sealed segment."""
    name = segment_name(list_segments(disk)[-2])
    data = disk.read(name)
    disk.plant(name, data[: data.rfind(FRAME_MAGIC)])


def swap_names(disk: SimulatedDisk) -> None:
    first, second = (segment_name(first_lsn) for first_lsn in list_segments(disk)[-2:])
    contents = disk.read(first), disk.read(second)
    disk.plant(first, contents[1])
    disk.plant(second, contents[0])


def other_log(disk: SimulatedDisk) -> None:
    """The last segment comes from another log: its own checksums are sound."""
    first_lsn = list_segments(disk)[-1]
    disk.plant(segment_name(first_lsn), encode_segment_header(SegmentHeader(first_lsn, 1, chain=77)))


def other_snapshot(lsn: int, length: int) -> Damage:
    """The newest snapshot is one of another history, of a commit that ends with the same LSN."""

    def damage(disk: SimulatedDisk) -> None:
        other = SimulatedDisk()
        journal = open_journal(other, SETTINGS).journal
        facts = happen(Random(4), lsn)
        for place in range(0, lsn, length):
            journal.append(facts[place : place + length])
        fold_snapshot(other, journal.rotate(), keep=2, owner="t")
        disk.plant(snapshot_name(lsn), other.read(snapshot_name(lsn)))

    return damage


def no_such_fact(disk: SimulatedDisk) -> None:
    add_frame(disk, b"\x81\x82\x18\x63\x00", 1)


def fact_out_of_place(disk: SimulatedDisk) -> None:
    add_frame(disk, encode_facts([JobCompleted("nobody", 1, 1)]), 1)


def miscounted(disk: SimulatedDisk) -> None:
    add_frame(disk, encode_facts(happen(Random(1), 1, state_after(FACTS))), 2)


def add_frame(disk: SimulatedDisk, body: bytes, fact_count: int) -> None:
    """One more frame with sound checksums."""
    replayed = replay(disk)
    assert replayed.last is not None
    frame, _ = encode_frame(body, 301, fact_count, chain=replayed.chain, epoch=1, durable=300)
    disk.damage(last_segment(disk), replayed.last.ending.offset, frame)


DAMAGE: dict[str, tuple[Damage, str]] = {
    "no log": (lose_log, "the log is gone"),
    "nothing left": (lose_all, r"the log is gone \(there is no snapshot\)"),
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
