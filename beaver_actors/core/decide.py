"""`decide`: a command, the state and the time give facts and an answer. It reads and never writes.

The same inputs always give the same outputs. The caller lets time pass first (`advance`), then asks, then
folds every fact it was given, in order, before it asks again; so the n-th fact's LSN is known here, and the
fence of a lease can be told before the fact is written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from operator import attrgetter
from typing import Any

from beaver_actors.core import (
    attempts,
    explain,
    graphs,
    kin,
    operations,
    queue_orders as queues,
    schedules,
    upkeep,
    views,
)
from beaver_actors.core.answers import Change, Changed, Enqueued, Receipt, Refused
from beaver_actors.core.commands import (
    Cancel,
    Command,
    Configure,
    Count,
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
    JobEnqueued,
    JobRetried,
    QueuePaused,
    QueueResumed,
)
from beaver_actors.core.families import SETTLED_MAX
from beaver_actors.core.job import FINISHED, WAITING, Job, JobState
from beaver_actors.core.state import State
from beaver_actors.core.unique import held_until_ms, holder


def decide(state: State, command: Command, now_ms: int, policy: Policy) -> Decision:
    """Judge one command. Raises nothing for any well-typed command; a refusal is an answer."""
    return _DECISIONS[type(command)](state, command, now_ms, policy)


def _enqueue(state: State, command: Enqueue, now_ms: int, policy: Policy) -> Decision:
    return _take(state, command.jobs, now_ms, policy)


def _finish(state: State, command: Finish, now_ms: int, policy: Policy) -> Decision:
    fresh: dict[str, NewJob] = {}
    keys = _Keys(state, now_ms)

    def take(jobs: tuple[NewJob, ...]) -> Sequence[Fact] | Refused:
        """Judge the children of one attempt, after those of others in the same command. Limits on waiting
        jobs do not hold for them: the attempt has done its work, and its job waits no longer."""
        nonlocal fresh, keys
        if policy.storage_full:
            return Refused("storage_full", "the disk is full")
        among = dict(fresh), keys.copy()
        is_graph = any(new.extras is not None and new.extras.depends_on for new in jobs)
        facts, answer = (_take_graph if is_graph else _take)(state, jobs, now_ms, policy, among=among)
        if isinstance(answer, Refused):
            return answer
        fresh, keys = among
        return facts

    return attempts.finish(state, command, now_ms, policy, take)


def _take_graph(
    state: State,
    jobs: Sequence[NewJob],
    now_ms: int,
    policy: Policy,
    *,
    among: tuple[dict[str, NewJob], _Keys] | None = None,
) -> Decision:
    """Jobs of which some depend on others: parents first."""
    order = graphs.parents_first(state, jobs)
    if isinstance(order, Refused):
        return Decision([], order)
    ordered = [jobs[place] for place in order]
    decision = _take(state, ordered, now_ms, policy, ordered=True, among=among)
    if isinstance(decision.answer, Enqueued):
        return Decision(decision.facts, graphs.as_asked(order, decision.answer))
    return decision


def _take(
    state: State,
    new_jobs: Sequence[NewJob],
    now_ms: int,
    policy: Policy,
    *,
    ordered: bool = False,
    among: tuple[dict[str, NewJob], _Keys] | None = None,
) -> Decision:
    """Judge new jobs one after the other.

    Args:
        ordered: each comes after its parents.
        among: jobs and keys that the same command has brought before, to which these are added; the limits on
            waiting jobs do not hold then. None for none.
    """
    facts: list[Fact] = []
    receipts: list[Receipt] = []
    fresh, keys = among or ({}, _Keys(state, now_ms))
    replaced_before = len(keys.replaced)
    others: dict[str, str] = {}
    jobs = state.jobs
    for new in new_jobs:
        job_id = new.job_id
        known = jobs.get(job_id) or fresh.get(job_id)
        if known is not None:
            if not _is_same(known, new):
                return refuse("conflict", f"job {job_id} exists with other content; use another id")
            receipts.append(Receipt(job_id, True))
            continue
        _, terms, args, at_ms, delay_ms, extras, _ = new
        if extras is not None:
            if extras.depends_on:
                if not ordered:
                    return _take_graph(state, new_jobs, now_ms, policy)
                extras = graphs.renamed(extras, others)
            if extras.unique is not None:
                taken = keys.take(new, extras.unique.key)
                if isinstance(taken, Refused):
                    return Decision([], taken)
                if taken is not None:
                    receipts.append(taken)
                    others[job_id] = taken.job_id
                    continue
        fresh[job_id] = new
        run_at_ms = now_ms
        if delay_ms is not None:
            run_at_ms = now_ms + max(delay_ms, 0)
        elif at_ms is not None:
            run_at_ms = max(at_ms, now_ms)
        facts.append(JobEnqueued(job_id, now_ms, terms, args, run_at_ms, extras))
        receipts.append(Receipt(job_id, False))
    if facts:
        refusal = None
        if not among:
            refusal = _drained(state, map(_queue_of, fresh.values()))
            refusal = refusal or _no_room(state, fresh.values(), keys.replaced, policy)
        if ordered and refusal is None:
            refusal = graphs.too_many_children(state, fresh.values())
        if refusal is not None:
            return Decision([], refusal)
    replaced = keys.replaced[replaced_before:]
    if replaced:
        # First, so that the arrivals are the last facts of the answer's LSN, one after the other.
        facts[:0] = [JobCancelled(job.id, now_ms, "replaced") for job in replaced]
    return Decision(facts, Enqueued(tuple(receipts), state.lsn + len(facts)))


def _is_same(known: Job | NewJob, new: NewJob) -> bool:
    """Whether this is the job that is there, which may have been moved to another queue since."""
    terms = known.terms
    if known.extras is not None and known.extras.enqueued_in is not None:
        terms = terms._replace(queue=known.extras.enqueued_in)
    return terms == new.terms and known.args == new.args


class _Keys:
    """The unique keys, as they are while the jobs of one command are judged one after the other."""

    def __init__(self, state: State, now_ms: int) -> None:
        self._state = state
        self._now_ms = now_ms
        self._taken: dict[str, NewJob] = {}
        """By jobs of this command."""
        self.replaced: list[Job] = []

    def copy(self) -> _Keys:
        """The same, to go on from."""
        keys = _Keys(self._state, self._now_ms)
        keys._taken, keys.replaced = dict(self._taken), list(self.replaced)
        return keys

    def take(self, new: NewJob, key: str) -> Refused | Receipt | None:
        """What becomes of this job instead of being accepted: a refusal of them all, or the job that is there
        already."""
        held = self._taken.get(key) or holder(self._state.unique, key, self._now_ms)
        if held is not None:
            job_id = held.id if isinstance(held, Job) else held.job_id
            if new.on_conflict == "return_existing":
                return Receipt(job_id, True)
            state = held.state.replace("_", " ") if isinstance(held, Job) else "of the same message"
            if new.on_conflict == "reject" or not isinstance(held, Job) or held.state not in WAITING:
                text = f"job {new.job_id}: its unique_key {key!r} is held by job {job_id}, which is {state}"
                return Refused("not_unique", text)
            self.replaced.append(held)
        self._taken[key] = new
        return None


_queue_of = attrgetter("terms.queue")


def _no_room(
    state: State, fresh: Collection[NewJob], replaced: Collection[Job], policy: Policy
) -> Refused | None:
    """Why these new jobs cannot be taken now, if they cannot (P7, P11)."""
    if policy.storage_full:
        message = "the disk is full; running jobs can finish, new ones are refused until there is room"
        return Refused("storage_full", message, 5_000)
    grown = len(fresh) - len(replaced)
    if grown > 0 and state.waiting + grown > policy.pending_jobs_max:
        return Refused(
            "queue_full", f"the server holds its limit of {policy.pending_jobs_max} waiting jobs", 1_000
        )
    if len(fresh) == 1 and not replaced:
        more: dict[str, int] = {next(iter(fresh)).terms.queue: 1}
    else:
        counted = Counter(map(_queue_of, fresh))
        counted.subtract(map(_queue_of, replaced))
        more = counted
    for name, count in more.items():
        if count > 0 and count > queues.room_for(state, name, policy):
            return queues.full(state, name, policy)
    return None


def _drained(state: State, names: Iterable[str]) -> Refused | None:
    """Why one of these queues takes no new jobs, if it does not."""
    for name in names:
        queue = state.queues.get(name)
        if queue is not None and queue.draining:
            return Refused("draining", f"queue {name} is drained: it takes no new jobs until it is resumed")
    return None


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
    Enqueue: _enqueue,
    Lease: attempts.lease,
    Finish: _finish,
    Cancel: _cancel,
    Retry: _retry,
    Delete: _delete,
    Pause: _pause,
    Resume: _resume,
    Tick: _tick,
    Configure: queues.configure,
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
    TriggerSchedule: partial(schedules.trigger_schedule, _enqueue),
    ListSchedules: schedules.list_schedules,
    Fire: partial(schedules.fire, _enqueue),
}
