"""The table of the lifecycle, and that `fold` keeps to it: every state meets every fact."""

from __future__ import annotations

from typing import Any

import pytest

from beaver_actors.core import invariants
from beaver_actors.core.commands import Cancel
from beaver_actors.core.facts import (
    JOB_FACTS,
    Fact,
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
from beaver_actors.core.fold import fold
from beaver_actors.core.job import Extras, JobError, JobState, Terms
from beaver_actors.core.outcome import Rejected, Succeeded
from beaver_actors.core.state import State
from beaver_actors.core.transitions import TRANSITIONS, WAITS_FOR_TIME, mermaid
from beaver_actors.testing.playbook import NOON_MS, Playbook, canonical

ERROR = JobError("KeyError", "'x'")
LATER_MS = NOON_MS + 1

# What the table must say, written down a second time in other words.
MAY_MEET = {
    None: "JobEnqueued",
    "blocked": "JobUnblocked JobDied JobCancelled JobDeleted JobMoved",
    "scheduled": "JobStarted JobDied JobCancelled JobDeleted JobMoved",
    "pending": "JobStarted JobDied JobCancelled JobDeleted JobMoved",
    "in_flight": "JobProgressed JobCancelRequested JobCompleted JobFailed JobSnoozed JobReleased JobRescued"
    " JobDied JobCancelled",
    "completed": "JobDeleted",
    "dead": "JobRetried JobDeleted",
    "cancelled": "JobRetried JobDeleted",
}

FACTS: dict[type[JobFact], JobFact] = {
    JobEnqueued: JobEnqueued("job", NOON_MS, Terms("work"), b"{}", NOON_MS),
    JobStarted: JobStarted("job", NOON_MS, "worker", LATER_MS),
    JobProgressed: JobProgressed("job", NOON_MS, 2, b"50"),
    JobCompleted: JobCompleted("job", NOON_MS, 2, b"1"),
    JobFailed: JobFailed("job", NOON_MS, 2, ERROR, LATER_MS),
    JobSnoozed: JobSnoozed("job", NOON_MS, 2, LATER_MS),
    JobReleased: JobReleased("job", NOON_MS, 2),
    JobRescued: JobRescued("job", NOON_MS, 2, ERROR),
    JobDied: JobDied("job", NOON_MS, "expired"),
    JobCancelRequested: JobCancelRequested("job", NOON_MS),
    JobCancelled: JobCancelled("job", NOON_MS),
    JobRetried: JobRetried("job", NOON_MS, NOON_MS),
    JobDeleted: JobDeleted("job", NOON_MS, "request"),
    JobUnblocked: JobUnblocked("job", NOON_MS, NOON_MS),
    JobMoved: JobMoved("job", NOON_MS, "another"),
}


def state_with_job(job_state: JobState | None) -> State:
    """A queue whose one job is in this state; with None it has no job."""
    book = Playbook()
    if job_state is None:
        return book.state
    if job_state is JobState.BLOCKED:
        book.enqueue("parent")
        book.enqueue("job", extras=Extras(depends_on=("parent",)))
        return book.state
    book.enqueue("job", delay_ms=5 if job_state is JobState.SCHEDULED else None)
    if job_state in (JobState.SCHEDULED, JobState.PENDING):
        return book.state
    if job_state is JobState.CANCELLED:
        book.do(Cancel(("job",)))
        return book.state
    (lease,) = book.lease()
    if job_state is not JobState.IN_FLIGHT:
        book.finish(lease, Succeeded() if job_state is JobState.COMPLETED else Rejected(ERROR))
    return book.state


@pytest.mark.parametrize("fact", FACTS.values(), ids=lambda fact: type(fact).__name__)
@pytest.mark.parametrize("job_state", [None, *JobState])
def test_a_fact_leads_where_the_table_says_or_is_refused(job_state: JobState | None, fact: JobFact) -> None:
    """P3, P4: every state meets every fact; what the table does not know changes nothing."""
    state = state_with_job(job_state)
    before = canonical(state)
    if (job_state, type(fact)) not in TRANSITIONS:
        with pytest.raises(AssertionError, match="job job"):
            fold(state, fact)
        assert canonical(state) == before
    else:
        fold(state, fact)
        target = TRANSITIONS[job_state, type(fact)]
        if type(fact) in (JobFailed, JobSnoozed):
            target = JobState.SCHEDULED
        job = state.jobs.get("job")
        assert (job and job.state) == target
        assert canonical(state) != before
    invariants.check(state)


def test_the_table_allows_what_it_must_and_no_more() -> None:
    """P4: double entry; a completed job meets nothing but its deletion."""
    table = {job_state: set(names.split()) for job_state, names in MAY_MEET.items()}
    assert {key: {fact.__name__ for of, fact in TRANSITIONS if of == key} for key in table} == table


@pytest.mark.parametrize("fact_type", sorted(WAITS_FOR_TIME, key=str))
@pytest.mark.parametrize(("ahead_ms", "expected"), [(-5, "pending"), (0, "pending"), (1, "scheduled")])
def test_a_job_is_scheduled_exactly_while_its_time_lies_ahead(
    fact_type: type[JobFact], ahead_ms: int, expected: str
) -> None:
    """P3: each fact that names a time, with one in the past, now, and a millisecond later."""
    before = next(of for of, fact in TRANSITIONS if fact is fact_type)
    state = state_with_job(before)
    fact = FACTS[fact_type]
    name = "retry_at_ms" if isinstance(fact, JobFailed) else "run_at_ms"
    moved: dict[str, Any] = {name: NOON_MS + ahead_ms}
    fold(state, fact._replace(**moved))
    assert state.jobs["job"].state == expected
    assert state.jobs["job"].run_at_ms == NOON_MS + ahead_ms
    invariants.check(state)


def test_every_kind_of_fact_is_in_the_table() -> None:
    """P3: a fact that no state may meet could never be written."""
    assert {fact for _, fact in TRANSITIONS} == set(JOB_FACTS) == set(FACTS)


def test_a_fact_about_a_job_that_does_not_exist_is_refused() -> None:
    """P3: nothing but arrival makes a job; the message names it."""
    facts: list[Fact] = [fact for kind, fact in FACTS.items() if kind is not JobEnqueued]
    for fact in facts:
        with pytest.raises(AssertionError, match="which does not exist"):
            fold(State(), fact)


def test_the_picture_shows_every_move() -> None:
    """P3: each fact of the table stands on an arrow, and the one move made by time alone."""
    picture = mermaid()
    assert picture.startswith("stateDiagram-v2\n")
    assert "    scheduled --> pending: (time passes)\n" in picture
    assert "    [*] --> pending: JobEnqueued\n" in picture
    assert "    [*] --> scheduled: JobEnqueued\n" in picture
    assert "    [*] --> blocked: JobEnqueued\n" in picture
    assert "    dead --> [*]: JobDeleted\n" in picture
    for fact in JOB_FACTS:
        assert fact.__name__ in picture
