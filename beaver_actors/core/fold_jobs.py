"""What the facts about a job change: one function for each, named like it. Part of `fold`: writes, never
decides.

A job goes from one state to another with `_move` alone, which keeps counts and indexes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from beaver_actors.core.facts import (
    EVENT_NAMES,
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
from beaver_actors.core.families import Families
from beaver_actors.core.fold_queues import queue_named
from beaver_actors.core.index import SLACK
from beaver_actors.core.job import FINISHED, AttemptError, Extras, Job, JobError, JobState, Trail
from beaver_actors.core.state import State, file_job, let_go, step_out
from beaver_actors.core.transitions import TRANSITIONS
from beaver_actors.core.unique import holds

PENDING, SCHEDULED, IN_FLIGHT = JobState.PENDING, JobState.SCHEDULED, JobState.IN_FLIGHT
BLOCKED = JobState.BLOCKED

ERRORS_KEPT = 100
"""Errors kept on one job, oldest dropped first. Four times the default of 25 runs; a job that is allowed
thousands of runs must not grow without end."""


def enqueued_alike(state: State, facts: Sequence[Any]) -> None:
    """Jobs of the same terms, enqueued to run at once."""
    jobs, lsn, time_ms = state.jobs, state.lsn, state.time_ms
    terms = state.terms.setdefault(facts[0].terms, facts[0].terms)
    fresh: list[Job] = []
    try:
        for job_id, at_ms, _, args, _, _ in facts:
            assert job_id not in jobs, f"job {job_id} enqueued twice"
            lsn += 1
            job = jobs[job_id] = Job(job_id, terms, args, PENDING, at_ms, at_ms, None, lsn, lsn)
            fresh.append(job)
            if at_ms > time_ms:
                time_ms = at_ms
    finally:
        if fresh:
            state.lsn, state.time_ms = lsn, time_ms
            queue = queue_named(state, terms.queue)
            queue.counts[PENDING] = queue.counts.get(PENDING, 0) + len(fresh)
            state.totals.enqueued += len(fresh)
            state.roll.extend(fresh)
            state.lanes.extend(fresh)
            if state.families is not None:
                for job in fresh:
                    state.families.begun(job.id, jobs)


def enqueued(state: State, fact: JobEnqueued) -> None:
    job_id, at_ms, terms, args, run_at_ms, extras = fact
    assert job_id not in state.jobs, f"job {job_id} enqueued twice"
    lsn = state.lsn
    terms = state.terms.setdefault(terms, terms)
    target = SCHEDULED if run_at_ms > at_ms else PENDING
    if extras is not None and extras.depends_on:
        target = BLOCKED
    job = Job(job_id, terms, args, target, at_ms, run_at_ms, extras, lsn, lsn)
    state.jobs[job_id] = job
    state.roll.add(job)
    queue = queue_named(state, terms.queue)
    queue.counts[target] = queue.counts.get(target, 0) + 1
    state.totals.enqueued += 1
    if extras is not None and extras.concurrency_key is not None:
        queue.moved(extras.concurrency_key, None, target, lsn, at_ms)
    file_job(state, job)
    if extras is not None and extras.unique is not None:
        state.unique[extras.unique.key] = job
    if target is BLOCKED and state.families is None:
        state.families = Families()
    if state.families is not None:
        state.families.begun(job_id, state.jobs)
        if target is BLOCKED:
            state.families.join(job, state.jobs)


def started(state: State, fact: JobStarted) -> None:
    _, at_ms, worker_id, deadline_ms, lease_ms = fact
    job = _move(state, fact, IN_FLIGHT)
    trail = job.trail
    if trail is None:
        trail = job.trail = Trail()
    trail.attempt += 1
    trail.fence = state.lsn
    trail.started_ms = at_ms
    trail.worker_id = worker_id
    trail.deadline_ms = deadline_ms
    trail.lease_ms = lease_ms
    trail.progress = None
    queue = state.queues[job.terms.queue]
    queue.turn = state.lsn
    if queue.tenants_waiting and job.concurrency_key is None:
        queue.keyless_turn = state.lsn
    if queue.rules.rate is not None:
        queue.bucket.spend(queue.rules.rate, at_ms)
    state.totals.started += 1


def progressed(state: State, fact: JobProgressed) -> None:
    job = _known(state, fact)
    _trail(job).progress = fact.progress
    job.lsn = state.lsn


def completed(state: State, fact: JobCompleted) -> None:
    job = _move(state, fact, JobState.COMPLETED, fact.at_ms)
    _trail(job).result = fact.result
    state.totals.completed += 1


def failed(state: State, fact: JobFailed) -> None:
    job = _known(state, fact)
    _note_error(job, fact.at_ms, fact.error)
    job.run_at_ms = fact.retry_at_ms
    _move(state, fact, SCHEDULED if fact.retry_at_ms > fact.at_ms else PENDING)
    state.totals.failed += 1


def snoozed(state: State, fact: JobSnoozed) -> None:
    job = _known(state, fact)
    _trail(job).attempt -= 1
    job.run_at_ms = fact.run_at_ms
    _move(state, fact, SCHEDULED if fact.run_at_ms > fact.at_ms else PENDING)
    state.totals.snoozed += 1


def released(state: State, fact: JobReleased) -> None:
    job = _known(state, fact)
    _trail(job).attempt -= 1
    _move(state, fact, PENDING)
    state.totals.released += 1


def rescued(state: State, fact: JobRescued) -> None:
    job = _known(state, fact)
    _trail(job).rescues += 1
    _note_error(job, fact.at_ms, fact.error)
    _move(state, fact, PENDING)
    state.totals.rescued += 1


def died(state: State, fact: JobDied) -> None:
    job = _known(state, fact)
    if fact.error is not None:
        _note_error(job, fact.at_ms, fact.error)
    _move(state, fact, JobState.DEAD, fact.at_ms)
    trail = _trail(job)
    trail.reason = fact.reason
    if fact.reason == "poison":
        trail.rescues += 1
        state.totals.rescued += 1
    state.totals.died[fact.reason] = state.totals.died.get(fact.reason, 0) + 1


def cancel_requested(state: State, fact: JobCancelRequested) -> None:
    job = _known(state, fact)
    _trail(job).cancel_requested = True
    job.lsn = state.lsn


def cancelled(state: State, fact: JobCancelled) -> None:
    if fact.reason is not None:
        job = _known(state, fact)
        if job.trail is None:
            job.trail = Trail()
        job.trail.reason = fact.reason
    _move(state, fact, JobState.CANCELLED, fact.at_ms)
    state.totals.cancelled += 1


def retried(state: State, fact: JobRetried) -> None:
    job = _known(state, fact)
    job.run_at_ms = fact.run_at_ms
    trail = _trail(job)
    trail.attempt = trail.rescues = 0
    trail.finished_ms = trail.reason = trail.result = None
    extras = job.extras
    if extras is not None and extras.expires_at_ms is not None and extras.expires_at_ms <= fact.at_ms:
        # Asked for by hand: it shall run, however late.
        left = extras._replace(expires_at_ms=None)
        job.extras = None if left == Extras() else left
    target = SCHEDULED if fact.run_at_ms > fact.at_ms else PENDING
    _move(state, fact, BLOCKED if fact.blocked else target)
    if job.unique is not None and holds(job, fact.at_ms):
        state.unique[job.unique.key] = job
    state.totals.retried += 1


def unblocked(state: State, fact: JobUnblocked) -> None:
    _known(state, fact).run_at_ms = fact.run_at_ms
    _move(state, fact, SCHEDULED if fact.run_at_ms > fact.at_ms else PENDING)


def deleted(state: State, fact: JobDeleted) -> None:
    job = _move(state, fact, None)
    del state.jobs[job.id]
    if state.families is not None:
        let_go(state, state.families.left(job, state.jobs))
    if job.unique is not None and state.unique.get(job.unique.key) is job:
        del state.unique[job.unique.key]
    state.roll.forget(state.jobs)
    if len(state.terms) > 2 * len(state.jobs) + SLACK:
        state.terms = {kept.terms: kept.terms for kept in state.jobs.values()}
    state.totals.deleted += 1


def moved(state: State, fact: JobMoved) -> None:
    job = _known(state, fact)
    job.lsn = lsn = state.lsn
    if job.state is PENDING:
        step_out(state, job)
    left, entered = state.queues[job.terms.queue], queue_named(state, fact.queue)
    extras, terms = job.extras or Extras(), job.terms._replace(queue=fact.queue)
    key, home = extras.concurrency_key, extras.enqueued_in or left.name
    left.counts[job.state] -= 1
    entered.counts[job.state] = entered.counts.get(job.state, 0) + 1
    if key is not None:
        left.moved(key, job.state, None, lsn, fact.at_ms)
        entered.moved(key, None, job.state, lsn, fact.at_ms)
    job.terms = state.terms.setdefault(terms, terms)
    moved = extras._replace(enqueued_in=None if home == fact.queue else home)
    job.extras = None if moved == Extras() else moved
    file_job(state, job)


_MAY_MEET = {
    job_state: frozenset(fact for source, fact in TRANSITIONS if source is job_state)
    for job_state in JobState
}
"""The table by state."""


def _known(state: State, fact: JobFact) -> Job:
    """The job this fact is about, after checking that the table allows it."""
    job = state.jobs.get(fact[0])
    assert job is not None, f"{EVENT_NAMES[type(fact)]} about job {fact[0]}, which does not exist"
    assert type(fact) in _MAY_MEET[job.state], (
        f"{EVENT_NAMES[type(fact)]} about job {job.id} in state {job.state}"
    )
    return job


def _move(state: State, fact: JobFact, target: JobState | None, finished_ms: int | None = None) -> Job:
    """Take the job from its state to `target` (None: out of existence), in counts and indexes."""
    job = state.jobs.get(fact[0])
    if job is None or (job.state, type(fact)) not in TRANSITIONS:
        job = _known(state, fact)  # which says what is wrong
    source = job.state
    counts = state.queues[job.terms.queue].counts
    counts[source] -= 1
    job.lsn = state.lsn
    if target is not None:
        job.state = target
        counts[target] = counts.get(target, 0) + 1
    trail = job.trail
    if source is PENDING:
        step_out(state, job)
    elif source is IN_FLIGHT:
        del state.in_flight[job.id]
        assert trail is not None, f"job {job.id} was never started"
        trail.deadline_ms = trail.lease_ms = None
        trail.cancel_requested = False
    elif source in FINISHED:
        state.finished[source].leave()
    if finished_ms is not None:
        if trail is None:
            trail = job.trail = Trail()
        trail.finished_ms = finished_ms
    extras = job.extras
    key = None if extras is None else extras.concurrency_key
    if key is not None:
        state.queues[job.terms.queue].moved(key, source, target, state.lsn, fact[1])
    if target is not None:
        file_job(state, job)
        if state.families is not None:
            let_go(state, state.families.moved(job, source, state.jobs))
    if key is not None:
        state.rings.offer(key, state.queues[job.terms.queue])
    return job


def _trail(job: Job) -> Trail:
    assert job.trail is not None, f"job {job.id} was never started"
    return job.trail


def _note_error(job: Job, at_ms: int, error: JobError) -> None:
    trail = _trail(job)
    newest = AttemptError(at_ms, trail.attempt, *error)
    trail.errors = (*trail.errors[-(ERRORS_KEPT - 1) :], newest)
