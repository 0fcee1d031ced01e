"""What time demands: expiry, retention by age, by count and by a job's own wish; the limit of one tick."""

from __future__ import annotations

import pytest

from beaver_actors.core.answers import Ticked
from beaver_actors.core.commands import Cancel, Delete, Enqueue, NewJob, Policy, Retry, Tick
from beaver_actors.core.facts import JobDeleted, JobDied
from beaver_actors.core.job import Backoff, Extras, JobError, JobState, Terms
from beaver_actors.core.outcome import Failed, Outcome, Rejected, Released, Snoozed, Succeeded
from beaver_actors.core.upkeep import TICK_FACTS_MAX
from beaver_actors.testing.playbook import NOON_MS, Playbook

ERROR = JobError("KeyError", "'x'")
DAY_MS = 86_400_000


def finished(book: Playbook, *job_ids: str, state: JobState = JobState.COMPLETED, **fields: object) -> None:
    """Bring jobs to a final state, one after the other, a millisecond apart."""
    for job_id in job_ids:
        book.enqueue(job_id, **fields)
        if state is JobState.CANCELLED:
            book.do(Cancel((job_id,)))
        else:
            (lease,) = book.lease()
            book.finish(lease, Succeeded() if state is JobState.COMPLETED else Rejected(ERROR))
        book.pass_time(1)


def ticked(book: Playbook) -> Ticked:
    answer = book.do(Tick())
    assert isinstance(answer, Ticked)
    return answer


def deleted(book: Playbook) -> list[str]:
    """The jobs that the next tick deletes."""
    ticked(book)
    return [fact.job_id for fact in book.facts if isinstance(fact, JobDeleted)]


# Expiry


@pytest.mark.parametrize("delay_ms", [0, 5, 500])
def test_a_waiting_job_dies_at_the_millisecond_it_expires(delay_ms: int) -> None:
    """P4: pending or still scheduled; a millisecond before, it may yet run."""
    book = Playbook()
    book.enqueue("a", delay_ms=delay_ms, extras=Extras(NOON_MS + 10))
    book.pass_time(9)
    book.expect(Tick())
    book.pass_time(1)
    book.expect(Tick(), JobDied("a", NOON_MS + 10, "expired"))
    trail = book.job("a").trail
    assert trail is not None
    assert (trail.reason, trail.finished_ms) == ("expired", NOON_MS + 10)


def test_a_job_that_arrives_expired_is_accepted_and_dies() -> None:
    """P4: it is told like any other job, and never starts."""
    book = Playbook()
    book.enqueue("a", extras=Extras(NOON_MS))
    assert book.lease() == ()
    book.expect(Tick(), JobDied("a", NOON_MS, "expired"))


def test_a_running_job_does_not_expire() -> None:
    """P4: expiry is for waiting; what has started may end."""
    book = Playbook()
    book.enqueue("a", extras=Extras(NOON_MS + 10))
    (lease,) = book.lease()
    book.pass_time(DAY_MS // 48)
    book.expect(Tick())
    assert book.finish(lease, Succeeded())
    assert book.job("a").state is JobState.COMPLETED


@pytest.mark.parametrize("outcome", [Released(), Failed(ERROR), Snoozed(1)])
def test_a_job_that_comes_back_after_its_expiry_dies_with_the_next_tick(outcome: Outcome) -> None:
    """P4: handed back, failed or snoozed, it is too late for another start, at once."""
    book = Playbook()
    book.enqueue("a", extras=Extras(NOON_MS + 10))
    (lease,) = book.lease()
    book.pass_time(10)
    book.expect(Tick())
    book.finish(lease, outcome)
    book.expect(Tick(), JobDied("a", NOON_MS + 10, "expired"))


def test_a_job_that_comes_back_before_its_expiry_still_expires() -> None:
    """P4: coming and going does not make it forget the time."""
    book = Playbook()
    book.enqueue("a", extras=Extras(NOON_MS + 10))
    for _ in range(3):
        book.finish(book.lease()[0], Released())
        book.pass_time(3)
    book.expect(Tick())
    book.pass_time(1)
    book.expect(Tick(), JobDied("a", NOON_MS + 10, "expired"))


def test_an_expired_job_put_back_by_hand_runs_however_late() -> None:
    """P4: the operator's word is newer than the client's; one put back in time keeps its expiry."""
    book = Playbook()
    book.enqueue("late", "early", extras=Extras(NOON_MS + 10))
    book.do(Cancel(("early",)))
    book.do(Retry(("early",)))
    book.pass_time(10)
    ticked(book)
    assert book.state.totals.died == {"expired": 2}
    book.do(Retry(("late",)))
    book.pass_time(DAY_MS)
    book.expect(Tick())
    assert [lease.job_id for lease in book.lease(9)] == ["late"]


def test_an_id_used_again_does_not_inherit_what_was_overdue() -> None:
    """P5: the jobs found overdue were deleted before the tick; the new ones of their names live."""
    book = Playbook()
    finished(book, "kept", retention_ms=0)
    book.enqueue("expired", extras=Extras(book.now_ms))
    assert book.lease() == ()  # time has been looked at: both are set aside for the tick
    book.do(Delete(("kept", "expired")))
    book.enqueue("kept", "expired")
    book.expect(Tick())
    assert len(book.lease(9)) == 2


# Retention


@pytest.mark.parametrize(
    ("state", "kept_ms"),
    [
        (JobState.COMPLETED, DAY_MS),
        (JobState.CANCELLED, DAY_MS),
        (JobState.DEAD, 30 * DAY_MS),
    ],
)
def test_a_finished_job_is_kept_as_long_as_the_rule_says(state: JobState, kept_ms: int) -> None:
    """P11: to the millisecond; jobs finished later stay longer."""
    book = Playbook()
    finished(book, "a", "b", state=state)
    book.pass_time(kept_ms - 3)
    assert deleted(book) == []
    book.pass_time(1)
    book.expect(Tick(), JobDeleted("a", book.now_ms, "retention"))
    book.pass_time(1)
    book.expect(Tick(), JobDeleted("b", book.now_ms, "retention"))
    assert book.state.jobs == {}


@pytest.mark.parametrize("state", [JobState.COMPLETED, JobState.CANCELLED, JobState.DEAD])
def test_of_too_many_finished_jobs_the_oldest_go_first(state: JobState) -> None:
    """P11: each final state has a limit of its own, counted over all queues."""
    book = Playbook(
        Policy(frozenset({"work"}), completed_kept=2, cancelled_kept=2, dead_kept=2),
    )
    finished(book, "a", state=state, queue="one")
    finished(book, "b", "c", state=state, queue="two")
    finished(book, "d", state=state, queue="one")
    assert deleted(book) == ["a", "b"]
    assert deleted(book) == []


def test_a_limit_of_none_keeps_none() -> None:
    """P11: zero is a limit, not 'no limit'."""
    book = Playbook(Policy(frozenset({"work"}), completed_kept=0))
    finished(book, "a", "b")
    assert deleted(book) == ["a", "b"]


@pytest.mark.parametrize("kept_ms", [1, 60 * DAY_MS])
def test_a_retention_of_its_own_overrides_the_rule(kept_ms: int) -> None:
    """P11: shorter or longer than the server's, to the millisecond."""
    book = Playbook()
    book.enqueue("own", retention_ms=kept_ms)
    book.finish(book.lease()[0], Succeeded())
    book.pass_time(kept_ms - 1)
    assert deleted(book) == []
    book.pass_time(1)
    book.expect(Tick(), JobDeleted("own", book.now_ms, "retention"))


def test_a_job_that_is_done_again_is_kept_anew_although_its_first_time_was_up() -> None:
    """P3: its time was noticed and it was put back before the tick, behind another whose time was up."""
    book = Playbook()
    finished(book, "first", "again", state=JobState.DEAD, retention_ms=1000)
    book.pass_time(1000)
    book.do(Retry(("again",)))
    (lease,) = book.lease()
    book.finish(lease, Rejected(ERROR))
    assert deleted(book) == ["first"]
    book.pass_time(999)
    assert deleted(book) == []
    book.pass_time(1)
    assert deleted(book) == ["again"]


def test_a_retention_of_nothing_ends_with_the_next_tick() -> None:
    """P11: the result of such a job is for the live stream only."""
    book = Playbook()
    book.enqueue("own", retention_ms=0)
    book.finish(book.lease()[0], Succeeded())
    assert deleted(book) == ["own"]


def test_jobs_with_a_retention_of_their_own_do_not_shield_those_behind_them() -> None:
    """P11: the age rule looks past jobs it does not apply to."""
    book = Playbook()
    finished(book, "own-1", "own-2", retention_ms=90 * DAY_MS)
    finished(book, "a")
    finished(book, "own-3", retention_ms=90 * DAY_MS)
    finished(book, "b")
    book.pass_time(Policy().completed_kept_ms)
    assert deleted(book) == ["a", "b"]


def test_a_retention_of_its_own_holds_up_to_the_very_limit() -> None:
    """P11: exactly as many jobs as may be kept, all of them old by the rule: only those without a wish go."""
    book = Playbook(Policy(frozenset({"work"}), completed_kept=3))
    finished(book, "own-1", "own-2", retention_ms=90 * DAY_MS)
    finished(book, "a")
    book.pass_time(book.policy.completed_kept_ms)
    assert deleted(book) == ["a"]
    assert deleted(book) == []


def test_the_count_limit_takes_long_kept_jobs_too_but_no_more_than_needed() -> None:
    """P11: memory is bounded whatever clients wish; a job leaving by its own wish counts as gone."""
    book = Playbook(Policy(frozenset({"work"}), completed_kept=2))
    finished(book, "long", retention_ms=90 * DAY_MS)
    finished(book, "a")
    finished(book, "short", retention_ms=0)
    finished(book, "b")
    assert deleted(book) == ["short", "long"]
    assert list(book.state.jobs) == ["a", "b"]


def test_a_job_put_back_is_no_longer_overdue() -> None:
    """P3: its retention ended, but before the tick somebody wanted it again."""
    book = Playbook()
    finished(book, "a", state=JobState.DEAD, retention_ms=0)
    assert book.lease() == ()  # time has passed, no tick yet
    book.do(Retry(("a",)))
    book.expect(Tick())
    assert [lease.job_id for lease in book.lease()] == ["a"]


def test_a_job_found_overdue_that_died_again_is_kept_anew() -> None:
    """P11: set aside for its first death, put back and dead again before the tick."""
    book = Playbook()
    finished(book, "a", state=JobState.DEAD, retention_ms=10)
    book.pass_time(10)
    assert book.lease() == ()  # time has passed, no tick yet
    book.do(Retry(("a",)))
    book.finish(book.lease()[0], Rejected(ERROR))
    book.pass_time(9)
    assert deleted(book) == []
    book.pass_time(1)
    assert deleted(book) == ["a"]


def test_a_job_that_died_again_is_kept_from_its_latest_death() -> None:
    """P11: neither age nor count remember the first one, and those behind it are not held up."""
    book = Playbook(Policy(frozenset({"work"}), dead_kept_ms=100, dead_kept=2))
    finished(book, "again", "b", "c", state=JobState.DEAD)
    book.pass_time(90)
    book.do(Retry(("again",)))
    book.finish(book.lease()[0], Rejected(ERROR))
    assert deleted(book) == ["b"]
    book.pass_time(10)
    assert deleted(book) == ["c"]
    book.pass_time(90)
    assert deleted(book) == ["again"]


# The tick itself


def test_one_tick_brings_a_bounded_number_of_facts() -> None:
    """P11: a mass expiry is worked off in parts, and the answer says whether to ask again."""
    book = Playbook()
    terms = Terms("work")
    count = 2 * TICK_FACTS_MAX + 1
    book.do(Enqueue(tuple(NewJob(f"{n}", terms, b"{}", extras=Extras(NOON_MS + 5)) for n in range(count))))
    book.pass_time(5)
    parts = [(ticked(book).more, len(book.facts)) for _ in range(4)]
    assert parts == [(True, TICK_FACTS_MAX), (True, TICK_FACTS_MAX), (False, 1), (False, 0)]


def test_a_tick_says_when_to_come_again() -> None:
    """P11: the soonest of a due time, an expiry, a deadline, a retention's end; None when nothing waits."""
    book = Playbook()
    assert ticked(book) == Ticked(None, more=False)
    book.enqueue("kept", retention_ms=90_000)
    book.enqueue("runs", timeout_ms=50_000)
    kept, _ = book.lease(2)
    book.finish(kept, Succeeded())
    assert ticked(book).next_ms == NOON_MS + 50_000 + book.policy.timeout_grace_ms
    book.enqueue("expires", delay_ms=80_000, extras=Extras(NOON_MS + 40_000))
    assert ticked(book).next_ms == NOON_MS + 40_000
    book.enqueue("due", delay_ms=30_000)
    assert ticked(book).next_ms == NOON_MS + 30_000
    book.do(Cancel(("due", "expires")))
    assert ticked(book).next_ms == NOON_MS + 50_000 + book.policy.timeout_grace_ms


def test_a_tick_does_not_send_for_itself() -> None:
    """P11: a deadline met at its very millisecond is done with, and not named as the next one."""
    book = Playbook()
    book.enqueue("a", timeout_ms=1_000, max_attempts=1)
    book.lease()
    book.pass_time(1_000 + book.policy.timeout_grace_ms)
    assert ticked(book) == Ticked(None, more=False, taken=(2,))
    assert len(book.facts) == 1


def test_a_tick_counts_in_the_retries_it_brings_itself() -> None:
    """P11: the job it takes from its worker is due again before anything else."""
    book = Playbook()
    book.enqueue("a", timeout_ms=1_000, backoff=Backoff("fixed", 7))
    book.lease()
    book.pass_time(60_000)
    assert ticked(book).next_ms == book.now_ms + 7
