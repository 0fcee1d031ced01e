"""A full disk: new jobs are refused early, outcomes go on, the server starts, and all comes back (P7)."""

from __future__ import annotations

from contextlib import suppress

import pytest

from beaver_actors.core.facts import Fact, JobCompleted, JobDeleted, JobEnqueued, JobStarted
from beaver_actors.core.job import Terms
from beaver_actors.journal.errors import AppendRefused, NoSpace
from beaver_actors.journal.folding import fold_snapshot
from beaver_actors.journal.journal import FileJournal
from beaver_actors.journal.recovery import open_journal
from beaver_actors.journal.reserve import RESERVE, Room
from beaver_actors.journal.segments import SPARE
from beaver_actors.journal.settings import JournalSettings
from beaver_actors.testing.disk import SimulatedDisk, no_space
from tests.journal.happenings import essence, state_after

SEGMENT = 4096
SETTINGS = JournalSettings(segment_bytes=SEGMENT, reserve_bytes=2 * SEGMENT)


def jobs(first: int, count: int) -> list[Fact]:
    return [JobEnqueued(f"job-{number}", 1, Terms("k"), b"{}", 1) for number in range(first, first + count)]


def enqueue_until_refused(journal: FileJournal) -> list[Fact]:
    """Append while there is room for new jobs, as the job manager does."""
    facts: list[Fact] = []
    while journal.room is Room.NORMAL:
        batch = jobs(journal.head, 10)
        journal.append(batch)
        facts += batch
        if journal.wants_replenishing:
            journal.replenish()
    return facts


def test_on_a_full_disk_outcomes_go_on_after_new_jobs_are_refused() -> None:
    """P7, by a disk of ten segments: all that was admitted can run to its end, at several facts a job."""
    disk = SimulatedDisk(capacity=10 * SEGMENT)
    journal = open_journal(disk, SETTINGS).journal
    facts = enqueue_until_refused(journal)
    assert journal.room is Room.OUTCOMES_ONLY
    assert len(facts) > 100
    outcomes: list[Fact] = []
    for fact in facts[:60]:
        outcomes.append(JobStarted(str(fact[0]), 2, "w"))
        journal.append(outcomes[-1:])
        outcomes.append(JobCompleted(str(fact[0]), 3, journal.head))
        journal.append(outcomes[-1:])
        if journal.wants_replenishing:
            journal.replenish()
    assert journal.room is Room.OUTCOMES_ONLY
    disk.power_loss()
    recovered = open_journal(disk, SETTINGS)
    assert essence(recovered.state) == essence(state_after(facts + outcomes))


def test_the_reserve_is_spent_before_an_outcome_is_refused() -> None:
    """P7, by example: when even the spare segment is full, the ballast makes another; then it is refused, and
    with the disk as full as it can be, a server starts: that part of the ballast is never spent before."""
    disk = SimulatedDisk(capacity=10 * SEGMENT)
    journal = open_journal(disk, SETTINGS).journal
    facts = enqueue_until_refused(journal)
    rooms = [journal.room]
    assert disk.size(RESERVE) == 2 * SEGMENT
    with suppress(AppendRefused):
        while True:
            batch = jobs(journal.head, 10)
            journal.append(batch)
            facts += batch
            journal.replenish()
            rooms.append(journal.room)
    assert disk.size(RESERVE) == SEGMENT
    assert disk.free_bytes() < SEGMENT
    assert len(rooms) > 20
    assert set(rooms) == {Room.OUTCOMES_ONLY}
    assert [journal.room] == [Room.NONE]
    disk.power_loss()
    assert essence(open_journal(disk, SETTINGS).state) == essence(state_after(facts))


def test_room_comes_back_when_space_does() -> None:
    """P7, by example: freed elsewhere on the disk, noticed by `replenish` with nothing appended."""
    disk = SimulatedDisk(capacity=10 * SEGMENT)
    journal = open_journal(disk, SETTINGS).journal
    enqueue_until_refused(journal)
    journal.replenish()
    seen = [(journal.room, journal.wants_replenishing)]
    disk.capacity += 3 * SEGMENT
    journal.replenish()
    seen.append((journal.room, journal.wants_replenishing))
    assert seen == [(Room.OUTCOMES_ONLY, True), (Room.NORMAL, False)]
    assert disk.size(RESERVE) == 2 * SEGMENT


def test_a_snapshot_frees_a_full_disk() -> None:
    """P7, by example: there is no room for the snapshot, so it takes the ballast; then the log is cut, and
    new jobs are admitted again. (The log is long and the state is small: that is when it helps.)"""
    disk = SimulatedDisk(capacity=40 * SEGMENT)
    journal = open_journal(disk, SETTINGS).journal
    journal.append(jobs(0, 20))
    assert fold_snapshot(disk, journal.rotate(), 2, "child").keep_from_lsn == 1
    while journal.room is Room.NORMAL:
        batch = jobs(journal.head, 20)
        journal.append([*batch, *(JobDeleted(str(fact[0]), 1, "request") for fact in batch)])
        journal.replenish()
    assert disk.size(RESERVE) == 2 * SEGMENT
    folded = fold_snapshot(disk, journal.rotate(), 2, "child")
    assert disk.size(RESERVE) == SEGMENT
    journal.trim(folded.keep_from_lsn)
    journal.replenish()
    assert [journal.room] == [Room.OUTCOMES_ONLY]  # two snapshots and the log between them are kept
    journal.append(jobs(20_000, 1))
    folded = fold_snapshot(disk, journal.rotate(), 2, "child")
    journal.trim(folded.keep_from_lsn)
    journal.replenish()
    assert [journal.room] == [Room.NORMAL]


def everything(disk: SimulatedDisk) -> list[str]:
    tops = [name for name in disk.names() if name not in ("wal", "snapshots")]
    return [*tops, *(f"{below}/{name}" for below in ("wal", "snapshots") for name in disk.names(below))]


def test_the_ballast_is_not_made_again_under_a_fold() -> None:
    """P7, by example: the folding process has just freed it to write into that room."""
    disk = SimulatedDisk()
    journal = open_journal(disk, SETTINGS).journal
    disk.create("snapshots/00000000000000000005.snap.77.tmp").close()
    disk.unlink(RESERVE)
    journal.replenish()
    assert RESERVE not in disk.names()
    assert journal.room is Room.OUTCOMES_ONLY
    disk.unlink("snapshots/00000000000000000005.snap.77.tmp")
    journal.replenish()
    assert disk.size(RESERVE) == 2 * SEGMENT
    assert [journal.room] == [Room.NORMAL]


def test_a_full_disk_is_not_filled_to_find_that_it_is_full() -> None:
    """P7, by counting calls: a look at the free space is enough."""
    disk = SimulatedDisk(capacity=10 * SEGMENT)
    journal = open_journal(disk, SETTINGS).journal
    enqueue_until_refused(journal)
    calls = len(disk.calls)
    journal.replenish()
    assert len(disk.calls) == calls


@pytest.mark.parametrize("torn", [False, True])
def test_a_server_starts_on_a_full_disk(torn: bool) -> None:
    """P7, by example: not a byte is free, and starting writes; the reserve pays for it."""
    disk = SimulatedDisk(capacity=10 * SEGMENT)
    journal = open_journal(disk, SETTINGS).journal
    facts = jobs(0, 30)
    journal.append(facts)
    disk.unlink("wal/spare.tmp")  # the worst case: nothing but the ballast is left to give
    disk.capacity = sum(disk.size(name) for name in everything(disk))
    if torn:
        name = "wal/" + disk.names("wal")[0]
        disk.damage(name, len(disk.read(name).rstrip(b"\0")), b"\xb5BV")
    disk.power_loss()
    assert disk.free_bytes() == 0
    recovered = open_journal(disk, SETTINGS)
    assert essence(recovered.state) == essence(state_after(facts))
    assert recovered.report.torn_bytes == (3 if torn else 0)
    assert recovered.journal.append([JobStarted("job-0", 2, "w")]) == 31


def test_a_server_starts_with_no_room_for_a_whole_segment() -> None:
    """P7, by example: the last segment is written anew without the room behind it."""
    disk = SimulatedDisk(capacity=10 * SEGMENT)
    open_journal(disk, SETTINGS).journal.append(jobs(0, 3))
    disk.kill()
    disk.unlink("wal/spare.tmp")
    disk.unlink(RESERVE)
    disk.capacity = sum(disk.size(name) for name in everything(disk)) + 400
    recovered = open_journal(disk, SETTINGS)
    assert recovered.state.lsn == 3
    recovered.journal.close()
    disk.unlink(RESERVE)
    assert "wal/spare.tmp" not in everything(disk), "to start again goes first"
    disk.capacity = sum(disk.size(name) for name in everything(disk)) + 50
    with pytest.raises(NoSpace):
        open_journal(disk, SETTINGS)
    disk.capacity += 300
    assert open_journal(disk, SETTINGS).state.lsn == 3


def test_a_new_directory_on_a_full_disk_is_refused() -> None:
    """P7, by example: with a clear error, and nothing half made that would be taken for a log."""
    disk = SimulatedDisk(capacity=100)
    with pytest.raises(NoSpace, match="no room for 4096 bytes"):
        open_journal(disk, SETTINGS)
    disk.capacity = 1 << 20
    assert open_journal(disk, SETTINGS).report.is_new


@pytest.mark.parametrize("segments", [2, 5])
def test_a_reserve_grows_with_its_setting(segments: int) -> None:
    """P7, by example: raised between two lives; one that is larger than asked for is left as it is."""
    disk = SimulatedDisk()
    open_journal(disk, JournalSettings(segment_bytes=SEGMENT, reserve_bytes=3 * SEGMENT)).journal.close()
    larger = JournalSettings(segment_bytes=SEGMENT, reserve_bytes=segments * SEGMENT)
    assert open_journal(disk, larger).journal.room is Room.NORMAL
    assert disk.size(RESERVE) == max(3, segments) * SEGMENT


def test_what_the_next_start_needs_is_held_back_first() -> None:
    """P7, by example: after a start that had to spend the ballast there is room for one thing only."""
    disk = SimulatedDisk()
    journal = open_journal(disk, SETTINGS).journal
    journal.append(jobs(0, 3))
    disk.kill()
    for name in (RESERVE, "wal/spare.tmp"):
        disk.unlink(name)
    disk.capacity = sum(disk.size(name) for name in everything(disk)) + SEGMENT + 10
    journal = open_journal(disk, SETTINGS).journal
    assert disk.size(RESERVE) == SEGMENT
    assert "spare.tmp" not in disk.names("wal")
    assert journal.room is Room.OUTCOMES_ONLY


def test_no_room_for_a_name_is_a_full_disk_and_not_a_broken_one() -> None:
    """P7, by example: some file systems have no room left for a new file before they have none for bytes. The
    start gives up the ballast, appends are refused and taken again, a snapshot is put off."""
    disk = SimulatedDisk()
    journal = open_journal(disk, SETTINGS).journal
    facts = jobs(0, 10)
    journal.append(facts)
    sealed_lsn = journal.rotate()

    def no_name(number: int, kind: str, name: str) -> None:
        if kind == "create":
            raise no_space()

    disk.fault = no_name
    with suppress(AppendRefused):
        while True:
            batch = jobs(journal.head, 10)
            journal.append(batch)
            facts += batch
            journal.replenish()
    assert [journal.room] == [Room.NONE]
    with pytest.raises(NoSpace):
        fold_snapshot(disk, sealed_lsn, 2, "child")
    disk.fault = None
    facts += jobs(journal.head, 10)
    journal.append(facts[-10:])
    assert fold_snapshot(disk, sealed_lsn, 2, "child").lsn == sealed_lsn
    disk.kill()
    disk.capacity -= disk.free_bytes()
    assert essence(open_journal(disk, SETTINGS).state) == essence(state_after(facts))


def test_no_room_for_the_name_of_the_format_file_is_no_obstacle() -> None:
    """P7, by example: the next start writes it."""
    disk = SimulatedDisk()
    open_journal(disk, SETTINGS).journal.append(jobs(0, 3))
    disk.kill()
    disk.take("format")

    def no_name(number: int, kind: str, name: str) -> None:
        if kind == "create" and name.startswith("format"):
            raise no_space()

    disk.fault = no_name
    assert open_journal(disk, SETTINGS).state.lsn == 3
    assert "format" not in disk.names()
    disk.kill()
    assert open_journal(disk, SETTINGS).state.lsn == 3
    assert "format" in disk.names()


def test_the_segment_that_is_written_gets_its_room_back_too() -> None:
    """P7, by example: a start on a full disk gives the segment no more room than it needs. Then there is
    some, new jobs are admitted again, and so all that was promised is held ready: also when the disk is full
    at once. (`simulate_journal(335)` found this.)"""
    disk = SimulatedDisk()
    journal = open_journal(disk, SETTINGS).journal
    facts = jobs(0, 40)
    journal.append(facts)
    disk.kill()
    disk.take(RESERVE)
    disk.take(SPARE)
    disk.capacity -= disk.free_bytes() - 3000
    journal = open_journal(disk, SETTINGS).journal
    assert (journal.room, journal.wants_replenishing) == (Room.OUTCOMES_ONLY, True)
    disk.capacity += 1 << 20
    journal.replenish()
    assert (journal.room, journal.wants_replenishing) == (Room.NORMAL, False)
    disk.capacity -= disk.free_bytes()
    for _ in range(10):
        batch = jobs(journal.head, 10)
        journal.append(batch)
        facts += batch
    assert disk.size(RESERVE) == 2 * SEGMENT, "the ballast is for later"
    disk.power_loss()
    assert essence(open_journal(disk, SETTINGS).state) == essence(state_after(facts))


def test_new_jobs_wait_until_the_segment_that_is_written_has_room() -> None:
    """P7, by example: cut back on a full disk, with spare and ballast untouched."""
    disk = SimulatedDisk()
    journal = open_journal(disk, SETTINGS).journal
    facts = jobs(0, 5)
    journal.append(facts)

    def refuse(number: int, kind: str, name: str) -> None:
        if kind in ("write_at", "preallocate") and name.endswith(".wal"):
            raise no_space()

    disk.fault = refuse
    with pytest.raises(AppendRefused):
        journal.append(jobs(5, 1))
    disk.fault = None
    disk.capacity -= disk.free_bytes()
    journal.replenish()
    seen = [(journal.room, journal.wants_replenishing)]
    assert disk.size(RESERVE) == SEGMENT, "the segment may yet become that long, and a start needs as much"
    disk.capacity += 2 * SEGMENT
    journal.replenish()
    seen.append((journal.room, journal.wants_replenishing))
    assert seen == [(Room.NONE, True), (Room.NORMAL, False)]
