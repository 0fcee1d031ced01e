"""What messages of workers carry: leases, reports, what a worker is told, how it is shown. Structs only;
values are checked in `wire_workers`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Raw, Struct, UnsetType

from beaver_actors.codec.wire_fields import (
    CHILDREN_MAX,
    DURATION,
    TIME,
    WORKER_TEXT_CHARS_MAX,
    Args,
    Fence,
    JobId,
    Kind,
    QueueName,
    Seconds,
    Time,
    about,
)
from beaver_actors.codec.wire_job_objects import NewJobObject
from beaver_actors.core.job import JobState
from beaver_actors.core.workers import WorkerState

OutcomeName = Literal[
    "succeeded", "failed", "timed_out", "rejected", "snoozed", "stopped", "released", "crashed"
]


class ParentObject(Struct, kw_only=True):
    """A job that the leased one has waited for."""

    id: JobId
    state: Annotated[JobState | None, about("Null if it is gone.")]
    result: Annotated[Raw, about("What its handler returned; null for nothing.")]
    left_out: Annotated[
        bool | UnsetType,
        about(
            "True if the results of all parents are more than a mebibyte and this one is not sent: ask for "
            "it with `get`."
        ),
    ] = UNSET


class LeasedJobObject(Struct, kw_only=True):
    """The right to run one attempt of a job."""

    job_id: JobId
    fence: Fence
    attempt: Annotated[int, about("Which start of the job this is, from 1.")]
    max_attempts: int
    kind: Kind
    queue: QueueName
    args: Args
    meta: Annotated[
        Raw | UnsetType, about("What was sent with the job as its meta, if anything.", type="object")
    ] = UNSET
    timeout: Annotated[
        int | float | None, about("The longest that it may run, in seconds; null for no limit.")
    ]
    deadline: Annotated[
        str | None,
        about("When the job is taken from a worker that has not reported; null for no limit.", **TIME),
    ]
    parents: Annotated[
        list[ParentObject] | UnsetType,
        about("Those that it named in depends_on, in that order, if it has any."),
    ] = UNSET


class FailureObject(Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What went wrong."""

    type: Annotated[str, about("The error's class.", minLength=1, maxLength=WORKER_TEXT_CHARS_MAX)]
    message: str = ""
    traceback: str = ""


class ReportObject(Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How one attempt ended."""

    job_id: JobId
    fence: Fence
    outcome: Annotated[
        OutcomeName,
        about(
            "`failed` and `timed_out` use an attempt; `rejected`: no retry can help; `snoozed`: run it again "
            "later, nothing failed; `stopped`: it ended because it was cancelled; `released`: it is handed "
            "back unfinished; `crashed`: what ran it died, which uses a rescue."
        ),
    ]
    result: Annotated[
        Raw | UnsetType, about("succeeded: any JSON value; null for nothing, as if left out.")
    ] = UNSET
    error: Annotated[
        FailureObject | None, about("failed, timed_out, rejected, crashed: required; else not allowed.")
    ] = None
    jobs: Annotated[
        tuple[NewJobObject, ...] | None,
        about(
            "succeeded: jobs that are enqueued in the record that completes this one, as in `enqueue`. If "
            "they cannot be accepted, the attempt has failed (ChildrenRefused).",
            maxItems=CHILDREN_MAX,
        ),
    ] = None
    delay: Annotated[
        Seconds | None,
        about(
            "failed: how long to wait before the next attempt, instead of the job's own back-off. snoozed: "
            f"how long, required; less than a second is taken for one. {DURATION}"
        ),
    ] = None


class ProgressObject(Struct, kw_only=True, forbid_unknown_fields=True):
    """How far one attempt is. One that comes too late is dropped without a word."""

    job_id: JobId
    fence: Fence
    progress: Annotated[Raw, about("Any JSON value of at most 64 KiB.")]


class ReportReceipt(Struct, kw_only=True):
    """What has become of a report."""

    job_id: JobId
    fence: Fence
    recorded: Annotated[bool, about("Whether it is on disk, now or before.")]
    code: Annotated[Literal["lease_lost"] | None, about("Why not, if it is not.")]
    current_fence: Annotated[
        int, about("The job's latest lease; 0 if there is no such job, or it was never leased.")
    ]


class WorkerLimits(Struct, kw_only=True):
    """What a worker's reports may hold; more is refused with `too_large`."""

    message_bytes: int
    result_bytes: int
    error_message_chars: int
    traceback_chars: int


class WorkerObject(Struct, kw_only=True):
    """A worker on another machine."""

    worker_id: str
    state: Annotated[
        WorkerState,
        about("`suspect`: silent or without a connection; `draining`: takes no more jobs."),
    ]
    kinds: list[str]
    queues: Annotated[dict[str, int] | None, about("With their weights; null for all.")]
    slots: int
    in_flight: Annotated[int, about("Jobs that it holds.")]
    host: str
    pid: int
    version: str
    connected_at: Annotated[str | None, about("Null without a connection.", **TIME)]
    last_seen_at: Time
