"""The lifecycle as a table: which fact may meet a job in which state, and where it leads.

What is not in the table cannot happen; `fold` refuses it as a bug. The picture in `docs/lifecycle.md` is
drawn from here. One move is not a fact: `scheduled` becomes `pending` by the passing of time alone, so a
fact that may meet a pending job may meet a scheduled one too (replay does not look at the clock).
"""

from __future__ import annotations

from collections.abc import Iterable

from beaver_actors.core.facts import (
    JobCancelled,
    JobCancelRequested,
    JobCompleted,
    JobDeleted,
    JobDied,
    JobEnqueued,
    JobFact,
    JobFailed,
    JobMoved,
    JobProgressed,
    JobReleased,
    JobRescued,
    JobRetried,
    JobSnoozed,
    JobStarted,
    JobUnblocked,
)
from beaver_actors.core.job import JobState

SCHEDULED, PENDING, IN_FLIGHT = JobState.SCHEDULED, JobState.PENDING, JobState.IN_FLIGHT
BLOCKED = JobState.BLOCKED
COMPLETED, DEAD, CANCELLED = JobState.COMPLETED, JobState.DEAD, JobState.CANCELLED

TRANSITIONS: dict[tuple[JobState | None, type[JobFact]], JobState | None] = {
    # None on the left: the job does not exist yet. None on the right: it exists no more.
    (None, JobEnqueued): PENDING,  # or SCHEDULED, where run_at lies ahead: see WAITS_FOR_TIME; or BLOCKED
    (BLOCKED, JobUnblocked): PENDING,
    (BLOCKED, JobDied): DEAD,
    (BLOCKED, JobCancelled): CANCELLED,
    (BLOCKED, JobDeleted): None,
    (SCHEDULED, JobStarted): IN_FLIGHT,
    (SCHEDULED, JobDied): DEAD,
    (SCHEDULED, JobCancelled): CANCELLED,
    (SCHEDULED, JobDeleted): None,
    (SCHEDULED, JobMoved): SCHEDULED,
    (PENDING, JobStarted): IN_FLIGHT,
    (PENDING, JobDied): DEAD,
    (PENDING, JobCancelled): CANCELLED,
    (PENDING, JobDeleted): None,
    (PENDING, JobMoved): PENDING,
    (BLOCKED, JobMoved): BLOCKED,
    (IN_FLIGHT, JobProgressed): IN_FLIGHT,
    (IN_FLIGHT, JobCancelRequested): IN_FLIGHT,
    (IN_FLIGHT, JobCompleted): COMPLETED,
    (IN_FLIGHT, JobFailed): SCHEDULED,
    (IN_FLIGHT, JobSnoozed): SCHEDULED,
    (IN_FLIGHT, JobReleased): PENDING,
    (IN_FLIGHT, JobRescued): PENDING,
    (IN_FLIGHT, JobDied): DEAD,
    (IN_FLIGHT, JobCancelled): CANCELLED,
    (COMPLETED, JobDeleted): None,
    (DEAD, JobRetried): PENDING,
    (DEAD, JobDeleted): None,
    (CANCELLED, JobRetried): PENDING,
    (CANCELLED, JobDeleted): None,
}

WAITS_FOR_TIME: frozenset[type[JobFact]] = frozenset(
    {JobEnqueued, JobFailed, JobSnoozed, JobRetried, JobUnblocked}
)
"""Facts that name a time to run at: the job is `scheduled` if that lies after the fact, else `pending`."""

WAITS_FOR_PARENTS: frozenset[type[JobFact]] = frozenset({JobEnqueued, JobRetried})
"""Facts of which some say that the job is `blocked`."""


def mermaid() -> str:
    """The table as a Mermaid state diagram, for `docs/lifecycle.md`."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for (source, fact), target in TRANSITIONS.items():
        for end in _ends(fact, target):
            arrows.setdefault((source or "[*]", end or "[*]"), []).append(fact.__name__)
    arrows[(SCHEDULED, PENDING)] = ["(time passes)"]
    return "\n".join(["stateDiagram-v2", *_lines(arrows)]) + "\n"


def _ends(fact: type[JobFact], target: JobState | None) -> Iterable[JobState | None]:
    ends = (SCHEDULED, PENDING) if fact in WAITS_FOR_TIME else (target,)
    return (*ends, BLOCKED) if fact in WAITS_FOR_PARENTS else ends


def _lines(arrows: dict[tuple[str, str], list[str]]) -> Iterable[str]:
    for (source, end), names in arrows.items():
        yield f"    {source} --> {end}: {', '.join(names)}"
