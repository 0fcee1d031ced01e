"""The passing of time, and building the indexes anew."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, strategies as st

from beaver_actors.core import index, invariants
from beaver_actors.core.answers import Leased
from beaver_actors.core.commands import (
    Cancel,
    Count,
    Delete,
    Enqueue,
    Lease,
    List,
    NewJob,
    Policy,
    Retry,
    Tick,
)
from beaver_actors.core.decide import decide
from beaver_actors.core.facts import Fact, JobDeleted, JobEnqueued
from beaver_actors.core.fold import fold
from beaver_actors.core.index import place
from beaver_actors.core.job import WAITING, Extras, JobState, Terms
from beaver_actors.core.outcome import Released, Succeeded
from beaver_actors.core.queues import Queue
from beaver_actors.core.state import State, advance, is_overdue
from beaver_actors.testing.playbook import NOON_MS, Playbook, named
from beaver_actors.testing.strategies import histories


def test_a_scheduled_job_is_pending_at_its_very_millisecond() -> None:
    """P3: not before, and without any fact."""
    book = Playbook()
    book.enqueue("a", delay_ms=10)
    for passed_ms, state in ((9, "scheduled"), (1, "pending")):
        book.pass_time(passed_ms)
        book.expect(Count())
        assert book.job("a").state == state
        assert book.state.queues["default"].count(JobState(state)) == 1


def test_time_that_stands_still_changes_nothing() -> None:
    """P3: advancing twice to the same moment finds what once found."""
    book = Playbook()
    book.enqueue("a", "b", extras=Extras(NOON_MS + 5))
    book.enqueue("c", delay_ms=5)
    book.pass_time(5)
    for _ in range(3):
        advance(book.state, book.now_ms)
        invariants.check(book.state)
        assert [job.id for job in book.state.overdue] == ["a", "b"]


def test_what_is_overdue_is_forgotten_once_it_is_dealt_with() -> None:
    """P11: jobs set aside and then handled otherwise do not pile up."""
    book = Playbook()
    book.enqueue("a", "b", extras=Extras(NOON_MS))
    book.expect(Count())
    overdue = list(book.state.overdue)
    assert all(is_overdue(book.state, job, book.now_ms) for job in overdue)
    book.do(Cancel(("a",)))
    book.do(Delete(("b",)))
    assert not any(is_overdue(book.state, job, book.now_ms) for job in overdue)
    book.expect(Count())
    assert not book.state.overdue


def test_a_job_cancelled_before_its_time_does_not_come_due() -> None:
    """P4: nor does it when it was put back meanwhile: then it is due but once."""
    book = Playbook()
    book.enqueue("a", "b", delay_ms=10)
    book.do(Cancel(("a", "b")))
    book.do(Retry(("b",)))
    book.pass_time(10)
    book.expect(Count())
    assert [job.job_id for job in book.lease(9)] == ["b"]


def test_times_that_nobody_waits_for_any_more_do_not_fill_the_memory() -> None:
    """P11: jobs scheduled or expiring in a year, cancelled today, leave the tables."""
    book = Playbook()
    terms = Terms("work")
    for round_ in range(10):
        ids = tuple(f"{round_}-{number}" for number in range(500))
        jobs = (NewJob(i, terms, b"{}", delay_ms=10**10, extras=Extras(NOON_MS + 10**11)) for i in ids)
        book.do(Enqueue(tuple(jobs)))
        book.do(Delete(ids))
    assert len(book.state.schedule) < 2_500
    assert len(book.state.expiries) < 2_500


@given(histories())
def test_a_state_from_a_snapshot_decides_as_the_live_one(facts: list[Fact]) -> None:
    """P3: leases, deadlines, listings and counts come out the same, in the same order."""
    book = Playbook()
    book.log = facts
    book.now_ms = max((fact[1] for fact in facts), default=NOON_MS)
    book.state = book.replayed()
    anew = book.reindexed()
    for command in (Lease("w", 9, frozenset("xyz")), Count(), List(), Tick()):
        one, other = (decide(state, command, book.now_ms, book.policy) for state in (book.state, anew))
        assert one.answer == other.answer
        assert sorted(map(repr, named(one.facts))) == sorted(map(repr, named(other.facts)))


def test_finished_jobs_from_a_snapshot_stand_in_the_order_in_which_they_finished() -> None:
    """P11: not in that of arrival; what a limit takes first is what finished first."""
    book = Playbook(Policy(frozenset({"work"}), completed_kept=1))
    book.enqueue("a", "b", "c")
    a, b, c = book.lease(3)
    for lease in (c, a, b):
        book.finish(lease, Succeeded())
    book.state = book.reindexed()
    book.expect(Tick(), JobDeleted("c", NOON_MS, "retention"), JobDeleted("a", NOON_MS, "retention"))


def test_jobs_that_wait_for_others_wait_too() -> None:
    """P11: the limits on a queue's length count every job that has yet to run, and no other."""
    queue = Queue("q", counts={JobState(name): 10**place for place, name in enumerate(JobState)})
    assert queue.waiting == sum(10**place for place, name in enumerate(JobState) if name in WAITING)


@pytest.fixture(scope="module", params=[3, index.SEARCH_MAX])
def search_max(request: pytest.FixtureRequest) -> Iterator[None]:
    """How far a job that is out of order is looked for; with 3, most lines are sorted as a whole."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "SEARCH_MAX", request.param)
        yield


@pytest.mark.usefixtures("search_max")
@given(st.lists(st.integers(0, 50), max_size=60))
def test_a_backlog_that_fell_due_while_the_server_was_down_stands_in_order(delays_ms: list[int]) -> None:
    """P3: replay meets jobs in the order of the log; they run in the order of their times."""
    state = State()
    for number, delay_ms in enumerate(delays_ms):
        at_ms = NOON_MS + delay_ms
        fold(state, JobEnqueued(f"later-{number}", NOON_MS, Terms("work"), b"{}", at_ms))
        if number % 3 == 0:
            fold(state, JobEnqueued(f"at-once-{number}", at_ms, Terms("work"), b"{}", at_ms))
    advance(state, NOON_MS + 50)
    answer = decide(state, Lease("w", 99, frozenset({"work"})), NOON_MS + 50, Policy()).answer
    assert isinstance(answer, Leased)
    places = [place(state.jobs[lease.job_id]) for lease in answer.jobs]
    assert places == sorted(map(place, state.jobs.values()))
    invariants.check(state)


@pytest.mark.usefixtures("search_max")
@given(st.permutations(range(10)), st.integers(0, 30))
def test_jobs_handed_back_in_any_order_find_their_places(order: list[int], behind: int) -> None:
    """P4: whatever the length of the line behind them."""
    book = Playbook()
    names = [f"{number}" for number in range(10 + behind)]
    book.enqueue(*names)
    leases = book.lease(10)
    for number in order:
        book.finish(leases[number], Released())
    assert [lease.job_id for lease in book.lease(99)] == names
