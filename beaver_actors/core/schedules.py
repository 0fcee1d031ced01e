"""Schedules: setting, removing and firing them. Part of `decide`: reads, never writes.

Who reckons the times brings them with a command, and only those later than the last one on record count, so
bringing one twice changes nothing. A fire and its job are in one batch: a crash keeps both or neither.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from beaver_actors.core.answers import Change, Changed, Fired, Refused, Schedules, ScheduleView
from beaver_actors.core.commands import (
    DeclareSchedules,
    Enqueue,
    Fire,
    ListSchedules,
    NewJob,
    PauseSchedule,
    Policy,
    RemoveSchedule,
    ResumeSchedule,
    SetSchedule,
    TriggerSchedule,
)
from beaver_actors.core.decision import Decision, refuse
from beaver_actors.core.facts import (
    Fact,
    JobCancelled,
    JobCancelRequested,
    ScheduleFired,
    ScheduleRemoved,
    ScheduleSet,
    SkipReason,
)
from beaver_actors.core.job import FINISHED, Job, JobState
from beaver_actors.core.schedule import CatchUp, Plan, Schedule, fire_id
from beaver_actors.core.state import State

LATE_MS = 60_000
"""With `catch_up: none`, a time that passed longer ago brings no job any more. Restarting a server takes
seconds, and must not cost a fire."""
CATCH_UP_MAX = 100
"""Jobs that one schedule may bring at once with `catch_up: all`; times beyond are told as missed."""

Enqueuing: TypeAlias = Callable[[State, Enqueue, int, Policy], Decision]


def set_schedule(state: State, command: SetSchedule, now_ms: int, policy: Policy) -> Decision:
    known = state.schedules.get(command.schedule)
    if known is not None and known.source != "request":
        return _declared(known)
    if known is None and len(state.schedules) >= policy.schedules_max:
        text = f"the server holds its limit of {policy.schedules_max} schedules (limits.schedules)"
        return refuse("too_large", text)
    if policy.storage_full:
        return _full()
    facts = _setting(state, command, now_ms)
    return Decision(facts, _changed(state, command.schedule, facts))


def declare(state: State, command: DeclareSchedules, now_ms: int, policy: Policy) -> Decision:
    """What code and configuration say, at a start. What they said before and say no more goes."""
    facts: list[Fact] = []
    for wanted in command.schedules:
        facts += _setting(state, wanted, now_ms)
    named = {wanted.schedule for wanted in command.schedules}
    gone = [
        known.name
        for known in state.schedules.values()
        if known.source != "request" and known.name not in named
    ]
    facts += [ScheduleRemoved(name, now_ms, "undeclared") for name in gone]
    names = [fact.schedule for fact in facts if isinstance(fact, ScheduleSet)]
    changes = tuple(Change(name, True) for name in (*names, *gone))
    return Decision(facts, Changed(changes, state.lsn + len(facts)))


def _setting(state: State, command: SetSchedule, now_ms: int) -> list[Fact]:
    """The fact that makes the schedule so; none if it is.

    Times that passed before are not its concern, unless it was there with the same timing: then those not
    dealt with still are.
    """
    known = state.schedules.get(command.schedule)
    paused = command.paused
    if paused is None:
        paused = known is not None and known.paused
    from_ms = command.wall_ms
    if known is not None and known.plan.timing == command.plan.timing:
        from_ms = known.through_ms
        if known.paused and not paused:
            from_ms = max(from_ms, command.wall_ms)
        if (known.plan, known.paused, known.source) == (command.plan, paused, command.source):
            return []
    return [ScheduleSet(command.schedule, now_ms, command.plan, from_ms, paused, command.source)]


def remove_schedule(state: State, command: RemoveSchedule, now_ms: int, policy: Policy) -> Decision:
    known = state.schedules.get(command.schedule)
    if known is None:
        return _unknown(command.schedule)
    if known.source != "request":
        return _declared(known)
    facts: list[Fact] = [ScheduleRemoved(known.name, now_ms, "request")]
    return Decision(facts, _changed(state, known.name, facts))


def pause_schedule(state: State, command: PauseSchedule, now_ms: int, policy: Policy) -> Decision:
    return _turn(state, command.schedule, True, 0, now_ms)


def resume_schedule(state: State, command: ResumeSchedule, now_ms: int, policy: Policy) -> Decision:
    return _turn(state, command.schedule, False, command.wall_ms, now_ms)


def _turn(state: State, name: str, paused: bool, from_ms: int, now_ms: int) -> Decision:
    """Pause or resume. What was due while it was paused is not made up for."""
    known = state.schedules.get(name)
    if known is None:
        return _unknown(name)
    facts: list[Fact] = []
    if known.paused is not paused:
        from_ms = max(known.through_ms, from_ms)
        facts = [ScheduleSet(name, now_ms, known.plan, from_ms, paused, known.source)]
    return Decision(facts, _changed(state, name, facts))


def trigger_schedule(
    enqueue: Enqueuing, state: State, command: TriggerSchedule, now_ms: int, policy: Policy
) -> Decision:
    """A job of the schedule, now, as if it were due; the times to come stay as they are."""
    known = state.schedules.get(command.schedule)
    if known is None:
        return _unknown(command.schedule)
    job = NewJob(command.job_id, known.plan.terms, known.plan.args)
    facts, answer = enqueue(state, Enqueue((job,)), now_ms, policy)
    if facts:
        facts = [*facts, ScheduleFired(known.name, now_ms, None, command.job_id)]
    return Decision(facts, answer)


def list_schedules(state: State, command: ListSchedules, now_ms: int, policy: Policy) -> Decision:
    if command.schedule is None:
        found = [state.schedules[name] for name in sorted(state.schedules)]
    elif command.schedule in state.schedules:
        found = [state.schedules[command.schedule]]
    else:
        return _unknown(command.schedule)
    return Decision([], Schedules(tuple(_view(state, schedule) for schedule in found)))


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
    plan, old = known.plan, _unfinished(state, known)
    due, after = list(share.due), list[Fact]()
    if due and plan.overlap == "skip":
        first = [] if old is not None else due[:1]
        due, passed = first, due[len(first) :]
        after = _passed_over(known.name, now_ms, passed, "overlap")
    elif due and plan.overlap == "cancel_old":
        before += _passed_over(known.name, now_ms, due[:-1], "overlap")
        before += _stop(old, now_ms)
        due = due[-1:]
    return _bring(enqueue, state, known, due, before, after, now_ms, policy)


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
    fresh = tuple(NewJob(job_id, plan.terms, plan.args) for job_id in ids if job_id not in state.jobs)
    made: dict[str, Fact] = {}
    if fresh:
        facts, answer = enqueue(state, Enqueue(fresh), now_ms, policy)
        if isinstance(answer, Refused) and answer.code == "queue_full" and len(due) > 1:
            # As many as there is room for, the oldest first; the others stay due.
            some = due[: len(due) // 2]
            return _bring(enqueue, state, schedule, some, before, after, now_ms, policy)
        if isinstance(answer, Refused):
            return Decision([], answer)  # nothing is on record, so they stay due
        made = {str(fact[0]): fact for fact in facts}
    elif policy.storage_full:
        return _full()
    facts = list(before)
    for job_id, at_ms in ids.items():
        if job_id in made:
            facts.append(made[job_id])
        facts.append(ScheduleFired(schedule.name, now_ms, at_ms, job_id))
    return Decision(facts + after, Fired(len(made)))


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


def _changed(state: State, name: str, facts: list[Fact]) -> Changed:
    return Changed((Change(name, bool(facts)),), state.lsn + len(facts))


def _unknown(name: str) -> Decision:
    return refuse("not_found", f"schedule {name} does not exist")


def _declared(schedule: Schedule) -> Decision:
    where = "the app's code" if schedule.source == "code" else "the server's configuration"
    text = f"schedule {schedule.name} stands in {where}, change it there; here it can be paused and resumed"
    return refuse("conflict", text)


def _full() -> Decision:
    return refuse("storage_full", "the disk is full; schedules can be changed once there is room", 5_000)


def _view(state: State, schedule: Schedule) -> ScheduleView:
    last = state.jobs.get(schedule.last_job_id or "")
    return ScheduleView(
        schedule.name, schedule.plan, schedule.paused, schedule.source, schedule.created_ms,
        schedule.revision, schedule.through_ms, schedule.fired, schedule.skipped, schedule.last_ms,
        schedule.last_job_id, None if last is None else last.state,
    )  # fmt: skip


def is_plan(plan: Plan) -> bool:
    """Whether a schedule can ask for this: one timing, of which there is something."""
    return (plan.cron is None) != (plan.every_ms is None) and bool(plan.cron or plan.every_ms)
