"""Recovery: what a start finds, cuts, makes durable and reports."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from contextlib import suppress
from itertools import count
from pathlib import Path
from random import Random

import pytest

from beaver_actors.journal.disk import Disk, RealDisk
from beaver_actors.journal.errors import DirectoryLocked, DirectoryUnusable, NoSpace
from beaver_actors.journal.folding import fold_snapshot
from beaver_actors.journal.recovery import RecoveryReport, open_journal
from beaver_actors.journal.reserve import Room
from beaver_actors.journal.settings import JournalSettings
from beaver_actors.testing.disk import ProcessDied, SimulatedDisk, no_space
from tests.journal.happenings import essence, happen, state_after

SETTINGS = JournalSettings(segment_bytes=4096, reserve_bytes=4096)
ROOMY = JournalSettings(segment_bytes=65536, reserve_bytes=65536)
FACTS = happen(Random(8), 100)


def test_a_missing_directory_is_made(tmp_path: Path) -> None:
    """By example: with those above it; the report says that it is new."""
    disk = RealDisk(str(tmp_path / "a" / "b"))
    recovered = open_journal(disk, SETTINGS)
    assert recovered.report == RecoveryReport(
        is_new=True,
        head=0,
        epoch=1,
        snapshot_lsn=None,
        refused_snapshots=(),
        segments=1,
        frames=0,
        facts=0,
        torn_bytes=0,
        torn_reason=None,
    )
    assert recovered.journal.room is Room.NORMAL
    recovered.journal.close()
    assert disk.names() == ["format", "lock", "reserve", "snapshots", "wal"]
    assert disk.names("wal") == ["00000000000000000001.wal", "spare.tmp"]


def test_the_report_tells_what_was_read(disk: Disk) -> None:
    """P6, by example: snapshot, segments, frames, facts, epoch."""
    journal = open_journal(disk, SETTINGS).journal
    for place in range(0, 90, 10):
        journal.append(FACTS[place : place + 10])
        if place == 40:
            fold_snapshot(disk, journal.rotate(), 2, "t")
    journal.close()
    recovered = open_journal(disk, SETTINGS)
    report = recovered.report
    assert (report.is_new, report.head, report.epoch, report.snapshot_lsn) == (False, 90, 2, 50)
    assert (report.frames, report.facts) == (4, 40)
    assert report.segments == len(
        [name for name in disk.names("wal") if name > f"{51:020}" and "wal" in name]
    )
    assert essence(recovered.state) == essence(state_after(FACTS[:90]))
    recovered.journal.close()


@pytest.mark.parametrize("kept", [1, 47, 48, 100, 512, 700])
def test_a_torn_tail_is_cut_and_told(memory: SimulatedDisk, kept: int) -> None:
    """P6, by example: a commit interrupted after so many bytes; the log goes on in its place."""
    journal = open_journal(memory, ROOMY).journal
    journal.append(FACTS[:10])
    memory.fault = lambda number, kind, name: kept if kind == "write_at" else die()
    with pytest.raises(ProcessDied):
        journal.append(FACTS[10:20])
    memory.kill()
    recovered = open_journal(memory, ROOMY)
    assert kept - 7 <= recovered.report.torn_bytes <= kept  # a header may end in seven zeros
    assert recovered.report.torn_reason == "the last write ends early"
    assert recovered.journal.append(FACTS[10:15]) == 15
    memory.power_loss()
    recovered = open_journal(memory, ROOMY)
    assert recovered.report.torn_bytes == 0
    assert essence(recovered.state) == essence(state_after(FACTS[:15]))


def die() -> int:
    raise ProcessDied


def test_what_was_read_is_durable_before_it_is_served(memory: SimulatedDisk) -> None:
    """P8, by example: a commit that was written and never synced is read, so it must survive a power cut."""
    journal = open_journal(memory, ROOMY).journal
    journal.append(FACTS[:10])
    memory.fault = lambda number, kind, name: None if kind == "write_at" else die()
    with pytest.raises(ProcessDied):
        journal.append(FACTS[10:20])
    memory.kill()
    assert open_journal(memory, ROOMY).state.lsn == 20
    memory.power_loss()
    assert open_journal(memory, ROOMY).state.lsn == 20


def test_what_was_left_unfinished_is_removed(memory: SimulatedDisk) -> None:
    """By example: temporary files of every kind; unknown files are left alone."""
    open_journal(memory, SETTINGS).journal.close()
    junk = ["wal/rewritten.tmp", "snapshots/00000000000000000009.snap.123.tmp", "format.tmp"]
    for name in junk:
        memory.plant(name, b"half")
    memory.plant("wal/notes.txt", b"mine")
    open_journal(memory, SETTINGS)
    names = [
        *memory.names(),
        *(f"{below}/{name}" for below in ("wal", "snapshots") for name in memory.names(below)),
    ]
    assert not set(junk) & set(names)
    assert "wal/notes.txt" in names


def test_an_unreadable_newest_snapshot_is_told(memory: SimulatedDisk) -> None:
    """P6, by example: the older one and the log stand in, and the report says which and why."""
    journal = open_journal(memory, SETTINGS).journal
    for end in (30, 60):
        journal.append(FACTS[end - 30 : end])
        fold_snapshot(memory, journal.rotate(), 2, "t")
    journal.append(FACTS[60:70])
    memory.damage(f"snapshots/{60:020}.snap", 90, b"\xff\xff")
    memory.kill()
    recovered = open_journal(memory, SETTINGS)
    assert essence(recovered.state) == essence(state_after(FACTS[:70]))
    assert recovered.report.snapshot_lsn == 30
    assert recovered.report.refused_snapshots == (
        f"snapshots/{60:020}.snap: chunk 0 does not match its checksum",
    )


def test_a_log_begun_before_the_format_file_was_written_is_taken_up(memory: SimulatedDisk) -> None:
    """P3, by example: the first start was cut short in between."""
    open_journal(memory, SETTINGS).journal.append(FACTS[:5])
    memory.kill()
    memory.take("format")
    recovered = open_journal(memory, SETTINGS)
    assert (recovered.state.lsn, recovered.report.is_new) == (5, False)
    assert "format" in memory.names()


def test_other_segment_sizes_read_the_same_log(memory: SimulatedDisk) -> None:
    """P3, by example: the setting was changed between two lives, both ways."""
    written = 0
    for size in (4096, 65536, 4096):
        journal = open_journal(memory, JournalSettings(segment_bytes=size, reserve_bytes=size)).journal
        for fact in FACTS[written : written + 30]:
            journal.append([fact])
        written += 30
        memory.power_loss()
    assert essence(open_journal(memory, SETTINGS).state) == essence(state_after(FACTS[:90]))


def test_a_second_server_is_refused(tmp_path: Path) -> None:
    """P9, by example: it is told who has the directory, and touches nothing."""
    disk = RealDisk(str(tmp_path))
    journal = open_journal(disk, SETTINGS).journal
    with pytest.raises(DirectoryLocked, match=f"in use by process {os.getpid()}. Stop it first"):
        open_journal(disk, SETTINGS)
    assert journal.append(FACTS[:3]) == 3
    journal.close()


RACER = """
import sys
from beaver_actors.journal.disk import RealDisk
from beaver_actors.journal.errors import DirectoryLocked
from beaver_actors.journal.recovery import open_journal
from beaver_actors.journal.settings import JournalSettings
sys.stdin.readline()
try:
    open_journal(RealDisk(sys.argv[1]), JournalSettings(4096, 4096))
except DirectoryLocked as error:
    print("locked", error.pid, flush=True)
else:
    print("owner", flush=True)
sys.stdin.read()
"""


@pytest.mark.process
def test_of_processes_that_race_for_a_directory_one_gets_it(tmp_path: Path) -> None:
    """P9, by real processes: started at once on a directory that does not exist yet; and when the owner is
    killed, the next one gets it."""
    path = str(tmp_path / "data")
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    try:
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("go\n")
            racer.stdin.flush()
        answers = [racer.stdout.readline().split() for racer in racers if racer.stdout is not None]
        owners = [racer for racer, answer in zip(racers, answers, strict=True) if answer == ["owner"]]
        assert len(owners) == 1
        assert [answer[0] for answer in answers].count("locked") == 3
        with pytest.raises(DirectoryLocked, match=f"process {owners[0].pid}"):
            open_journal(RealDisk(path), SETTINGS)
        owners[0].send_signal(signal.SIGKILL)
        owners[0].wait()
        open_journal(RealDisk(path), SETTINGS).journal.close()
    finally:
        for racer in racers:
            racer.kill()
            racer.communicate()


def test_a_file_is_no_data_directory(tmp_path: Path) -> None:
    """By example: told, with what to do; also where a file stands in the way above it."""
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file", tmp_path / "file" / "data"):
        with pytest.raises(DirectoryUnusable, match=r"is not a directory.*--data-dir"):
            open_journal(RealDisk(str(path)), SETTINGS)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.EROFS, "is on a read-only file system"),
        (errno.EACCES, "this user may not read or write it"),
        (errno.EPERM, "this user may not read or write it"),
    ],
)
def test_a_directory_that_cannot_be_written_is_told(number: int, told: str) -> None:
    """By example, at each of the first calls: what to do, and the lock is not kept."""
    for call in range(1, 4):
        disk = SimulatedDisk()

        def refuse(count: int, kind: str, name: str, call: int = call) -> None:
            if count == call:
                raise OSError(number, os.strerror(number))

        disk.fault = refuse
        with pytest.raises(DirectoryUnusable, match=told):
            open_journal(disk, SETTINGS)
        assert not disk.locked


def test_a_data_directory_made_by_a_process_that_died_is_made_durable() -> None:
    """P3, by example: it died before the directory's own name was on disk, the next one found it there and
    served, and then the power went. (`simulate_journal(12)` found this.)"""
    disk = SimulatedDisk()
    disk.fault = lambda number, kind, name: die() if kind == "sync_directory" else None
    with pytest.raises(ProcessDied):
        open_journal(disk, SETTINGS)
    disk.kill()
    open_journal(disk, SETTINGS).journal.append(FACTS[:5])
    disk.power_loss()
    assert open_journal(disk, SETTINGS).state.lsn == 5


def test_any_lack_of_room_in_a_start_is_told_as_such() -> None:
    """P7, by example: some file systems want room for what they have already given room to."""
    disk = SimulatedDisk()
    open_journal(disk, SETTINGS).journal.append(FACTS[:5])
    for call in count(1):
        disk.kill()
        met: list[int] = []

        def full(number: int, kind: str, name: str, call: int = call, met: list[int] = met) -> None:
            if number == call:
                met.append(number)
                raise no_space()

        disk.fault = full
        with suppress(NoSpace):
            open_journal(disk, SETTINGS)
        disk.kill()
        assert open_journal(disk, SETTINGS).state.lsn == 5
        if not met:
            break
    assert call > 15


def test_another_failure_of_the_disk_is_told_as_it_is() -> None:
    """P8, by example: no wrapping that hides it."""
    disk = SimulatedDisk()

    def fail(number: int, kind: str, name: str) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    disk.fault = fail
    with pytest.raises(OSError, match="Input/output"):
        open_journal(disk, SETTINGS)
