"""Sound data directories to be spoiled, and what must hold of any directory, whatever is in it.

`judge` is the heart: recovery, `verify`, the reading of the log and repair agree about it, each ends with
what it documents, and a state that is accepted holds all invariants and can be served from.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from random import Random

from beaver_actors.codec.snapshot_codec import decode_snapshot, encode_snapshot
from beaver_actors.core.facts import JobEnqueued
from beaver_actors.core.fold import fold
from beaver_actors.core.invariants import check
from beaver_actors.core.job import Terms
from beaver_actors.core.state import State
from beaver_actors.journal.errors import Damaged, JournalError, UnknownFormat
from beaver_actors.journal.folding import fold_snapshot
from beaver_actors.journal.recovery import open_journal
from beaver_actors.journal.repair import repair
from beaver_actors.journal.replay import Replayed, read_log, replay
from beaver_actors.journal.settings import JournalSettings
from beaver_actors.journal.verify import VerifyReport, verify
from beaver_actors.testing.disk import SimulatedDisk
from tests.fuzz.serving import live_on, show_everything
from tests.journal.happenings import essence, happen

SETTINGS = JournalSettings(segment_bytes=4096, reserve_bytes=4096)
DIRECTORIES = ("", "wal", "snapshots")

Files = dict[str, bytes]


@dataclass(frozen=True)
class Original:
    """A sound directory, and every state it has been in after a commit."""

    files: Files
    commits: tuple[str, ...]
    """The essence of each state, oldest first."""


@lru_cache(maxsize=1)
def originals() -> tuple[Original, ...]:
    """One short log; one of many segments with two snapshots, its last frames torn; one just begun."""
    return _written(30, 3, ()), _written(100, 5, (40, 80)), _written(0, 1, ())


def _written(facts: int, batch: int, snapshots: tuple[int, ...]) -> Original:
    disk, state = SimulatedDisk(), State()
    random = Random(facts)
    journal = open_journal(disk, SETTINGS).journal
    commits = [shown(state)]
    for lsn in range(0, facts, batch):
        journal.append(happen(random, batch, state))
        commits.append(shown(state))
        if lsn + batch in snapshots:
            fold_snapshot(disk, journal.rotate(), keep=9, owner="t")
    journal.close()
    files = {name: data for name, data in files_of(disk).items() if name not in ("reserve", "wal/spare.tmp")}
    return Original(files, tuple(commits))


def shown(state: State) -> str:
    """All of a state that is not derived, as text to compare."""
    return repr(essence(state))


def files_of(disk: SimulatedDisk) -> Files:
    names = [f"{directory}/{name}".lstrip("/") for directory in DIRECTORIES for name in disk.names(directory)]
    return {name: disk.read(name) for name in names if name not in DIRECTORIES}


def disk_of(files: Files) -> SimulatedDisk:
    """A disk with these files on it."""
    disk = SimulatedDisk()
    for directory in DIRECTORIES:
        disk.make_directory(directory)
    for name, data in files.items():
        disk.plant(name, data)
    disk.calls.clear()
    return disk


def judge(files: Files, original: Original | None = None) -> Replayed | None:
    """Hold everything that reads a data directory against this one; returns what was accepted, None if it
    was refused.

    Args:
        files: of the directory.
        original: if nothing in `files` was written with a sound checksum but by it: what is accepted must
            then be one of its states.
    """
    disk = disk_of(files)
    refusal: JournalError | None = None
    replayed: Replayed | None = None
    try:
        replayed = replay(disk)
    except (Damaged, UnknownFormat) as error:
        refusal = error
    report = _verified(disk)
    _read_the_log(disk)
    assert files_of(disk) == files, "reading has changed something"
    if replayed is not None:
        assert report.starts or report.problems, "verify says neither that it starts nor why not"
        if original is None:
            _expect_sound(replayed.state)
        else:
            assert shown(replayed.state) in original.commits, "a state that never was"
    else:
        assert not report.starts, f"verify would start on it, recovery says {refusal}"
        assert report.problems
    _start(files, replayed, report)
    return replayed


def _verified(disk: SimulatedDisk) -> VerifyReport:
    report = verify(disk)
    for problem in report.problems:
        assert problem.reason
    return report


def _read_the_log(disk: SimulatedDisk) -> None:
    expected: int | None = None
    try:
        for lsn, _, fact in read_log(disk):
            assert expected in (None, lsn), f"LSN {lsn} after LSN {expected}"
            assert fact is not None
            expected = lsn + 1
    except (Damaged, UnknownFormat):
        return


def _expect_sound(state: State) -> None:
    """A state that was accepted: invariants hold, a snapshot of it is read back, all of it can be shown."""
    check(state)
    stream = b"".join(encode_snapshot(state, epoch=1, chain=0))
    _, again = decode_snapshot(BytesIO(stream).read)
    assert shown(again) == shown(state)
    show_everything(state)
    live_on(state)


def _start(files: Files, replayed: Replayed | None, report: VerifyReport) -> None:
    """Start on it as a server does, or else repair it first, and go on from there."""
    disk = disk_of(files)
    try:
        _go_on(disk, None if replayed is None else shown(replayed.state))
        assert report.starts, f"a server starts, and verify says {report.problems}"
        return
    except JournalError as error:
        refusal = error
    assert not report.starts, f"verify would start on it; a server says {refusal}"
    assert files_of(disk) == files, "a start that was refused has changed something"
    disk = disk_of(files)
    try:
        done = repair(disk, SETTINGS)
    except UnknownFormat:
        assert isinstance(refusal, UnknownFormat)
        return
    assert done is not None
    _go_on(disk, None)


def _go_on(disk: SimulatedDisk, expected: str | None) -> None:
    recovered = open_journal(disk, SETTINGS)
    try:
        assert expected in (None, shown(recovered.state)), "two readings differ"
        check(recovered.state)
        at_ms = recovered.state.time_ms
        fact = JobEnqueued("one more, not so named by anyone", at_ms, Terms("demo.echo"), b"{}", at_ms)
        lsn = recovered.journal.append([fact])
        assert lsn == recovered.state.lsn + 1
        assert recovered.journal.read_from(lsn, 9) == [(lsn, fact)]
    finally:
        recovered.journal.close()
    fold(recovered.state, fact)
    assert shown(replay(disk).state) == shown(recovered.state)
    assert verify(disk).starts
