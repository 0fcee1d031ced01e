"""The shape of facts, which the log, the stream and `fold` all count on."""

from __future__ import annotations

from typing import get_args

import pytest

from beaver_actors.core.facts import (
    EVENT_NAMES,
    FACTS,
    JOB_FACTS,
    OPERATION_FACTS,
    SCHEDULE_FACTS,
    Fact,
    JobCancelRequested,
    JobFact,
    QueuePaused,
    ScheduleFact,
)
from beaver_actors.testing.playbook import named


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.__name__)
def test_a_fact_says_first_what_it_is_about_and_then_when(fact: type[Fact]) -> None:
    """P10: one job, queue, schedule or operation, and the time of the decision: replay and stream read these
    by position."""
    other = "operation" if fact in OPERATION_FACTS else "schedule" if fact in SCHEDULE_FACTS else "queue"
    assert fact._fields[:2] == ("job_id" if fact in JOB_FACTS else other, "at_ms")


def test_the_lists_of_facts_are_complete() -> None:
    """P3: a fact left out of them could be written and not be read."""
    assert set(JOB_FACTS) == set(get_args(JobFact))
    assert set(SCHEDULE_FACTS) == set(get_args(ScheduleFact))
    assert set(FACTS) == set(get_args(Fact))


def test_every_fact_has_a_name_for_the_wire() -> None:
    """P10: its own words in lower case, no two alike."""
    assert len(set(EVENT_NAMES.values())) == len(FACTS)
    for fact, name in EVENT_NAMES.items():
        assert "".join(word.capitalize() for word in name.split("_")) == fact.__name__


def test_facts_of_different_kinds_with_equal_fields_are_equal() -> None:
    """P3: the trap that `named` in the playbook is there for."""
    cancelled, paused = JobCancelRequested("a", 1), QueuePaused("a", 1)
    assert tuple(cancelled) == tuple(paused)
    assert named([cancelled]) != named([paused])
