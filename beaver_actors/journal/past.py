"""The past: the queue as it was after a fact, or at a time; and the whole life of one job.

Answers come from snapshots and log by the same `fold` as everything, for as far back as those are kept. Reads
files only, takes no lock, and may run beside a server; how long it takes grows with the log, so a server has
it done in a process of its own (`journal/past_child.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from beaver_actors.codec.fact_codec import CodecError
from beaver_actors.codec.segment import BadHeader
from beaver_actors.codec.wire_past import Moment
from beaver_actors.codec.wire_times import time_text
from beaver_actors.core.facts import Fact, JobFact
from beaver_actors.core.fold import fold
from beaver_actors.core.state import State, advance
from beaver_actors.journal.disk import Disk
from beaver_actors.journal.errors import JournalError
from beaver_actors.journal.replay import decode_frame, read_log, read_segments
from beaver_actors.journal.segments import list_segments, segment_name
from beaver_actors.journal.snapshots import Snapshot, list_snapshots, load_newest, load_snapshot


class PastGone(JournalError):
    """What was then is no longer kept.

    Args:
        wanted: what was asked for, in words.
        oldest_lsn: the earliest moment that can be asked for.
        oldest_ms: its time, milliseconds UTC; None if nothing had happened yet.
    """

    def __init__(self, wanted: str, oldest_lsn: int, oldest_ms: int | None) -> None:
        super().__init__(f"{wanted}: history is kept from LSN {oldest_lsn} on")
        self.wanted = wanted
        self.oldest_lsn = oldest_lsn
        self.oldest_ms = oldest_ms


class NotYet(JournalError):
    """The log has not come so far."""


def state_at(disk: Disk, moment: Moment, now_ms: int) -> State:
    """The state as it was, with what time alone brings. `now_ms` is the time by the wall clock.

    Raises:
        PastGone: neither a snapshot nor the log reaches back so far.
        NotYet: the log ends before this LSN, or that time has yet to come.
        Damaged, UnknownFormat: something that must be read cannot be.
    """
    state = _start(disk, moment)
    for lsn, _, fact in read_log(disk, state.lsn + 1):
        if moment.is_before(lsn, fact[1]):
            break
        if lsn != state.lsn + 1:
            raise _gone(disk, moment, lsn - 1, None)
        fold(state, fact)
    if moment.lsn is not None and state.lsn < moment.lsn:
        raise NotYet(f"LSN {moment.lsn}: the log ends with LSN {state.lsn}")
    if moment.at_ms is not None and moment.at_ms > max(now_ms, state.time_ms):
        raise NotYet(f"{time_text(moment.at_ms)} has yet to come, it is {time_text(now_ms)}")
    advance(state, state.time_ms if moment.at_ms is None else max(moment.at_ms, state.time_ms))
    return state


def _start(disk: Disk, moment: Moment) -> State:
    """The newest state on disk that is not later than the moment."""
    oldest: Snapshot | None = None
    if moment.lsn is not None:
        oldest = load_newest(disk, moment.lsn)[0]
        if oldest is not None:
            return oldest.state
    for lsn in list_snapshots(disk):
        try:
            oldest = load_snapshot(disk, lsn)
        except (BadHeader, CodecError, FileNotFoundError):
            continue  # an older one stands in
        if not moment.is_before(lsn, oldest.state.time_ms):
            return oldest.state
    segments = list_segments(disk)
    if segments[:1] == [1]:
        return State()
    if oldest is not None:
        raise _gone(disk, moment, oldest.header.lsn, oldest.state.time_ms)
    raise _gone(disk, moment, segments[0] - 1 if segments else 0, None)


def _gone(disk: Disk, moment: Moment, lsn: int, at_ms: int | None) -> PastGone:
    wanted = f"LSN {moment.lsn}" if moment.lsn is not None else "that time"
    return PastGone(wanted, lsn, at_ms)


class Life(NamedTuple):
    """What the log says of one job."""

    facts: list[tuple[int, Fact]]
    """With their LSNs, oldest first."""
    complete_from: int
    """Everything from this LSN on is there; what was before is no longer kept."""


def life_of(disk: Disk, job_id: str) -> Life:
    """Everything that the log says of a job, deleted or not.

    Raises:
        Damaged, UnknownFormat: after the last fact that can be read.
    """
    first_lsns = list_segments(disk)
    return Life(list(_facts_of(disk, job_id, first_lsns)), first_lsns[0] if first_lsns else 1)


def _facts_of(disk: Disk, job_id: str, first_lsns: list[int]) -> Iterator[tuple[int, Fact]]:
    name = job_id.encode()
    for scan in read_segments(disk, first_lsns):
        for frame in scan.frames:
            if name not in frame.body:
                continue  # not worth decoding
            facts = decode_frame(disk, segment_name(scan.header.first_lsn), frame)
            for lsn, fact in enumerate(facts, start=frame.first_lsn):
                if isinstance(fact, JobFact) and fact.job_id == job_id:
                    yield lsn, fact
