"""What the facts about a schedule change: one function for each, named like it. Part of `fold`: writes, never
decides."""

from __future__ import annotations

from beaver_actors.core.facts import ScheduleFired, ScheduleRemoved, ScheduleSet
from beaver_actors.core.schedule import Schedule
from beaver_actors.core.state import State


def was_set(state: State, fact: ScheduleSet) -> None:
    name, at_ms, plan, from_ms, paused, source = fact
    known = state.schedules.get(name)
    if known is None:
        state.schedules[name] = Schedule(name, plan, paused, source, at_ms, state.lsn, from_ms)
        return
    known.plan, known.paused, known.source = plan, paused, source
    known.revision, known.through_ms = state.lsn, from_ms


def removed(state: State, fact: ScheduleRemoved) -> None:
    assert fact.schedule in state.schedules, f"schedule {fact.schedule} removed, which does not exist"
    del state.schedules[fact.schedule]


def fired(state: State, fact: ScheduleFired) -> None:
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
