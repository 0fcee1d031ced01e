"""`fold`: a fact changes the state. It writes and never decides, refuses or looks at a clock.

Live running, recovery, snapshots and time travel all call this one function, so a state depends on nothing
but the facts behind it. A fact that the transition table does not know at this point is a bug, and an
assertion that names the job ends the actor that brought it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from beaver_actors.core.facts import (
    EVENT_NAMES,
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
    OperationAdvanced,
    OperationEnded,
    OperationFact,
    OperationStarted,
    QueueConfigured,
    QueueDeleted,
    QueueDrainStarted,
    QueuePaused,
    QueueResumed,
    ScheduleFired,
    ScheduleRemoved,
    ScheduleSet,
)
from beaver_actors.core.families import Families
from beaver_actors.core.index import SLACK
from beaver_actors.core.job import FINISHED, AttemptError, Extras, Job, JobError, JobState, Terms, Trail
from beaver_actors.core.operation import Operation, Wanted
from beaver_actors.core.queues import Queue
from beaver_actors.core.schedule import Schedule
from beaver_actors.core.state import State, file_job, let_go, step_out
from beaver_actors.core.transitions import TRANSITIONS
from beaver_actors.core.unique import holds

PENDING, SCHEDULED, IN_FLIGHT = JobState.PENDING, JobState.SCHEDULED, JobState.IN_FLIGHT
BLOCKED = JobState.BLOCKED

ERRORS_KEPT = 100
"""Errors kept on one job, oldest dropped first. Four times the default of 25 runs; a job that is allowed
thousands of runs must not grow without end."""


def fold(state: State, fact: Fact) -> None:
    """Apply the next fact. Its LSN is `state.lsn` after the call.

    Raises:
        AssertionError: this cannot have happened to a job in this state. The state is as it was.
    """
    state.lsn += 1
    try:
        _FOLDS[type(fact)](state, fact)
    except AssertionError:
        state.lsn -= 1
        raise
    at_ms = fact[1]
    if at_ms > state.time_ms:
        state.time_ms = at_ms


def fold_all(state: State, facts: Sequence[Fact]) -> None:
    """Apply facts in their order: the same as `fold` for each. Jobs that are enqueued together are mostly
    alike, and then what holds for all of them is looked up once.

    Raises:
        AssertionError: as `fold`; the facts before the impossible one are applied.
    """
    place, count = 0, len(facts)
    while place < count:
        fact = facts[place]
        end = place
        if type(fact) is JobEnqueued:
            while end < count and _is_plain(facts[end], fact.terms):
                end += 1
        if end > place:
            _enqueued_alike(state, facts[place:end])
            place = end
        else:
            fold(state, fact)
            place += 1


def _is_plain(fact: Fact, terms: Terms) -> bool:
    """Whether it is a job of these terms, enqueued to run at once."""
    return (
        type(fact) is JobEnqueued
        and fact.terms is terms
        and fact.run_at_ms == fact.at_ms
        and fact.extras is None
    )


def _enqueued_alike(state: State, facts: Sequence[Any]) -> None:
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
            queue = _queue(state, terms.queue)
            queue.counts[PENDING] = queue.counts.get(PENDING, 0) + len(fresh)
            state.totals.enqueued += len(fresh)
            state.roll.extend(fresh)
            state.lanes.extend(fresh)
            if state.families is not None:
                for job in fresh:
                    state.families.begun(job.id, jobs)


def _queue(state: State, name: str) -> Queue:
    queue = state.queues.get(name)
    if queue is None:
        queue = state.queues[name] = Queue(name)
    return queue


def _enqueued(state: State, fact: JobEnqueued) -> None:
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
    queue = _queue(state, terms.queue)
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


def _started(state: State, fact: JobStarted) -> None:
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


def _progressed(state: State, fact: JobProgressed) -> None:
    job = _known(state, fact)
    _trail(job).progress = fact.progress
    job.lsn = state.lsn


def _completed(state: State, fact: JobCompleted) -> None:
    job = _move(state, fact, JobState.COMPLETED, fact.at_ms)
    _trail(job).result = fact.result
    state.totals.completed += 1


def _failed(state: State, fact: JobFailed) -> None:
    job = _known(state, fact)
    _note_error(job, fact.at_ms, fact.error)
    job.run_at_ms = fact.retry_at_ms
    _move(state, fact, SCHEDULED if fact.retry_at_ms > fact.at_ms else PENDING)
    state.totals.failed += 1


def _snoozed(state: State, fact: JobSnoozed) -> None:
    job = _known(state, fact)
    _trail(job).attempt -= 1
    job.run_at_ms = fact.run_at_ms
    _move(state, fact, SCHEDULED if fact.run_at_ms > fact.at_ms else PENDING)
    state.totals.snoozed += 1


def _released(state: State, fact: JobReleased) -> None:
    job = _known(state, fact)
    _trail(job).attempt -= 1
    _move(state, fact, PENDING)
    state.totals.released += 1


def _rescued(state: State, fact: JobRescued) -> None:
    job = _known(state, fact)
    _trail(job).rescues += 1
    _note_error(job, fact.at_ms, fact.error)
    _move(state, fact, PENDING)
    state.totals.rescued += 1


def _died(state: State, fact: JobDied) -> None:
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


def _cancel_requested(state: State, fact: JobCancelRequested) -> None:
    job = _known(state, fact)
    _trail(job).cancel_requested = True
    job.lsn = state.lsn


def _cancelled(state: State, fact: JobCancelled) -> None:
    if fact.reason is not None:
        job = _known(state, fact)
        if job.trail is None:
            job.trail = Trail()
        job.trail.reason = fact.reason
    _move(state, fact, JobState.CANCELLED, fact.at_ms)
    state.totals.cancelled += 1


def _retried(state: State, fact: JobRetried) -> None:
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


def _unblocked(state: State, fact: JobUnblocked) -> None:
    _known(state, fact).run_at_ms = fact.run_at_ms
    _move(state, fact, SCHEDULED if fact.run_at_ms > fact.at_ms else PENDING)


def _deleted(state: State, fact: JobDeleted) -> None:
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


def _job_moved(state: State, fact: JobMoved) -> None:
    job = _known(state, fact)
    job.lsn = lsn = state.lsn
    if job.state is PENDING:
        step_out(state, job)
    left, entered = state.queues[job.terms.queue], _queue(state, fact.queue)
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


def _configured(state: State, fact: QueueConfigured) -> None:
    queue = _queue(state, fact.queue)
    queue.set_rules(fact.rules, fact.at_ms)
    queue.declared = fact.declared
    state.rings.rebuild(queue)
    if fact.rules.rate is None and fact.rules.key_rate is None:
        state.rated.discard(queue.name)
    else:
        state.rated.add(queue.name)


def _drain_started(state: State, fact: QueueDrainStarted) -> None:
    _queue(state, fact.queue).draining = True


def _queue_deleted(state: State, fact: QueueDeleted) -> None:
    queue = state.queues.get(fact.queue)
    assert queue is not None, f"queue {fact.queue}, which does not exist, was deleted"
    held = sum(queue.counts.values())
    assert not held, f"queue {fact.queue} was deleted while it held {held} jobs"
    del state.queues[fact.queue]
    state.rated.discard(fact.queue)


def _paused(state: State, fact: QueuePaused) -> None:
    _queue(state, fact.queue).paused = True


def _resumed(state: State, fact: QueueResumed) -> None:
    queue = _queue(state, fact.queue)
    queue.paused = queue.draining = False


OPERATIONS_KEPT = 100
"""Ended operations whose result is kept, so that whoever waits for one learns of it."""


def _operation_started(state: State, fact: OperationStarted) -> None:
    operation_id, lsn, jobs = fact.operation, state.lsn, len(state.jobs)
    assert operation_id not in state.operations, f"operation {operation_id} started twice"
    wanted = Wanted(*fact[3:])
    fresh = Operation(operation_id, fact.word, wanted, fact.at_ms, lsn, jobs)
    state.operations[operation_id] = fresh


def _operation_advanced(state: State, fact: OperationAdvanced) -> None:
    operation = _running(state, fact)
    operation.cursor = fact.cursor
    operation.looked_at += fact.looked_at
    operation.changed += fact.changed
    operation.refused += fact.refused


def _operation_ended(state: State, fact: OperationEnded) -> None:
    operation = _running(state, fact)
    operation.state, operation.ended_ms = fact.how, fact.at_ms
    ended = [kept.id for kept in state.operations.values() if kept.state != "running"]
    for operation_id in ended[:-OPERATIONS_KEPT]:
        del state.operations[operation_id]


def _running(state: State, fact: OperationFact) -> Operation:
    operation = state.operations.get(fact.operation)
    name = EVENT_NAMES[type(fact)]
    assert operation is not None, f"{name} about operation {fact.operation}, which does not exist"
    assert operation.state == "running", f"{name} about operation {operation.id}, which is {operation.state}"
    return operation


def _schedule_set(state: State, fact: ScheduleSet) -> None:
    name, at_ms, plan, from_ms, paused, source = fact
    known = state.schedules.get(name)
    if known is None:
        state.schedules[name] = Schedule(name, plan, paused, source, at_ms, state.lsn, from_ms)
        return
    known.plan, known.paused, known.source = plan, paused, source
    known.revision, known.through_ms = state.lsn, from_ms


def _schedule_removed(state: State, fact: ScheduleRemoved) -> None:
    assert fact.schedule in state.schedules, f"schedule {fact.schedule} removed, which does not exist"
    del state.schedules[fact.schedule]


def _schedule_fired(state: State, fact: ScheduleFired) -> None:
    name, at_ms, nominal_ms, job_id, reason, times = fact
    known = state.schedules.get(name)
    assert known is not None, f"schedule {name} fired, which does not exist"
    assert (job_id is None) == (reason is not None), f"schedule {name} fired for {job_id}, {reason}"
    if nominal_ms is not None:
        assert nominal_ms > known.through_ms, f"schedule {name} fired twice for {nominal_ms}"
        known.through_ms = nominal_ms
    if job_id is None:
        known.skipped += times
    else:
        known.fired += 1
        known.last_ms, known.last_job_id = at_ms if nominal_ms is None else nominal_ms, job_id


_FOLDS: dict[type[Fact], Callable[[State, Any], None]] = {
    JobEnqueued: _enqueued,
    JobStarted: _started,
    JobProgressed: _progressed,
    JobCompleted: _completed,
    JobFailed: _failed,
    JobSnoozed: _snoozed,
    JobReleased: _released,
    JobRescued: _rescued,
    JobDied: _died,
    JobCancelRequested: _cancel_requested,
    JobCancelled: _cancelled,
    JobRetried: _retried,
    JobDeleted: _deleted,
    JobUnblocked: _unblocked,
    JobMoved: _job_moved,
    QueueConfigured: _configured,
    QueueDrainStarted: _drain_started,
    QueueDeleted: _queue_deleted,
    QueuePaused: _paused,
    QueueResumed: _resumed,
    OperationStarted: _operation_started,
    OperationAdvanced: _operation_advanced,
    OperationEnded: _operation_ended,
    ScheduleSet: _schedule_set,
    ScheduleRemoved: _schedule_removed,
    ScheduleFired: _schedule_fired,
}


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
