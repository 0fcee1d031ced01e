"""The playbook and the strategies are tools of other tests: do they notice what they must, and reach it?"""

from __future__ import annotations

from functools import partial
from typing import Any, get_args

import pytest
from hypothesis import Phase, find, settings, strategies as st

from beaver_actors.core import commands as c, decide as deciding
from beaver_actors.core.decision import Decision
from beaver_actors.core.facts import FACTS, Fact, JobCancelled, JobDeleted, QueuePaused
from beaver_actors.core.outcome import Outcome
from beaver_actors.core.state import State
from beaver_actors.testing import strategies
from beaver_actors.testing.playbook import NOON_MS, Playbook, canonical, named


def test_a_playbook_notices_facts_that_are_not_the_expected_ones() -> None:
    """Other facts, and facts of another class with equal fields."""
    book = Playbook()
    with pytest.raises(AssertionError, match="queue_paused"):
        book.expect(c.Pause("q"))
    with pytest.raises(AssertionError, match="queue_paused"):
        book.expect(c.Pause("r"), JobCancelled("r", NOON_MS))
    book.expect(c.Pause("s"), QueuePaused("s", NOON_MS))


def test_a_playbook_notices_a_decision_that_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deciding is done twice and must come out the same."""

    def meddle(state: State, command: c.Pause, now_ms: int, policy: c.Policy) -> Decision:
        facts: list[Fact] = [JobDeleted("a", now_ms, "request")] if state.jobs else []
        state.jobs.clear()
        return Decision(facts, deciding._pause(state, command, now_ms, policy).answer)

    book = Playbook()
    book.enqueue("a")
    monkeypatch.setitem(deciding._DECISIONS, c.Pause, meddle)
    with pytest.raises(AssertionError, match="decided twice"):
        book.do(c.Pause("q"))


def test_a_playbook_can_be_replayed_and_taken_from_a_snapshot() -> None:
    """Its log is the whole of it, and copies do not change the original."""
    book = Playbook()
    book.enqueue("a", "b", delay_ms=5)
    book.pass_time(5)
    book.lease()
    before = canonical(book.state)
    copy = book.reindexed()
    trail = copy.jobs["a"].trail
    assert trail is not None
    trail.attempt = 7
    assert canonical(book.state) == before == canonical(book.replayed())


def test_the_strategies_reach_every_kind_of_value() -> None:
    """A kind that is never drawn would be a test that never runs."""
    patient = settings(max_examples=20_000, database=None, phases=[Phase.generate], deadline=None)
    for strategy, kinds in (
        (strategies.facts(), set(FACTS)),
        (strategies.outcomes, set(get_args(Outcome))),
        (strategies.commands(st.just("a"), st.just(1)), set(get_args(c.Command)) - {c.Recover}),
    ):
        for kind in kinds:
            drawn: Any = find(strategy, partial(_is_a, kind), settings=patient)
            assert type(drawn) is kind


def _is_a(kind: type, value: object) -> bool:
    return type(value) is kind


def test_histories_have_something_to_tell() -> None:
    """Each of these kinds of fact happens in one of a few hundred."""
    patient = settings(max_examples=3_000, database=None, phases=[Phase.generate], deadline=None)
    for name in ("enqueued", "started", "completed", "failed", "rescued", "deleted"):
        find(strategies.histories(), partial(_tells_of, f"job_{name}"), settings=patient)


def _tells_of(name: str, facts: list[Fact]) -> bool:
    return name in {told for told, _ in named(facts)}
