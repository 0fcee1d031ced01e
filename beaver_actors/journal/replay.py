"""Replay: reading a snapshot and the log after it into a state.

Recovery, the folding of snapshots and `verify` all read through this file, so what one of them accepts, all
do. It changes no file. Each step is checked against the one before: LSNs without a hole, checksums chained
from frame to frame, from segment to segment and from the snapshot to the log (P6).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from beaver_actors.codec.fact_codec import CodecError, decode_facts
from beaver_actors.codec.frame import Frame
from beaver_actors.codec.ranges import EPOCH_MAX, LSN_MAX
from beaver_actors.codec.segment import BadHeader, SegmentScan, UnknownVersion, Verdict, scan_segment
from beaver_actors.core.facts import Fact
from beaver_actors.core.fold import fold_all
from beaver_actors.core.state import State
from beaver_actors.journal.disk import Disk
from beaver_actors.journal.errors import Damaged, UnknownFormat
from beaver_actors.journal.segments import LOG, list_segments, segment_name
from beaver_actors.journal.snapshots import RefusedSnapshot, load_newest


@dataclass(slots=True)
class Replayed:
    """A state, and how it was come by."""

    state: State
    chain: int
    """The header checksum of the last frame in it."""
    epoch: int
    """The highest epoch seen."""
    snapshot_lsn: int | None = None
    """None: no snapshot was used."""
    refused: list[RefusedSnapshot] = field(default_factory=list)
    """Snapshots that cannot be read."""
    segments: int = 0
    frames: int = 0
    facts: int = 0
    last: SegmentScan | None = None
    """The last segment of the log."""


def replay(disk: Disk, through_lsn: int | None = None) -> Replayed:
    """Load the newest readable snapshot and fold in the log after it.

    Args:
        through_lsn: stop after this fact, which must be the last of a frame; None: the end of the log.

    Raises:
        Damaged, UnknownFormat: something that must be read cannot be.
    """
    snapshot, refused = load_newest(disk, through_lsn)
    if snapshot is None:
        replayed = Replayed(State(), chain=0, epoch=0, refused=refused)
    else:
        header = snapshot.header
        replayed = Replayed(snapshot.state, header.chain, header.epoch, header.lsn, refused)
    first_lsns = list_segments(disk)
    _expect_log(disk, replayed, first_lsns)
    place = bisect_right(first_lsns, replayed.state.lsn + 1) - 1
    for scan in read_segments(disk, first_lsns[place:], through_lsn):
        _replay_segment(disk, replayed, scan, through_lsn)
    _expect_end(disk, replayed, through_lsn)
    return replayed


def read_segments(
    disk: Disk, first_lsns: Sequence[int], through_lsn: int | None = None
) -> Iterator[SegmentScan]:
    """Read segments that follow one another.

    Args:
        first_lsns: their names, up to the last one of the log.
        through_lsn: leave out segments that begin later, or come when it has been read.

    Raises:
        Damaged: one does not follow the one before; or, after its readable part was yielded, cannot be read
            to its end or through `through_lsn`. A torn end is no damage.
        UnknownFormat: one is of another version.
    """
    before: SegmentScan | None = None
    for first_lsn in first_lsns:
        next_lsn = first_lsn if before is None else before.last_lsn + 1
        if through_lsn is not None and max(first_lsn, next_lsn) > through_lsn:
            return
        scan = read_segment(disk, first_lsn, last=first_lsn == first_lsns[-1], next_lsn=next_lsn)
        name = segment_name(first_lsn)
        if first_lsn != next_lsn:
            reason = f"begins with LSN {first_lsn}, but the segment before it ends with LSN {next_lsn - 1}"
            raise Damaged(disk.place, name, 0, next_lsn, reason)
        if before is not None and scan.header.chain != before.chain:
            raise Damaged(disk.place, name, 0, first_lsn, "does not follow the end of the segment before it")
        yield scan
        ending = scan.ending
        if ending.verdict is Verdict.DAMAGED and (through_lsn is None or scan.last_lsn < through_lsn):
            raise Damaged(disk.place, name, ending.offset, scan.last_lsn + 1, ending.reason)
        before = scan


def read_log(disk: Disk, from_lsn: int = 1) -> Iterator[tuple[int, int, Fact]]:
    """Yield the facts in the log as (LSN, epoch, fact), from `from_lsn` or the oldest there is.

    Takes nothing, so it may run beside a server; it ends before a torn write.

    Raises:
        Damaged, UnknownFormat: after the last fact that can be read.
    """
    first_lsns = list_segments(disk)
    place = max(0, bisect_right(first_lsns, from_lsn) - 1)
    for scan in read_segments(disk, first_lsns[place:]):
        for frame in scan.frames:
            if frame.last_lsn >= from_lsn:
                facts = decode_frame(disk, segment_name(scan.header.first_lsn), frame)
                for lsn, fact in enumerate(facts, start=frame.first_lsn):
                    if lsn >= from_lsn:
                        yield lsn, frame.epoch, fact


def read_segment(disk: Disk, first_lsn: int, *, last: bool, next_lsn: int | None = None) -> SegmentScan:
    """Read one segment.

    Args:
        first_lsn: its name.
        last: whether no segment follows it.
        next_lsn: the first fact that has not been read so far; by default that of its name.

    Raises:
        Damaged: its header cannot be read, or is not the one its name says.
        UnknownFormat: it is of another version.
    """
    name = segment_name(first_lsn)
    next_lsn = first_lsn if next_lsn is None else next_lsn
    try:
        scan = scan_segment(disk.read(name), last=last)
    except BadHeader as error:
        raise Damaged(disk.place, name, 0, next_lsn, str(error)) from error
    except UnknownVersion as error:
        raise UnknownFormat(f"{disk.place}/{name}", error.found, error.supported) from error
    if scan.header.first_lsn != first_lsn:
        reason = f"begins with LSN {scan.header.first_lsn}, not the one its name says"
        raise Damaged(disk.place, name, 0, next_lsn, reason)
    if scan.epoch > EPOCH_MAX or scan.last_lsn > LSN_MAX:
        raise Damaged(disk.place, name, 0, next_lsn, "an LSN or an epoch that is never written")
    return scan


def decode_frame(disk: Disk, name: str, frame: Frame) -> list[Fact]:
    """The facts of a frame that is whole.

    Raises:
        Damaged: they are not what the format says.
    """
    try:
        facts = decode_facts(frame.body)
    except CodecError as error:
        raise Damaged(disk.place, name, frame.offset, frame.first_lsn, str(error)) from error
    if len(facts) != frame.fact_count:
        reason = f"the frame counts {frame.fact_count} facts and holds {len(facts)}"
        raise Damaged(disk.place, name, frame.offset, frame.first_lsn, reason)
    return facts


def _expect_log(disk: Disk, replayed: Replayed, first_lsns: Sequence[int]) -> None:
    """Refuse to go on if the log does not reach back to the snapshot, or to the start without one."""
    next_lsn = replayed.state.lsn + 1
    lost = "".join(f"; {name} cannot be read: {reason}" for name, _, reason in replayed.refused)
    since = (
        "there is no snapshot"
        if replayed.snapshot_lsn is None
        else f"the snapshot ends with LSN {next_lsn - 1}"
    )
    if not first_lsns:
        raise Damaged(disk.place, LOG, None, next_lsn, f"the log is gone ({since}{lost})")
    if first_lsns[0] > next_lsn:
        reason = f"the log begins with LSN {first_lsns[0]} ({since}{lost})"
        where = replayed.refused[0].name if replayed.refused else segment_name(first_lsns[0])
        raise Damaged(disk.place, where, None, next_lsn, reason)


def _expect_end(disk: Disk, replayed: Replayed, through_lsn: int | None) -> None:
    """Refuse a log that ends before something that had been read from it once."""
    last, state = replayed.last, replayed.state
    if last is None:
        return  # the snapshot holds all that was asked for
    wanted = through_lsn if through_lsn is not None else replayed.snapshot_lsn or 0
    if last.last_lsn < wanted:
        reason = f"the log ends with LSN {last.last_lsn}, but LSN {wanted} had been written"
        name = segment_name(last.header.first_lsn)
        raise Damaged(disk.place, name, last.ending.offset, last.last_lsn + 1, reason)
    if through_lsn is not None and state.lsn != through_lsn:
        raise ValueError(f"LSN {through_lsn} is not the last of a commit; LSN {state.lsn} is")


def _replay_segment(disk: Disk, replayed: Replayed, scan: SegmentScan, through_lsn: int | None) -> None:
    state, first_lsn = replayed.state, scan.header.first_lsn
    name = segment_name(first_lsn)
    replayed.segments += 1
    replayed.epoch = max(replayed.epoch, scan.epoch)
    replayed.last = scan
    if first_lsn == state.lsn + 1 and scan.header.chain != replayed.chain:
        raise Damaged(disk.place, name, 0, first_lsn, "does not follow the snapshot before it")
    for frame in scan.frames:
        if frame.last_lsn <= state.lsn:
            if frame.last_lsn == state.lsn and frame.crc != replayed.chain:
                reason = f"is not the frame that the snapshot of LSN {state.lsn} was made from"
                raise Damaged(disk.place, name, frame.offset, frame.first_lsn, reason)
            continue
        if through_lsn is not None and frame.first_lsn > through_lsn:
            return
        if frame.first_lsn != state.lsn + 1:
            raise Damaged(
                disk.place, name, frame.offset, state.lsn + 1, "the snapshot ends inside this frame"
            )
        facts = decode_frame(disk, name, frame)
        try:
            fold_all(state, facts)
        except (AssertionError, LookupError) as error:
            reason = f"a fact of this frame does not fit the state before it: {error}"
            raise Damaged(disk.place, name, frame.offset, frame.first_lsn, reason) from error
        replayed.chain = frame.crc
        replayed.frames += 1
        replayed.facts += len(facts)
