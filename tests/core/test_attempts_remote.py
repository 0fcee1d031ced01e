"""Leases of workers on other machines: they outlive the server, and only their own worker is believed."""

from __future__ import annotations

import pytest

from beaver_actors.core.answers import Finished, Recovered, Ticked
from beaver_actors.core.commands import Cancel, Finish, Progress, Report, Tick
from beaver_actors.core.facts import JobFailed, JobStarted
from beaver_actors.core.job import Extras, JobError, JobState
from beaver_actors.core.outcome import Crashed, Failed, Outcome, Released, Succeeded
from beaver_actors.testing.playbook import NOON_MS, Playbook, canonical

GONE = JobError("WorkerDied", "lease ran out")


def test_a_lease_is_on_record_with_its_length() -> None:
    """P3: after a restart the log alone says that the job runs elsewhere, and for how long to wait for it."""
    book = Playbook()
    book.enqueue("a", timeout_ms=5_000)
    (lease,) = book.lease(worker_id="far", lease_ms=60_000)
    assert book.facts == [JobStarted("a", NOON_MS, "far", NOON_MS + 15_000, 60_000)]
    assert lease.deadline_ms == NOON_MS + 15_000
    trail = book.job("a").trail
    assert trail is not None
    assert trail.lease_ms == 60_000
    assert canonical(book.replayed()) == canonical(book.reindexed()) == canonical(book.state)


def test_the_end_of_the_server_does_not_touch_what_runs_elsewhere() -> None:
    """P4: the job goes on under its fence, and its outcome is recorded; jobs of the server itself go back."""
    book = Playbook()
    book.enqueue("here", "there")
    book.lease()
    (there,) = book.lease(worker_id="far", lease_ms=60_000)
    assert book.crash() == Recovered(rescued=1, released=0, poisoned=0, cancelled=0)
    assert book.job("there").state is JobState.IN_FLIGHT
    assert book.finish(there, Succeeded(b"1"), worker_id="far")
    assert (book.job("there").state, book.job("there").attempt) == (JobState.COMPLETED, 1)


@pytest.mark.parametrize("outcome", [Crashed(GONE), Released()])
def test_a_lease_that_has_ended_leaves_nothing_behind(outcome: Outcome) -> None:
    """P4: the next lease is the server's own, and goes back when the server dies."""
    book = Playbook()
    book.enqueue("a")
    (lease,) = book.lease(worker_id="far", lease_ms=60_000)
    book.finish(lease, outcome)
    trail = book.job("a").trail
    assert trail is not None
    assert trail.lease_ms is None
    book.lease()
    assert book.crash().rescued == 1


def test_only_the_worker_that_holds_the_lease_is_believed() -> None:
    """P4: a worker that names the job and fence of another changes nothing, and is told the lease is lost."""
    book = Playbook()
    book.enqueue("a")
    (lease,) = book.lease(worker_id="far", lease_ms=60_000)
    lie = Report("a", lease.fence, Succeeded(b'"mine"'), 0.0, "liar")
    boast = Progress("a", lease.fence, b"99", "liar")
    assert book.expect(Finish((lie,), (boast,))) == Finished((False,))
    assert book.finish(lease, Succeeded(b"1"), worker_id="far")
    assert book.expect(Finish((lie._replace(outcome=Succeeded(b"1")),))) == Finished((False,))
    assert book.finish(lease, Succeeded(b"1"), worker_id="far"), "its own worker may repeat itself (P5)"


def test_the_loser_of_a_lease_is_told_the_present_one() -> None:
    """P4: what it needs to see that somebody else has the job now; 0 for a job that is not there."""
    book = Playbook()
    book.enqueue("a")
    (old,) = book.lease(worker_id="far", lease_ms=60_000)
    book.finish(old, Crashed(GONE))
    (new,) = book.lease(worker_id="near", lease_ms=60_000)
    reports = (Report("a", old.fence, Succeeded(), 0.0, "far"), Report("x", 1, Succeeded(), 0.0, "far"))
    answer = book.expect(Finish(reports))
    assert isinstance(answer, Finished)
    assert (answer.accepted, answer.fences) == ((False, False), (new.fence, 0))


def test_a_tick_names_the_attempts_that_it_takes() -> None:
    """P4: whoever keeps leases in mind must learn that time has ended one."""
    book = Playbook()
    book.enqueue("slow", timeout_ms=5_000)
    book.enqueue("expired", extras=Extras(NOON_MS + 1))
    (lease,) = book.lease(worker_id="far", lease_ms=60_000, kinds=("work",))
    book.pass_time(15_000)
    answer = book.do(Tick())
    assert isinstance(answer, Ticked)
    assert [type(fact) for fact in book.facts][:1] == [JobFailed]
    assert answer.taken == (lease.fence,)


def test_a_cancel_waits_for_the_worker_that_is_away() -> None:
    """P3: the request outlives the server, and is carried out when the worker ends or is given up."""
    book = Playbook()
    book.enqueue("a", "b")
    a, b = book.lease(2, worker_id="far", lease_ms=60_000)
    book.do(Cancel(("a", "b")))
    assert book.crash() == Recovered(0, 0, 0, 0)
    book.finish(a, Crashed(GONE))
    book.finish(b, Failed(GONE), worker_id="far")
    assert [book.job(job_id).state for job_id in "ab"] == ["cancelled", "cancelled"]
