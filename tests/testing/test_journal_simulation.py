"""The journal under simulation: fresh seeds each time, dark corners reached, the same seed the same run."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from itertools import count

import pytest

from beaver_actors.codec import segment
from beaver_actors.journal import folding, recovery, snapshots
from beaver_actors.journal.journal import FileJournal
from beaver_actors.journal.replay import Replayed
from beaver_actors.journal.segments import ActiveSegment, segment_name
from beaver_actors.testing.disk import SimulatedDisk
from beaver_actors.testing.disk_files import SimulatedFile
from beaver_actors.testing.journal_explore import SEEDS_AT_ONCE, explore
from beaver_actors.testing.journal_report import PLACES, TAKE_ROOM, JournalReport, Moment, file_kind
from beaver_actors.testing.journal_simulation import simulate_journal

IS_CI = bool(os.environ.get("CI")) or os.environ.get("HYPOTHESIS_PROFILE") in ("ci", "nightly")
CRASHES = 50_000 if IS_CI else 5_000


@pytest.mark.timeout(600)
def test_nothing_is_lost_in_many_crashes(capsys: pytest.CaptureFixture[str]) -> None:
    """P3, P6, P7, P8, by fresh seeds in each run. `BEAVER_SIMULATION_SEED` repeats one."""
    first_seed = int(os.environ.get("BEAVER_SIMULATION_SEED", secrets.randbits(31)))
    processes = min(2, os.cpu_count() or 1) if IS_CI else 1
    report, failures = explore(first_seed, CRASHES, processes)
    with capsys.disabled():
        sys.stdout.write(f"\njournal, from seed {first_seed} on: {report.lines()[0]}\n")
    assert not failures, "\n\n".join(failures)
    assert report.crashes.total() >= CRASHES


def test_a_seed_repeats_a_run_to_the_last_byte() -> None:
    """A test of the tests: every call of the disk, every verdict, every checksum, in this process and in
    others with other hash seeds."""
    report = simulate_journal(3, lives=10)
    assert simulate_journal(3, lives=10) == report
    assert simulate_journal(4, lives=10).trace != report.trace
    code = (
        "from beaver_actors.testing.journal_simulation import simulate_journal as s;"
        "import sys; sys.stdout.write(s(3, lives=10).trace)"
    )
    for hash_seed in ("0", "1", "12345"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        trace = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
        assert trace == report.trace, f"PYTHONHASHSEED={hash_seed}"


def test_several_processes_make_the_same_report_as_one() -> None:
    """A test of the tests: what is told of many seeds does not hang on who simulated them."""
    alone, shared = explore(7, 1, processes=1, lives=2), explore(7, 1, processes=2, lives=2)
    assert alone == shared
    assert alone.report.seeds == SEEDS_AT_ONCE


def test_reports_add_up() -> None:
    """A test of the tests."""
    one, two = simulate_journal(1, lives=5), simulate_journal(2, lives=5)
    both = one + two
    assert (both.seeds, both.lives) == (2, 10)
    for name in ("images", "facts", "disk_calls"):
        assert getattr(both, name) == getattr(one, name) + getattr(two, name)
    assert both.crashes.total() == one.crashes.total() + two.crashes.total()
    assert one + JournalReport() != one, "the trace tells what was added, in order"


def test_a_report_is_plain_figures() -> None:
    """A test of the tests: what the durability report is made of, as JSON can say it."""
    report = simulate_journal(1)
    plain = json.loads(json.dumps(report.plain()))
    assert plain["crashes"] == report.crashes.total() == sum(plain["deaths"].values())
    assert set(plain["deaths"]) == {"kill", "power"}
    assert plain["lives"] == report.lives
    assert f"{report.images} other remainders" in report.lines()[0]


def without_sync_of(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the journal had left out the sync of such files."""
    datasync = SimulatedFile.datasync

    def forget(self: SimulatedFile) -> None:
        if file_kind(self._content.name) != kind:
            datasync(self)

    monkeypatch.setattr(SimulatedFile, "datasync", forget)


def without_sync_of_directories(monkeypatch: pytest.MonkeyPatch, *spared: str) -> None:
    sync = SimulatedDisk.sync_directory
    monkeypatch.setattr(
        SimulatedDisk, "sync_directory", lambda self, name="": sync(self, name) if name in spared else None
    )


def torn_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment, "_misses_a_sector", lambda *args, **options: False)


def damage_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever cannot be read at the end is taken for an interrupted write."""
    judge = segment._judge

    def kindly(*arguments: object) -> segment.Ending:
        return judge(*arguments)._replace(verdict=segment.Verdict.TORN)  # type: ignore[arg-type]

    monkeypatch.setattr(segment, "_judge", kindly)


def cache_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start goes on in the segment that it read, without writing it anew."""

    def go_on(disk: SimulatedDisk, settings: object, replayed: Replayed) -> ActiveSegment:
        assert replayed.last is not None
        name = segment_name(replayed.last.header.first_lsn)
        header = replayed.last.header._replace(epoch=replayed.epoch + 1)
        offset = replayed.last.ending.offset
        return ActiveSegment(disk.open(name), header, offset, disk.size(name))

    monkeypatch.setattr(recovery, "_make_durable", go_on)


def poison_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failed sync the journal goes on."""
    monkeypatch.setattr(
        FileJournal, "_poison", property(lambda self: None, lambda self, _: None), raising=False
    )


def snapshots_deleted_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Old snapshots go before the new one is there."""
    save = snapshots.save_snapshot

    def save_late(disk: SimulatedDisk, *arguments: object, **options: object) -> int:
        snapshots.prune_snapshots(disk, 1)
        return save(disk, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(folding, "save_snapshot", save_late)


BUGS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "no sync of a commit": lambda patch: without_sync_of("segment", patch),
    "no sync of a new segment": lambda patch: without_sync_of("spare", patch),
    "no sync of the segment written anew": lambda patch: without_sync_of("rewritten", patch),
    "no sync of a snapshot": lambda patch: without_sync_of("snapshot", patch),
    "no sync of wal/": lambda patch: without_sync_of_directories(patch, "..", "", "snapshots"),
    "no sync of snapshots/": lambda patch: without_sync_of_directories(patch, "..", "", "wal"),
    "no sync of the data directory": lambda patch: without_sync_of_directories(
        patch, "..", "wal", "snapshots"
    ),
    "no sync of its name": lambda patch: without_sync_of_directories(patch, "", "wal", "snapshots"),
    "a torn write is refused": torn_refused,
    "damage is cut": damage_cut,
    "the page cache is believed": cache_believed,
    "the journal goes on after a failure": poison_forgotten,
    "old snapshots go first": snapshots_deleted_first,
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_in_the_journal_is_found(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test of the tests: each of these, put into the journal, is found within a hundred seeds, and the
    failure names the seed and the life."""
    BUGS[bug](monkeypatch)
    with pytest.raises(AssertionError, match=r"simulate_journal\(\d+\), life \d+: \w+: "):
        simulate_hundred()


def simulate_hundred() -> None:
    for seed in range(100):
        simulate_journal(seed)


RARE = {("preallocate", "segment"), ("truncate", "reserve"), ("unlink", "reserve"), ("unlink", "format")}
"""Done only on a full disk; reached too, but not always so soon."""
MOMENTS = {
    Moment(what, call, file)
    for file, calls in PLACES.items()
    for call in calls
    for what in ("kill", "power", "EIO", "ENOSPC", "short write", "child killed")
    if what != "ENOSPC" or call in TAKE_ROOM
    if what != "short write" or call == "write_at"
    if what != "child killed" or file == "snapshot"
    if (call, file) not in RARE
}
VERDICTS = {
    "a new log",
    "a clean end",
    "a torn end: the last write ends early",
    "a torn end: a sector of the last write is missing",
    "no snapshot",
    "a snapshot",
    "nothing after it",
    "several segments",
}
REFUSALS = {
    "append: no room",
    "snapshot: no room",
    "start: no room",
    *(
        f"start, refused: {reason}"
        for reason in (
            "no format file",
            "segment header",
            "segment header does not match its checksum",
            "begins with LSN N but the segment before it ends with LSN N",
            "the segment that followed this one is missing",
            "the log is gone (there is no snapshot)",
            "the log begins with LSN N (there is no snapshot)",
        )
    ),
    *(
        f"start, refused: {what} does not match its checksum{more}"
        for what in ("a frame's header", "the frame of LSN N")
        for more in (
            ", and more segments follow",
            ", and none of it is missing",
            "; a frame at offset N proves that it had been on disk",
        )
    ),
}
"""What one damaged place can bring about. Files of another log are in `tests/journal/`."""


@pytest.mark.timeout(300)
def test_the_simulation_reaches_the_dark_corners() -> None:
    """A test of the tests, by coverage: each kind of fault strikes in each kind of call about each kind of
    file, and recovery comes to each of its verdicts."""
    wanted: set[object] = {*MOMENTS, *VERDICTS, *REFUSALS}
    for seed in count():
        # Some things happen on a new disk only, others on one that has seen much.
        report = simulate_journal(seed, 30, rots=0.5) if seed % 5 == 0 else simulate_journal(seed, 3)
        wanted -= {*report.crashes, *report.faults, *report.verdicts, *report.refusals}
        if not wanted:
            break
        assert seed < 4000, f"never reached: {wanted}"
