"""The oracle on schedules that are due in the end, rule by rule, with a near miss of each."""

from __future__ import annotations

from beaver_actors.core.commands import Policy
from beaver_actors.core.facts import Fact, JobCompleted, JobEnqueued, JobStarted, ScheduleSet
from beaver_actors.core.fold import fold_all
from beaver_actors.core.job import Terms
from beaver_actors.core.schedule import Plan
from beaver_actors.core.state import State
from beaver_actors.testing.oracle_notes import Notes
from beaver_actors.testing.oracle_schedules import AGAIN_MS, LATE_MS, check_schedules_finished
from tests.testing.test_oracle import caught

PLAN = Plan(Terms("work", "mail"), every_ms=1_000)
DUE_MS, BEGAN_MS = 11_000, 200_000
NOTES = Notes(Policy(pending_jobs_max=2), True, True, schedules={"s": PLAN}, declared=frozenset("s"))


def state_after(*facts: Fact) -> State:
    """The schedule has dealt with its times up to second 10, and then this has happened."""
    state = State()
    fold_all(state, (ScheduleSet("s", 10_000, PLAN, 10_000, False, "config"), *facts))
    return state


def enqueued(*job_ids: str) -> list[Fact]:
    return [JobEnqueued(job_id, 20_000, Terms("odd"), b"{}", 20_000) for job_id in job_ids]


def test_a_declared_schedule_is_there() -> None:
    """P3."""
    caught("P3", "s is declared, and is not there", lambda: check_schedules_finished(NOTES, State(), 10_000))


def test_what_is_due_and_has_room_is_brought() -> None:
    """P3. It may take a while."""
    state = state_after(*enqueued("a"))
    check_schedules_finished(NOTES, state, DUE_MS + LATE_MS)
    late_ms = DUE_MS + LATE_MS + 1
    caught("P3", "s is due since 11000", lambda: check_schedules_finished(NOTES, state, late_ms))


def test_what_finds_no_room_waits() -> None:
    """P11. And for a few seconds more once there is some: when a job begins, and when one ends."""
    waiting = enqueued("a", "b")
    check_schedules_finished(NOTES, state_after(*waiting), 10 * LATE_MS)
    begun = [*waiting, JobStarted("b", BEGAN_MS, "w", None)]
    for facts, now_ms in (
        (begun, BEGAN_MS),
        ([*begun, JobCompleted("b", BEGAN_MS + 100, 4, None)], BEGAN_MS + 100),
    ):
        state = state_after(*facts)
        check_schedules_finished(NOTES, state, now_ms + AGAIN_MS)
        after_ms = now_ms + AGAIN_MS + 1
        caught("P3", "s is due", lambda: check_schedules_finished(NOTES, state, after_ms))  # noqa: B023  # at once
