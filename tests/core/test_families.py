"""Jobs that wait for others: who is freed, who is cancelled, and what nobody may lose."""

from __future__ import annotations

import pytest

from beaver_actors.core.answers import Changed, Enqueued, Found, Parent, Refused, Relative, Ticked
from beaver_actors.core.commands import Cancel, Delete, Enqueue, Get, NewJob, Policy, Retry, Tick
from beaver_actors.core.facts import (
    Fact,
    JobCancelled,
    JobCompleted,
    JobDeleted,
    JobDied,
    JobEnqueued,
    JobRetried,
    JobUnblocked,
)
from beaver_actors.core.families import SETTLED_MAX
from beaver_actors.core.graphs import CHILDREN_MAX, GRAPH_EDGES_MAX
from beaver_actors.core.job import Extras, JobError, JobState, OnParentFailure, Terms, Unique
from beaver_actors.core.outcome import Outcome, Rejected, Snoozed, Succeeded
from beaver_actors.core.state import advance
from beaver_actors.core.views import PARENT_RESULTS_BYTES_MAX
from beaver_actors.testing.playbook import NOON_MS, Playbook, canonical

WORK = Terms("work")
WELL = Succeeded()
BAD = Rejected(JobError("KeyError", "'x'"))


def new(job_id: str, *parents: str, rule: OnParentFailure = "cancel", terms: Terms = WORK) -> NewJob:
    return NewJob(job_id, terms, b"{}", extras=Extras(depends_on=parents, on_parent_failure=rule))


def enqueue(book: Playbook, *jobs: NewJob) -> object:
    return book.do(Enqueue(jobs))


def run(book: Playbook, outcome: Outcome = WELL) -> str:
    """Run the job that is next, to this end."""
    (lease,) = book.lease()
    assert book.finish(lease, outcome)
    return lease.job_id


def states(book: Playbook) -> dict[str, str]:
    return {job_id: str(job.state) for job_id, job in book.state.jobs.items()}


def reason(book: Playbook, job_id: str) -> str | None:
    trail = book.state.jobs[job_id].trail
    return None if trail is None else trail.reason


def kinds(facts: list[Fact]) -> list[tuple[str, str]]:
    return [(type(fact).__name__, fact[0]) for fact in facts]


def test_a_child_runs_when_its_last_parent_has_completed() -> None:
    """P3: freed in the very batch in which the parent ends, so that no crash comes between."""
    book = Playbook()
    enqueue(book, new("a"), new("b"), new("c", "a", "b"))
    assert states(book) == {"a": "pending", "b": "pending", "c": "blocked"}
    run(book)
    assert kinds(book.facts) == [("JobCompleted", "a")]
    book.pass_time(7)
    run(book)
    assert kinds(book.facts) == [("JobCompleted", "b"), ("JobUnblocked", "c")]
    assert book.job("c").run_at_ms == NOON_MS + 7
    assert run(book) == "c"


@pytest.mark.parametrize("how", ["dies", "is cancelled", "expires"])
def test_a_parent_that_fails_takes_all_behind_it_along(how: str) -> None:
    """P3: the whole chain in one batch, and the reason is told; who continues is freed instead."""
    book = Playbook()
    book.enqueue("a", extras=Extras(NOON_MS + 5))
    enqueue(book, new("b", "a"), new("c", "b"), new("d", "c"), new("e", "d", rule="continue"))
    match how:
        case "dies":
            run(book, BAD)
        case "is cancelled":
            book.do(Cancel(("a",)))
        case "expires":
            book.pass_time(5)
            book.do(Tick())
    assert kinds(book.facts)[1:] == [
        ("JobCancelled", "b"), ("JobCancelled", "c"), ("JobCancelled", "d"), ("JobUnblocked", "e"),
    ]  # fmt: skip
    assert {reason(book, job_id) for job_id in "bcd"} == {"parent_failed"}
    assert states(book)["e"] == "pending"


def test_a_child_that_continues_waits_for_all_its_parents_however_they_end() -> None:
    """P3: three ends, one after the other; its handler sees which."""
    book = Playbook()
    enqueue(book, new("a"), new("b"), new("c"), new("d", "a", "b", "c", rule="continue"))
    run(book, Succeeded(b"1"))
    run(book, BAD)
    assert states(book)["d"] == "blocked"
    book.do(Cancel(("c",)))
    (lease,) = book.lease()
    assert lease.parents == (
        Parent("a", JobState.COMPLETED, b"1"), Parent("b", JobState.DEAD), Parent("c", JobState.CANCELLED),
    )  # fmt: skip


@pytest.mark.parametrize(("ended", "fact"), [(Succeeded(), JobUnblocked), (BAD, JobCancelled)])
def test_a_parent_may_have_ended_before(ended: Outcome, fact: type[Fact]) -> None:
    """P5: whether a graph is accepted does not depend on how fast its parents are."""
    book = Playbook()
    book.enqueue("a")
    run(book, ended)
    answer = enqueue(book, new("b", "a"))
    assert isinstance(answer, Enqueued)
    assert [type(fact) for fact in book.facts] == [JobEnqueued, fact]


def test_a_graph_may_come_in_any_order_and_its_receipts_in_that_of_the_request() -> None:
    """P5: parents first in the log; asking again changes nothing, even when parents are gone."""
    book = Playbook()
    jobs = (new("c", "b"), new("x"), new("b", "a"), new("a"), new("c", "b"))
    answer = enqueue(book, *jobs)
    assert isinstance(answer, Enqueued)
    assert [(receipt.job_id, receipt.duplicate) for receipt in answer.receipts] == [
        ("c", False), ("x", False), ("b", False), ("a", False), ("c", True),
    ]  # fmt: skip
    assert [fact[0] for fact in book.facts] == ["x", "a", "b", "c"]
    book.do(Delete(("a",)))
    assert kinds(book.facts) == [("JobCancelled", "b"), ("JobDeleted", "a"), ("JobCancelled", "c")]
    again = enqueue(book, jobs[0], jobs[2])
    assert isinstance(again, Enqueued)
    assert all(receipt.duplicate for receipt in again.receipts)


@pytest.mark.parametrize(
    ("jobs", "code", "told"),
    [
        ([new("a"), new("b", "a", "gone")], "not_found", "jobs[1].depends_on[1]: job gone does not exist"),
        ([new("a", "a")], "bad_request", "jobs[0].depends_on[0]: job a cannot depend on itself"),
        (
            [new("x", "b"), new("a", "c"), new("b", "a"), new("c", "b")],
            "bad_request",
            "depends_on: job b depends on itself through others",
        ),
    ],
)
def test_what_can_never_run_is_refused(jobs: list[NewJob], code: str, told: str) -> None:
    """P3: all of it, and the message names the field."""
    book = Playbook()
    answer = enqueue(book, new("before"), *jobs)
    assert isinstance(answer, Refused)
    assert answer.code == code
    moved = (
        told.replace("jobs[0]", "jobs[1]") if "jobs[1]" not in told else told.replace("jobs[1]", "jobs[2]")
    )
    assert moved in answer.message
    assert book.facts == []


def test_there_are_limits_to_a_graph() -> None:
    """P11: dependencies in one message, and children of one parent."""
    book = Playbook(Policy(served_kinds=frozenset({"work"})))
    names = [f"p-{number}" for number in range(101)]
    dense = [new(f"c-{number}", *names) for number in range(GRAPH_EDGES_MAX // 101 + 1)]
    answer = enqueue(book, *map(new, names), *dense)
    assert isinstance(answer, Refused)
    assert (answer.code, "100000 dependencies" in answer.message) == ("too_large", True)
    book.state.families = None
    enqueue(book, new("a"), *(new(f"c-{number}", "a") for number in range(CHILDREN_MAX)))
    answer = enqueue(book, new("one more", "a"))
    assert isinstance(answer, Refused)
    assert (answer.code, "job a has its limit" in answer.message) == ("queue_full", True)


def test_a_parent_of_thousands_holds_nobody_up() -> None:
    """P11: a thousand children with it, the others by ticks; a life that ends in between loses none."""
    book = Playbook(Policy(served_kinds=frozenset({"work"})))
    count = 3 * SETTLED_MAX + 500
    enqueue(book, new("a"), *(new(f"c-{number}", "a") for number in range(count)))
    run(book)
    assert kinds(book.facts)[:2] == [("JobCompleted", "a"), ("JobUnblocked", "c-0")]
    assert len(book.facts) == 1 + SETTLED_MAX
    book.crash()
    freed = len(book.facts)
    for _ in range(2):
        answer = book.do(Tick())
        assert isinstance(answer, Ticked)
        freed += len(book.facts)
    assert freed == count - SETTLED_MAX
    assert list(states(book).values()).count("pending") == count


def test_a_time_of_its_own_counts_from_when_it_was_enqueued() -> None:
    """P3: whichever is later; what waits for its time then is scheduled."""
    book = Playbook()
    enqueue(book, new("a"), new("b", "a")._replace(delay_ms=10), new("c", "a")._replace(delay_ms=3))
    book.pass_time(5)
    run(book)
    assert states(book) == {"a": "completed", "b": "scheduled", "c": "pending"}
    assert (book.job("b").run_at_ms, book.job("c").run_at_ms) == (NOON_MS + 10, NOON_MS + 5)
    book.pass_time(5)
    assert book.job("b").state is JobState.PENDING


def test_a_blocked_job_expires_like_any_that_waits() -> None:
    """P3: and takes its children along."""
    book = Playbook()
    enqueue(
        book, new("a"), new("b", "a")._replace(extras=Extras(NOON_MS + 5, depends_on=("a",))), new("c", "b")
    )
    book.pass_time(5)
    book.do(Tick())
    assert kinds(book.facts) == [("JobDied", "b"), ("JobCancelled", "c")]
    assert book.facts[0] == JobDied("b", book.now_ms, "expired")


def test_a_parent_that_is_needed_is_kept() -> None:
    """P3: whatever its retention, until its children have finished; then it goes."""
    book = Playbook(Policy(served_kinds=frozenset({"work"}), completed_kept_ms=0))
    short = Terms("work", retention_ms=0)
    enqueue(book, new("a", terms=short), new("b"), new("c", "a", "b"))
    run(book)
    run(book)
    (lease,) = book.lease()
    for _ in range(3):
        book.pass_time(1_000)
        book.expect(Tick())
    assert book.finish(lease, Snoozed(1_000))
    book.pass_time(1_000)
    book.expect(Tick())
    run(book, Succeeded(b"1"))
    book.do(Tick())
    assert sorted(kinds(book.facts)) == [("JobDeleted", job_id) for job_id in "abc"]


def test_a_dead_parent_is_put_back_without_its_children_unless_they_are_named() -> None:
    """P3: named together, in any order, they wait for it again; alone, a child has nothing to wait for."""
    book = Playbook()
    enqueue(book, new("a"), new("b", "a"), new("c", "b"))
    run(book, BAD)
    answer = book.do(Retry(("c", "b")))
    assert isinstance(answer, Changed)
    assert [(change.changed, change.code) for change in answer.changes] == [(False, "conflict")] * 2
    at = book.now_ms
    answer = book.expect(
        Retry(("c", "b", "a")),
        JobRetried("a", at, at), JobRetried("b", at, at, True), JobRetried("c", at, at, True),
    )  # fmt: skip
    assert isinstance(answer, Changed)
    assert [change.state for change in answer.changes] == ["blocked", "blocked", "pending"]
    assert [run(book), run(book), run(book)] == ["a", "b", "c"]


def test_a_job_that_has_run_waits_for_nobody_when_it_is_put_back() -> None:
    """P3: its parents may be long gone."""
    book = Playbook()
    enqueue(book, new("a"), new("b", "a"))
    run(book)
    run(book, BAD)
    book.do(Delete(("a",)))
    book.expect(Retry(("b",)), JobRetried("b", NOON_MS, NOON_MS))
    (lease,) = book.lease()
    assert lease.parents == (Parent("a", None),)


def test_putting_back_a_parent_holds_back_a_child_that_still_waits() -> None:
    """P3: a child that continues waits for the new end of a parent that it has counted once."""
    book = Playbook()
    enqueue(book, new("a"), new("b"), new("c", "a", "b", rule="continue"))
    run(book, BAD)
    book.do(Retry(("a",)))
    book.do(Cancel(("b",)))
    assert states(book)["c"] == "blocked"
    run(book)
    assert kinds(book.facts) == [("JobCompleted", "a"), ("JobUnblocked", "c")]


def test_deleting_a_parent_cancels_who_waits_for_it() -> None:
    """P3: before it is gone, since afterwards nothing would tell why; one that continues goes on."""
    book = Playbook()
    enqueue(book, new("a"), new("b", "a"), new("c", "a", rule="continue"), new("d", "b"))
    book.expect(
        Delete(("d", "a")),
        JobDeleted("d", NOON_MS, "request"),
        JobCancelled("b", NOON_MS, "parent_failed"),
        JobDeleted("a", NOON_MS, "request"),
        JobUnblocked("c", NOON_MS, NOON_MS),
    )


def test_one_request_deletes_only_as_many_parents_as_it_can_answer_for() -> None:
    """P11: those beyond are told to ask again."""
    book = Playbook(Policy(served_kinds=frozenset({"work"})))
    half = SETTLED_MAX // 2
    for parent in "ab":
        enqueue(book, new(parent), *(new(f"{parent}-{number}", parent) for number in range(half)))
    answer = book.do(Delete(("a", "b")))
    assert isinstance(answer, Changed)
    assert [(change.changed, change.code) for change in answer.changes] == [
        (True, None),
        (False, "overloaded"),
    ]
    answer = book.do(Delete(("b",)))
    assert isinstance(answer, Changed)
    assert answer.changes[0].changed


def test_an_id_that_is_used_again_is_a_parent_again() -> None:
    """P3: what is derived from the jobs does not depend on how they came about."""
    book = Playbook()
    enqueue(book, new("a"), new("b"), new("c", "a", "b", rule="continue"))
    book.do(Delete(("a",)))
    book.enqueue("a")
    book.do(Cancel(("b",)))
    assert states(book)["c"] == "blocked"
    assert canonical(book.state) == canonical(book.replayed()) == canonical(book.reindexed())
    run(book)
    assert states(book)["c"] == "pending"


def test_a_parent_that_was_there_by_its_key_is_the_parent() -> None:
    """P5: `return_existing` gives another job for one of the graph, and the graph waits for that."""
    book = Playbook()
    book.enqueue("there", extras=Extras(None, Unique("k")))
    asked = NewJob("a", WORK, b"{}", extras=Extras(None, Unique("k")), on_conflict="return_existing")
    answer = enqueue(book, new("b", "a", "there"), asked)
    assert isinstance(answer, Enqueued)
    assert [receipt.job_id for receipt in answer.receipts] == ["b", "there"]
    assert book.job("b").depends_on == ("there",)


def test_results_come_with_the_lease_as_far_as_they_are_not_too_large() -> None:
    """P11: what did not fit is told."""
    book = Playbook()
    enqueue(book, new("a"), new("b"), new("c"), new("d", "a", "b", "c"))
    large = b'"%b"' % (b"x" * (PARENT_RESULTS_BYTES_MAX - 2))
    for result in (b"1", large, b"22"):
        run(book, Succeeded(result))
    (lease,) = book.lease()
    assert [(parent.result, parent.left_out) for parent in lease.parents] == [
        (b"1", False), (None, True), (b"22", False),
    ]  # fmt: skip


def test_the_graph_around_a_job_is_shown() -> None:
    """P3: parents as it names them, children in order of arrival, and what is gone."""
    book = Playbook()
    enqueue(book, new("a"), new("b"), new("c", "b", "a", rule="continue"), new("d", "c"), new("e", "c"))
    book.do(Delete(("a",)))
    run(book)
    found = book.do(Get("c"))
    assert isinstance(found, Found)
    assert found.relatives.parents == (
        Relative("b", "work", JobState.COMPLETED), Relative("a", None, None),
    )  # fmt: skip
    assert [child.job_id for child in found.relatives.children] == ["d", "e"]
    assert found.relatives.child_count == 2


def test_blocked_jobs_count_as_waiting() -> None:
    """P11: a graph does not pass by the limits."""
    book = Playbook(Policy(served_kinds=frozenset({"work"}), queue_jobs_max=2))
    answer = enqueue(book, new("a"), new("b", "a"), new("c", "a"))
    assert isinstance(answer, Refused)
    assert answer.code == "queue_full"


def test_families_end_with_their_jobs() -> None:
    """P11: nothing is left behind in the index."""
    book = Playbook(Policy(served_kinds=frozenset({"work"}), completed_kept_ms=0, cancelled_kept_ms=0))
    enqueue(book, new("a"), new("b", "a"), new("c", "b"))
    run(book)
    book.do(Cancel(("b",)))
    book.pass_time(1)
    book.do(Tick())
    advance(book.state, book.now_ms)
    assert book.state.jobs == {}
    assert book.state.families is not None
    assert book.state.families.parents() == set()
    assert isinstance(book.facts[0], JobDeleted)
    assert JobCompleted not in {type(fact) for fact in book.facts}


def test_each_receipt_of_a_graph_tells_where_its_job_arrived() -> None:
    """P10: parents come first in the log, whatever the order asked for; who watches a job begins there."""
    book = Playbook()
    enqueue(book, NewJob("known", WORK, b"{}"))
    answer = enqueue(book, new("c", "b", "a"), NewJob("known", WORK, b"{}"), new("b", "a"), new("a"))
    assert isinstance(answer, Enqueued)
    told = {receipt.job_id: receipt.lsn for receipt in answer.receipts}
    assert [receipt.job_id for receipt in answer.receipts] == ["c", "known", "b", "a"]
    assert told == {"known": None} | {job_id: book.job(job_id).order for job_id in "abc"}
    assert answer.lsn == book.job("c").order == 4


def test_a_job_named_twice_counts_as_it_was_named_first() -> None:
    """P5: the second one is a duplicate, whatever parents it would have had."""
    book = Playbook()
    answer = enqueue(book, NewJob("a", WORK, b"{}"), new("b", "a"), new("a", "nobody"))
    assert isinstance(answer, Enqueued)
    assert [receipt.duplicate for receipt in answer.receipts] == [False, False, True]
