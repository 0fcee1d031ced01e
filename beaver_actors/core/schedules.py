"""Schedules: setting, removing, pausing and showing them, and a job out of turn. Part of `decide`: reads,
never writes. What becomes of their times stands in `core/fires.py`.
"""

from __future__ import annotations

from beaver_actors.core.answers import Change, Changed, Schedules, ScheduleView
from beaver_actors.core.commands import (
    DeclareSchedules,
    Enqueue,
    ListSchedules,
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
    ScheduleFired,
    ScheduleRemoved,
    ScheduleSet,
)
from beaver_actors.core.fires import Enqueuing, full, job_of
from beaver_actors.core.schedule import Plan, Schedule
from beaver_actors.core.state import State


def set_schedule(state: State, command: SetSchedule, now_ms: int, policy: Policy) -> Decision:
    known = state.schedules.get(command.schedule)
    if known is not None and known.source != "request":
        return _declared(known)
    if known is None and len(state.schedules) >= policy.schedules_max:
        text = f"the server holds its limit of {policy.schedules_max} schedules (limits.schedules)"
        return refuse("too_large", text)
    if policy.storage_full:
        return full()
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
    job = job_of(known.plan, command.job_id, now_ms, known.plan.on_conflict)
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


def _changed(state: State, name: str, facts: list[Fact]) -> Changed:
    return Changed((Change(name, bool(facts)),), state.lsn + len(facts))


def _unknown(name: str) -> Decision:
    return refuse("not_found", f"schedule {name} does not exist")


def _declared(schedule: Schedule) -> Decision:
    where = "the app's code" if schedule.source == "code" else "the server's configuration"
    text = f"schedule {schedule.name} stands in {where}, change it there; here it can be paused and resumed"
    return refuse("conflict", text)


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
