"""Commands judged one by one: enqueue and its limits, cancel, retry, delete, pause, and reading."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from beaver_actors.core.answers import Change, Changed, Enqueued, Found, Receipt, Refused
from beaver_actors.core.commands import (
    Cancel,
    Command,
    Configure,
    Delete,
    Enqueue,
    Finish,
    Get,
    NewJob,
    Pause,
    Policy,
    Report,
    Resume,
    Retry,
)
from beaver_actors.core.facts import (
    JobCancelled,
    JobCancelRequested,
    JobDeleted,
    JobEnqueued,
    JobRetried,
    QueuePaused,
    QueueResumed,
)
from beaver_actors.core.job import Extras, JobError, JobState, Terms
from beaver_actors.core.limits import QueueRules
from beaver_actors.core.outcome import (
    Failed,
    Outcome,
    Rejected,
    Released,
    Snoozed,
    Stopped,
    Succeeded,
    TimedOut,
)
from beaver_actors.testing.playbook import NOON_MS, Playbook, canonical
from beaver_actors.testing.strategies import commands

WORK = Terms("work")
ERROR = JobError("KeyError", "'x'")


def refused(book: Playbook, command: Command, code: str) -> Refused:
    """The refusal, after checking its code and that nothing changed."""
    before = canonical(book.state)
    answer = book.expect(command)
    assert isinstance(answer, Refused)
    assert answer.code == code
    assert canonical(book.state) == before
    return answer


def new(job_id: str, terms: Terms = WORK, args: bytes = b"{}") -> NewJob:
    return NewJob(job_id, terms, args)


# Enqueue


def test_a_job_is_accepted_once_and_its_receipt_names_the_lsn() -> None:
    """P5: one command, one fact, one receipt."""
    book = Playbook()
    answer = book.expect(Enqueue((new("a"),)), JobEnqueued("a", NOON_MS, WORK, b"{}", run_at_ms=NOON_MS))
    assert answer == Enqueued((Receipt("a", duplicate=False),), lsn=1)


def test_an_enqueue_repeated_changes_nothing() -> None:
    """P5: the same id with the same content is answered OK, whatever has become of the job."""
    book = Playbook()
    book.enqueue("a")
    repeated = Enqueue((new("a"),))
    for _ in range(2):
        assert book.expect(repeated) == Enqueued((Receipt("a", duplicate=True),), lsn=book.state.lsn)
        (lease,) = book.lease() or (None,)
        if lease:
            book.finish(lease, Succeeded(b"1"))
    assert book.job("a").state is JobState.COMPLETED


def test_an_id_with_other_content_is_refused() -> None:
    """P5: a conflict over arguments, or over terms, names the job."""
    book = Playbook()
    book.enqueue("a")
    for other in (new("a", args=b"[]"), new("a", Terms("work", priority=1)), new("a", Terms("rest"))):
        assert "job a" in refused(book, Enqueue((other,)), "conflict").message


def test_the_time_to_run_is_no_part_of_the_content() -> None:
    """P5: a client that repeats "in five minutes" two seconds later means the same job."""
    book = Playbook()
    book.enqueue("a", delay_ms=300_000)
    book.pass_time(2_000)
    book.expect(Enqueue((new("a")._replace(delay_ms=300_000, extras=Extras(NOON_MS * 2)),)))
    assert book.job("a").run_at_ms == NOON_MS + 300_000


def test_an_id_twice_in_one_batch_is_one_job() -> None:
    """P5: the second one is a duplicate, or a conflict that refuses the whole batch."""
    book = Playbook()
    answer = book.do(Enqueue((new("a"), new("b"), new("a"))))
    assert isinstance(answer, Enqueued)
    assert [receipt.duplicate for receipt in answer.receipts] == [False, False, True]
    assert answer.lsn == 2
    refused(book, Enqueue((new("c"), new("c", args=b"[]"))), "conflict")


def test_a_batch_is_accepted_whole_or_not_at_all() -> None:
    """P5: one conflict among good jobs leaves none of them behind."""
    book = Playbook()
    book.enqueue("b")
    refused(book, Enqueue((new("a"), new("b", args=b"[]"), new("c"))), "conflict")
    assert list(book.state.jobs) == ["b"]


def test_a_deleted_jobs_id_may_be_used_again() -> None:
    """P5: what is forgotten cannot be a duplicate."""
    book = Playbook()
    book.enqueue("a")
    book.do(Delete(("a",)))
    book.expect(Enqueue((new("a", args=b"[]"),)), JobEnqueued("a", NOON_MS, WORK, b"[]", run_at_ms=NOON_MS))


@pytest.mark.parametrize(
    ("fields", "run_at_ms"),
    [
        ({}, NOON_MS),
        ({"delay_ms": 0}, NOON_MS),
        ({"delay_ms": 7}, NOON_MS + 7),
        ({"delay_ms": -7}, NOON_MS),
        ({"run_at_ms": NOON_MS + 7}, NOON_MS + 7),
        ({"run_at_ms": NOON_MS - 7}, NOON_MS),
    ],
)
def test_a_job_runs_when_it_was_asked_to_and_no_earlier_than_now(
    fields: dict[str, int], run_at_ms: int
) -> None:
    """P3: a delay counts from now; a time in the past means now."""
    book = Playbook()
    book.enqueue("a", **fields)
    assert book.job("a").run_at_ms == run_at_ms
    assert book.job("a").state == ("scheduled" if run_at_ms > NOON_MS else "pending")


# Limits


def test_the_servers_limit_counts_waiting_jobs_only() -> None:
    """P11: full is said early and with a time to come back; running and finished jobs take no room."""
    book = Playbook(Policy(served_kinds=frozenset({"work"}), pending_jobs_max=2))
    book.enqueue("a", "b")
    assert refused(book, Enqueue((new("c"),)), "queue_full").retry_after_ms == 1_000
    book.lease()
    book.enqueue("c", delay_ms=1_000)
    refused(book, Enqueue((new("d"),)), "queue_full")


def test_a_queue_that_takes_nothing_promises_no_time() -> None:
    """P11: where jobs_max is 0, no time to come back is told, for none would help."""
    book = Playbook()
    book.do(Configure("work", QueueRules(jobs_max=0), frozenset({"jobs_max"})))
    refusal = refused(book, Enqueue((new("a", Terms("work", queue="work")),)), "queue_full")
    assert refusal.retry_after_ms is None
    assert "jobs_max is 0" in refusal.message


def test_a_queues_limit_is_its_own() -> None:
    """P11: one queue full of its own jobs leaves the others open; a batch is counted by queue."""
    book = Playbook(Policy(queue_jobs_max=2))
    two, one = Terms("work", queue="two"), Terms("work", queue="one")
    refusal = refused(
        book, Enqueue((new("a", two), new("b", two), new("c", one), new("d", two))), "queue_full"
    )
    assert "queue two" in refusal.message
    assert refusal.retry_after_ms == 1_000
    book.expect(Enqueue(()))
    book.do(Enqueue((new("a", two), new("b", two), new("c", one))))
    assert len(book.state.jobs) == 3
    refused(book, Enqueue((new("d", two),)), "queue_full")
    book.do(Enqueue((new("d", one),)))
    assert len(book.state.jobs) == 4


def test_a_duplicate_is_answered_even_when_there_is_no_room() -> None:
    """P5, P11: a client that repeats itself is not told to come back."""
    book = Playbook(Policy(pending_jobs_max=1))
    book.enqueue("a")
    for policy in (book.policy, replace(book.policy, storage_full=True)):
        book.policy = policy
        assert book.expect(Enqueue((new("a"),))) == Enqueued((Receipt("a", duplicate=True),), lsn=1)


def test_a_full_disk_refuses_new_jobs_and_lets_running_ones_finish() -> None:
    """P7: no enqueue, no retry, no lease; but every outcome, cancel and delete."""
    book = Playbook()
    book.enqueue("a", "b", "c", "d")
    first, second, third = book.lease(3)
    book.finish(third, Rejected(ERROR))
    book.policy = replace(book.policy, storage_full=True)
    assert refused(book, Enqueue((new("e"),)), "storage_full").retry_after_ms == 5_000
    assert refused(book, Retry(("c",)), "storage_full").retry_after_ms == 5_000
    assert book.lease(9) == ()
    assert book.finish(first, Succeeded())
    assert book.finish(second, Failed(ERROR))
    book.expect(Cancel(("d",)), JobCancelled("d", NOON_MS))
    book.expect(Delete(("d",)), JobDeleted("d", NOON_MS, "request"))
    book.policy = replace(book.policy, storage_full=False)
    book.enqueue("e")
    assert [lease.job_id for lease in book.lease(9)] == ["e"]


# Cancel


@pytest.mark.parametrize("delay_ms", [0, 5])
def test_a_waiting_job_is_cancelled_at_once(delay_ms: int) -> None:
    """P4: pending or scheduled, it never starts."""
    book = Playbook()
    book.enqueue("a", delay_ms=delay_ms)
    answer = book.expect(Cancel(("a",)), JobCancelled("a", NOON_MS))
    assert answer == Changed((Change("a", True, None, JobState.CANCELLED),), lsn=2)
    book.pass_time(10)
    assert book.lease() == ()


def test_a_running_job_is_asked_to_stop_and_only_once() -> None:
    """P5: the second request changes nothing and is answered the same."""
    book = Playbook()
    book.enqueue("a")
    book.lease()
    asked = Changed((Change("a", True, None, JobState.IN_FLIGHT),), lsn=3)
    assert book.expect(Cancel(("a",)), JobCancelRequested("a", NOON_MS)) == asked
    assert book.expect(Cancel(("a",))) == asked
    assert book.job("a").state is JobState.IN_FLIGHT


@pytest.mark.parametrize(
    ("outcome", "ends"),
    [
        (Succeeded(b"1"), "completed"),
        (Stopped(), "cancelled"),
        (Failed(ERROR), "cancelled"),
        (Failed(ERROR, 0), "cancelled"),
        (TimedOut(ERROR), "cancelled"),
        (Rejected(ERROR), "cancelled"),
        (Snoozed(5), "cancelled"),
        (Released(), "cancelled"),
    ],
)
def test_a_cancel_request_wins_over_every_outcome_but_success(outcome: Outcome, ends: str) -> None:
    """P4: what has been done is recorded; anything else does not run again."""
    book = Playbook()
    book.enqueue("a")
    (lease,) = book.lease()
    book.do(Cancel(("a",)))
    assert book.finish(lease, outcome)
    job = book.job("a")
    assert job.state == ends
    assert job.trail is not None
    assert not job.trail.cancel_requested
    assert job.trail.finished_ms == NOON_MS


def test_a_cancelled_job_that_is_retried_runs_without_its_old_request() -> None:
    """P4: the request belonged to the attempt that ended."""
    book = Playbook()
    book.enqueue("a")
    (lease,) = book.lease()
    book.do(Cancel(("a",)))
    book.finish(lease, Stopped())
    book.do(Retry(("a",)))
    (lease,) = book.lease()
    book.finish(lease, Failed(ERROR))
    assert book.job("a").state is JobState.SCHEDULED


@pytest.mark.parametrize("ending", [Succeeded(), Rejected(ERROR), None])
def test_a_finished_job_cannot_be_cancelled(ending: Outcome | None) -> None:
    """P4: completed, dead or cancelled, it stays as it is, and the answer says what it is."""
    book = Playbook()
    book.enqueue("a")
    if ending is None:
        book.do(Cancel(("a",)))
    else:
        book.finish(book.lease()[0], ending)
    state = book.job("a").state
    assert book.expect(Cancel(("a",))) == Changed((Change("a", False, "conflict", state),), book.state.lsn)


# Retry and delete


def test_a_dead_job_put_back_starts_afresh_and_keeps_its_errors() -> None:
    """P4: attempts and rescues count from zero; the fence goes on growing; history stays."""
    book = Playbook()
    book.enqueue("a", max_attempts=1)
    (lease,) = book.lease()
    book.finish(lease, Failed(ERROR))
    assert book.job("a").state is JobState.DEAD
    book.pass_time(60_000)
    answer = book.expect(Retry(("a",)), JobRetried("a", book.now_ms, book.now_ms))
    assert answer == Changed((Change("a", True, None, JobState.PENDING),), lsn=4)
    job = book.job("a")
    assert (job.attempt, job.rescues, job.run_at_ms, job.fence) == (0, 0, book.now_ms, lease.fence)
    assert job.trail is not None
    assert (job.trail.reason, job.trail.finished_ms, len(job.trail.errors)) == (None, None, 1)
    (again,) = book.lease()
    assert (again.attempt, again.fence > lease.fence) == (1, True)


def test_a_retried_jobs_result_of_the_life_before_is_gone() -> None:
    """P4: a result belongs to the state that recorded it; a cancelled job has none to show."""
    book = Playbook()
    book.enqueue("a")
    book.do(Cancel(("a",)))
    book.do(Retry(("a",)))
    book.finish(book.lease()[0], Succeeded(b"2"))
    trail = book.job("a").trail
    assert trail is not None
    assert trail.result == b"2"


def test_only_dead_and_cancelled_jobs_can_be_put_back() -> None:
    """P4: above all not a completed one."""
    book = Playbook()
    book.enqueue("done", "running", "waiting")
    book.enqueue("later", delay_ms=5)
    done, _ = book.lease(2)
    book.finish(done, Succeeded())
    answer = book.expect(Retry(("done", "running", "waiting", "later", "unknown")))
    assert isinstance(answer, Changed)
    assert [change[1:] for change in answer.changes] == [
        (False, "conflict", JobState.COMPLETED),
        (False, "conflict", JobState.IN_FLIGHT),
        (False, "conflict", JobState.PENDING),
        (False, "conflict", JobState.SCHEDULED),
        (False, "not_found", None),
    ]


def test_any_job_but_a_running_one_can_be_deleted() -> None:
    """P4: a lease is never pulled from under its worker's feet."""
    book = Playbook()
    book.enqueue("done", "running", "waiting")
    book.enqueue("later", delay_ms=5)
    done, _ = book.lease(2)
    book.finish(done, Succeeded())
    answer = book.do(Delete(("done", "running", "waiting", "later", "unknown")))
    assert isinstance(answer, Changed)
    assert [change.changed for change in answer.changes] == [True, False, True, True, False]
    assert list(book.state.jobs) == ["running"]
    assert book.state.totals.deleted == 3


@pytest.mark.parametrize("command", [Cancel, Retry, Delete])
def test_a_job_named_twice_is_judged_once_and_answered_twice(
    command: type[Cancel | Retry | Delete],
) -> None:
    """P5: one answer for each name, in the order asked, as the client counts on."""
    book = Playbook()
    book.enqueue("a", "b")
    if command is Retry:
        book.do(Cancel(("a", "b")))
    answer = book.do(command(("a", "x", "a", "b")))
    assert isinstance(answer, Changed)
    assert [change.name for change in answer.changes] == ["a", "x", "a", "b"]
    assert answer.changes[0] == answer.changes[2]
    assert len(book.facts) == 2


# Queues


def test_pausing_twice_is_pausing_once() -> None:
    """P5: the second changes nothing, and neither does the second resume."""
    book = Playbook()
    assert book.expect(Pause("q"), QueuePaused("q", NOON_MS)) == Changed((Change("q", True),), 1)
    assert book.expect(Pause("q")) == Changed((Change("q", False),), 1)
    assert book.expect(Resume("q"), QueueResumed("q", NOON_MS)) == Changed((Change("q", True),), 2)
    assert book.expect(Resume("q")) == Changed((Change("q", False),), 2)


def test_a_queue_can_be_paused_before_its_first_job() -> None:
    """P3: an operator prepares; but resuming a queue nobody has named is a slip."""
    book = Playbook()
    refused(book, Resume("q"), "not_found")
    book.do(Pause("q"))
    book.enqueue("a", queue="q")
    assert book.lease() == ()
    book.do(Resume("q"))
    assert len(book.lease()) == 1


# Reading and robustness


def test_a_job_that_is_not_there_is_not_found() -> None:
    """P3: a refusal, not an empty answer."""
    book = Playbook()
    assert "job a" in refused(book, Get("a"), "not_found").message
    book.enqueue("a")
    assert isinstance(book.do(Get("a")), Found)


@given(st.lists(commands(st.sampled_from("abc"), st.integers(0, 4)), max_size=8))
def test_no_well_typed_command_breaks_the_core(script: list[Command]) -> None:
    """P3: `decide` raises nothing, decides the same twice, and every state it leads to is sound."""
    book = Playbook()
    for command in script:
        book.do(command)
    assert canonical(book.state) == canonical(book.replayed()) == canonical(book.reindexed())


def test_an_empty_command_is_answered() -> None:
    """P3: nothing asked, nothing done, but an answer."""
    book = Playbook()
    for command in (Enqueue(()), Cancel(()), Retry(()), Delete(()), Finish()):
        assert not isinstance(book.expect(command), Refused)
    book.expect(Finish((Report("nobody", 1, Succeeded()),)))
