"""The job itself: its states, and what its counts mean."""

from __future__ import annotations

import pytest

from beaver_actors.core.job import FINISHED, WAITING, Job, JobState, Terms, Trail


def test_every_state_is_one_of_waiting_running_and_finished() -> None:
    """P3: a job is in exactly one, and in one of exactly three ways."""
    assert WAITING | FINISHED | {JobState.IN_FLIGHT} == set(JobState)
    assert not WAITING & FINISHED


def test_the_defaults_are_the_documented_ones() -> None:
    """P12: 25 runs of at most half an hour each."""
    terms = Terms("work")
    assert (terms.queue, terms.priority, terms.max_attempts, terms.timeout_ms) == (
        "default",
        0,
        25,
        1_800_000,
    )
    assert (terms.retention_ms, terms.tags, terms.meta) == (None, (), b"")


@pytest.mark.parametrize(("attempt", "rescues", "failures"), [(0, 0, 0), (1, 0, 1), (3, 2, 1), (2, 2, 0)])
def test_a_death_of_the_worker_uses_a_rescue_and_no_attempt(
    attempt: int, rescues: int, failures: int
) -> None:
    """P12: what counts against `max_attempts` are starts that did not end in a rescue."""
    job = Job("a", Terms("work"), b"{}", JobState.PENDING, 0, 0, None, 1, 1, Trail(attempt, rescues))
    assert job.failures == failures


def test_a_job_that_has_never_been_started_has_used_up_nothing() -> None:
    """P12: it has no trail, and counts from zero."""
    job = Job("a", Terms("work"), b"{}", JobState.PENDING, 0, 0, None, 1, 1)
    assert (job.attempt, job.rescues, job.failures, job.fence) == (0, 0, 0, 0)
