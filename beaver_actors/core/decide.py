"""`decide`: a command, the state and the time give facts and an answer. It reads and never writes.

The same inputs always give the same outputs. The caller lets time pass first (`advance`), then asks, then
folds every fact it was given, in order, before it asks again; so the n-th fact's LSN is known here, and the
fence of a lease can be told before the fact is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from beaver_actors.core import (
    attempts,
    explain,
    fires,
    kin,
    operations,
    queue_orders as queues,
    schedules,
    upkeep,
    views,
)
from beaver_actors.core.answers import Change, Changed, Refused
from beaver_actors.core.commands import (
    Cancel,
    Command,
    Configure,
    Count,
    DeclareQueues,
    DeclareSchedules,
    Delete,
    DeleteQueue,
    Drain,
    Enqueue,
    Explain,
    Finish,
    Fire,
    Get,
    Lease,
    List,
    ListOperations,
    ListSchedules,
    Move,
    NewJob,
    Pause,
    PauseSchedule,
    Policy,
    Recover,
    RemoveSchedule,
    Resume,
    ResumeSchedule,
    Retry,
    SetSchedule,
    StartOperation,
    StopOperation,
    Tick,
    TriggerSchedule,
)
from beaver_actors.core.decision import Decision, refuse
from beaver_actors.core.facts import (
    Fact,
    JobCancelled,
    JobCancelRequested,
    JobDeleted,
    JobRetried,
    QueuePaused,
    QueueResumed,
)
from beaver_actors.core.families import SETTLED_MAX
from beaver_actors.core.intake import Intake, enqueue
from beaver_actors.core.job import FINISHED, Job, JobState
from beaver_actors.core.state import State
from beaver_actors.core.unique import held_until_ms, holder


def decide(state: State, command: Command, now_ms: int, policy: Policy) -> Decision:
    """Judge one command. Raises nothing for any well-typed command; a refusal is an answer."""
    return _DECISIONS[type(command)](state, command, now_ms, policy)


def _finish(state: State, command: Finish, now_ms: int, policy: Policy) -> Decision:
    intake = Intake(state, now_ms)

    def take(jobs: tuple[NewJob, ...]) -> Sequence[Fact] | Refused:
        """Judge the children of one attempt, after those of others in the same command. Limits on waiting
        jobs do not hold for them: the attempt has done its work, and its job waits no longer."""
        nonlocal intake
        if policy.storage_full:
            return Refused("storage_full", "the disk is full")
        tried = intake.copy()
        decision = tried.take(jobs)
        if isinstance(decision.answer, Refused):
            return decision.answer
        intake = tried
        return decision.facts

    return attempts.finish(state, command, now_ms, policy, take)


def _cancel(state: State, command: Cancel, now_ms: int, policy: Policy) -> Decision:
    def one(job: Job) -> tuple[Sequence[Fact], Change]:
        if job.state in FINISHED:
            return (), Change(job.id, False, "conflict", job.state)
        if job.state is not JobState.IN_FLIGHT:
            return (JobCancelled(job.id, now_ms),), Change(job.id, True, None, JobState.CANCELLED)
        asked = job.trail is not None and job.trail.cancel_requested
        facts = () if asked else (JobCancelRequested(job.id, now_ms),)
        return facts, Change(job.id, True, None, JobState.IN_FLIGHT)

    return _each(state, command.job_ids, one)


def _retry(state: State, command: Retry, now_ms: int, policy: Policy) -> Decision:
    def one(job: Job) -> tuple[Sequence[Fact], Change]:
        if job.state not in (JobState.DEAD, JobState.CANCELLED):
            return (), Change(job.id, False, "conflict", job.state)
        target = kin.return_state(state, job, back)
        if target is None:
            return (), Change(job.id, False, "conflict", job.state)
        if state.queues[job.terms.queue].draining:
            return (), Change(job.id, False, "draining", job.state)
        if job.unique is not None and held_until_ms(job, put_back=True) > now_ms:
            other = holder(state.unique, job.unique.key, now_ms)
            if job.unique.key in put_back or (other is not None and other is not job):
                return (), Change(job.id, False, "not_unique", job.state)
            put_back.add(job.unique.key)
        back.add(job.id)
        fact = JobRetried(job.id, now_ms, now_ms, target is JobState.BLOCKED)
        return (fact,), Change(job.id, True, None, target)

    put_back: set[str] = set()
    back: set[str] = set()
    if policy.storage_full:
        return refuse("storage_full", "the disk is full; jobs can be put back once there is room", 5_000)
    return _each(state, command.job_ids, one, kin.by_arrival(state, command.job_ids))


def _delete(state: State, command: Delete, now_ms: int, policy: Policy) -> Decision:
    def one(job: Job) -> tuple[Sequence[Fact], Change]:
        if job.state is JobState.IN_FLIGHT:
            return (), Change(job.id, False, "conflict", job.state)
        children = kin.abandoned(state, job.id, gone)
        if gone and children and len(gone) + len(children) > SETTLED_MAX:
            return (), Change(job.id, False, "overloaded", job.state)
        gone.update(child.id for child in children)
        gone.add(job.id)
        ended = [JobCancelled(child.id, now_ms, "parent_failed") for child in children]
        return [*ended, JobDeleted(job.id, now_ms, "request")], Change(job.id, True)

    gone: set[str] = set()
    return _each(state, command.job_ids, one)


def _each(
    state: State,
    job_ids: tuple[str, ...],
    one: Callable[[Job], tuple[Sequence[Fact], Change]],
    order: tuple[str, ...] | None = None,
) -> Decision:
    """Judge each job once, however often it is named. `order`: in which, if not in that of `job_ids`."""
    facts: list[Fact] = []
    changes: dict[str, Change] = {}
    for job_id in job_ids if order is None else order:
        if job_id in changes:
            continue
        job = state.jobs.get(job_id)
        if job is None:
            changes[job_id] = Change(job_id, False, "not_found")
            continue
        brought, changes[job_id] = one(job)
        facts += brought
    answers = tuple(changes[job_id] for job_id in job_ids)
    return Decision(facts, Changed(answers, state.lsn + len(facts)))


def _pause(state: State, command: Pause, now_ms: int, policy: Policy) -> Decision:
    queue = state.queues.get(command.queue)
    facts: list[Fact] = [] if queue and queue.paused else [QueuePaused(command.queue, now_ms)]
    return Decision(facts, Changed((Change(command.queue, bool(facts)),), state.lsn + len(facts)))


def _resume(state: State, command: Resume, now_ms: int, policy: Policy) -> Decision:
    queue = state.queues.get(command.queue)
    if queue is None:
        return refuse("not_found", f"queue {command.queue} does not exist")
    stopped = queue.paused or queue.draining
    facts: list[Fact] = [QueueResumed(command.queue, now_ms)] if stopped else []
    return Decision(facts, Changed((Change(command.queue, bool(facts)),), state.lsn + len(facts)))


def _get(state: State, command: Get, now_ms: int, policy: Policy) -> Decision:
    job = state.jobs.get(command.job_id)
    if job is None:
        return refuse("not_found", _GONE.format(command.job_id))
    return Decision([], views.found(state, job, now_ms, policy))


def _explain(state: State, command: Explain, now_ms: int, policy: Policy) -> Decision:
    job = state.jobs.get(command.job_id)
    if job is None:
        return refuse("not_found", _GONE.format(command.job_id))
    return Decision([], explain.explained(state, job, now_ms, policy))


_GONE = "job {} does not exist, or was deleted after its retention"


def _list(state: State, command: List, now_ms: int, policy: Policy) -> Decision:
    return Decision([], views.page(state, command, now_ms, policy))


def _count(state: State, command: Count, now_ms: int, policy: Policy) -> Decision:
    return Decision([], views.status(state, policy))


def _tick(state: State, command: Tick, now_ms: int, policy: Policy) -> Decision:
    return upkeep.tick(state, command, now_ms, policy, {"retry": _retry, "delete": _delete})


_DECISIONS: dict[type[Command], Callable[[State, Any, int, Policy], Decision]] = {
    Enqueue: enqueue,
    Lease: attempts.lease,
    Finish: _finish,
    Cancel: _cancel,
    Retry: _retry,
    Delete: _delete,
    Pause: _pause,
    Resume: _resume,
    Tick: _tick,
    Configure: queues.configure,
    DeclareQueues: queues.declare,
    Drain: queues.drain,
    DeleteQueue: queues.delete,
    Move: queues.move,
    Recover: attempts.recover,
    Get: _get,
    Explain: _explain,
    List: _list,
    StartOperation: operations.start,
    StopOperation: operations.stop,
    ListOperations: operations.listed,
    Count: _count,
    SetSchedule: schedules.set_schedule,
    DeclareSchedules: schedules.declare,
    RemoveSchedule: schedules.remove_schedule,
    PauseSchedule: schedules.pause_schedule,
    ResumeSchedule: schedules.resume_schedule,
    TriggerSchedule: partial(schedules.trigger_schedule, enqueue),
    ListSchedules: schedules.list_schedules,
    Fire: partial(fires.fire, enqueue),
}
