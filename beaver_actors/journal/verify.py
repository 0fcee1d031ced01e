"""Verify: reads everything in a data directory and says what is wrong, without changing or locking anything.

Recovery reads what it needs; this reads all of it, the older snapshots and segments too, and goes on behind a
problem. It may run beside a server. Putting things right is `journal/repair.py`'s work.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from beaver_actors.codec.fact_codec import CodecError
from beaver_actors.codec.segment import BadHeader, SegmentScan, Verdict
from beaver_actors.core.job import JobState
from beaver_actors.journal.disk import Disk
from beaver_actors.journal.errors import Damaged, DirectoryUnusable, JournalError, UnknownFormat
from beaver_actors.journal.recovery import FORMAT, LOCK, has_format
from beaver_actors.journal.replay import decode_frame, read_segment, replay
from beaver_actors.journal.segments import LOG, list_segments, segment_name
from beaver_actors.journal.snapshots import SNAPSHOTS, list_snapshots, load_snapshot, snapshot_name

_LOOKS = 5  # at files that a running server changes while they are read


class Problem(NamedTuple):
    """Something that this program cannot read."""

    file: str
    offset: int | None
    reason: str
    is_damage: bool = True
    """It is not as it was written; False: sound, but only a newer version of the program can read it."""


@dataclass(slots=True)
class VerifyReport:
    """What a data directory holds, and what is wrong with it."""

    place: str
    server_pid: int | None
    """A server seems to be running on it."""
    problems: list[Problem] = field(default_factory=list)
    starts: bool = False
    """A server would start on it as it is."""
    torn: str | None = None
    """An interrupted last write, which the next start cuts; or, beside a server, one under way."""
    snapshots: list[int] = field(default_factory=list)
    """The LSNs of those that can be read, newest first."""
    segments: int = 0
    frames: int = 0
    facts: int = 0
    oldest_lsn: int = 0
    """0 without a log."""
    head: int = 0
    epoch: int = 0
    jobs: dict[JobState, int] = field(default_factory=dict)
    """By state, after the last readable fact; empty if a server would not start."""

    @property
    def ok(self) -> bool:
        return self.starts and not self.problems

    @property
    def needs_newer_version(self) -> bool:
        """A newer version of the program wrote some of it, which is no damage that could be repaired."""
        return not all(problem.is_damage for problem in self.problems)


def verify(disk: Disk) -> VerifyReport:
    """Read everything.

    Raises:
        DirectoryUnusable: there is no data directory.
        OSError: the disk failed.
    """
    for look in range(_LOOKS):
        report = VerifyReport(disk.place, disk.lock_holder(LOCK))
        try:
            _verify(disk, report)
        except FileNotFoundError:
            if look == _LOOKS - 1:
                raise
            continue  # a server has deleted what it needs no more: look again
        if report.ok or report.server_pid is None:
            break  # beside a server, a problem must last
    return report


def _verify(disk: Disk, report: VerifyReport) -> None:
    try:
        names = disk.names()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DirectoryUnusable(f"{disk.place} is not a data directory: {error}") from error
    if LOG not in names or SNAPSHOTS not in names:
        raise DirectoryUnusable(
            f"{disk.place} is not a data directory: there is no {LOG}/ and {SNAPSHOTS}/ in it"
        )
    format_damage: Problem | None = None
    try:
        has_format(disk)
    except UnknownFormat as error:
        report.problems.append(_of_newer_version(FORMAT, error))
        return
    except Damaged as error:
        format_damage = Problem(error.file, error.offset, error.reason)
        report.problems.append(format_damage)
    _verify_snapshots(disk, report)
    _verify_segments(disk, report)
    try:
        replayed = replay(disk)
    except Damaged as error:
        problem = Problem(error.file, error.offset, error.reason)
        if problem not in report.problems:
            report.problems.append(problem)
    except UnknownFormat:
        pass  # told above, with its file
    except JournalError as error:
        report.problems.append(Problem("", None, str(error)))
    else:
        report.starts = format_damage is None
        report.head = replayed.state.lsn
        report.jobs = dict(Counter(job.state for job in replayed.state.jobs.values()))


def _verify_snapshots(disk: Disk, report: VerifyReport) -> None:
    for lsn in list_snapshots(disk):
        try:
            load_snapshot(disk, lsn)
        except UnknownFormat as error:
            report.problems.append(_of_newer_version(snapshot_name(lsn), error))
        except (BadHeader, CodecError, JournalError) as error:
            report.problems.append(Problem(snapshot_name(lsn), None, str(error)))
        else:
            report.snapshots.append(lsn)


def _verify_segments(disk: Disk, report: VerifyReport) -> None:
    first_lsns = list_segments(disk)
    before: SegmentScan | None = None
    for first_lsn in first_lsns:
        name = segment_name(first_lsn)
        report.segments += 1
        try:
            scan = read_segment(disk, first_lsn, last=first_lsn == first_lsns[-1])
            if before is not None and (first_lsn, scan.header.chain) != (before.last_lsn + 1, before.chain):
                reason = f"does not follow the segment before it, which ends with LSN {before.last_lsn}"
                report.problems.append(Problem(name, 0, reason))
            # Behind a damaged segment, that the next one does not follow is no further problem.
            before = None if scan.ending.verdict is Verdict.DAMAGED else scan
            for frame in scan.frames:
                report.facts += len(decode_frame(disk, name, frame))
        except Damaged as error:
            report.problems.append(Problem(error.file, error.offset, error.reason))
            before = None
            continue
        except UnknownFormat as error:
            report.problems.append(_of_newer_version(name, error))
            before = None
            continue
        except JournalError as error:
            report.problems.append(Problem(name, None, str(error)))
            before = None
            continue
        report.frames += len(scan.frames)
        report.oldest_lsn = report.oldest_lsn or first_lsn
        report.head = max(report.head, scan.last_lsn)
        report.epoch = max(report.epoch, scan.epoch)
        verdict, offset, reason, lost_bytes, _ = scan.ending
        if verdict is Verdict.TORN:
            report.torn = f"{name} at offset {offset}: {reason} ({lost_bytes} bytes)"
        elif verdict is Verdict.DAMAGED:
            report.problems.append(Problem(name, offset, reason))


def _of_newer_version(name: str, error: UnknownFormat) -> Problem:
    return Problem(name, 0, error.reason, is_damage=False)
