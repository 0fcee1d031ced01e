"""Folding: what a fact leaves behind besides the state, and that a state depends on nothing but its facts."""

from __future__ import annotations

from copy import deepcopy

import pytest
from hypothesis import given, strategies as st

from beaver_actors.core import invariants
from beaver_actors.core.commands import Cancel, Delete, Policy, Retry
from beaver_actors.core.facts import Fact, JobEnqueued, JobStarted, QueuePaused
from beaver_actors.core.fold import fold, fold_all
from beaver_actors.core.fold_jobs import ERRORS_KEPT
from beaver_actors.core.index import SLACK
from beaver_actors.core.job import Backoff, JobError, JobState, Terms
from beaver_actors.core.outcome import Crashed, Failed, Rejected, Released, Snoozed, Succeeded
from beaver_actors.core.state import State, Totals, advance, reindex
from beaver_actors.testing.playbook import NOON_MS, Playbook, canonical
from beaver_actors.testing.strategies import histories

ERROR = JobError("KeyError", "'x'")


def folded(facts: list[Fact]) -> State:
    state = State()
    for fact in facts:
        fold(state, fact)
    return state


@given(histories())
def test_a_history_folded_twice_gives_one_state(facts: list[Fact]) -> None:
    """P3: the log alone decides; the n-th fact has LSN n, and the latest time is known."""
    one, other = folded(facts), folded(facts)
    assert canonical(one) == canonical(other)
    assert one.lsn == len(facts)
    assert one.time_ms == max((fact[1] for fact in facts), default=0)
    invariants.check(one)


@given(histories(), st.data())
def test_facts_folded_together_are_folded_one_by_one(facts: list[Fact], data: st.DataObject) -> None:
    """P3: live running and recovery fold a commit at a time, of whatever size; the state is the same."""
    together = State()
    rest = facts
    while rest:
        size = data.draw(st.integers(1, len(rest)), label="commit")
        fold_all(together, rest[:size])
        rest = rest[size:]
        invariants.check(together)
    assert canonical(together) == canonical(folded(facts))


def test_an_impossible_fact_among_others_stops_there() -> None:
    """Those before it are applied, as if they had been folded one by one; none after it."""
    terms = Terms("work")
    facts: list[Fact] = [JobEnqueued(name, NOON_MS, terms, b"{}", NOON_MS) for name in "abac"]
    state = State()
    with pytest.raises(AssertionError, match="job a enqueued twice"):
        fold_all(state, facts)
    assert canonical(state) == canonical(folded(facts[:2]))
    invariants.check(state)


@given(histories())
def test_a_snapshot_in_the_middle_of_a_history_makes_no_difference(facts: list[Fact]) -> None:
    """P3: the stored part of the state, indexed anew, and the rest of the log folded on top."""
    straight = folded(facts)
    half = folded(facts[: len(facts) // 2])
    resumed = deepcopy(
        State(half.lsn, half.time_ms, half.jobs, half.queues, half.totals, half.operations, half.schedules)
    )
    reindex(resumed)
    invariants.check(resumed)
    for fact in facts[len(facts) // 2 :]:
        fold(resumed, fact)
    invariants.check(resumed)
    assert canonical(resumed) == canonical(straight)


@given(histories())
def test_time_may_pass_during_replay_or_after_it(facts: list[Fact]) -> None:
    """P3: letting time pass between facts, as live, or once at the end, leads to the same state."""
    live, later = State(), folded(facts)
    for fact in facts:
        advance(live, fact[1])
        fold(live, fact)
    for state in (live, later):
        advance(state, live.time_ms)
        invariants.check(state)
    assert canonical(live) == canonical(later)


def test_a_job_cannot_arrive_twice() -> None:
    """P5: `decide` lets no duplicate through, and `fold` would not have it; the first stays as it was."""
    enqueued = JobEnqueued("a", NOON_MS, Terms("work"), b"{}", NOON_MS)
    state = folded([enqueued])
    before = canonical(state)
    with pytest.raises(AssertionError, match="job a enqueued twice"):
        fold(state, enqueued)
    assert canonical(state) == before


def test_everything_that_happens_is_counted_once() -> None:
    """P3: the totals of one job's eventful life, after which it is forgotten."""
    book = Playbook()
    book.enqueue("a", backoff=Backoff("fixed", 0))
    for outcome in (Failed(ERROR), Snoozed(0), Released(), Crashed(ERROR), Failed(ERROR), Rejected(ERROR)):
        book.finish(book.lease()[0], outcome)
    book.do(Retry(("a",)))
    book.do(Cancel(("a",)))
    book.do(Retry(("a",)))
    book.finish(book.lease()[0], Succeeded())
    book.do(Delete(("a",)))
    assert book.state.totals == Totals(
        enqueued=1,
        started=7,
        completed=1,
        failed=2,
        snoozed=1,
        released=1,
        rescued=1,
        cancelled=1,
        retried=2,
        deleted=1,
        died={"rejected": 1},
    )


def test_errors_are_kept_up_to_a_limit() -> None:
    """P11: a job that is allowed a thousand runs keeps the latest errors, each with its attempt."""
    book = Playbook()
    book.enqueue("a", max_attempts=1_000, backoff=Backoff("fixed", 0))
    for _ in range(ERRORS_KEPT + 5):
        book.finish(book.lease()[0], Failed(ERROR))
    trail = book.job("a").trail
    assert trail is not None
    assert [error.attempt for error in trail.errors] == list(range(6, ERRORS_KEPT + 6))


def test_an_error_names_the_attempt_it_belongs_to() -> None:
    """P12: rescues count as attempts, starts handed back do not."""
    book = Playbook(Policy(frozenset({"work"}), max_rescues=9))
    book.enqueue("a", backoff=Backoff("fixed", 0))
    for outcome in (Released(), Failed(ERROR), Released(), Crashed(ERROR), Failed(ERROR)):
        book.finish(book.lease()[0], outcome)
    trail = book.job("a").trail
    assert trail is not None
    assert [error.attempt for error in trail.errors] == [1, 2, 3]


def test_a_job_never_started_has_no_trail() -> None:
    """P11: a long backlog stays small in memory."""
    book = Playbook()
    book.enqueue("a", "b")
    assert book.job("a").trail is None
    book.lease()
    assert book.job("a").trail is not None


def test_equal_terms_are_kept_once_and_not_for_ever() -> None:
    """P11: jobs share them; those of jobs long gone are let go."""
    book = Playbook()
    book.enqueue("a", "b", tags=("t",))
    book.enqueue("c", tags=("t",))
    assert book.job("a").terms is book.job("b").terms is book.job("c").terms
    for number in range(SLACK + 10):
        state = book.state
        fold(state, JobEnqueued(f"{number}", NOON_MS, Terms("work", tags=(f"{number}",)), b"{}", NOON_MS))
    book.do(Delete(tuple(f"{number}" for number in range(SLACK + 10))))
    assert len(book.state.terms) < 20
    assert book.state.terms[Terms("work", tags=("t",))] is book.job("a").terms


def test_a_queue_remembers_its_latest_start() -> None:
    """P11: rotation between queues goes on where it was, also after a restart."""
    state = folded(
        [
            JobEnqueued("a", NOON_MS, Terms("work", "q"), b"{}", NOON_MS),
            QueuePaused("r", NOON_MS),
            JobStarted("a", NOON_MS, "worker"),
        ]
    )
    assert {name: (queue.turn, queue.paused) for name, queue in state.queues.items()} == {
        "q": (3, False),
        "r": (0, True),
    }
    assert state.queues["q"].count(JobState.IN_FLIGHT) == 1
    assert state.queues["q"].waiting == 0
