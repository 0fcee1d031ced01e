"""Messages of workers to what the fleet understands, and its answers to replies and pushes.

Checks every value that a stranger chose. Whether a lease is held is not judged here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from msgspec import UNSET, Raw

from beaver_actors.codec.ids import JobIds
from beaver_actors.codec.wire import Ok
from beaver_actors.codec.wire_checks import (
    check_duration,
    check_id,
    check_kind,
    check_queue,
    check_range,
    check_value,
    refuse,
)
from beaver_actors.codec.wire_decode import Limits
from beaver_actors.codec.wire_errors import WireError
from beaver_actors.codec.wire_fields import (
    CHILDREN_MAX,
    FENCES_MAX,
    LSN_MAX,
    PID_MAX,
    PROGRESS_BYTES_MAX,
    REPORTS_MAX,
    SNOOZE_MS_MIN,
    WEIGHTS_MAX,
    WORKER_KINDS_MAX,
    WORKER_QUEUES_MAX,
    WORKER_TEXT_CHARS_MAX,
)
from beaver_actors.codec.wire_jobs import Defaults, child_id, new_jobs
from beaver_actors.codec.wire_times import time_text
from beaver_actors.codec.wire_worker_messages import (
    HeartbeatRequest,
    LeasePush,
    NoticePush,
    ReadyRequest,
    RegisterRequest,
    ReportRequest,
    WorkerRequest,
)
from beaver_actors.codec.wire_worker_objects import (
    FailureObject,
    LeasedJobObject,
    ParentObject,
    ProgressObject,
    ReportObject,
    ReportReceipt,
    WorkerLimits,
    WorkerObject,
)
from beaver_actors.core.answers import Finished, LeasedJob, Parent
from beaver_actors.core.commands import NewJob, Progress, Report
from beaver_actors.core.durations import seconds
from beaver_actors.core.job import JobError
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
from beaver_actors.core.workers import Registration, Standing, WorkerView

PUSH_BYTES = 1024 * 1024
"""A `lease` message is sent when the args in it have grown to this, however few jobs are in it."""

PARENT_BYTES = 100
"""Taken for what a parent takes up beside its result."""

_NO_IDS = JobIds(lambda: 0, lambda bits: 0)
"""Every child has an id by then."""
_NOTHING = (UNSET, Raw(b"null"))
_encode = msgspec.json.Encoder().encode


def registration(request: RegisterRequest) -> tuple[Registration, tuple[int, ...]]:
    """Check what a worker says of itself; returns it, and the leases it names. Raises WireError."""
    with _saying_which(request):
        return _registration(request), _fences(request.fences)


def slots(request: ReadyRequest) -> int:
    """Check the number. Raises WireError."""
    with _saying_which(request):
        return check_range(request.slots, "slots", 0, FENCES_MAX)


def fences(request: HeartbeatRequest) -> tuple[int, ...]:
    """Check the leases that it names. Raises WireError."""
    with _saying_which(request):
        return _fences(request.fences)


def outcomes(
    request: ReportRequest, limits: Limits, defaults: Defaults
) -> tuple[tuple[Report, ...], tuple[Progress, ...]]:
    """Check reports and progress. Raises WireError."""
    with _saying_which(request):
        return _outcomes(request, limits, defaults)


@contextmanager
def _saying_which(request: WorkerRequest) -> Iterator[None]:
    """An error carries the id of its request."""
    try:
        yield
    except WireError as error:
        error.request_id = request.id
        raise


def _registration(request: RegisterRequest) -> Registration:
    check_id(request.worker_id, "worker_id")
    if not 1 <= len(request.kinds) <= WORKER_KINDS_MAX:
        refuse(f"kinds: expected 1 to {WORKER_KINDS_MAX} kinds, got {len(request.kinds)}")
    kinds = [check_kind(kind, f"kinds[{place}]") for place, kind in enumerate(request.kinds)]
    for name, text in (("host", request.host), ("version", request.version)):
        if len(text) > WORKER_TEXT_CHARS_MAX:
            refuse(f"{name}: expected at most {WORKER_TEXT_CHARS_MAX} characters, got {len(text)}")
    check_range(request.pid, "pid", 0, PID_MAX)
    return Registration(
        request.worker_id,
        frozenset(kinds),
        None if request.queues is None else _queues(request.queues),
        check_range(request.slots, "slots", 0, FENCES_MAX),
        request.host,
        request.pid,
        request.version,
    )


def _fences(named: list[int]) -> tuple[int, ...]:
    if len(named) > FENCES_MAX:
        refuse(f"fences: expected at most {FENCES_MAX} leases, got {len(named)}")
    return tuple(check_range(fence, f"fences[{place}]", 1, LSN_MAX) for place, fence in enumerate(named))


def _outcomes(
    request: ReportRequest, limits: Limits, defaults: Defaults
) -> tuple[tuple[Report, ...], tuple[Progress, ...]]:
    if not request.reports and not request.progress:
        refuse("reports: expected at least 1 report or progress, got none")
    for name, listed in (("reports", request.reports), ("progress", request.progress)):
        if len(listed) > REPORTS_MAX:
            refuse(f"{name}: expected at most {REPORTS_MAX}, got {len(listed)}")
    reports = tuple(
        _report(report, f"reports[{place}]", limits, defaults) for place, report in enumerate(request.reports)
    )
    progress = tuple(_progress(word, f"progress[{place}]") for place, word in enumerate(request.progress))
    return reports, progress


def _queues(weights: dict[str, int]) -> tuple[tuple[str, int], ...]:
    if not 1 <= len(weights) <= WORKER_QUEUES_MAX:
        refuse(f"queues: expected 1 to {WORKER_QUEUES_MAX} queues, got {len(weights)}")
    for name, weight in weights.items():
        check_queue(name, "queues")
        check_range(weight, f"queues.{name}", 1, WEIGHTS_MAX)
    if sum(weights.values()) > WEIGHTS_MAX:
        refuse(f"queues: expected weights of at most {WEIGHTS_MAX} together, got {sum(weights.values())}")
    return tuple(weights.items())


def _report(report: ReportObject, path: str, limits: Limits, defaults: Defaults) -> Report:
    check_id(report.job_id, f"{path}.job_id")
    check_range(report.fence, f"{path}.fence", 1, LSN_MAX)
    made = Report(report.job_id, report.fence, _outcome(report, path, limits))
    return made._replace(jobs=_children(report, path, limits, defaults)) if report.jobs else made


def _children(report: ReportObject, path: str, limits: Limits, defaults: Defaults) -> tuple[NewJob, ...]:
    jobs = report.jobs or ()
    if report.outcome != "succeeded":
        refuse(f"{path}.jobs: only for succeeded, got some for {report.outcome}")
    if len(jobs) > CHILDREN_MAX:
        refuse(f"{path}.jobs: expected at most {CHILDREN_MAX}, got {len(jobs)}")
    for number, job in enumerate(jobs):
        if job.id is None:
            job.id = child_id(report.job_id, report.fence, number)
    return new_jobs(jobs, _NO_IDS, limits, defaults, f"{path}.jobs[{{}}].")


def _outcome(report: ReportObject, path: str, limits: Limits) -> Outcome:
    how = report.outcome
    if report.result not in _NOTHING and how != "succeeded":
        refuse(f"{path}.result: only for succeeded, got one for {how}")
    if report.error is not None and how not in ("failed", "timed_out", "rejected", "crashed"):
        refuse(f"{path}.error: only for failed, timed_out, rejected and crashed, got one for {how}")
    if report.delay is not None and how not in ("failed", "snoozed"):
        refuse(f"{path}.delay: only for failed and snoozed, got one for {how}")
    delay_ms = None if report.delay is None else check_duration(report.delay, f"{path}.delay")
    match how:
        case "succeeded":
            return Succeeded(_result(report, path, limits))
        case "snoozed":
            if delay_ms is None:
                refuse(f"{path}.delay: required for snoozed, but missing")
            return Snoozed(max(delay_ms, SNOOZE_MS_MIN))
        case "stopped":
            return Stopped()
        case "released":
            return Released()
    error = _error(report.error, how, f"{path}.error", limits)
    match how:
        case "failed":
            return Failed(error, delay_ms)
        case "timed_out":
            return TimedOut(error)
        case "rejected":
            return Rejected(error)
        case "crashed":
            return Crashed(error)


def _result(report: ReportObject, path: str, limits: Limits) -> bytes | None:
    if report.result in _NOTHING:
        return None
    text = bytes(report.result)
    if len(text) > limits.result_bytes:
        message = f"expected at most {limits.result_bytes} bytes, got {len(text)}"
        raise WireError("too_large", f"{path}.result: {message}")
    check_value(text, f"{path}.result")
    return text


def _error(failure: FailureObject | None, how: str, path: str, limits: Limits) -> JobError:
    if failure is None:
        refuse(f"{path}: required for {how}, but missing")
    if not 1 <= len(failure.type) <= WORKER_TEXT_CHARS_MAX:
        refuse(f"{path}.type: expected 1 to {WORKER_TEXT_CHARS_MAX} characters, got {len(failure.type)}")
    for name, text, most in (
        ("message", failure.message, limits.error_message_chars),
        ("traceback", failure.traceback, limits.traceback_chars),
    ):
        if len(text) > most:
            message = f"{path}.{name}: expected at most {most} characters, got {len(text)}"
            raise WireError("too_large", message)
    return JobError(failure.type, failure.message, failure.traceback)


def _progress(word: ProgressObject, path: str) -> Progress:
    check_id(word.job_id, f"{path}.job_id")
    check_range(word.fence, f"{path}.fence", 1, LSN_MAX)
    text = bytes(word.progress)
    if len(text) > PROGRESS_BYTES_MAX:
        message = f"{path}.progress: expected at most {PROGRESS_BYTES_MAX} bytes, got {len(text)}"
        raise WireError("too_large", message)
    check_value(text, f"{path}.progress")
    return Progress(word.job_id, word.fence, text)


def register_ok(re: str, standing: Standing, lease_ms: int, heartbeat_ms: int, limits: Limits) -> Ok:
    """The reply to a worker that is registered."""
    ok = standing_ok(re, standing)
    ok.lease, ok.heartbeat = seconds(lease_ms), seconds(heartbeat_ms)
    ok.limits = WorkerLimits(
        message_bytes=limits.message_bytes,
        result_bytes=limits.result_bytes,
        error_message_chars=limits.error_message_chars,
        traceback_chars=limits.traceback_chars,
    )
    return ok


def standing_ok(re: str, standing: Standing) -> Ok:
    """The reply to a heartbeat."""
    lost, cancel, overdue = map(list, standing)
    return Ok(re=re, lost=lost, cancel=cancel, overdue=overdue)


def report_ok(re: str, reports: tuple[Report, ...], answer: Finished) -> Ok:
    """The reply to reports."""
    receipts = [
        ReportReceipt(
            job_id=report.job_id,
            fence=report.fence,
            recorded=recorded,
            code=None if recorded else "lease_lost",
            current_fence=current,
        )
        for report, recorded, current in zip(reports, answer.accepted, answer.fences, strict=True)
    ]
    return Ok(re=re, reports=receipts)


def workers_ok(re: str, views: tuple[WorkerView, ...]) -> Ok:
    """The reply to who asks for the workers, those with most jobs first."""
    ordered = sorted(views, key=lambda view: (-view.in_flight, view.registration.worker_id))
    return Ok(re=re, workers=Raw(_encode([worker_object(view) for view in ordered])))


def worker_object(view: WorkerView) -> WorkerObject:
    """A worker as it is shown."""
    registered = view.registration
    return WorkerObject(
        worker_id=registered.worker_id,
        state=view.state,
        kinds=sorted(registered.kinds),
        queues=None if registered.queues is None else dict(registered.queues),
        slots=registered.slots,
        in_flight=view.in_flight,
        host=registered.host,
        pid=registered.pid,
        version=registered.version,
        connected_at=None if view.connected_ms is None else time_text(view.connected_ms),
        last_seen_at=time_text(view.seen_ms),
    )


def lease_pushes(jobs: list[LeasedJob]) -> Iterator[LeasePush]:
    """The messages that hand a worker these jobs."""
    shown: list[LeasedJobObject] = []
    size = 0
    for job in jobs:
        job_bytes = len(job.args) + len(job.terms.meta)
        job_bytes += sum(PARENT_BYTES + len(parent.result or b"") for parent in job.parents)
        if shown and size + job_bytes > PUSH_BYTES:
            yield LeasePush(jobs=shown)
            shown, size = [], 0
        shown.append(leased_object(job))
        size += job_bytes
    if shown:
        yield LeasePush(jobs=shown)


def leased_object(job: LeasedJob) -> LeasedJobObject:
    """A lease as its worker is shown it."""
    terms = job.terms
    return LeasedJobObject(
        job_id=job.job_id,
        fence=job.fence,
        attempt=job.attempt,
        max_attempts=terms.max_attempts,
        kind=terms.kind,
        queue=terms.queue,
        args=Raw(job.args),
        meta=Raw(terms.meta) if terms.meta else UNSET,
        timeout=None if terms.timeout_ms is None else seconds(terms.timeout_ms),
        deadline=None if job.deadline_ms is None else time_text(job.deadline_ms),
        parents=list(map(_parent_object, job.parents)) or UNSET,
    )


def _parent_object(parent: Parent) -> ParentObject:
    return ParentObject(
        id=parent.job_id,
        state=parent.state,
        result=Raw(b"null" if parent.result is None else parent.result),
        left_out=parent.left_out or UNSET,
    )


def notice_push(standing: Standing) -> NoticePush:
    """The message that tells a worker of its leases."""
    lost, cancel, overdue = map(list, standing)
    return NoticePush(lost=lost, cancel=cancel, overdue=overdue)
