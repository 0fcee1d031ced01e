"""Operations on many jobs: which are meant, step by step, and what is left after a crash."""

from __future__ import annotations

import pytest

from beaver_actors.core import operations
from beaver_actors.core.answers import Enqueued, Operated, Operations, Page, Refused, Ticked
from beaver_actors.core.commands import (
    Delete,
    Enqueue,
    List,
    ListOperations,
    NewJob,
    Policy,
    Retry,
    StartOperation,
    StopOperation,
    Tick,
)
from beaver_actors.core.facts import (
    JobDeleted,
    JobRetried,
    OperationAdvanced,
    OperationEnded,
    OperationStarted,
)
from beaver_actors.core.fold import fold
from beaver_actors.core.fold_operations import OPERATIONS_KEPT
from beaver_actors.core.job import Extras, JobError, JobState, Terms, Unique
from beaver_actors.core.operation import Operation, Wanted
from beaver_actors.core.operations import RUNNING_MAX, STEP_JOBS_MAX, STEP_LOOKED_AT_MAX
from beaver_actors.core.outcome import Rejected
from beaver_actors.testing.playbook import NOON_MS, Playbook, canonical

DEAD = Wanted(JobState.DEAD)


def dead(
    *job_ids: str, book: Playbook | None = None, error: str = "ValueError", **fields: object
) -> Playbook:
    """A playbook with these dead jobs."""
    book = book or Playbook()
    book.enqueue(*job_ids, **fields)
    kinds = (str(fields.get("kind", "work")),)
    for lease in book.lease(len(job_ids), kinds=kinds):
        book.finish(lease, Rejected(JobError(error, "no")))
    return book


def start(book: Playbook, wanted: Wanted = DEAD, word: str = "retry", name: str = "op") -> Operation:
    answer = book.do(StartOperation(name, word, wanted))  # type: ignore[arg-type]  # one of the two
    assert isinstance(answer, Operated), answer
    return answer.operation


def tick(book: Playbook) -> Ticked:
    answer = book.do(Tick())
    assert isinstance(answer, Ticked)
    return answer


def finish(book: Playbook, name: str = "op") -> Operation:
    """Tick until there is no more; returns how it stands."""
    while tick(book).more:
        pass
    return book.state.operations[name]


def test_dead_jobs_are_put_back_and_counted() -> None:
    """P3: the facts of one step, oldest job first, with its count in the same batch."""
    book = dead("a", "b")
    assert start(book).to_look_at == 2
    assert tick(book).more is False
    assert book.facts == [
        JobRetried("a", NOON_MS, NOON_MS), JobRetried("b", NOON_MS, NOON_MS),
        OperationAdvanced("op", NOON_MS, 2, 2, 2, 0), OperationEnded("op", NOON_MS, "completed"),
    ]  # fmt: skip
    done = book.state.operations["op"]
    assert (done.state, done.changed, done.refused, done.looked_at) == ("completed", 2, 0, 2)
    assert [job.state for job in book.state.jobs.values()] == [JobState.PENDING] * 2


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (DEAD, "abcd"),
        (Wanted(JobState.PENDING), "e"),
        (Wanted(kind="other"), "b"),
        (Wanted(queue="mail"), "c"),
        (Wanted(tag="red"), "d"),
        (Wanted(error_type="KeyError"), "c"),
        (Wanted(reason="rejected", kind="work"), "acd"),
        (Wanted(reason="poison"), ""),
        (Wanted(created_after_ms=NOON_MS + 10), "bcde"),
        (Wanted(created_before_ms=NOON_MS + 10), "a"),
        (Wanted(created_after_ms=NOON_MS + 10, created_before_ms=NOON_MS + 30), "bc"),
        (Wanted(finished_after_ms=NOON_MS + 20), "cd"),
        (Wanted(finished_before_ms=NOON_MS + 20), "ab"),
        (Wanted(), "abcde"),
    ],
)
def test_a_filter_finds_those_that_fit_every_condition(wanted: Wanted, found: str) -> None:
    """By table: the same filter for a listing and for an operation."""
    book = dead("a")
    book.pass_time(10)
    dead("b", book=book, kind="other")
    book.pass_time(10)
    dead("c", book=book, queue="mail", error="KeyError")
    book.pass_time(10)
    dead("d", book=book, tags=("red",))
    book.enqueue("e")
    page = book.do(List(**wanted._asdict()))
    assert isinstance(page, Page)
    assert "".join(sorted(job.id for job in page.jobs)) == found
    start(book, wanted, "delete")
    assert finish(book).changed == len(found)
    assert sorted(book.state.jobs) == sorted(set("abcde") - set(found))


def test_a_job_that_has_changed_since_is_left_alone() -> None:
    """By example: one that died after the operation began, one put back by hand, one that came later."""
    book = dead("a", "b")
    book.enqueue("c")
    start(book)
    (lease,) = book.lease()
    book.finish(lease, Rejected(JobError("E", "no")))
    dead("d", book=book)
    book.do(Retry(("a",)))
    done = finish(book)
    assert (done.changed, done.looked_at) == (1, 3)
    assert book.state.jobs["b"].state is JobState.PENDING
    assert book.state.jobs["c"].state is JobState.DEAD
    assert book.state.jobs["d"].state is JobState.DEAD


def test_a_job_whose_key_is_taken_is_counted_as_refused() -> None:
    """By example: of two with one key only the first is put back."""
    extras = Extras(unique=Unique("k"))
    book = dead("a", extras=extras)
    dead("b", book=book, extras=extras)
    start(book)
    done = finish(book)
    assert (done.changed, done.refused) == (1, 1)


def test_an_operation_goes_on_after_a_crash() -> None:
    """P3: killed after every step, it ends with the same counts; nothing is done twice."""
    many = STEP_JOBS_MAX + 7
    book = dead(*(f"job-{number}" for number in range(many)))
    start(book, word="delete")
    steps = 0
    while book.state.operations["op"].state == "running":
        tick(book)
        steps += 1
        before = canonical(book.state)
        book.crash()
        assert canonical(book.state) == before
        assert canonical(book.reindexed()) == before
    assert steps == 2
    assert book.state.operations["op"].changed == many == book.state.totals.deleted
    assert not book.state.jobs


def test_a_step_looks_at_a_bounded_number_of_jobs() -> None:
    """P11: a rare filter over a long backlog does not hold up the others."""
    book = Playbook()
    terms, count = Terms("other"), STEP_LOOKED_AT_MAX + 5
    jobs = tuple(NewJob(f"{number}", terms, b"{}") for number in range(count))
    assert isinstance(book.do(Enqueue(jobs)), Enqueued)
    dead("last", book=book)
    start(book)
    assert tick(book).more
    assert [type(fact) for fact in book.facts] == [OperationAdvanced]
    assert book.state.operations["op"].looked_at == STEP_LOOKED_AT_MAX
    done = finish(book)
    assert (done.changed, done.looked_at, done.to_look_at) == (1, count + 1, count + 1)


def test_deleted_jobs_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """P11: even a step that meets no job at all gets on."""
    monkeypatch.setattr(operations, "STEP_LOOKED_AT_MAX", 3)
    book = dead(*"abcdefgh")
    start(book, Wanted(JobState.DEAD, kind="none"))
    tick(book)  # from now on there is a roll, and it keeps what is deleted
    book.do(Delete(tuple("defgh")))
    done = finish(book)
    assert (done.state, done.looked_at, done.changed) == ("completed", 3, 0)


def test_operations_take_turns() -> None:
    """P11: a long one does not hold up a short one."""
    book = dead(*(f"{number}" for number in range(2 * STEP_JOBS_MAX)))
    start(book, word="delete", name="one")
    start(book, Wanted(JobState.DEAD, kind="none"), name="other")
    tick(book)
    tick(book)
    assert (book.state.operations["one"].looked_at, book.state.operations["other"].state) == (
        STEP_JOBS_MAX,
        "completed",
    )


def test_time_comes_first() -> None:
    """P3: a job that expires is never in the same batch as an operation that means it."""
    book = dead("a", retention_ms=5)
    book.enqueue("other")
    start(book)
    book.pass_time(5)
    assert tick(book).more
    assert book.facts == [JobDeleted("a", book.now_ms, "retention")]
    assert finish(book).changed == 0


def test_on_a_full_disk_nothing_is_put_back_but_much_is_deleted() -> None:
    """P7: retrying waits until there is room."""
    book = dead("a", "b")
    start(book, name="retry")
    book.policy = Policy(served_kinds=frozenset({"work"}), storage_full=True)
    assert tick(book).more is False
    assert book.facts == []
    start(book, Wanted(JobState.DEAD, error_type="E"), "delete", "delete")
    assert finish(book, "delete").state == "completed"
    assert book.state.operations["retry"].state == "running"
    book.policy = Policy(served_kinds=frozenset({"work"}))
    assert finish(book, "retry").changed == 2


def test_starting_again_is_harmless() -> None:
    """P5: the same id with the same content, running or ended; with other content it is a conflict."""
    book = dead("a")
    first = start(book)
    assert start(book) == first
    assert book.facts == []
    answer = book.do(StartOperation("op", "delete", DEAD))
    assert isinstance(answer, Refused)
    assert answer.code == "conflict"
    finish(book)
    assert start(book).state == "completed"
    assert book.facts == []


def test_a_stopped_operation_goes_no_further() -> None:
    """By example: what is done stays done; stopping twice is harmless."""
    book = dead(*(f"{number}" for number in range(STEP_JOBS_MAX + 1)))
    start(book)
    tick(book)
    for facts in ([OperationEnded("op", NOON_MS, "stopped")], []):
        answer = book.do(StopOperation("op"))
        assert book.facts == facts
        assert isinstance(answer, Operated)
        assert (answer.operation.state, answer.operation.changed) == ("stopped", STEP_JOBS_MAX)
    assert tick(book).more is False
    assert book.facts == []


def test_operations_are_listed_newest_first_and_few_are_kept() -> None:
    """P11: running ones for as long as they run, ended ones up to a hundred."""
    book = Playbook()
    for number in range(OPERATIONS_KEPT + 3):
        start(book, name=f"op-{number}")
        tick(book)
    start(book, name="runs")
    answer = book.do(ListOperations())
    assert isinstance(answer, Operations)
    names = [operation.id for operation in answer.operations]
    assert names[:2] == ["runs", f"op-{OPERATIONS_KEPT + 2}"]
    assert len(names) == OPERATIONS_KEPT + 1
    for command in (ListOperations("op-0"), StopOperation("op-0")):
        gone = book.do(command)
        assert isinstance(gone, Refused)
        assert gone.code == "not_found"
    one = book.do(ListOperations("runs"))
    assert isinstance(one, Operations)
    assert [operation.id for operation in one.operations] == ["runs"]


def test_only_so_many_run_at_a_time() -> None:
    """P11: one more is refused."""
    book = Playbook()
    for number in range(RUNNING_MAX):
        start(book, name=f"op-{number}")
    answer = book.do(StartOperation("more", "retry", DEAD))
    assert isinstance(answer, Refused)
    assert answer.code == "overloaded"


def test_a_fact_about_no_running_operation_is_a_bug() -> None:
    """P3: fold refuses what cannot have happened."""
    book = dead("a")
    start(book)
    finish(book)
    for fact in (
        OperationStarted("op", 1, "retry"),
        OperationAdvanced("op", 1, 1, 0, 0, 0),
        OperationEnded("op", 1, "stopped"),
        OperationEnded("nobody", 1, "stopped"),
    ):
        with pytest.raises(AssertionError, match="operation"):
            fold(book.state, fact)
