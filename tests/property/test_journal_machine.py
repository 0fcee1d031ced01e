"""Core, codec and journal on the simulated disk, step by step: what fails shrinks to a short script.

The seeds of `testing/journal_simulation.py` try more; this machine says more: its steps are those of a report
("append, cut the power, start"), and Hypothesis takes away those that do not matter.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random

import pytest
from hypothesis import Phase, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from beaver_actors.core.facts import Fact, JobEnqueued
from beaver_actors.core.fold import fold
from beaver_actors.core.job import Terms
from beaver_actors.core.state import State
from beaver_actors.journal.errors import AppendRefused, JournalError, JournalPoisoned, NoSpace
from beaver_actors.journal.folding import fold_snapshot
from beaver_actors.journal.journal import FileJournal
from beaver_actors.journal.recovery import open_journal
from beaver_actors.journal.settings import JournalSettings
from beaver_actors.testing.disk import CHANGES, ProcessDied, SimulatedDisk, broken, no_space
from beaver_actors.testing.disk_files import SimulatedFile
from beaver_actors.testing.journal_facts import NOON_MS, happen, state_after
from beaver_actors.testing.journal_oracle import Told
from beaver_actors.testing.journal_room import has_log
from beaver_actors.testing.journal_rot import try_rot

SETTINGS = JournalSettings(segment_bytes=4096, reserve_bytes=8192)
ROOMY_BYTES = 1 << 22
SEEDS = st.integers(0, 999)
"""Of what a power cut leaves, and the like. (Hypothesis would draw each bit of it too, but towards what is
simple: few writes would be torn, and none would be told any better.)"""
LATER = st.none() | st.none() | st.integers(0, 30)
SOON = st.none() | st.integers(0, 4)
"""After so many disk calls the process dies; None: not now."""
FAULTS: dict[str, tuple[frozenset[str], Callable[[], OSError] | None]] = {
    "EIO": (CHANGES, broken),
    "EIO of a sync": (frozenset({"datasync"}), broken),
    "ENOSPC": (frozenset({"create", "write_at", "preallocate", "make_directory"}), no_space),
    "short write": (frozenset({"write_at"}), None),
}


class JournalMachine(RuleBasedStateMachine):
    """One disk; at most one process that owns it; and what everybody was told."""

    def __init__(self) -> None:
        super().__init__()
        self.disk = SimulatedDisk(ROOMY_BYTES)
        self.told = Told()
        self.stream = Random(1)
        self.journal: FileJournal | None = None
        self.draft = State()
        self.snapshot_lsn = 0
        self.dies_in: int | None = None
        """So many disk calls are still made."""
        self.fault: str | None = None
        self.faults_in = self.faults_left = self.taken = 0
        self.seems_full = False
        self.is_settled = False
        """A process has died, no other has begun, and no copy was damaged."""

    @precondition(lambda self: self.journal is None and not self.disk.dead)
    @rule(dies_in=LATER)
    def start(self, dies_in: int | None) -> None:
        self.disk.fault = self.weather
        self.seems_full = self.is_settled = False
        with suppress(NoSpace), Living(self, dies_in):
            recovered = open_journal(self.disk, SETTINGS)
            self.told.expect(recovered)
            self.journal, self.draft = recovered.journal, recovered.state
            self.snapshot_lsn = recovered.report.snapshot_lsn or 0

    @precondition(lambda self: self.journal is not None)
    @rule(counts=st.lists(st.integers(1, 4), min_size=1, max_size=5), dies_in=SOON)
    def append(self, counts: list[int], dies_in: int | None) -> None:
        """Commits of so many facts; the process may die in the last one."""
        for number, count in enumerate(counts, start=1):
            if self.journal is not None:
                facts = happen(self.stream, count, self.draft, jobs_max=6)
                self.send(facts, dies_in if number == len(counts) else None)

    @precondition(lambda self: self.journal is not None)
    @rule(size=st.integers(0, 6000), dies_in=SOON)
    def append_long(self, size: int, dies_in: int | None) -> None:
        """One fact of so many bytes: it fills a sector, a segment, or more."""
        fact = JobEnqueued(f"long-{self.told.head}", NOON_MS, Terms("k"), b"x" * size, NOON_MS)
        fold(self.draft, fact)
        self.send([fact], dies_in)

    def send(self, facts: Sequence[Fact], dies_in: int | None) -> None:
        assert self.journal is not None
        self.told.send(facts, self.draft)
        with Living(self, dies_in):
            try:
                self.told.acknowledge(self.journal.append(facts))
            except AppendRefused:
                self.told.refuse()
                self.draft = state_after(self.told.facts)
                full = self.seems_full or self.disk.free_bytes() < 4 * SETTINGS.segment_bytes
                assert full, "an append was refused while there was room"
            if self.journal.wants_replenishing:
                self.journal.replenish()

    @precondition(lambda self: self.journal is not None)
    @rule(dies_in=SOON)
    def rotate(self, dies_in: int | None) -> None:
        assert self.journal is not None
        with Living(self, dies_in):
            self.journal.rotate()

    @precondition(lambda self: self.journal is not None)
    @rule(child_dies_in=SOON, dies_in=LATER)
    def snapshot(self, child_dies_in: int | None, dies_in: int | None) -> None:
        """Fold a snapshot, and trim the log if the process that folds gets to its end."""
        assert self.journal is not None
        with Living(self, dies_in):
            sealed_lsn = self.journal.rotate()
            if sealed_lsn > self.snapshot_lsn:
                keep_from_lsn = self.fold(sealed_lsn, child_dies_in)
                if keep_from_lsn is not None:
                    self.snapshot_lsn = sealed_lsn
                    self.journal.trim(keep_from_lsn)

    def fold(self, sealed_lsn: int, dies_in: int | None) -> int | None:
        """What another process does; None if it does not get to its end."""
        disk, calls = self.disk, len(self.disk.calls)

        def weather(number: int, call: str, name: str) -> int | None:
            if dies_in is not None and number > calls + dies_in:
                raise ProcessDied
            return self.weather(number, call, name)

        disk.fault = weather
        try:
            return fold_snapshot(disk, sealed_lsn, SETTINGS.snapshots_kept, "child").keep_from_lsn
        except ProcessDied:
            if disk.dead:
                raise
        except NoSpace:
            pass
        except OSError as error:
            if error.errno != errno.EIO:
                raise
        finally:
            disk.fault = self.weather
        return None

    @precondition(lambda self: self.journal is not None)
    @rule(back=st.integers(0, 40), limit=st.sampled_from([1, 7, 1000]))
    def read_back(self, back: int, limit: int) -> None:
        assert self.journal is not None
        lsn = max(self.journal.oldest_lsn, self.told.head + 1 - back)
        self.told.expect_history(self.journal.read_from(lsn, limit), lsn, limit)

    @precondition(lambda self: self.journal is not None)
    @rule()
    def stop(self) -> None:
        assert self.journal is not None
        self.journal.close()
        self.journal = None

    @precondition(lambda self: self.journal is not None)
    @rule(
        fault=st.sampled_from(sorted(FAULTS)),
        calls=st.integers(0, 20),
        times=st.sampled_from([1, 2, 100]),
        taken=st.integers(0, 700),
    )
    def fail_in(self, fault: str, calls: int, times: int, taken: int) -> None:
        """After so many calls that this can befall, it does, so many times."""
        self.fault, self.faults_in, self.faults_left, self.taken = fault, calls, times, taken

    @precondition(lambda self: self.journal is not None)
    @rule(room=st.sampled_from([None, 0, 1, 500, 5000, 20_000]))
    def leave_room(self, room: int | None) -> None:
        """Others fill the disk, or delete what they have written."""
        if room is None:
            self.disk.capacity = ROOMY_BYTES
        else:
            self.disk.capacity += room - self.disk.free_bytes()

    @precondition(lambda self: self.disk.calls)
    @rule(seed=SEEDS)
    def kill(self, seed: int) -> None:
        self.disk.kill(Random(seed))
        self.journal = self.fault = None
        self.is_settled = True

    @precondition(lambda self: self.disk.calls)
    @rule(seed=st.none() | SEEDS | SEEDS)
    def cut_power(self, seed: int | None) -> None:
        """Without `seed`, nothing is left but what was synced."""
        self.disk.power_loss(None if seed is None else Random(seed))
        self.journal = self.fault = None
        self.is_settled = True

    @precondition(lambda self: self.is_settled and has_log(self.disk))
    @rule(seed=SEEDS)
    def damage_a_copy(self, seed: int) -> None:
        self.is_settled = False
        self.disk.capacity = ROOMY_BYTES
        try_rot(self.disk, SETTINGS, self.told, Random(seed))

    def weather(self, number: int, call: str, name: str) -> int | None:
        if self.dies_in is not None:
            self.dies_in -= 1
            if self.dies_in < 0:
                self.disk.dead = True
                raise ProcessDied
        if self.fault is None or call not in FAULTS[self.fault][0]:
            return None
        self.faults_in -= 1
        if self.faults_in >= 0 or self.faults_left == 0:
            return None
        self.faults_left -= 1
        error = FAULTS[self.fault][1]
        self.seems_full = self.seems_full or error is not broken
        if error is None:
            return self.taken
        raise error()

    @invariant()
    def the_journal_is_where_it_was_told(self) -> None:
        if self.journal is not None:
            assert self.journal.head == self.told.head

    def teardown(self) -> None:
        """However it ended, a start on a sound disk brings everything back, for good."""
        self.disk.capacity = ROOMY_BYTES
        for _ in range(2):
            self.disk.power_loss()
            self.told.expect(open_journal(self.disk, SETTINGS))


class Living:
    """What happens while a process lives: it may die, or end because the disk has failed."""

    def __init__(self, machine: JournalMachine, dies_in: int | None) -> None:
        self.machine = machine
        machine.dies_in = dies_in

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        machine, journal = self.machine, self.machine.journal
        machine.dies_in = None
        if isinstance(error, OSError):
            assert error.errno == errno.EIO, f"a full disk ended the process: {error}"
            if journal is not None:
                with pytest.raises(JournalPoisoned):
                    journal.rotate()
            machine.disk.dead = True
        elif not isinstance(error, ProcessDied):
            return False
        machine.journal = None
        return True


MACHINE_SETTINGS = settings(
    report_multiple_bugs=False,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    stateful_step_count=40,
)
TestJournalMachine = JournalMachine.TestCase
TestJournalMachine.settings = MACHINE_SETTINGS
TestJournalMachine.__doc__ = (
    "P3, P6, P7, P8: whatever befalls disk and process, nothing acknowledged is lost."
)


def without_sync(self: SimulatedFile) -> None:
    """A bug: commits, snapshots and all are left to the cache."""


def without_sync_of_directory(self: SimulatedDisk, directory: str = "") -> None:
    """A bug: names are left to the cache."""


@pytest.mark.parametrize(
    ("where", "name", "bug"),
    [(SimulatedFile, "datasync", without_sync), (SimulatedDisk, "sync_directory", without_sync_of_directory)],
)
def test_a_bug_is_told_by_a_short_script(
    where: type, name: str, bug: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A test of the tests: a missing sync is found, and what is left of the steps is few."""
    monkeypatch.setattr(where, name, bug)
    with pytest.raises((AssertionError, JournalError)) as caught:
        run_state_machine_as_test(
            JournalMachine, settings=settings(MACHINE_SETTINGS, max_examples=300, database=None)
        )
    steps = {f"state.{name}(" for name in ("start", "append", "stop", "kill", "cut_power", "teardown")}
    script = [note for note in caught.value.__notes__ if any(map(note.startswith, steps))]
    assert 2 < len(script) <= 6, caught.value.__notes__
