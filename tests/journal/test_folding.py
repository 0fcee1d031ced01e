"""Snapshots: folded from sealed segments, by the same reading as recovery, and never instead of the log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

from beaver_actors.codec import snapshot_codec
from beaver_actors.journal import snapshots
from beaver_actors.journal.beside import NICENESS, ORPHANED
from beaver_actors.journal.disk import RealDisk
from beaver_actors.journal.errors import Damaged, NoSpace
from beaver_actors.journal.folding import Folded, fold_snapshot
from beaver_actors.journal.journal import FileJournal
from beaver_actors.journal.recovery import open_journal
from beaver_actors.journal.settings import JournalSettings
from beaver_actors.journal.snapshots import (
    list_snapshots,
    load_newest,
    prune_snapshots,
    remove_temporaries,
    save_snapshot,
    snapshot_name,
)
from beaver_actors.testing.disk import SimulatedDisk, broken
from beaver_actors.testing.disk_files import SimulatedFile
from tests.journal.happenings import essence, happen, state_after

SETTINGS = JournalSettings(segment_bytes=4096, reserve_bytes=4096)
FACTS = happen(Random(12), 400)


def grow(journal: FileJournal, count: int) -> int:
    """Append the next facts and seal them; return the last LSN in sealed segments."""
    for _ in range(0, count, 10):
        journal.append(FACTS[journal.head : journal.head + 10])
    return journal.rotate()


@pytest.fixture
def journal(memory: SimulatedDisk) -> FileJournal:
    return open_journal(memory, SETTINGS).journal


def test_a_snapshot_holds_the_state_after_the_sealed_segments(
    memory: SimulatedDisk, journal: FileJournal
) -> None:
    """P3, by example: and what is appended meanwhile is not in it."""
    sealed_lsn = grow(journal, 100)
    journal.append(FACTS[100:110])
    folded = fold_snapshot(memory, sealed_lsn, 2, "me")
    assert folded == Folded(
        lsn=100,
        keep_from_lsn=1,
        bytes=memory.size(snapshot_name(100)),
        jobs=len(state_after(FACTS[:100]).jobs),
        facts=100,
        refused=(),
    )
    snapshot, refused = load_newest(memory)
    assert snapshot is not None
    assert not refused
    assert essence(snapshot.state) == essence(state_after(FACTS[:100]))


def test_a_snapshot_is_durable_when_it_is_told(memory: SimulatedDisk, journal: FileJournal) -> None:
    """P3, by example: the power goes at once, and it is there."""
    fold_snapshot(memory, grow(journal, 50), 2, "me")
    memory.power_loss()
    assert open_journal(memory, SETTINGS).report.snapshot_lsn == 50


def test_a_large_snapshot_goes_to_the_disk_in_parts(
    memory: SimulatedDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P11, by example: so that the server's own syncs do not wait for all of it at once."""
    monkeypatch.setattr(snapshots, "WRITE_BYTES", 100)
    monkeypatch.setattr(snapshots, "SYNC_BYTES", 500)
    monkeypatch.setattr(snapshot_codec, "CHUNK_JOBS", 1)
    state, sync, syncs = state_after(FACTS), SimulatedFile.datasync, list[int]()
    open_journal(memory, SETTINGS).journal.close()

    def counted(file: SimulatedFile) -> None:
        syncs.append(1)
        sync(file)

    monkeypatch.setattr(SimulatedFile, "datasync", counted)
    size = save_snapshot(memory, state, epoch=1, chain=1, owner="me", make_room=lambda: False)
    assert size // 1500 < len(syncs) <= size // 500 + 1
    snapshot, _ = load_newest(memory)
    assert snapshot is not None
    assert essence(snapshot.state) == essence(state)


def test_a_snapshot_is_folded_from_the_one_before(memory: SimulatedDisk, journal: FileJournal) -> None:
    """P3, by example: only what came after is read, and trimmed segments are not missed."""
    for end in (100, 200, 300):
        folded = fold_snapshot(memory, grow(journal, 100), 2, "me")
        journal.trim(folded.keep_from_lsn)
        assert folded.facts == 100
        assert folded.keep_from_lsn == (1 if end == 100 else end - 99)
    assert list_snapshots(memory) == [300, 200]
    assert 100 < journal.oldest_lsn <= 201
    memory.power_loss()
    assert essence(open_journal(memory, SETTINGS).state) == essence(state_after(FACTS[:300]))


def test_nothing_new_makes_no_new_snapshot(memory: SimulatedDisk, journal: FileJournal) -> None:
    """By example: the file is left as it is."""
    sealed_lsn = grow(journal, 50)
    fold_snapshot(memory, sealed_lsn, 2, "me")
    calls = len(memory.calls)
    assert fold_snapshot(memory, sealed_lsn, 2, "me").bytes == 0
    assert not {"create", "rename"} & {kind for kind, _ in memory.calls[calls:]}


def test_after_a_rotten_snapshot_two_good_ones_are_kept(memory: SimulatedDisk, journal: FileJournal) -> None:
    """P6, by example: one that cannot be read counts for nothing, and is told."""
    for _ in range(2):
        fold_snapshot(memory, grow(journal, 100), 2, "me")
    memory.damage(snapshot_name(200), 80, b"\xff\xff\xff")
    folded = fold_snapshot(memory, grow(journal, 100), 2, "me")
    assert folded.refused == (f"{snapshot_name(200)}: chunk 0 does not match its checksum",)
    assert folded.facts == 200
    assert folded.keep_from_lsn == 101
    assert list_snapshots(memory) == [300, 200, 100]
    journal.trim(folded.keep_from_lsn)
    memory.damage(snapshot_name(300), 80, b"\xff\xff\xff")
    memory.kill()
    assert essence(open_journal(memory, SETTINGS).state) == essence(state_after(FACTS[:300]))


@pytest.mark.parametrize(
    ("keep", "kept", "keep_from"), [(2, [50, 40], 41), (3, [50, 40, 30], 31), (9, None, 1)]
)
def test_old_snapshots_go(memory: SimulatedDisk, keep: int, kept: list[int] | None, keep_from: int) -> None:
    """P6, by example: the newest are kept, and the log since the oldest of them."""
    open_journal(memory, SETTINGS)
    for lsn in (10, 20, 30, 40, 50):
        memory.plant(snapshot_name(lsn), b"")
    assert prune_snapshots(memory, keep) == keep_from
    assert list_snapshots(memory) == (kept or [50, 40, 30, 20, 10])


def test_damage_in_a_sealed_segment_stops_the_fold(memory: SimulatedDisk, journal: FileJournal) -> None:
    """P6, by example: no snapshot is made of what cannot be read, so no segment is deleted for it."""
    sealed_lsn = grow(journal, 100)
    memory.damage(f"wal/{1:020}.wal", 300, b"\xff\xff\xff")
    with pytest.raises(Damaged):
        fold_snapshot(memory, sealed_lsn, 2, "me")
    assert memory.names("snapshots") == []


def test_a_full_disk_leaves_no_half_snapshot(memory: SimulatedDisk, journal: FileJournal) -> None:
    """P7, by example: the room that was taken is given back, and the next attempt may succeed."""
    sealed_lsn = grow(journal, 200)
    memory.capacity = memory.capacity - memory.free_bytes() + 50
    with pytest.raises(NoSpace, match="no room for a snapshot"):
        fold_snapshot(memory, sealed_lsn, 2, "me")
    assert memory.names("snapshots") == []
    memory.capacity += 1 << 20
    assert fold_snapshot(memory, sealed_lsn, 2, "me").lsn == sealed_lsn


def test_a_snapshot_may_take_the_ballast(memory: SimulatedDisk) -> None:
    """P7, by example: all of it but what the next start needs."""
    settings = JournalSettings(segment_bytes=4096, reserve_bytes=6 * 4096)
    sealed_lsn = grow(open_journal(memory, settings).journal, 200)
    memory.capacity = memory.capacity - memory.free_bytes() + 50
    assert fold_snapshot(memory, sealed_lsn, 2, "me").lsn == sealed_lsn
    assert memory.size("reserve") == 4096


def test_a_failing_disk_leaves_no_half_snapshot(memory: SimulatedDisk, journal: FileJournal) -> None:
    """P8, by example: the error is told as it is, and the next attempt starts over."""
    sealed_lsn = grow(journal, 50)

    def fail(number: int, kind: str, name: str) -> None:
        if kind == "datasync":
            raise broken()

    memory.fault = fail
    with pytest.raises(OSError, match="Input/output"):
        fold_snapshot(memory, sealed_lsn, 2, "me")
    memory.fault = None
    assert memory.names("snapshots") == []
    assert fold_snapshot(memory, sealed_lsn, 2, "me").lsn == sealed_lsn


def test_two_that_fold_at_once_do_not_share_a_file(memory: SimulatedDisk) -> None:
    """P9, by example: the child of a dead server may still be at it; its file has its name in it."""
    open_journal(memory, SETTINGS)
    seen: list[str] = []
    memory.fault = lambda number, kind, name: seen.append(name) if kind == "create" else None
    for owner in ("1", "2"):
        save_snapshot(memory, state_after(FACTS[:9]), epoch=1, chain=0, owner=owner, make_room=lambda: False)
    assert len(set(seen)) == 2
    memory.plant("snapshots/x.snap.9.tmp", b"")
    assert remove_temporaries(memory) == ["snapshots/x.snap.9.tmp"]


@pytest.fixture
def real(tmp_path: Path) -> RealDisk:
    """A real directory with a sealed log of 100 facts, and nobody serving from it."""
    disk = RealDisk(str(tmp_path))
    journal = open_journal(disk, SETTINGS).journal
    grow(journal, 100)
    journal.close()
    return disk


def child(disk: RealDisk, through: int) -> subprocess.Popen[str]:
    module = "beaver_actors.journal.fold_child"
    options = ["--data-dir", disk.place, "--through", str(through), "--keep", "2"]
    return subprocess.Popen(
        [sys.executable, "-m", module, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.process
def test_a_child_process_folds_beside_the_server(real: RealDisk) -> None:
    """P3, by a real process: while the server holds the lock; one line of JSON says how it went."""
    journal = open_journal(real, SETTINGS).journal
    folding = child(real, 100)
    answer = answer_of(folding)
    assert answer.pop("bytes") == real.size(snapshot_name(100))
    assert answer == {
        "ok": True,
        "lsn": 100,
        "keep_from_lsn": 1,
        "jobs": len(state_after(FACTS[:100]).jobs),
        "facts": 100,
        "refused": [],
    }
    assert folding.returncode == 0
    journal.close()
    assert open_journal(real, SETTINGS).report.snapshot_lsn == 100


def answer_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The child's answer, read with its standard input held open."""
    assert process.stdout is not None
    answer: dict[str, Any] = json.loads(process.stdout.readline())
    process.wait(timeout=60)
    process.communicate()
    return answer


@pytest.mark.process
def test_a_child_that_fails_says_why(real: RealDisk) -> None:
    """P6, by a real process."""
    folding = child(real, 10_000)
    answer = answer_of(folding)
    assert (answer["ok"], answer["error"]) == (False, "Damaged")
    assert "had been written" in answer["message"]
    assert folding.returncode == 1


@pytest.mark.process
def test_a_child_dies_with_its_parent_and_gives_way_to_it(real: RealDisk) -> None:
    """By a real process, held up in its work by a pipe that nobody writes to."""
    os.mkfifo(Path(real.place) / f"wal/{101:020}.held")
    os.rename(Path(real.place) / f"wal/{101:020}.held", Path(real.place) / f"wal/{101:020}.wal")
    folding = child(real, 200)
    while os.getpriority(os.PRIO_PROCESS, folding.pid) < NICENESS:
        assert folding.poll() is None
    assert folding.stdin is not None
    folding.stdin.close()
    assert folding.wait(timeout=60) == ORPHANED
    assert folding.stdout is not None
    folding.stdout.close()
