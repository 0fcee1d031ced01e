"""Jobs that come into being in the record that completes another."""

from __future__ import annotations

from beaver_actors.core.answers import Finished, LeasedJob
from beaver_actors.core.commands import Finish, NewJob, Policy, Report
from beaver_actors.core.job import Extras, JobError, JobState, Terms, Unique
from beaver_actors.core.outcome import Failed, Outcome, Succeeded
from beaver_actors.testing.playbook import Playbook

WORK = Terms("work")


def new(job_id: str, **fields: object) -> NewJob:
    return NewJob(job_id, WORK, b"{}")._replace(**fields)  # type: ignore[arg-type]  # fields of a job


def kinds(book: Playbook) -> list[tuple[str, str]]:
    return [(type(fact).__name__, fact[0]) for fact in book.facts]


def told(lease: LeasedJob, *jobs: NewJob, outcome: Outcome = Succeeded()) -> Report:  # noqa: B008
    return Report(lease.job_id, lease.fence, outcome, jobs=jobs)


def finish(book: Playbook, *reports: Report) -> tuple[bool, ...]:
    answer = book.do(Finish(reports))
    assert isinstance(answer, Finished)
    return answer.accepted


def two_leases() -> tuple[Playbook, LeasedJob, LeasedJob]:
    book = Playbook()
    book.enqueue("a", "b")
    one, other = book.lease(2)
    return book, one, other


def test_a_job_completes_and_its_children_come_in_one_batch() -> None:
    """P3, P4: all of it or nothing; a report that is repeated brings no more."""
    book, one, _ = two_leases()
    child = new("later", extras=Extras(depends_on=("c", "a")))
    for _ in range(2):
        assert finish(book, told(one, child, new("c"))) == (True,)
    assert book.facts == []
    assert [type(fact).__name__ for fact in book.log[-3:]] == ["JobCompleted", "JobEnqueued", "JobEnqueued"]
    assert book.job("later").state is JobState.BLOCKED


def test_children_come_with_success_alone() -> None:
    """P3: whoever fails runs again, and asks for them again."""
    book, one, _ = two_leases()
    finish(book, told(one, new("c"), outcome=Failed(JobError("KeyError", "'x'"))))
    assert "c" not in book.state.jobs


def test_an_attempt_whose_children_are_refused_has_failed() -> None:
    """P3, P5: recorded together or not at all; the error says why, and repeating the report is harmless."""
    book, one, _ = two_leases()
    report = told(one, new("c"), new("d", extras=Extras(depends_on=("nobody",))))
    assert finish(book, report) == (True,)
    assert kinds(book) == [("JobFailed", "a")]
    trail = book.job("a").trail
    assert trail is not None
    assert trail.errors[0].type == "ChildrenRefused"
    assert "jobs[1].depends_on[0]: job nobody does not exist" in trail.errors[0].message
    assert finish(book, report) == (True,)
    assert book.facts == []


def test_children_of_several_attempts_meet_in_one_command() -> None:
    """P5: the same id is the same job, a unique key has one holder, and one refusal spoils no other."""
    book, one, other = two_leases()
    keyed = new("x", extras=Extras(None, Unique("k")))
    again = new("y", extras=Extras(None, Unique("k")), on_conflict="return_existing")
    assert finish(book, told(one, new("c"), keyed), told(other, new("c"), again, new("d"))) == (True, True)
    assert kinds(book) == [
        ("JobCompleted", "a"), ("JobEnqueued", "c"), ("JobEnqueued", "x"),
        ("JobCompleted", "b"), ("JobEnqueued", "d"),
    ]  # fmt: skip
    book, one, other = two_leases()
    clash = keyed._replace(job_id="z")
    assert finish(book, told(one, keyed), told(other, new("c"), clash)) == (True, True)
    assert kinds(book) == [("JobCompleted", "a"), ("JobEnqueued", "x"), ("JobFailed", "b")]


def test_limits_on_waiting_jobs_do_not_hold_for_children() -> None:
    """P7, P11: work that is done is recorded in a full queue; on a full disk it goes back and runs again."""
    book, one, other = two_leases()
    book.policy = Policy(served_kinds=frozenset({"work"}), pending_jobs_max=0, queue_jobs_max=0)
    assert finish(book, told(one, new("c"))) == (True,)
    assert kinds(book) == [("JobCompleted", "a"), ("JobEnqueued", "c")]
    book.policy = Policy(served_kinds=frozenset({"work"}), storage_full=True)
    assert finish(book, told(other, new("d"))) == (True,)
    assert kinds(book) == [("JobReleased", "b")]
