"""Schedules: what becomes of times that have come, of those that were missed, and of jobs that overlap.

That this survives crashes and snapshots is shown by the machines in `tests/property`; here stands each rule.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, strategies as st

from beaver_actors.core.answers import Change, Changed, Enqueued, Fired, Leased, Receipt, Refused, Schedules
from beaver_actors.core.commands import (
    Cancel,
    DeclareSchedules,
    Fire,
    Lease,
    ListSchedules,
    PauseSchedule,
    Policy,
    RemoveSchedule,
    ResumeSchedule,
    SetSchedule,
    Tick,
    TriggerSchedule,
)
from beaver_actors.core.facts import JobCancelled, JobCancelRequested, JobEnqueued, ScheduleFired, ScheduleSet
from beaver_actors.core.fires import CATCH_UP_MAX, LATE_MS
from beaver_actors.core.job import Extras, JobState, Terms, Unique
from beaver_actors.core.schedule import Plan, ScheduleSource, fire_id
from beaver_actors.testing.playbook import NOON_MS, Playbook

MINUTE_MS = 60_000
PLAN = Plan(Terms("work"), every_ms=MINUTE_MS)


def with_schedule(**changes: Any) -> Playbook:
    """A queue with the schedule `s`, set at noon."""
    book = Playbook()
    book.do(SetSchedule("s", PLAN._replace(**changes), NOON_MS))
    return book


def come(book: Playbook, *minutes: int, now: int | None = None, earlier: int = 0) -> Any:
    """These minutes after noon have come; it is `now` minutes after noon, or the last of them."""
    times_ms = tuple(NOON_MS + minute * MINUTE_MS for minute in minutes)
    wall_ms = NOON_MS + (minutes[-1] if now is None else now) * MINUTE_MS
    return book.do(Fire("s", book.state.schedules["s"].revision, times_ms, wall_ms, earlier))


def fires(book: Playbook) -> list[tuple[int | None, str | None, int]]:
    """Of the latest command: the minute, and the job or why none came, and for how many times it stands."""
    return [
        (fact.nominal_ms and (fact.nominal_ms - NOON_MS) // MINUTE_MS, fact.reason or "job", fact.times)
        for fact in book.facts
        if isinstance(fact, ScheduleFired)
    ]


def test_a_time_that_has_come_is_a_job_in_the_same_batch() -> None:
    """P3: a crash keeps the job and the fact that it was time for it, or neither."""
    book = with_schedule(args=b'{"a":1}')
    assert come(book, 1) == Fired(1)
    assert list(map(type, book.facts)) == [JobEnqueued, ScheduleFired]
    job_id = fire_id("s", NOON_MS + MINUTE_MS)
    assert book.facts[1] == ScheduleFired("s", NOON_MS, NOON_MS + MINUTE_MS, job_id)
    assert (book.job(job_id).terms, book.job(job_id).args) == (PLAN.terms, b'{"a":1}')


def test_a_time_counts_once_however_often_it_is_brought() -> None:
    """P5: after a crash nobody knows what was brought before."""
    book = with_schedule()
    come(book, 1)
    assert come(book, 1) == Fired(0)
    assert book.facts == []
    assert come(book, 1, 2) == Fired(1)
    assert fires(book) == [(2, "job", 1)]


def test_a_job_that_is_there_under_the_id_of_a_fire_is_the_job_of_it() -> None:
    """P5: whoever put it there, the time is dealt with."""
    book = with_schedule()
    book.enqueue(fire_id("s", NOON_MS + MINUTE_MS), args=b'{"other":1}')
    assert come(book, 1) == Fired(0)
    assert fires(book) == [(1, "job", 1)]


@pytest.mark.parametrize(
    ("catch_up", "minutes", "now", "expected"),
    [
        ("none", (1, 2, 3), 3, [(2, "missed", 2), (3, "job", 1)]),
        ("none", (1, 2, 3), 4, [(2, "missed", 2), (3, "job", 1)]),
        ("none", (1, 2, 3), 5, [(3, "missed", 3)]),
        ("one", (1, 2, 3), 3, [(2, "missed", 2), (3, "job", 1)]),
        ("one", (1, 2, 3), 900, [(2, "missed", 2), (3, "job", 1)]),
        ("one", (3,), 900, [(3, "job", 1)]),
        ("all", (1, 2, 3), 900, [(1, "job", 1), (2, "job", 1), (3, "job", 1)]),
    ],
)
def test_what_was_missed_is_made_up_for_as_asked(
    catch_up: str, minutes: tuple[int, ...], now: int, expected: list[Any]
) -> None:
    """P6: what brings no job is told, with the number of times."""
    book = with_schedule(catch_up=catch_up)
    come(book, *minutes, now=now)
    assert fires(book) == expected
    assert book.state.schedules["s"].through_ms == NOON_MS + minutes[-1] * MINUTE_MS


def test_all_has_a_limit_that_is_told() -> None:
    """P6, P11: no server is drowned by its own schedules, and nothing goes silently."""
    book = with_schedule(catch_up="all")
    minutes = range(6, CATCH_UP_MAX + 7)
    assert come(book, *minutes, earlier=5) == Fired(CATCH_UP_MAX)
    assert fires(book)[0] == (6, "missed", 6)
    assert len(fires(book)) == CATCH_UP_MAX + 1
    assert (book.state.schedules["s"].fired, book.state.schedules["s"].skipped) == (CATCH_UP_MAX, 6)


def test_late_is_more_than_a_minute() -> None:
    """P3, at the boundary: a restart of a minute costs nobody a fire."""
    for late_ms, jobs in ((LATE_MS, 1), (LATE_MS + 1, 0)):
        book = with_schedule(catch_up="none")
        at_ms = NOON_MS + MINUTE_MS
        assert book.do(Fire("s", 1, (at_ms,), at_ms + late_ms)) == Fired(jobs)


def test_a_fire_is_skipped_while_the_job_before_is_not_finished() -> None:
    """P6: each is told; the next after its end comes again."""
    book = with_schedule(overlap="skip", catch_up="all")
    come(book, 1, 2, 3)
    assert fires(book) == [(1, "job", 1), (3, "overlap", 2)]
    come(book, 4)
    assert fires(book) == [(4, "overlap", 1)]
    book.do(Cancel((fire_id("s", NOON_MS + MINUTE_MS),)))
    come(book, 5)
    assert fires(book) == [(5, "job", 1)]


def test_the_job_before_is_cancelled_if_it_waits_and_asked_to_stop_if_it_runs() -> None:
    """P3: the newest one runs, the older ones say why they did not."""
    book = with_schedule(overlap="cancel_old", catch_up="all")
    come(book, 1, 2)
    assert fires(book) == [(1, "overlap", 1), (2, "job", 1)]
    come(book, 3)
    old = fire_id("s", NOON_MS + 2 * MINUTE_MS)
    assert JobCancelled(old, NOON_MS, "replaced") in book.facts
    assert book.job(old).state is JobState.CANCELLED
    running = fire_id("s", NOON_MS + 3 * MINUTE_MS)
    assert isinstance(book.do(Lease("w", 1, frozenset({"work"}))), Leased)
    come(book, 4)
    assert JobCancelRequested(running, NOON_MS) in book.facts
    come(book, 5)
    assert not any(isinstance(fact, JobCancelRequested) for fact in book.facts)


def test_times_reckoned_for_what_the_schedule_was_before_change_nothing() -> None:
    """P3: whoever reckons them may be late."""
    book = with_schedule()
    stale = Fire("s", 1, (NOON_MS + MINUTE_MS,), NOON_MS + MINUTE_MS)
    book.do(SetSchedule("s", PLAN._replace(every_ms=7_000), NOON_MS))
    assert book.do(stale) == Fired(0)
    book.do(RemoveSchedule("s"))
    assert book.do(stale) == Fired(0)
    assert book.state.jobs == {}


def test_what_does_not_fit_stays_due() -> None:
    """P7, P11: a full queue or disk delays a fire, and loses none."""
    book = with_schedule()
    for policy in (Policy(queue_jobs_max=0, pending_jobs_max=0), Policy(storage_full=True)):
        book.policy = policy
        assert isinstance(come(book, 1), Refused)
        assert book.facts == []
    book.policy = Policy()
    assert come(book, 1) == Fired(1)


def test_as_many_are_made_up_for_as_there_is_room_for() -> None:
    """P11: a queue smaller than what was missed is filled and filled again, the oldest times first."""
    book = with_schedule(catch_up="all")
    book.policy = Policy(queue_jobs_max=3)
    assert come(book, 1, 2, 3, 4, 5) == Fired(2)
    assert fires(book) == [(1, "job", 1), (2, "job", 1)]
    assert come(book, 1, 2, 3, 4, 5) == Fired(1)
    assert isinstance(come(book, 4, 5), Refused)
    book.do(Cancel(tuple(book.state.jobs)))
    assert come(book, 4, 5) == Fired(2)
    assert (book.state.schedules["s"].fired, book.state.schedules["s"].skipped) == (5, 0)


def test_setting_the_same_again_changes_nothing_and_keeps_what_is_due() -> None:
    """P5: every start says again what the code says, and times that passed in between count."""
    book = with_schedule()
    assert book.do(SetSchedule("s", PLAN, NOON_MS + 999_999)) == Changed((Change("s", False),), 1)
    book.do(SetSchedule("s", PLAN._replace(overlap="skip"), NOON_MS + 999_999))
    assert book.state.schedules["s"].through_ms == NOON_MS
    book.do(SetSchedule("s", PLAN._replace(every_ms=5_000), NOON_MS + 999_999))
    assert book.state.schedules["s"].through_ms == NOON_MS + 999_999


def test_what_was_due_while_it_was_paused_is_not_made_up_for() -> None:
    """P3: that is what pausing is for."""
    book = with_schedule(catch_up="all")
    book.do(PauseSchedule("s"))
    assert come(book, 1) == Fired(0)
    assert book.do(PauseSchedule("s")) == Changed((Change("s", False),), 2)
    book.do(ResumeSchedule("s", NOON_MS + 10 * MINUTE_MS))
    assert come(book, 9, 10, 11) == Fired(1)
    assert fires(book) == [(11, "job", 1)]
    book.do(ResumeSchedule("s", NOON_MS))  # the wall clock was put back
    assert come(book, 11) == Fired(0)


def test_a_job_out_of_turn_leaves_the_times_as_they_are() -> None:
    """P5: its id makes asking twice harmless; it works while the schedule is paused, and it can overlap."""
    book = with_schedule(overlap="skip")
    book.do(PauseSchedule("s"))
    for duplicate in (False, True):
        answer = book.do(TriggerSchedule("s", "by-hand"))
        assert isinstance(answer, Enqueued)
        assert answer.receipts == (Receipt("by-hand", duplicate),)
    book.do(ResumeSchedule("s", NOON_MS))
    come(book, 1)
    assert fires(book) == [(1, "overlap", 1)]
    assert book.state.schedules["s"].last_job_id == "by-hand"


def test_a_job_of_a_schedule_expires_so_long_after_it_came() -> None:
    """P3: counted from its arrival, not from the time it came for, which may lie far behind."""
    book = with_schedule(expires_in_ms=5_000, concurrency_key="k")
    book.now_ms += 10 * MINUTE_MS
    come(book, 1, now=10)
    (job,) = book.state.jobs.values()
    assert (job.expires_at_ms, job.concurrency_key) == (book.now_ms + 5_000, "k")
    book.now_ms += 5_000
    book.do(Tick())
    assert (job.state, job.trail and job.trail.reason) == (JobState.DEAD, "expired")


UNIQUE = Unique("report")


def test_a_fire_whose_key_is_held_is_skipped_and_told() -> None:
    """P10: it is no error, nothing stays due, and the next time finds the key free again."""
    book = with_schedule(unique=UNIQUE)
    book.enqueue("mine", extras=Extras(unique=UNIQUE))
    assert come(book, 1) == Fired(0)
    assert fires(book) == [(1, "not_unique", 1)]
    assert book.state.schedules["s"].skipped == 1
    book.do(Cancel(("mine",)))
    assert come(book, 2) == Fired(1)
    assert fires(book) == [(2, "job", 1)]
    assert come(book, 3) == Fired(0)
    assert fires(book) == [(3, "not_unique", 1)]  # its own job holds it now


def test_of_several_times_the_first_takes_the_key() -> None:
    """P10: the others are told with one word."""
    book = with_schedule(unique=UNIQUE, catch_up="all")
    assert come(book, 1, 2, 3) == Fired(1)
    assert fires(book) == [(1, "job", 1), (3, "not_unique", 2)]


def test_with_replace_the_newest_takes_the_key_from_a_job_that_waits() -> None:
    """P4: the job that makes way is cancelled in the same batch; one that runs keeps its key."""
    book = with_schedule(unique=UNIQUE, on_conflict="replace", catch_up="all")
    book.enqueue("mine", extras=Extras(unique=UNIQUE))
    assert come(book, 1, 2, 3) == Fired(1)
    assert fires(book) == [(2, "not_unique", 2), (3, "job", 1)]
    assert JobCancelled("mine", NOON_MS, "replaced") in book.facts
    (leased,) = book.lease(1)
    assert come(book, 4) == Fired(0)
    assert fires(book) == [(4, "not_unique", 1)]
    assert book.state.jobs[leased.job_id].state is JobState.IN_FLIGHT


def test_a_job_that_overlaps_is_not_stopped_for_one_that_cannot_come() -> None:
    """P4: with `cancel_old` it makes way while it waits; while it runs it has the key, and goes on."""
    book = with_schedule(unique=UNIQUE, overlap="cancel_old")
    come(book, 1)
    first = book.state.schedules["s"].last_job_id
    assert come(book, 2) == Fired(1)
    assert [type(fact) for fact in book.facts] == [JobCancelled, JobEnqueued, ScheduleFired]
    assert first is not None
    assert book.state.jobs[first].state is JobState.CANCELLED
    book.lease(1)
    assert come(book, 3) == Fired(0)
    assert [type(fact) for fact in book.facts] == [ScheduleFired]
    assert fires(book) == [(3, "not_unique", 1)]


def test_a_job_out_of_turn_is_refused_if_its_key_is_held() -> None:
    """P5: someone asked for it and is told; or gets the job that is there, with `return_existing`."""
    book = with_schedule(unique=UNIQUE)
    come(book, 1)
    answer = book.do(TriggerSchedule("s", "by-hand"))
    assert isinstance(answer, Refused)
    assert answer.code == "not_unique"
    book.do(SetSchedule("s", PLAN._replace(unique=UNIQUE, on_conflict="return_existing"), NOON_MS))
    last = book.state.schedules["s"].last_job_id
    assert last is not None
    assert book.do(TriggerSchedule("s", "by-hand")) == Enqueued((Receipt(last, True),), book.state.lsn)
    assert book.facts == []


def declared(name: str, source: ScheduleSource = "code", **changes: Any) -> SetSchedule:
    return SetSchedule(name, PLAN._replace(**changes), NOON_MS, source=source)


def test_what_is_declared_no_more_goes_and_what_was_asked_for_stays() -> None:
    """P3: the code and the configuration say all of theirs at every start, and nothing of others."""
    book = with_schedule()
    book.do(DeclareSchedules((declared("a"), declared("b", "config"))))
    assert set(book.state.schedules) == {"s", "a", "b"}
    answer = book.do(DeclareSchedules((declared("b", "config"),)))
    assert answer == Changed((Change("a", True),), book.state.lsn)
    book.do(DeclareSchedules(()))
    assert set(book.state.schedules) == {"s"}


def test_a_declared_schedule_is_changed_where_it_is_declared_but_can_be_paused() -> None:
    """P3: else the next start would undo it silently. A pause outlives the start."""
    book = Playbook()
    book.do(DeclareSchedules((declared("a"),)))
    for command in (SetSchedule("a", PLAN, NOON_MS), RemoveSchedule("a")):
        answer = book.do(command)
        assert isinstance(answer, Refused)
        assert answer.code == "conflict"
        assert "the app's code" in answer.message
    book.do(PauseSchedule("a"))
    book.do(DeclareSchedules((declared("a"),)))
    assert book.facts == []
    assert book.state.schedules["a"].paused


def test_a_declaration_takes_over_what_was_asked_for_under_its_name() -> None:
    """P3: what was due before and is not dealt with still counts."""
    book = with_schedule()
    book.do(DeclareSchedules((declared("s"),)))
    assert book.facts == [ScheduleSet("s", NOON_MS, PLAN, NOON_MS, False, "code")]


def test_there_is_a_limit_of_schedules() -> None:
    """P11: said with its name; setting one that is there is no new one."""
    book = Playbook(Policy(schedules_max=1))
    book.do(SetSchedule("s", PLAN, NOON_MS))
    answer = book.do(SetSchedule("t", PLAN, NOON_MS))
    assert answer == Refused("too_large", "the server holds its limit of 1 schedules (limits.schedules)")
    assert isinstance(book.do(SetSchedule("s", PLAN._replace(every_ms=5), NOON_MS)), Changed)


def test_schedules_are_shown_by_name_with_the_state_of_their_latest_job() -> None:
    """P3: what an operator looks for first."""
    book = with_schedule()
    book.do(SetSchedule("a", PLAN, NOON_MS))
    come(book, 1)
    answer = book.do(ListSchedules())
    assert isinstance(answer, Schedules)
    assert [(view.name, view.last_job_state) for view in answer.schedules] == [("a", None), ("s", "pending")]
    answer = book.do(ListSchedules("nobody"))
    assert answer == Refused("not_found", "schedule nobody does not exist")


@given(st.integers(0, 253_402_300_799_999))
def test_the_id_of_a_fire_says_when_it_was_due(at_ms: int) -> None:
    """P5, against the standard library, for any time."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)
    text = moment.isoformat(timespec="milliseconds" if at_ms % 1000 else "seconds").replace("+00:00", "Z")
    assert fire_id("nightly", at_ms) == f"nightly@{text}"
