"""What is shown: one job, pages of jobs, the status, and why a job does not run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from beaver_actors.core.answers import Found, JobView, Page, QueueStatus, Status
from beaver_actors.core.commands import (
    Cancel,
    Command,
    Count,
    Delete,
    Enqueue,
    Finish,
    Get,
    List,
    NewJob,
    Pause,
    Policy,
    Progress,
)
from beaver_actors.core.job import AttemptError, Extras, JobError, JobState, Terms
from beaver_actors.core.outcome import Crashed, Failed, Rejected, Succeeded
from beaver_actors.core.views import LOOKED_AT_MAX
from beaver_actors.testing.playbook import NOON_MS, Playbook

ERROR = JobError("KeyError", "'x'", "line 1")


def seen(book: Playbook, job_id: str) -> JobView:
    answer = book.do(Get(job_id))
    assert isinstance(answer, Found)
    return answer.job


def page(book: Playbook, command: Command) -> tuple[list[str], int | None]:
    answer = book.do(command)
    assert isinstance(answer, Page)
    return [job.id for job in answer.jobs], answer.after


def status(book: Playbook) -> Status:
    answer = book.do(Count())
    assert isinstance(answer, Status)
    return answer


# One job


def test_a_job_is_shown_with_its_whole_history() -> None:
    """P3: every public field, after a failure, a second start and a result."""
    book = Playbook()
    book.enqueue("a", args=b'{"n":1}', tags=("t",), extras=Extras(NOON_MS + 10**9))
    (lease,) = book.lease(worker_id="w1")
    book.finish(lease, Failed(ERROR, 10))
    book.pass_time(10)
    (lease,) = book.lease(worker_id="w2")
    book.do(Finish((), (Progress("a", lease.fence, b"50"),)))
    book.pass_time(5)
    book.finish(lease, Succeeded(b"1"))
    assert seen(book, "a") == JobView(
        id="a", terms=Terms("work", tags=("t",)), args=b'{"n":1}', state=JobState.COMPLETED,
        created_ms=NOON_MS, run_at_ms=NOON_MS + 10, extras=Extras(NOON_MS + 10**9), order=1, lsn=6,
        attempt=2, rescues=0, fence=4, started_ms=NOON_MS + 10, finished_ms=NOON_MS + 15, worker_id="w2",
        cancel_requested=False, reason=None, progress=b"50", result=b"1",
        errors=(AttemptError(NOON_MS, 1, *ERROR),), waits_for=None,
    )  # fmt: skip


def test_what_is_shown_does_not_change_afterwards() -> None:
    """P1: an answer may have to wait for the disk, while the job goes on."""
    book = Playbook()
    book.enqueue("a")
    (lease,) = book.lease()
    book.finish(lease, Failed(ERROR, 0))
    before = seen(book, "a")
    book.finish(book.lease()[0], Rejected(ERROR))
    assert (before.state, len(before.errors), before.reason) == (JobState.PENDING, 1, None)


def test_a_waiting_job_says_why_it_does_not_run() -> None:
    """P3, P7, P12: each reason, and of several the one that lasts longest."""
    book = Playbook(Policy(served_kinds=frozenset({"work"}), max_rescues=2))
    book.enqueue("a")
    assert seen(book, "a").waits_for == "turn"
    (lease,) = book.lease()
    assert seen(book, "a").waits_for is None
    book.finish(lease, Failed(ERROR, 10))
    assert seen(book, "a").waits_for == "retry"
    book.pass_time(10)
    book.finish(book.lease()[0], Crashed(ERROR))
    assert seen(book, "a").waits_for == "turn"  # its last chance, and nobody is in its way
    book.policy = replace(book.policy, storage_full=True)
    assert seen(book, "a").waits_for == "storage_full"
    book.do(Pause("default"))
    assert seen(book, "a").waits_for == "queue_paused"
    book.policy = replace(book.policy, served_kinds=frozenset())
    assert seen(book, "a").waits_for == "unknown_kind"
    book.do(Cancel(("a",)))
    assert seen(book, "a").waits_for is None


def test_a_job_scheduled_by_its_client_waits_for_its_time() -> None:
    """P3: not for a retry."""
    book = Playbook()
    book.enqueue("a", delay_ms=5)
    assert seen(book, "a").waits_for == "run_at"


# Pages


def test_jobs_are_listed_newest_first_in_pages() -> None:
    """P3: each page ends with a cursor, the last one without."""
    book = Playbook()
    book.enqueue(*"abcde")
    first, after = page(book, List(limit=2))
    second, after = page(book, List(limit=2, after=after))
    third, end = page(book, List(limit=2, after=after))
    assert (first, second, third, end) == (["e", "d"], ["c", "b"], ["a"], None)
    assert page(book, List(limit=5)) == (list("edcba"), None)


def test_a_page_is_neither_shifted_nor_torn_by_what_comes_and_goes() -> None:
    """P3: jobs deleted between pages, the cursor's own among them, and jobs that arrive, change no other."""
    book = Playbook()
    book.enqueue(*"abcdefgh")
    first, after = page(book, List(limit=3))
    book.do(Delete(("f", "e", "c")))
    book.enqueue("new")
    second, after = page(book, List(limit=3, after=after))
    assert (first, second, after) == (list("hgf"), list("dba"), None)


def test_a_listing_survives_deletion_on_a_large_scale() -> None:
    """P3: the roll is rebuilt once most of it is gone; the order stays, the newest gone or not."""
    book = Playbook()
    names = [f"{number}" for number in range(3_000)]
    book.enqueue(*names)
    book.do(Delete(tuple(names[1_500:])))
    book.do(Delete(tuple(names[:1_400])))
    book.enqueue("new")
    assert page(book, List(limit=200))[0] == ["new", *reversed(names[1_400:1_500])]
    assert len(list(book.state.roll.before(10**6, book.state.jobs))) < 1_700


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (List(state=JobState.DEAD), ["d"]),
        (List(state=JobState.SCHEDULED), ["c"]),
        (List(queue="q"), ["d", "b"]),
        (List(kind="rest"), ["a"]),
        (List(tag="t"), ["c", "b"]),
        (List(reason="rejected"), ["d"]),
        (List(queue="q", state=JobState.PENDING), ["b"]),
        (List(queue="nowhere"), []),
    ],
)
def test_a_listing_can_be_filtered(command: List, expected: list[str]) -> None:
    """P3: by state, queue, kind, tag and reason, alone and together."""
    book = Playbook()
    book.enqueue("a", kind="rest")
    book.enqueue("b", queue="q", tags=("s", "t"))
    book.enqueue("c", tags=("t",), delay_ms=5)
    book.enqueue("d", queue="q", priority=1)
    book.finish(book.lease()[0], Rejected(ERROR))
    assert page(book, command) == (expected, None)


def test_a_rare_filter_looks_at_a_bounded_number_of_jobs() -> None:
    """P11: a page may be empty and yet have a next one, so that others are not held up."""
    book = Playbook()
    book.enqueue("rare", tags=("t",))
    terms = Terms("work")
    book.do(Enqueue(tuple(NewJob(f"{number}", terms, b"{}") for number in range(LOOKED_AT_MAX))))
    found, after = page(book, List(tag="t"))
    assert (found, after) == ([], 2)
    assert page(book, List(tag="t", after=after)) == (["rare"], None)


# Status


def test_the_status_counts_what_is_there_and_what_has_been() -> None:
    """P3: by state, by queue, in all; the sums agree."""
    book = Playbook()
    book.enqueue("a", "b", "c", queue="q")
    book.enqueue("d", delay_ms=5)
    book.pass_time(1)
    book.enqueue("e", kind="strange")
    a, b = book.lease(2)
    book.finish(a, Succeeded())
    book.finish(b, Rejected(ERROR))
    book.do(Cancel(("d",)))
    shown = status(book)
    none = dict.fromkeys(JobState, 0)
    assert shown.counts == none | {"pending": 2, "completed": 1, "dead": 1, "cancelled": 1}
    assert shown.queues == (
        QueueStatus("default", False, none | {JobState.PENDING: 1, JobState.CANCELLED: 1}, NOON_MS + 1),
        QueueStatus(
            "q", False, none | {JobState.PENDING: 1, JobState.COMPLETED: 1, JobState.DEAD: 1}, NOON_MS
        ),
    )
    assert shown.unknown_kinds == {"strange": 1}
    assert shown.died == {"rejected": 1}
    assert {name: count for name, count in shown.totals.items() if count} == {
        "enqueued": 5,
        "started": 2,
        "completed": 1,
        "cancelled": 1,
    }
    assert (shown.lsn, shown.storage_full) == (10, False)


def test_the_oldest_pending_job_is_the_one_that_may_run_longest() -> None:
    """P11: not the oldest by arrival; a queue where none waits has none."""
    book = Playbook()
    book.enqueue("old", delay_ms=100)
    book.pass_time(50)
    book.enqueue("young", priority=5)
    book.pass_time(50)
    assert status(book).queues[0].oldest_pending_ms == NOON_MS + 50
    book.lease()
    assert status(book).queues[0].oldest_pending_ms == NOON_MS + 100
    book.lease()
    assert status(book).queues[0].oldest_pending_ms is None


def test_the_status_tells_of_a_full_disk_and_of_paused_queues() -> None:
    """P7: an operator sees why nothing starts."""
    book = Playbook(Policy(storage_full=True))
    book.do(Pause("q"))
    shown = status(book)
    assert shown.storage_full
    assert [(queue.name, queue.paused) for queue in shown.queues] == [("q", True)]
