"""From lease to outcome: every outcome, fences, repeated reports, crashes and poison."""

from __future__ import annotations

import pytest

from beaver_actors.core.answers import Finished, LeasedJob, Recovered
from beaver_actors.core.attempts import SERVER_DIED
from beaver_actors.core.commands import Cancel, Delete, Finish, Policy, Progress, Report, Retry, Tick
from beaver_actors.core.facts import (
    Fact,
    JobCancelled,
    JobCompleted,
    JobDied,
    JobFailed,
    JobProgressed,
    JobReleased,
    JobRescued,
    JobSnoozed,
)
from beaver_actors.core.job import Backoff, JobError, JobState
from beaver_actors.core.outcome import (
    Crashed,
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

ERROR, OTHER = JobError("KeyError", "'x'", "line 1"), JobError("OSError", "gone")
OUTCOMES: dict[str, Outcome] = {
    "succeeded": Succeeded(b"1"),
    "succeeded otherwise": Succeeded(b"2"),
    "failed": Failed(ERROR),
    "failed otherwise": Failed(OTHER),
    "timed out": TimedOut(JobError("Timeout", "too long")),
    "rejected": Rejected(JobError("Reject", "never")),
    "snoozed": Snoozed(5_000),
    "stopped": Stopped(),
    "released": Released(),
    "crashed": Crashed(JobError("WorkerDied", "signal 9")),
}


def running(step_ms: int = 1_000) -> tuple[Playbook, LeasedJob]:
    """A playbook with one job in flight, with so much time between its steps."""
    book = Playbook()
    book.enqueue("a")
    book.pass_time(step_ms)
    (lease,) = book.lease()
    book.pass_time(step_ms)
    return book, lease


def report(lease: LeasedJob, outcome: Outcome, dice: float = 0.0) -> Finish:
    return Finish((Report(lease.job_id, lease.fence, outcome, dice),))


# What each outcome leads to


@pytest.mark.parametrize(
    ("outcome", "fact", "state", "attempt"),
    [
        (Succeeded(b"1"), JobCompleted("a", NOON_MS + 2_000, 2, b"1"), "completed", 1),
        (Failed(ERROR), JobFailed("a", NOON_MS + 2_000, 2, ERROR, NOON_MS + 17_000), "scheduled", 1),
        (Failed(ERROR, 7), JobFailed("a", NOON_MS + 2_000, 2, ERROR, NOON_MS + 2_007), "scheduled", 1),
        (TimedOut(ERROR), JobFailed("a", NOON_MS + 2_000, 2, ERROR, NOON_MS + 17_000), "scheduled", 1),
        (Rejected(ERROR), JobDied("a", NOON_MS + 2_000, "rejected", ERROR), "dead", 1),
        (Snoozed(50), JobSnoozed("a", NOON_MS + 2_000, 2, NOON_MS + 2_050), "scheduled", 0),
        (Stopped(), JobReleased("a", NOON_MS + 2_000, 2), "pending", 0),
        (Released(), JobReleased("a", NOON_MS + 2_000, 2), "pending", 0),
        (Crashed(ERROR), JobRescued("a", NOON_MS + 2_000, 2, ERROR), "pending", 1),
    ],
)
def test_an_outcome_is_recorded_as_one_fact(outcome: Outcome, fact: Fact, state: str, attempt: int) -> None:
    """P4: what follows from each way to end, and whether it used an attempt."""
    book, lease = running()
    assert book.expect(report(lease, outcome), fact) == Finished((True,))
    job = book.job("a")
    assert (job.state, job.attempt) == (state, attempt)
    assert job.trail is not None
    assert job.trail.deadline_ms is None
    assert job.trail.finished_ms == (book.now_ms if state in ("completed", "dead") else None)


def test_the_last_allowed_attempt_that_fails_is_the_end() -> None:
    """P12: 'max_attempts' runs in all, and the last error is kept with the others."""
    book = Playbook()
    book.enqueue("a", max_attempts=3, backoff=Backoff("fixed", 10))
    for attempt in (1, 2, 3):
        (lease,) = book.lease()
        assert lease.attempt == attempt
        book.finish(lease, Failed(ERROR))
        book.pass_time(10)
    job = book.job("a")
    assert job.trail is not None
    assert (job.state, job.trail.reason) == (JobState.DEAD, "max_attempts")
    assert [error.attempt for error in job.trail.errors] == [1, 2, 3]
    assert book.state.totals.died == {"max_attempts": 1}


def test_neither_snoozes_nor_drains_nor_crashes_use_up_attempts() -> None:
    """P12: two failures are allowed, and exactly two happen, whatever else does in between."""
    book = Playbook()
    book.enqueue("a", max_attempts=2, backoff=Backoff("fixed", 10))
    for outcome in (Snoozed(5), Released(), Crashed(OTHER), Failed(ERROR), Snoozed(5), Crashed(OTHER)):
        book.finish(book.lease()[0], outcome)
        book.pass_time(10)
    job = book.job("a")
    assert (job.state, job.attempt, job.rescues, job.failures) == (JobState.PENDING, 3, 2, 1)
    book.finish(book.lease()[0], Failed(ERROR))
    assert book.job("a").state is JobState.DEAD


def test_back_off_counts_failures_not_starts() -> None:
    """P11: after rescues and snoozes the second failure still waits the second delay."""
    book = Playbook()
    book.enqueue("a", backoff=Backoff("list", delays_ms=(10, 200, 3_000)))
    book.finish(book.lease()[0], Crashed(OTHER))
    book.finish(book.lease()[0], Failed(ERROR))
    assert book.job("a").run_at_ms == book.now_ms + 10
    book.pass_time(10)
    book.finish(book.lease()[0], Snoozed(0))
    book.finish(book.lease()[0], Crashed(OTHER))
    book.finish(book.lease()[0], Failed(ERROR))
    assert book.job("a").run_at_ms == book.now_ms + 200


def test_chance_is_drawn_outside_and_recorded_in_the_fact() -> None:
    """P3: the same dice give the same time, and replay reads it back instead of throwing again."""
    book, lease = running()
    book.do(report(lease, Failed(ERROR), dice=0.5))
    (fact,) = book.facts
    assert isinstance(fact, JobFailed)
    assert fact.retry_at_ms == book.now_ms + 15_000 + 5_000
    assert book.replayed().jobs["a"].run_at_ms == fact.retry_at_ms


# Fences


@pytest.mark.parametrize("step_ms", [0, 1_000])
@pytest.mark.parametrize("again", OUTCOMES)
@pytest.mark.parametrize("first", OUTCOMES)
def test_a_report_repeated_is_accepted_and_another_is_not(first: str, again: str, step_ms: int) -> None:
    """P4, P5: all pairs under one fence; whatever is answered, the second report changes nothing."""
    book, lease = running(step_ms)
    assert book.finish(lease, OUTCOMES[first])
    before = canonical(book.state)
    book.pass_time(1)
    accepted = book.finish(lease, OUTCOMES[again])
    same = first == again or {first, again} == {"stopped", "released"}  # both hand the lease back
    assert accepted == same
    assert book.facts == []
    assert canonical(book.state) == before


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_stale_worker_changes_nothing(outcome: str) -> None:
    """P4: once the job was leased anew, the old fence is worth nothing, running or finished."""
    book, stale = running()
    book.finish(stale, Crashed(OTHER))
    (fresh,) = book.lease()
    before = canonical(book.state)
    assert not book.finish(stale, OUTCOMES[outcome])
    assert canonical(book.state) == before
    book.finish(fresh, Succeeded(b"1"))
    before = canonical(book.state)
    assert not book.finish(stale, OUTCOMES[outcome])
    assert book.facts == []
    assert canonical(book.state) == before


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("fence", [0, 1, 3, -1])
def test_a_fence_that_was_never_given_is_refused(fence: int, outcome: str) -> None:
    """P4: for a job that never started, fence 0 is no key either."""
    book = Playbook()
    book.enqueue("a")
    assert book.expect(Finish((Report("a", fence, OUTCOMES[outcome]),))) == Finished((False,))
    book.do(Cancel(("a",)))
    assert book.expect(Finish((Report("a", fence, OUTCOMES[outcome]),))) == Finished((False,))
    assert book.expect(Finish((Report("x", fence, OUTCOMES[outcome]),))) == Finished((False,))


def test_a_report_about_a_job_deleted_and_used_again_is_refused() -> None:
    """P4: the id is the same, the job is not."""
    book, lease = running()
    book.finish(lease, Failed(ERROR))
    book.do(Delete(("a",)))
    book.enqueue("a")
    assert not book.finish(lease, Failed(ERROR))
    (fresh,) = book.lease()
    assert not book.finish(lease, Succeeded())
    assert book.finish(fresh, Succeeded())


def test_a_repeated_report_is_still_known_after_a_restart() -> None:
    """P5: what decides is the log, not a memory of the process."""
    for outcome in OUTCOMES.values():
        book, lease = running()
        book.finish(lease, outcome)
        book.crash()
        assert book.finish(lease, outcome), outcome
        book.state = book.reindexed()
        assert book.finish(lease, outcome), outcome


def test_after_a_cancel_any_ending_but_success_counts_as_told() -> None:
    """P5: the job ended as cancelled, to which every unsuccessful outcome would have led."""
    book, lease = running()
    book.do(Cancel(("a",)))
    book.expect(report(lease, Failed(ERROR)), JobCancelled("a", book.now_ms))
    assert book.finish(lease, Failed(ERROR))
    assert book.finish(lease, Stopped())
    assert not book.finish(lease, Succeeded())


def test_the_error_of_an_attempt_before_is_not_taken_for_this_ones() -> None:
    """P5: failed, started again and cancelled, all in one millisecond; the repeated report is still known."""
    book = Playbook()
    book.enqueue("a")
    book.finish(book.lease()[0], Failed(OTHER, 0))
    (lease,) = book.lease()
    book.do(Cancel(("a",)))
    assert book.finish(lease, Failed(ERROR))
    assert book.job("a").state is JobState.CANCELLED
    assert book.finish(lease, Failed(ERROR))


def test_one_message_may_repeat_itself() -> None:
    """P4, P5: the first report of a fence counts; the same again is told so, another is refused."""
    book, lease = running()
    fence, good, bad = lease.fence, Succeeded(b"1"), Failed(ERROR)
    reports = (Report("a", fence, good), Report("a", fence, good), Report("a", fence, bad))
    answer = book.expect(Finish(reports), JobCompleted("a", book.now_ms, fence, b"1"))
    assert answer == Finished((True, True, False))


def test_a_lost_lease_does_not_spoil_the_rest_of_a_batch() -> None:
    """P4: each report is judged alone, and answered in its place."""
    book = Playbook()
    book.enqueue("a", "b", "c")
    a, b, c = book.lease(3)
    book.finish(b, Crashed(OTHER))
    reports = tuple(Report(lease.job_id, lease.fence, Succeeded()) for lease in (a, b, c))
    assert book.do(Finish(reports)) == Finished((True, False, True))
    assert [book.job(job_id).state for job_id in "abc"] == ["completed", "pending", "completed"]


# Progress


def test_progress_is_recorded_under_its_fence_only() -> None:
    """P4: a stale worker's progress is dropped without a word; a new attempt begins with none."""
    book, lease = running()
    told = Progress("a", lease.fence, b"50")
    book.expect(Finish((), (told,)), JobProgressed("a", book.now_ms, lease.fence, b"50"))
    book.expect(Finish((), (told._replace(fence=1), told._replace(job_id="x"))))
    trail = book.job("a").trail
    assert trail is not None
    assert trail.progress == b"50"
    book.finish(lease, Released())
    book.expect(Finish((), (told,)))
    book.lease()
    assert trail.progress is None


def test_the_last_progress_may_come_with_the_outcome() -> None:
    """P4: it is written before the outcome, in the same batch, and stays with the finished job."""
    book, lease = running()
    book.expect(
        Finish((Report("a", lease.fence, Succeeded()),), (Progress("a", lease.fence, b"100"),)),
        JobProgressed("a", book.now_ms, lease.fence, b"100"),
        JobCompleted("a", book.now_ms, lease.fence),
    )
    trail = book.job("a").trail
    assert trail is not None
    assert trail.progress == b"100"


# Crashes and poison


def test_a_crash_gives_every_lease_back() -> None:
    """P3, P12: nothing stays in flight; a rescue is used, not an attempt; the order is kept."""
    book = Playbook()
    book.enqueue("a", "b", "c", max_attempts=1)
    book.lease(2)
    assert book.crash() == Recovered(rescued=2, released=0, poisoned=0, cancelled=0)
    assert book.facts == [
        JobRescued("a", NOON_MS, 4, SERVER_DIED),
        JobRescued("b", NOON_MS, 5, SERVER_DIED),
    ]
    assert book.state.in_flight == {}
    assert [lease.job_id for lease in book.lease(3)] == ["a", "b", "c"]


def test_a_lease_whose_attempt_had_not_begun_is_not_blamed() -> None:
    """P12: only the attempts that were really running can have caused the crash."""
    book = Playbook()
    book.enqueue("a", "b", "c")
    a, b, _ = book.lease(3)
    book.do(Cancel(("c",)))
    assert book.crash({a.fence, 999}) == Recovered(rescued=1, released=1, poisoned=0, cancelled=1)
    assert [book.job(job_id).rescues for job_id in "abc"] == [1, 0, 0]
    assert [book.job(job_id).attempt for job_id in "ab"] == [1, 0]
    assert not book.finish(b, Succeeded()), "the lease is lost, begun or not"


def test_a_cancel_of_a_running_job_outlives_the_server() -> None:
    """P3: whoever was told that it shall stop is right also when the server dies before it does; begun or
    not, it does not run again."""
    book = Playbook()
    book.enqueue("a", "b")
    a, b = book.lease(2)
    book.do(Cancel(("a", "b")))
    assert book.crash({a.fence}) == Recovered(rescued=0, released=0, poisoned=0, cancelled=2)
    assert [book.job(job_id).state for job_id in "ab"] == ["cancelled", "cancelled"]
    assert book.lease(2) == ()
    assert not book.finish(b, Succeeded())


def test_a_recovery_that_finds_nothing_changes_nothing() -> None:
    """P3: a clean start."""
    book = Playbook()
    book.enqueue("a")
    assert book.crash() == Recovered(0, 0, 0, 0)
    assert book.facts == []


def test_a_job_whose_worker_keeps_dying_is_poison() -> None:
    """P12: at the third death, and not before; the errors tell of all three."""
    book = Playbook()
    book.enqueue("a")
    for _ in range(2):
        book.finish(book.lease()[0], Crashed(ERROR))
        assert book.job("a").state is JobState.PENDING
    (lease,) = book.lease()
    book.expect(report(lease, Crashed(ERROR)), JobDied("a", NOON_MS, "poison", ERROR))
    job = book.job("a")
    assert (job.state, job.rescues) == (JobState.DEAD, 3)
    assert job.trail is not None
    assert [error.attempt for error in job.trail.errors] == [1, 2, 3]
    assert (book.state.totals.rescued, book.state.totals.died) == (3, {"poison": 1})
    book.do(Retry(("a",)))
    assert book.job("a").rescues == 0


def test_two_jobs_on_their_last_chance_never_run_together() -> None:
    """P12: neither within one lease, nor in leases of different workers."""
    book = Playbook()
    book.enqueue("a", "b", "c")
    for _ in range(2):
        book.lease(3)
        book.crash()
    (first,) = book.lease(3, worker_id="w1")
    assert book.lease(3, worker_id="w2") == ()
    book.finish(first, Succeeded())
    (second,) = book.lease(3)
    book.finish(second, Failed(ERROR))
    assert [lease.job_id for lease in book.lease(3)] == ["c"]


@pytest.mark.parametrize("first", ["old", "new"])
def test_a_job_on_its_last_chance_runs_beside_no_other_suspect(first: str) -> None:
    """P12: whichever of the two starts first; a second killer with one death must not take it along."""
    book = Playbook()
    book.enqueue("old", priority=1)
    book.lease()
    book.crash()
    book.enqueue("new", priority=2 if first == "new" else 0)
    book.lease(2)
    book.crash()
    assert (book.job("old").rescues, book.job("new").rescues) == (2, 1)
    (lease,) = book.lease(2)
    assert lease.job_id == first
    assert book.lease(2) == ()
    book.finish(lease, Succeeded())
    assert len(book.lease(2)) == 1


def test_a_last_chance_does_not_hold_up_the_others() -> None:
    """P11, P12: jobs without deaths go on beside it, in their order."""
    book = Playbook()
    book.enqueue("a", "b")
    for _ in range(2):
        book.lease(2)
        book.crash()
    book.enqueue("c", "d")
    assert [lease.job_id for lease in book.lease(9)] == ["a", "c", "d"]


@pytest.mark.parametrize("slots", [2, 8])
@pytest.mark.parametrize("known", [False, True], ids=["every lease blamed", "running ones blamed"])
@pytest.mark.parametrize("place", [0, 3, 11])
def test_a_killer_dies_and_its_neighbours_do_not(slots: int, known: bool, place: int) -> None:
    """P12: a job that takes the whole server with it, among twelve that do not, until all have ended."""
    book = Playbook()
    names = [f"good-{number}" for number in range(12)]
    names.insert(place, "killer")
    book.enqueue(*names)
    crashes = 0
    while any(job.state is JobState.PENDING for job in book.state.jobs.values()):
        leases = book.lease(slots)
        assert leases, "somebody waits, and nobody is served"
        if any(lease.job_id == "killer" for lease in leases):
            book.crash([lease.fence for lease in leases] if known else None)
            crashes += 1
            assert crashes <= book.policy.max_rescues
        else:
            for lease in leases:
                book.finish(lease, Succeeded())
    assert crashes == book.policy.max_rescues
    for job in book.state.jobs.values():
        assert job.state == ("dead" if job.id == "killer" else "completed"), job.id
    trail = book.job("killer").trail
    assert trail is not None
    assert trail.reason == "poison"


def test_with_one_death_allowed_everyone_in_flight_is_blamed() -> None:
    """P12: there is no last chance to run alone in; the limit of one says so much."""
    book = Playbook(Policy(max_rescues=1))
    book.enqueue("a", "b")
    book.lease(2)
    assert book.crash() == Recovered(rescued=0, released=0, poisoned=2, cancelled=0)


# Deadlines


def test_a_worker_that_overruns_its_deadline_loses_the_job() -> None:
    """P4: at the timeout plus the grace, to the millisecond; its late report is refused."""
    book = Playbook()
    book.enqueue("a", timeout_ms=1_000)
    (lease,) = book.lease()
    book.pass_time(1_000 + book.policy.timeout_grace_ms - 1)
    book.expect(Tick())
    book.pass_time(1)
    book.do(Tick())
    (fact,) = book.facts
    assert isinstance(fact, JobFailed)
    assert (fact.fence, fact.error.type) == (lease.fence, "Timeout")
    assert not book.finish(lease, Succeeded(b"1"))
    assert book.job("a").attempt == 1


def test_an_overrun_after_a_cancel_request_is_a_cancel() -> None:
    """P4: the worker ignored both; the job does not run again."""
    book = Playbook()
    book.enqueue("a", timeout_ms=1_000)
    book.lease()
    book.do(Cancel(("a",)))
    book.pass_time(60_000)
    book.expect(Tick(), JobCancelled("a", book.now_ms))


def test_a_job_without_a_timeout_may_run_for_ever() -> None:
    """P4: no deadline, nothing to overrun."""
    book = Playbook()
    book.enqueue("a", timeout_ms=None)
    (lease,) = book.lease()
    book.pass_time(365 * 86_400_000)
    book.expect(Tick())
    assert book.finish(lease, Succeeded())
