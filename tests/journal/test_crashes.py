"""Crashes at every point: whatever the disk does in whatever call, nothing acknowledged is lost (P3).

A script of appends, rotations, snapshots and trims runs on a disk in memory. It is ended, or made to fail, in
each of its calls to the disk in turn; then the directory is opened again and compared with what was
acknowledged.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count, islice
from random import Random

import pytest

from beaver_actors.core.facts import Fact
from beaver_actors.core.invariants import check
from beaver_actors.journal.errors import AppendRefused, JournalError, JournalPoisoned, NoSpace
from beaver_actors.journal.folding import fold_snapshot
from beaver_actors.journal.recovery import Recovered, open_journal
from beaver_actors.journal.repair import repair
from beaver_actors.journal.settings import JournalSettings
from beaver_actors.journal.verify import verify
from beaver_actors.testing.disk import CHANGES, Fault, ProcessDied, SimulatedDisk, broken, no_space
from tests.journal.happenings import essence, happen, state_after

SETTINGS = JournalSettings(segment_bytes=4096, reserve_bytes=8192, snapshots_kept=2)
BATCHES = [6, 1, 14, 3, 9, 1, 1, 34, 8, 5, 12, 2]
FACTS = happen(Random(6), sum(BATCHES))


@dataclass
class Told:
    """What the journal's callers were told."""

    acknowledged: list[Fact] = field(default_factory=list)
    undecided: list[Fact] = field(default_factory=list)
    """Sent, and neither acknowledged nor refused."""


def live(disk: SimulatedDisk, told: Told) -> None:
    """One life: open, append, rotate, fold, trim. Ends early with the first failure that is no refusal."""
    journal = open_journal(disk, SETTINGS).journal
    facts = iter(FACTS[len(told.acknowledged) :])
    try:
        for step, size in enumerate(BATCHES):
            batch = list(islice(facts, size))
            for _ in range(3):
                told.undecided = batch
                try:
                    assert journal.append(batch) == len(told.acknowledged) + len(batch)
                except AppendRefused:
                    told.undecided = []
                    # Definitely not written, so something else may be sent.
                    batch = batch[: max(1, len(batch) // 2)]
                    facts = iter(FACTS[len(told.acknowledged) + len(batch) :])
                    continue
                told.acknowledged += batch
                told.undecided = []
                break
            else:
                return
            if journal.wants_replenishing:
                journal.replenish()
            if step % 4 == 3:
                snapshot_and_trim(disk, journal.rotate, journal.trim)
    finally:
        journal.close()


def snapshot_and_trim(disk: SimulatedDisk, rotate: Callable[[], int], trim: Callable[[int], None]) -> None:
    try:
        sealed_lsn = rotate()
        folded = fold_snapshot(disk, sealed_lsn, SETTINGS.snapshots_kept, "child")
    except (AppendRefused, NoSpace):
        return
    trim(folded.keep_from_lsn)


def expect_nothing_lost(disk: SimulatedDisk, told: Told) -> None:
    """Open the directory again, and compare."""
    expect_kept(open_journal(disk, SETTINGS), told)
    # And what was read is durable now, whatever becomes of the page cache.
    disk.power_loss()
    expect_kept(open_journal(disk, SETTINGS), told)
    disk.kill()
    assert verify(disk).ok


def expect_kept(recovered: Recovered, told: Told) -> None:
    head = recovered.state.lsn
    sent = told.acknowledged + told.undecided
    assert head in (len(told.acknowledged), len(sent)), (
        f"{head} of {len(told.acknowledged)}, {len(sent)} sent"
    )
    assert essence(recovered.state) == essence(state_after(sent[:head]))
    check(recovered.state)
    journal = recovered.journal
    assert journal.head == head
    oldest = journal.oldest_lsn
    expected = list(enumerate(sent[oldest - 1 : head], start=oldest))
    assert journal.read_from(oldest, 10**6) == expected


def calls_of(script: Callable[[SimulatedDisk], None]) -> list[tuple[str, str]]:
    disk = SimulatedDisk()
    script(disk)
    return list(disk.calls)


def one_life(disk: SimulatedDisk) -> None:
    live(disk, Told())


CALLS = calls_of(one_life)


def test_the_script_does_everything() -> None:
    """A test of the tests: the script meets every kind of call, several segments and two snapshots."""
    assert {kind for kind, _ in CALLS} == CHANGES
    assert len({name for kind, name in CALLS if kind == "rename" and name.endswith(".snap")}) == 3
    assert sum(kind == "rename" and name.endswith(".wal") for kind, name in CALLS) > 5
    assert sum(kind == "unlink" and name.endswith(".wal") for kind, name in CALLS) > 2
    assert any(kind == "unlink" and name.endswith(".snap") for kind, name in CALLS)


@pytest.mark.parametrize("image", ["kill", "power", "power 1", "power 2", "power 3"])
def test_a_crash_in_any_call_loses_nothing(image: str) -> None:
    """P3, P8, exhaustive: the process dies before each call, then goes on with the cache, with the bare disk,
    or with any mixture of the two; a second life goes on from there and is killed as well."""
    for point in range(1, len(CALLS) + 1):
        disk, told = SimulatedDisk(), Told()
        random = Random(image + str(point))

        def die(number: int, kind: str, name: str, point: int = point) -> None:
            if number >= point:
                raise ProcessDied

        for _ in range(2):
            disk.fault = die
            with suppress(ProcessDied):
                live(disk, told)
            assert len(disk.calls) >= point or len(told.acknowledged) == len(FACTS)
            if image == "kill":
                disk.kill()
            else:
                disk.power_loss(random if image != "power" else None)
            recovered = open_journal(disk, SETTINGS)
            expect_kept(recovered, told)
            told.acknowledged += told.undecided[: recovered.state.lsn - len(told.acknowledged)]
            told.undecided = []
            disk.kill()
        expect_nothing_lost(disk, told)


@pytest.mark.parametrize("later", [1, 2, 3, 4, 5, 6])
def test_a_write_interrupted_half_way_loses_nothing(later: int) -> None:
    """P3, exhaustive: each write is cut short, down to the byte, and the process dies in one of the calls
    after it, which undo the write and repeat it."""
    for point, (kind, _) in enumerate(CALLS, start=1):
        for taken in (1, 47, 60, 511, 512, 513, 1024) if kind == "write_at" else ():
            disk, told = SimulatedDisk(), Told()

            def stop(number: int, kind: str, name: str, point: int = point, taken: int = taken) -> int | None:
                if number >= point + later:
                    raise ProcessDied
                return taken if number == point else None

            disk.fault = stop
            with suppress(ProcessDied):
                live(disk, told)
            for image in range(4 if later == 2 else 1):
                cut = disk.copy()
                cut.power_loss(Random(point * taken + image))
                expect_nothing_lost(cut, told)


FAULTS: dict[str, tuple[frozenset[str], Callable[[], OSError] | int]] = {
    "EIO": (CHANGES, broken),
    "ENOSPC": (frozenset({"create", "write_at", "preallocate"}), no_space),
    "short write": (frozenset({"write_at"}), 21),
    "less short write": (frozenset({"write_at"}), 600),
}


@pytest.mark.parametrize("times", [1, 4, 10**6], ids=["once", "four times", "for ever"])
@pytest.mark.parametrize("image", ["kill", "power"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_failure_of_any_call_loses_nothing(fault: str, image: str, times: int) -> None:
    """P3, P7, P8, exhaustive: the Nth call fails, and the next ones or none, for every N. A refused append is
    not written, a failed one ends the journal, and nothing acknowledged is lost. (Four times is what it takes
    for one append to be refused and the next to succeed.)"""
    kinds, effect = FAULTS[fault]
    for point in count(1):
        disk, told = SimulatedDisk(), Told()
        disk.fault, met = failing(point, kinds, effect, times)
        with suppress(JournalError, OSError):
            live(disk, told)
        if not met:
            assert len(told.acknowledged) == len(FACTS)
            break
        if image == "kill":
            disk.kill()
        else:
            disk.power_loss(Random(point))
        expect_nothing_lost(disk, told)


def failing(
    point: int, kinds: frozenset[str], effect: Callable[[], OSError] | int, times: int
) -> tuple[Fault, list[int]]:
    """A fault in the Nth call of these kinds and those after it, and a list that tells where it struck."""
    met: list[int] = []
    seen: list[int] = []

    def fault(number: int, kind: str, name: str) -> int | None:
        if kind not in kinds:
            return None
        seen.append(number)
        if point <= len(seen) < point + times:
            met.append(number)
            if isinstance(effect, int):
                return effect
            raise effect()
        return None

    return fault, met


def test_after_a_failed_sync_nothing_is_tried_again() -> None:
    """P8, by example: the cache shows what the disk never got; only the next start may decide."""
    disk = SimulatedDisk()
    journal = open_journal(disk, SETTINGS).journal
    journal.append(FACTS[:6])

    def fail(number: int, kind: str, name: str) -> None:
        if kind == "datasync":
            raise broken()

    disk.fault = fail
    with pytest.raises(OSError, match="Input/output"):
        journal.append(FACTS[6:10])
    disk.fault = None
    calls = len(disk.calls)
    for use in (
        lambda: journal.append(FACTS[6:10]),
        journal.rotate,
        lambda: journal.trim(1),
        journal.replenish,
    ):
        with pytest.raises(JournalPoisoned):
            use()
    assert len(disk.calls) == calls
    assert journal.head == 6
    # The write is still in the cache, and recovery takes it for whole: then it must make it durable.
    disk.kill()
    assert open_journal(disk, SETTINGS).state.lsn == 10
    disk.power_loss()
    assert open_journal(disk, SETTINGS).state.lsn == 10


def test_every_life_has_a_later_epoch() -> None:
    """P9, by example: also after a life that wrote nothing, and after a power cut."""
    disk = SimulatedDisk()
    for epoch in range(1, 6):
        recovered = open_journal(disk, SETTINGS)
        assert recovered.journal.epoch == recovered.report.epoch == epoch
        disk.power_loss()


@pytest.mark.parametrize("seed", range(40))
def test_repair_survives_a_crash_too(seed: int) -> None:
    """P6, by random points: a repair that is ended anywhere can be begun again, and loses no more."""
    disk = SimulatedDisk()
    live(disk, Told())
    wal = [f"wal/{name}" for name in disk.names("wal") if name.endswith(".wal")]
    disk.damage(wal[0], 60, b"\xff" * 20)
    snapshots = [f"snapshots/{name}" for name in disk.names("snapshots")]
    for name in snapshots:
        disk.damage(name, 70, b"\xff" * 20)
    disk.kill()
    random = Random(seed)

    def die(number: int, kind: str, name: str) -> None:
        if number >= seed:
            raise ProcessDied

    disk.fault = die
    with suppress(ProcessDied):
        repair(disk, SETTINGS)
    disk.power_loss(random)
    repair(disk, SETTINGS)
    recovered = open_journal(disk, SETTINGS)
    assert recovered.journal.append(FACTS[:1]) > 1_000_000
