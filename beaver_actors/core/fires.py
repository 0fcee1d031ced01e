"""What becomes of nominal times that have come: a job for some, a word about the others. Part of `decide`:
reads, never writes.

Who reckons the times brings them with a command, and only those later than the last one on record count, so
bringing one twice changes nothing. A fire and its job are in one batch: a crash keeps both or neither.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from beaver_actors.core.answers import Fired, Refused
from beaver_actors.core.commands import Enqueue, Fire, NewJob, Policy
from beaver_actors.core.decision import Decision, refuse
from beaver_actors.core.facts import (
    Fact,
    JobCancelled,
    JobCancelRequested,
    JobEnqueued,
    ScheduleFired,
    SkipReason,
)
from beaver_actors.core.job import FINISHED, WAITING, Job, JobState, OnConflict
from beaver_actors.core.schedule import CatchUp, Plan, Schedule, fire_id
from beaver_actors.core.state import State
from beaver_actors.core.unique import holder

LATE_MS = 60_000
"""With `catch_up: none`, a time that passed longer ago brings no job any more. Restarting a server takes
seconds, and must not cost a fire."""
CATCH_UP_MAX = 100
"""Jobs that one schedule may bring at once with `catch_up: all`; times beyond are told as missed."""

Enqueuing: TypeAlias = Callable[[State, Enqueue, int, Policy], Decision]


def fire(enqueue: Enqueuing, state: State, command: Fire, now_ms: int, policy: Policy) -> Decision:
    """Act on times that have come: jobs for some, a word about the others."""
    known = state.schedules.get(command.schedule)
    if known is None or known.paused or known.revision != command.revision:
        return Decision([], Fired(0))  # reckoned from what holds no more
    times_ms = [at_ms for at_ms in command.times_ms if at_ms > known.through_ms]
    if not times_ms:
        return Decision([], Fired(0))
    share = _share(known.plan.catch_up, times_ms, command.wall_ms)
    before: list[Fact] = []
    if share.missed:
        # Times from before those on record are told already, so only what is all new has earlier ones.
        earlier = command.earlier if len(times_ms) == len(command.times_ms) else 0
        before += _passed_over(known.name, now_ms, share.missed, "missed", earlier)
    choice = _chosen(state, known, share.due, now_ms)
    before += _passed_over(known.name, now_ms, choice.outdone, "overlap")
    before += _passed_over(known.name, now_ms, choice.replaced, "not_unique")
    before += _stop(choice.stops, now_ms)
    after = _passed_over(known.name, now_ms, choice.barred, "not_unique")
    after += _passed_over(known.name, now_ms, choice.overlapping, "overlap")
    return _bring(enqueue, state, known, choice.due, before, after, now_ms, policy)


class _Choice(NamedTuple):
    """Of nominal times that are due, in this order: those for which no job comes, and those for which one
    does. And the job before, if it is to be stopped for that."""

    outdone: list[int]
    """The overlap would stop their jobs at once."""
    replaced: list[int]
    """Later ones would take the unique key from their jobs."""
    due: list[int]
    barred: list[int]
    """The unique key is held."""
    overlapping: list[int]
    stops: Job | None = None


def _chosen(state: State, schedule: Schedule, due: list[int], now_ms: int) -> _Choice:
    plan, old = schedule.plan, _unfinished(state, schedule)
    choice = _Choice([], [], due, [], [])
    if due and plan.overlap == "skip":
        first = [] if old is not None else due[:1]
        choice = choice._replace(due=first, overlapping=due[len(first) :])
    elif due and plan.overlap == "cancel_old":
        choice = choice._replace(outdone=due[:-1], due=due[-1:], stops=old)
    if choice.due and plan.unique is not None:
        return _unique(choice, plan, holder(state.unique, plan.unique.key, now_ms))
    return choice


def _unique(choice: _Choice, plan: Plan, held: Job | None) -> _Choice:
    """What is left of this choice, as this job holds the key. If none comes, none is stopped for it."""
    due = choice.due
    if held is not None:
        makes_way = plan.on_conflict == "replace" or held is choice.stops
        if not makes_way or held.state not in WAITING:
            return choice._replace(due=[], barred=due, stops=None)
        if held is choice.stops:
            choice = choice._replace(stops=None)  # the new job replaces it, as it takes its key
    if plan.on_conflict == "replace":
        return choice._replace(replaced=due[:-1], due=due[-1:])
    return choice._replace(due=due[:1], barred=due[1:])


def _bring(
    enqueue: Enqueuing,
    state: State,
    schedule: Schedule,
    due: Sequence[int],
    before: list[Fact],
    after: list[Fact],
    now_ms: int,
    policy: Policy,
) -> Decision:
    """The jobs for these times, each followed by the fact that it was the time for it."""
    plan = schedule.plan
    ids = {fire_id(schedule.name, at_ms): at_ms for at_ms in due}
    # Whoever holds a unique key now has been chosen to make way.
    fresh = tuple(job_of(plan, job_id, now_ms, "replace") for job_id in ids if job_id not in state.jobs)
    made: dict[str, Fact] = {}
    gone: list[Fact] = []
    if fresh:
        facts, answer = enqueue(state, Enqueue(fresh), now_ms, policy)
        if isinstance(answer, Refused) and answer.code == "queue_full" and len(due) > 1:
            # As many as there is room for, the oldest first; the others stay due.
            some = due[: len(due) // 2]
            return _bring(enqueue, state, schedule, some, before, after, now_ms, policy)
        if isinstance(answer, Refused):
            return Decision([], answer)  # nothing is on record, so they stay due
        made = {fact.job_id: fact for fact in facts if isinstance(fact, JobEnqueued)}
        gone = [fact for fact in facts if not isinstance(fact, JobEnqueued)]
    elif policy.storage_full:
        return full()
    facts = before + gone
    for job_id, at_ms in ids.items():
        if job_id in made:
            facts.append(made[job_id])
        facts.append(ScheduleFired(schedule.name, now_ms, at_ms, job_id))
    return Decision(facts + after, Fired(len(made)))


def job_of(plan: Plan, job_id: str, now_ms: int, on_conflict: OnConflict) -> NewJob:
    """The job that a schedule brings now."""
    return NewJob(job_id, plan.terms, plan.args, extras=plan.extras(now_ms), on_conflict=on_conflict)


class _Share(NamedTuple):
    """Nominal times, in order: those that are missed for good, and those that are acted upon."""

    missed: list[int]
    due: list[int]


def _share(catch_up: CatchUp, times_ms: list[int], wall_ms: int) -> _Share:
    most = CATCH_UP_MAX if catch_up == "all" else 1
    missed, due = times_ms[:-most], times_ms[-most:]
    if catch_up == "none" and due[0] < wall_ms - LATE_MS:
        missed, due = times_ms, []
    return _Share(missed, due)


def _unfinished(state: State, schedule: Schedule) -> Job | None:
    job = state.jobs.get(schedule.last_job_id or "")
    return None if job is None or job.state in FINISHED else job


def _stop(job: Job | None, now_ms: int) -> list[Fact]:
    if job is None or (job.trail is not None and job.trail.cancel_requested):
        return []
    if job.state is JobState.IN_FLIGHT:
        return [JobCancelRequested(job.id, now_ms)]
    return [JobCancelled(job.id, now_ms, "replaced")]


def _passed_over(
    name: str, now_ms: int, times_ms: Sequence[int], reason: SkipReason, earlier: int = 0
) -> list[Fact]:
    if not times_ms:
        return []
    return [ScheduleFired(name, now_ms, times_ms[-1], None, reason, len(times_ms) + earlier)]


def full() -> Decision:
    """The refusal on a full disk (P7)."""
    return refuse("storage_full", "the disk is full; schedules can be changed once there is room", 5_000)
