"""Verify and repair: what is wrong is said in full, and given up only on request (P6)."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from beaver_actors.core.facts import JobEnqueued
from beaver_actors.core.job import Terms
from beaver_actors.journal.disk import Disk, RealDisk
from beaver_actors.journal.errors import (
    Damaged,
    DirectoryLocked,
    DirectoryUnusable,
    HistoryGone,
    UnknownFormat,
)
from beaver_actors.journal.folding import fold_snapshot
from beaver_actors.journal.recovery import open_journal
from beaver_actors.journal.repair import LSNS_SKIPPED, repair
from beaver_actors.journal.segments import list_segments, segment_name
from beaver_actors.journal.settings import JournalSettings
from beaver_actors.journal.snapshots import list_snapshots, snapshot_name
from beaver_actors.journal.verify import verify
from beaver_actors.testing.disk import SimulatedDisk
from tests.journal.damages import DAMAGE, FACTS, SETTINGS, contents, last_segment, spoil
from tests.journal.happenings import essence, happen, state_after


def fill(disk: Disk) -> None:
    journal = open_journal(disk, SETTINGS).journal
    for place in range(0, 200, 10):
        journal.append(FACTS[place : place + 10])
        if place in (90, 140):
            fold_snapshot(disk, journal.rotate(), 2, "t")
    journal.close()


def test_a_sound_directory_is_described(disk: Disk) -> None:
    """P6, by example, on the real disk and in memory."""
    fill(disk)
    report = verify(disk)
    assert report.ok
    assert report.starts
    assert report.problems == []
    assert report.torn is None
    assert report.server_pid is None
    assert report.snapshots == [150, 100]
    assert (report.oldest_lsn, report.head, report.facts, report.frames) == (1, 200, 200, 20)
    assert report.epoch == 1
    assert sum(report.jobs.values()) == len(state_after(FACTS[:200]).jobs)


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_found_and_nothing_is_changed(filled: SimulatedDisk, kind: str) -> None:
    """P6, by example: all that recovery refuses, and it takes no lock and writes no byte."""
    DAMAGE[kind][0](filled)
    before, calls = contents(filled), len(filled.calls)
    report = verify(filled)
    assert not report.ok
    assert not report.starts
    assert report.problems
    assert contents(filled) == before
    assert len(filled.calls) == calls


def test_damage_that_recovery_does_not_need_to_read_is_found_too(filled: SimulatedDisk) -> None:
    """P6, by example: an old segment and an old snapshot; a server would start."""
    filled.damage(segment_name(1), 100, b"\xff\xff\xff")
    filled.damage(snapshot_name(55), 100, b"\xff\xff\xff")
    report = verify(filled)
    assert report.starts
    assert not report.ok
    assert [problem.file for problem in report.problems] == [snapshot_name(55), segment_name(1)]
    assert report.problems[1].offset == 36
    assert report.facts > 280


def test_every_problem_is_named(filled: SimulatedDisk) -> None:
    """P6, by example: it goes on behind the first."""
    for place in (2, 4, 6):
        spoil(place, 200)(filled)
    report = verify(filled)
    first_lsns = list_segments(filled)
    assert [problem.file for problem in report.problems] == [
        segment_name(first_lsns[place]) for place in (2, 4, 6)
    ]


def test_a_torn_tail_is_no_problem(filled: SimulatedDisk) -> None:
    """P6, by example: the next start cuts it."""
    name = last_segment(filled)
    end = len(filled.read(name).rstrip(b"\0"))
    filled.damage(name, end, b"\xb5BV")
    report = verify(filled)
    assert report.ok
    assert report.torn == f"{name} at offset {end}: the last write ends early (3 bytes)"


def test_other_versions_are_told(filled: SimulatedDisk) -> None:
    """P6, by example."""
    filled.plant("format", b"beaver-actors data directory, format 7\n")
    report = verify(filled)
    (problem,) = report.problems
    assert problem[:2] == ("format", 0)
    assert "format version 7" in problem.reason
    assert not report.starts


def test_it_runs_beside_a_server(disk: Disk) -> None:
    """P9, by example: the server goes on appending, trimming and rotating."""
    journal = open_journal(disk, SETTINGS).journal
    for place in range(0, 200, 10):
        journal.append(FACTS[place : place + 10])
        report = verify(disk)
        assert report.ok
        assert report.server_pid is not None
        assert report.head == journal.head
    journal.close()


def test_a_segment_trimmed_under_it_makes_it_look_again(
    filled: SimulatedDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P9, by example: a server deletes what its snapshots have made needless."""
    plain_read = SimulatedDisk.read
    gone: list[str] = []

    def read(self: SimulatedDisk, name: str, offset: int = 0, size: int | None = None) -> bytes:
        if name == segment_name(1) and not gone:
            gone.append(name)
            self.take(name)
        return plain_read(self, name, offset, size)

    monkeypatch.setattr(SimulatedDisk, "read", read)
    report = verify(filled)
    assert gone
    assert report.ok
    assert report.oldest_lsn > 1


@pytest.mark.parametrize("content", [None, "wal"])
def test_what_is_no_data_directory_is_told(tmp_path: Path, content: str | None) -> None:
    """By example: nothing there, and something else there; nothing is made."""
    path = tmp_path / "data"
    if content is not None:
        (path / content).mkdir(parents=True)
    with pytest.raises(DirectoryUnusable, match="is not a data directory"):
        verify(RealDisk(str(path)))
    assert path.exists() == (content is not None)


@pytest.mark.parametrize("kind", DAMAGE)
def test_after_a_repair_a_server_starts(filled: SimulatedDisk, kind: str) -> None:
    """P6, by example: what can be read is kept, what is lost is named, the old files are aside, and no fence
    is ever given out twice."""
    damage, _ = DAMAGE[kind]
    damage(filled)
    before = contents(filled)
    with pytest.raises(Damaged) as caught:
        open_journal(filled, SETTINGS)
    repaired = repair(filled, SETTINGS)
    assert repaired is not None
    assert str(repaired.damage) == str(caught.value)
    assert repaired.lost_from_lsn == repaired.kept_lsn + 1
    assert {name: filled.read(f"{repaired.aside}/{name}") for name in before} == before
    recovered = open_journal(filled, SETTINGS)
    kept = essence(recovered.state)[1:]
    if not kind.startswith("other snapshot"):
        assert kept == essence(state_after(FACTS[: repaired.kept_lsn]))[1:]
    assert recovered.journal.append([JobEnqueued("new", 1, Terms("k"), b"{}", 1)]) == repaired.next_lsn
    assert repaired.next_lsn > LSNS_SKIPPED
    assert repaired.next_lsn > 300 + LSNS_SKIPPED - 100 or kind == "nothing left"
    with pytest.raises(HistoryGone) as gone:
        recovered.journal.read_from(1, 1)
    assert gone.value.oldest_lsn == repaired.next_lsn
    recovered.journal.close()
    assert verify(filled).ok
    assert repair(filled, SETTINGS) is None


def test_what_a_repair_loses_is_exact(filled: SimulatedDisk) -> None:
    """P6, by example: a frame in the middle of the log after the newest snapshot."""
    first_lsn = list_segments(filled)[-1]
    filled.damage(segment_name(first_lsn), 36 + 60, b"\xff\xff")
    repaired = repair(filled, SETTINGS)
    assert repaired is not None
    assert (repaired.kept_lsn, repaired.lost_from_lsn, repaired.lost_through_lsn) == (
        first_lsn - 1,
        first_lsn,
        300,
    )
    assert repaired.next_lsn == 300 + LSNS_SKIPPED + 1
    assert repaired.jobs == len(state_after(FACTS[: first_lsn - 1]).jobs)


def test_a_repair_uses_the_newest_snapshot_that_can_be_read(filled: SimulatedDisk) -> None:
    """P6, by example: the newest is rotten, and the log is damaged behind the one before it."""
    for lsn in list_snapshots(filled)[:1]:
        filled.damage(snapshot_name(lsn), 100, b"\xff\xff\xff")
    filled.damage(segment_name(156), 36 + 60, b"\xff\xff")
    repaired = repair(filled, SETTINGS)
    assert repaired is not None
    assert (repaired.kept_lsn, repaired.lost_through_lsn) == (155, 300)


def test_a_format_file_is_repaired_without_any_loss(filled: SimulatedDisk) -> None:
    """P6, by example: no fact is in it."""
    filled.plant("format", b"rubbish")
    repaired = repair(filled, SETTINGS)
    assert repaired is not None
    assert repaired.kept_lsn == 300
    assert repaired.lost_through_lsn < repaired.lost_from_lsn
    assert filled.read(f"{repaired.aside}/format") == b"rubbish"
    assert essence(open_journal(filled, SETTINGS).state) == essence(state_after(FACTS))


def test_what_is_not_damaged_is_not_repaired(filled: SimulatedDisk) -> None:
    """P6, by example: sound, or of another version, or in use."""
    before = contents(filled)
    assert repair(filled, SETTINGS) is None
    assert contents(filled) == before
    filled.plant("format", b"beaver-actors data directory, format 7\n")
    with pytest.raises(UnknownFormat):
        repair(filled, SETTINGS)
    filled.locked = True
    with pytest.raises(DirectoryLocked):
        repair(filled, SETTINGS)


def test_a_repair_works_on_real_files(tmp_path: Path) -> None:
    """P6, by example: twice, each with a directory of its own for the old files."""
    disk = RealDisk(str(tmp_path))
    settings = JournalSettings(segment_bytes=4096, reserve_bytes=4096)
    for number in (1, 2):
        journal = open_journal(disk, settings).journal
        for fact in happen(Random(1), 30):
            journal.append([fact])
        journal.close()
        path = tmp_path / segment_name(list_segments(disk)[0])
        path.write_bytes(path.read_bytes()[:50] + b"\xff\xff" + path.read_bytes()[52:])
        repaired = repair(disk, settings)
        assert repaired is not None
        assert repaired.aside == f"damaged-{number}"
        assert (tmp_path / repaired.aside / "wal" / path.name).exists()
    open_journal(disk, settings).journal.close()
    assert verify(disk).ok
