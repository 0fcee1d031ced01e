"""The attempt, from lease to outcome: who may run a job, what follows from how it ended, and what becomes of
leases when the server that held them is gone. Part of `decide`: reads, never writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from beaver_actors.core.answers import Finished, Leased, LeasedJob, Recovered, Refused
from beaver_actors.core.choose import choose
from beaver_actors.core.commands import Finish, Lease, NewJob, Policy, Progress, Recover, Report
from beaver_actors.core.decision import Decision
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
    JobStarted,
)
from beaver_actors.core.job import Job, JobError, JobState
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
from beaver_actors.core.retry import delay_ms
from beaver_actors.core.state import State
from beaver_actors.core.views import shown_parents

IN_FLIGHT = JobState.IN_FLIGHT

CHILDREN_REFUSED = "ChildrenRefused"
"""The error of an attempt whose children could not be enqueued."""
SERVER_DIED = JobError("WorkerDied", "the server stopped while the job was running")


def lease(state: State, command: Lease, now_ms: int, policy: Policy) -> Decision:
    facts: list[Fact] = []
    leased: list[LeasedJob] = []
    if policy.storage_full:
        return Decision(facts, Leased(()))
    lsn = state.lsn
    for job in choose(state, command, now_ms, policy):
        lsn += 1
        timeout_ms = job.terms.timeout_ms
        deadline_ms = None if timeout_ms is None else now_ms + timeout_ms + policy.timeout_grace_ms
        facts.append(JobStarted(job.id, now_ms, command.worker_id, deadline_ms, command.lease_ms))
        parents = () if job.extras is None else shown_parents(state, job)
        leased.append(LeasedJob(job.id, lsn, job.attempt + 1, job.terms, job.args, deadline_ms, parents))
    return Decision(facts, Leased(tuple(leased)))


def finish(
    state: State,
    command: Finish,
    now_ms: int,
    policy: Policy,
    take: Callable[[tuple[NewJob, ...]], Sequence[Fact] | Refused],
) -> Decision:
    """Record how attempts ended. `take`: judges the jobs that come into being with a completion."""
    facts: list[Fact] = []
    accepted: list[bool] = []
    fences: list[int] = []
    seen: dict[int, Outcome] = {}
    for item in command.progress:
        job = state.jobs.get(item.job_id)
        if job is not None and _is_its_own(job, item) and job.state is IN_FLIGHT:
            facts.append(JobProgressed(item.job_id, now_ms, item.fence, item.progress))
    for report in command.reports:
        job = state.jobs.get(report.job_id)
        fences.append(0 if job is None else job.fence)
        if job is None or not _is_its_own(job, report):
            accepted.append(False)
        elif report.fence in seen:
            accepted.append(seen[report.fence] == report.outcome)
        elif job.state is not IN_FLIGHT:
            accepted.append(_recorded_before(job, report.outcome))
        else:
            outcome = report.outcome
            children: Sequence[Fact] = ()
            if report.jobs and isinstance(outcome, Succeeded):
                outcome, children = _with_children(outcome, take(report.jobs))
            facts.append(ending(job, outcome, report.dice, now_ms, policy))
            facts += children
            seen[report.fence] = report.outcome
            accepted.append(True)
    return Decision(facts, Finished(tuple(accepted), tuple(fences)))


def _with_children(outcome: Outcome, taken: Sequence[Fact] | Refused) -> tuple[Outcome, Sequence[Fact]]:
    """An attempt and its children are recorded together or not at all: one whose children are refused has
    failed. On a full disk it goes back as if it had never begun, since it is not to blame."""
    if not isinstance(taken, Refused):
        return outcome, taken
    if taken.code == "storage_full":
        return Released(), ()
    return Failed(JobError(CHILDREN_REFUSED, f"{taken.code}: {taken.message}")), ()


def _is_its_own(job: Job, told: Report | Progress) -> bool:
    """Whether this is about the job's latest attempt, and told by who runs or ran it."""
    trail = job.trail
    if trail is None or not trail.fence or trail.fence != told.fence:
        return False
    return told.worker_id is None or trail.worker_id == told.worker_id


def ending(job: Job, outcome: Outcome, dice: float, now_ms: int, policy: Policy) -> Fact:
    """What an outcome means for a job in flight."""
    if isinstance(outcome, Succeeded):
        return JobCompleted(job.id, now_ms, job.fence, outcome.result)
    if job.trail is not None and job.trail.cancel_requested:
        return JobCancelled(job.id, now_ms)
    match outcome:
        case Rejected(error):
            return JobDied(job.id, now_ms, "rejected", error)
        case Failed(error, retry_in_ms):
            return _failure(job, error, retry_in_ms, dice, now_ms)
        case TimedOut(error):
            return _failure(job, error, None, dice, now_ms)
        case Snoozed(in_ms):
            return JobSnoozed(job.id, now_ms, job.fence, now_ms + max(in_ms, 0))
        case Crashed(error):
            if job.rescues + 1 >= policy.max_rescues:
                return JobDied(job.id, now_ms, "poison", error)
            return JobRescued(job.id, now_ms, job.fence, error)
        case Released() | Stopped():
            # A handler that stops unasked has not finished: it goes back as if it had never begun.
            return JobReleased(job.id, now_ms, job.fence)


def _failure(job: Job, error: JobError, retry_in_ms: int | None, dice: float, now_ms: int) -> Fact:
    if job.failures >= job.terms.max_attempts:
        return JobDied(job.id, now_ms, "max_attempts", error)
    wait_ms = delay_ms(job.terms.backoff, job.failures - 1, dice) if retry_in_ms is None else retry_in_ms
    return JobFailed(job.id, now_ms, job.fence, error, now_ms + max(wait_ms, 0))


def _recorded_before(job: Job, outcome: Outcome) -> bool:
    """Whether the log already says this of the job's latest attempt, so that repeating it is harmless (P5).

    The log keeps no outcomes, only what followed from them, and that is what is compared. An attempt that
    ended on a cancel request answers to any outcome but success: it would have led to the same.
    """
    trail = job.trail
    assert trail is not None, f"job {job.id} has a fence but was never started"
    started_ms = trail.started_ms or 0
    error = trail.errors[-1] if trail.errors else None
    if error is not None and (error.at_ms < started_ms or error.attempt < job.attempt):
        error = None  # of an attempt before
    if isinstance(outcome, Succeeded) and error is not None and error.type == CHILDREN_REFUSED:
        return True
    if isinstance(outcome, Succeeded) or job.state is JobState.COMPLETED:
        same = isinstance(outcome, Succeeded) and outcome.result == trail.result
        return same and job.state is JobState.COMPLETED
    if error is None and job.state is JobState.CANCELLED:
        return True
    match outcome:
        case Failed(told) | TimedOut(told) | Rejected(told) | Crashed(told):
            by_handler = isinstance(outcome, Rejected)
            return error is not None and error[2:] == told and by_handler == (trail.reason == "rejected")
        case Snoozed(in_ms):
            return error is None and started_ms + in_ms <= job.run_at_ms
        case Released() | Stopped():
            return error is None and job.run_at_ms <= started_ms


def recover(state: State, command: Recover, now_ms: int, policy: Policy) -> Decision:
    """Give back every lease of the life before, but for those of workers that have not died with it."""
    facts: list[Fact] = []
    for job in sorted(state.in_flight.values(), key=lambda job: job.fence):
        if job.trail is not None and job.trail.lease_ms is not None:
            continue
        begun = command.running is None or job.fence in command.running
        outcome: Outcome = Crashed(SERVER_DIED) if begun else Released()
        facts.append(ending(job, outcome, 0.5, now_ms, policy))
    kinds = [type(fact) for fact in facts]
    return Decision(
        facts,
        Recovered(
            rescued=kinds.count(JobRescued),
            released=kinds.count(JobReleased),
            poisoned=kinds.count(JobDied),
            cancelled=kinds.count(JobCancelled),
        ),
    )
