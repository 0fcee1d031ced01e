"""The oracle of the journal's simulation: it accepts what may be, and nothing else."""

from __future__ import annotations

from random import Random

import pytest

from beaver_actors.core.fold import fold
from beaver_actors.journal.recovery import Recovered, open_journal
from beaver_actors.testing.disk import SimulatedDisk
from beaver_actors.testing.journal_facts import happen, state_after
from beaver_actors.testing.journal_life import SETTINGS
from beaver_actors.testing.journal_oracle import Told

FACTS = happen(Random(6), 12)


def recovered(count: int) -> Recovered:
    """What a start brings back after so many facts."""
    disk = SimulatedDisk()
    journal = open_journal(disk, SETTINGS).journal
    for fact in FACTS[:count]:
        journal.append([fact])
    disk.kill()
    return open_journal(disk, SETTINGS)


@pytest.fixture
def told() -> Told:
    """Eight facts were acknowledged, two more sent."""
    told = Told()
    told.send(FACTS[:8], state_after(FACTS[:8]))
    told.acknowledge(8)
    told.send(FACTS[8:10], state_after(FACTS[:10]))
    return told


@pytest.mark.parametrize("count", [8, 10])
def test_what_was_acknowledged_comes_back_with_or_without_what_was_sent(told: Told, count: int) -> None:
    """P3, by example: a commit without an answer may be there, and counts from then on."""
    told.expect_possible(recovered(count))
    told.expect(recovered(count))
    assert told.head == count
    assert not told.undecided


@pytest.mark.parametrize("count", [0, 7, 9, 11])
def test_less_than_acknowledged_or_half_a_commit_or_more_than_sent_is_told(told: Told, count: int) -> None:
    """P3, by example."""
    with pytest.raises(AssertionError, match=f"recovered up to LSN {count}, but 8 facts were ack.* 10 sent"):
        told.expect(recovered(count))


def test_what_was_refused_must_not_come_back(told: Told) -> None:
    """P7, by example."""
    told.refuse()
    told.expect_possible(recovered(8))
    with pytest.raises(AssertionError, match="8 sent"):
        told.expect(recovered(10))


def test_other_content_is_told(told: Told) -> None:
    """P3, by example: a job that is not as it was, and an index that is not as the jobs are."""
    found = recovered(8)
    job = next(iter(found.state.jobs.values()))
    job.args += b" "
    with pytest.raises(AssertionError, match="instead of"):
        told.expect(found)
    found = recovered(8)
    found.state.queues[next(iter(found.state.queues))].counts.clear()
    with pytest.raises(AssertionError, match="counts"):
        told.expect(found)


def test_an_epoch_that_does_not_grow_is_told(told: Told) -> None:
    """P9, by example."""
    found = recovered(8)
    told.expect(found)
    with pytest.raises(AssertionError, match="epoch"):
        told.expect(found)


def test_a_head_that_is_not_the_states_is_told(told: Told) -> None:
    """P3, by example: the next facts would get LSNs of others."""
    found = recovered(8)
    found.journal.append(FACTS[8:10])
    with pytest.raises(AssertionError, match="head"):
        told.expect(found)


def test_acknowledgements_count(told: Told) -> None:
    """P1, by example: an answer under another LSN than the facts have."""
    with pytest.raises(AssertionError, match="acknowledged LSN 9"):
        told.acknowledge(9)


def test_history_is_held_against_what_was_acknowledged(told: Told) -> None:
    """P10, by example: holes, other facts, and facts that nobody was told of."""
    right = list(enumerate(FACTS[:8], start=1))
    told.expect_history(right, 1, 100)
    told.expect_history(right[3:5], 4, 2)
    for wrong in (right[:-1], right[:3] + right[4:], [*right, (9, FACTS[8])]):
        with pytest.raises(AssertionError, match="from LSN 1 on instead of"):
            told.expect_history(wrong, 1, 100)


def test_states_are_held_against_facts_folded_one_by_one(told: Told) -> None:
    """A test of the tests: the oracle's own state is what `fold` makes of the acknowledged facts."""
    state = state_after(FACTS[:8])
    assert list(told.state.jobs.values()) == list(state.jobs.values())
    told.acknowledge(10)
    for fact in FACTS[8:10]:
        fold(state, fact)
    assert list(told.state.jobs.values()) == list(state.jobs.values())
