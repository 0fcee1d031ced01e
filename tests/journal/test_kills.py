"""Real processes on real files, killed while they append: what they said was durable is there (P3)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from beaver_actors.core.invariants import check
from beaver_actors.journal.disk import RealDisk
from beaver_actors.journal.folding import fold_snapshot
from beaver_actors.journal.recovery import open_journal
from beaver_actors.journal.settings import JournalSettings
from beaver_actors.journal.verify import verify
from tests.journal.happenings import essence, happen, state_after

SETTINGS = JournalSettings(segment_bytes=8192, reserve_bytes=8192)
SEED, FACTS = 21, 6000


def live(path: str) -> None:
    """What the process does: append from where the log ends, and say each LSN when it is durable."""
    disk = RealDisk(path)
    journal = open_journal(disk, SETTINGS).journal
    facts = happen(Random(SEED), FACTS)
    size = 1
    while journal.head < FACTS:
        sys.stdout.write(f"{journal.append(facts[journal.head : journal.head + size])}\n")
        sys.stdout.flush()
        size = size % 23 + 1
        if size == 23:
            journal.trim(fold_snapshot(disk, journal.rotate(), 2, "self").keep_from_lsn)
        if journal.wants_replenishing:
            journal.replenish()


def kill_and_compare(path: Path, lives: int) -> None:
    random = Random(SEED)
    facts = happen(Random(SEED), FACTS)
    for number in range(lives):
        code = f"from tests.journal.test_kills import live; live({str(path)!r})"
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(random.randrange(1, 60))]
        process.kill()
        lines += process.communicate()[0].splitlines(keepends=True)
        told = [int(line) for line in lines if line.endswith("\n")]
        recovered = open_journal(RealDisk(str(path)), SETTINGS)
        head = recovered.journal.head
        assert head >= max(told, default=0), f"life {number}: told {told[-1]}, found {head}"
        assert essence(recovered.state) == essence(state_after(facts[:head]))
        check(recovered.state)
        assert recovered.journal.epoch == 2 * number + 2
        recovered.journal.close()
        assert verify(RealDisk(str(path))).ok


@pytest.mark.process
def test_a_killed_process_loses_nothing_it_acknowledged(tmp_path: Path) -> None:
    """P3, by SIGKILL at random moments of appends, rotations, snapshots and trims."""
    kill_and_compare(tmp_path, lives=5)


@pytest.mark.slow
@pytest.mark.process
def test_a_hundred_killed_processes_lose_nothing(tmp_path: Path) -> None:
    """P3, the same, for longer."""
    kill_and_compare(tmp_path, lives=100)
