"""What a request for one job means for its relatives: whether a job can be put back while its parents are as
they are, and whose wait ends when a parent is deleted. Part of `decide`: reads, never writes.
"""

from __future__ import annotations

from collections.abc import Collection

from beaver_actors.core.families import FAILED
from beaver_actors.core.job import FINISHED, Job, JobState
from beaver_actors.core.state import State


def return_state(state: State, job: Job, back: Collection[str]) -> JobState | None:
    """The state that this dead or cancelled job returns to; None if a parent has failed that must not.

    A job that has run once waits for nobody any more, and neither does one whose parents are gone.

    Args:
        back: jobs that are put back by the same command.
    """
    if not job.depends_on or job.fence:
        return JobState.PENDING
    target = JobState.PENDING
    for parent_id in job.depends_on:
        parent = state.jobs.get(parent_id)
        if parent is None:
            continue
        if parent_id in back or parent.state not in FINISHED:
            target = JobState.BLOCKED
        elif parent.state in FAILED and job.on_parent_failure == "cancel":
            return None
    return target


def by_arrival(state: State, job_ids: tuple[str, ...]) -> tuple[str, ...]:
    """These ids, those of known jobs in order of arrival: parents before their children."""
    return tuple(sorted(job_ids, key=lambda job_id: job.order if (job := state.jobs.get(job_id)) else 0))


def abandoned(state: State, parent_id: str, gone: Collection[str]) -> list[Job]:
    """The children that are cancelled if this job is deleted.

    Args:
        gone: jobs that end by the same command.
    """
    family = None if state.families is None else state.families.of(parent_id)
    if family is None:
        return []
    return [
        child
        for child in family.children.values()
        if child.state is JobState.BLOCKED and child.on_parent_failure == "cancel" and child.id not in gone
    ]
