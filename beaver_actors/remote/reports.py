"""Between the protocol's words and those of `execute/`: a lease as the executor takes it, an outcome as a
report."""

from __future__ import annotations

from typing import assert_never

from msgspec import UNSET, Raw

from beaver_actors.codec.wire_decode import read
from beaver_actors.codec.wire_job_objects import NewJobObject
from beaver_actors.codec.wire_worker_objects import (
    FailureObject,
    LeasedJobObject,
    OutcomeName,
    ParentObject,
    ReportObject,
)
from beaver_actors.core.answers import LeasedJob, Parent
from beaver_actors.core.durations import seconds
from beaver_actors.core.job import JobError, Terms
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


def leased_job(job: LeasedJobObject) -> LeasedJob:
    """A lease as the executor takes it."""
    timeout_ms = None if job.timeout is None else round(job.timeout * 1000)
    meta = b"" if job.meta is UNSET else bytes(job.meta)
    terms = Terms(job.kind, job.queue, max_attempts=job.max_attempts, timeout_ms=timeout_ms, meta=meta)
    parents = () if job.parents is UNSET else tuple(map(_parent, job.parents))
    return LeasedJob(job.job_id, job.fence, job.attempt, terms, bytes(job.args), None, parents)


def _parent(parent: ParentObject) -> Parent:
    result = None if parent.result == Raw(b"null") else bytes(parent.result)
    return Parent(parent.id, parent.state, result, parent.left_out is True)


def report_of(job: LeasedJob, outcome: Outcome) -> ReportObject:
    """How an attempt ended, in the words of the protocol."""
    match outcome:
        case Succeeded(result, children):
            report = _report(job, "succeeded", result=UNSET if result is None else Raw(result))
            if children:
                report.jobs = tuple(read(NewJobObject, Raw(text)) for text in children)
            return report
        case Failed(error, retry_in_ms):
            return _report(job, "failed", error, retry_in_ms)
        case TimedOut(error):
            return _report(job, "timed_out", error)
        case Rejected(error):
            return _report(job, "rejected", error)
        case Snoozed(in_ms):
            return _report(job, "snoozed", delay_ms=in_ms)
        case Stopped():
            return _report(job, "stopped")
        case Released():
            return _report(job, "released")
        case Crashed(error):
            return _report(job, "crashed", error)
        case _:
            assert_never(outcome)


def _report(
    job: LeasedJob,
    how: OutcomeName,
    error: JobError | None = None,
    delay_ms: int | None = None,
    result: Raw | object = UNSET,
) -> ReportObject:
    return ReportObject(
        job_id=job.job_id,
        fence=job.fence,
        outcome=how,
        result=result,  # type: ignore[arg-type]  # UNSET has a type of its own
        error=None
        if error is None
        else FailureObject(type=error.type, message=error.message, traceback=error.traceback),
        delay=None if delay_ms is None else seconds(delay_ms),
    )
