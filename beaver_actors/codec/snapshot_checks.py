"""Whether the jobs in a chunk of a snapshot make sense, each for itself: what `core/invariants.py` asks of a
job, as far as it can be told from the job alone. A snapshot is not replayed fact by fact, so nothing else
would notice. It works on columns, because a million jobs are read in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import le
from typing import Any

from beaver_actors.codec.ranges import TIME_MS_MAX
from beaver_actors.core.job import DEAD_REASONS


def misfit(
    columns: Mapping[str, Sequence[Any]],
    last_lsn: int,
    *,
    known: frozenset[int],
    waiting: frozenset[int],
    blocked: int,
    in_flight: int,
    dead: int,
    cancelled: int,
) -> str | None:
    """The column in which a job contradicts itself or the log, and how; None if none does.

    Args:
        columns: as stored, types checked, at least one job.
        last_lsn: of the snapshot.
        known: the numbers of the states that a job may be in.
        waiting, blocked, in_flight, dead, cancelled: the numbers of these states.
    """
    lsns, fences = columns["lsn"], columns["fence"]
    if max(lsns) > last_lsn or not all(map(le, columns["order"], lsns)):
        return "lsn: before the job's arrival, or from the future"
    if not all(map(le, fences, lsns)):
        return "fence: from the future"
    if not all(map(le, columns["rescues"], columns["attempt"])):
        return "rescues: more than attempts"
    states, attempts, trails = columns["state"], columns["attempt"], columns["trail"]
    if not known.issuperset(states):
        return "state: not one that this program knows"
    if blocked in states:
        for state, more in zip(states, columns["more"], strict=True):
            if state == blocked and (more is None or not more.depends_on):
                return "state: blocked, but without parents"
    if not any(trails) and waiting.issuperset(states) and not any(fences) and not any(attempts):
        return None  # what most of a long backlog is
    for state, fence, attempt, rescues, trail in zip(
        states, fences, attempts, columns["rescues"], trails, strict=True
    ):
        if trail is None:
            if state not in waiting or fence or attempt:
                return "trail: missing"
            continue
        runs = state == in_flight
        if runs and not (fence and trail.worker_id and attempt > rescues):
            return "trail: it runs without a lease"
        if not runs and trail.deadline_ms is not None:
            return "trail: a deadline, but it does not run"
        if not runs and trail.lease_ms is not None:
            return "trail: a lease, but it does not run"
        if (trail.finished_ms is not None) == (runs or state in waiting):
            return "trail: finished or not, against its state"
        gave_up = trail.reason in DEAD_REASONS
        if gave_up != (state == dead) or (trail.reason is not None and not gave_up and state != cancelled):
            return "trail: dead or not, against its state"
        for error in trail.errors:
            if not 0 <= error.at_ms <= TIME_MS_MAX:
                return "trail: a time out of range"
    return None
