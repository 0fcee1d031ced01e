"""Jobs as the messages carry them: as asked for, as accepted, as shown and explained.

Structs only. `wire_*_messages` put them into messages; their values are checked in `wire_commands`.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import UNSET, Raw, Struct, UnsetType

from beaver_actors.codec.wire_fields import (
    ATTEMPTS_MAX,
    CONCURRENCY_KEY_CHARS_MAX,
    DELAYS_MAX,
    DURATION,
    ID_PATTERN,
    PARENTS_MAX,
    PRIORITY_MAX,
    QUEUE_PATTERN,
    TAGS_MAX,
    TIME,
    UNIQUE_KEY_CHARS_MAX,
    Args,
    JobId,
    Kind,
    QueueName,
    Seconds,
    Tag,
    Time,
    UserMeta,
    about,
)
from beaver_actors.core.answers import BecauseReason, RefusalCode, WaitReason
from beaver_actors.core.job import (
    ON_CONFLICT,
    ON_PARENT_FAILURE,
    UNIQUE_UNTIL,
    EndReason,
    JobState,
    OnParentFailure,
    UniqueUntil,
)


class Polynomial(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="polynomial"
):
    """Wait n**exponent seconds + base, with jitter up to 10 s * (n + 1) more; n = 0 for the first retry."""

    exponent: Annotated[int | float, about("From 0 to 10.")] = 4
    base: Annotated[Seconds, about(DURATION)] = 15
    cap: Annotated[Seconds, about(f"No wait is longer. {DURATION}")] = "7d"
    jitter: bool = True


class Exponential(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="exponential"
):
    """Wait initial * factor**n, at most cap; with jitter evenly drawn between nothing and that."""

    initial: Annotated[Seconds, about(DURATION)] = 1
    factor: Annotated[int | float, about("From 1 to 100.")] = 2
    cap: Annotated[Seconds, about(f"No wait is longer. {DURATION}")] = "10m"
    jitter: bool = True


class Fixed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="fixed"):
    """Wait the same each time."""

    delay: Annotated[Seconds, about(DURATION)]


class Listed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="list"):
    """Wait these in turn; the last one repeats."""

    delays: Annotated[tuple[Seconds, ...], about("Durations.", minItems=1, maxItems=DELAYS_MAX)]


BackoffRule: TypeAlias = Polynomial | Exponential | Fixed | Listed


class NewJobObject(Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A job to be enqueued. What is left out follows the kind's own definition, if the server knows it, then
    the server's settings. Null means the same as leaving the field out, except for `timeout`."""

    kind: Kind
    args: Annotated[
        Raw | UnsetType, about("Named arguments for the handler: an object; {} if left out.", type="object")
    ] = UNSET
    id: Annotated[
        str | None,
        about(
            "Chosen by the client, which makes repeating the request harmless; the server makes a UUIDv7 if "
            "there is none.",
            pattern=ID_PATTERN,
        ),
    ] = None
    queue: Annotated[str | None, about('"default" if nothing says otherwise.', pattern=QUEUE_PATTERN)] = None
    priority: Annotated[
        int | None,
        about("Larger runs first; 0 if nothing says otherwise.", minimum=-PRIORITY_MAX, maximum=PRIORITY_MAX),
    ] = None
    run_at: Annotated[
        str | None, about("RFC 3339. Not before this time; a time in the past means now.", **TIME)
    ] = None
    delay: Annotated[Seconds | None, about(f"Not before this much later. {DURATION}")] = None
    max_attempts: Annotated[
        int | None, about("Runs in all; 25 if nothing says otherwise.", minimum=1, maximum=ATTEMPTS_MAX)
    ] = None
    timeout: Annotated[
        Seconds | UnsetType | None,
        about(
            "The longest one attempt may run; null for no limit; 30 minutes if nothing says otherwise. "
            + DURATION
        ),
    ] = UNSET
    backoff: Annotated[
        BackoffRule | None, about("The wait between failed attempts; polynomial if nothing says otherwise.")
    ] = None
    expires_at: Annotated[
        str | None, about("RFC 3339. A job that still waits then is dead, reason `expired`.", **TIME)
    ] = None
    unique_key: Annotated[
        str | None,
        about("At most one job holds a key at a time.", minLength=1, maxLength=UNIQUE_KEY_CHARS_MAX),
    ] = None
    unique_until: Annotated[
        str | None,
        about(
            "With unique_key: held until the job is finished (the default), until its first attempt has "
            "started, or for a window of time whatever becomes of it.",
            enum=list(UNIQUE_UNTIL),
        ),
    ] = None
    unique_for: Annotated[
        Seconds | None,
        about(f"With unique_key: held at most so long from now; a window needs one. {DURATION}"),
    ] = None
    on_conflict: Annotated[
        str | None,
        about(
            "With unique_key, if another job holds it: reject refuses all jobs of the message with "
            "not_unique (the default), return_existing answers with the id of that job, replace cancels that "
            "job if it still waits, and else rejects.",
            enum=list(ON_CONFLICT),
        ),
    ] = None
    depends_on: Annotated[
        tuple[JobId, ...] | None,
        about(
            "Its parents: jobs of this message or before. It is blocked until all of them have ended.",
            maxItems=PARENTS_MAX,
        ),
    ] = None
    on_parent_failure: Annotated[
        str | None,
        about(
            "With depends_on, if a parent dies, is cancelled or is deleted: cancel this job too (the "
            "default), or continue as if it had completed.",
            enum=list(ON_PARENT_FAILURE),
        ),
    ] = None
    retention: Annotated[
        Seconds | None,
        about(f"How long the finished job is kept; the server's rule if nothing says otherwise. {DURATION}"),
    ] = None
    concurrency_key: Annotated[
        str | None,
        about(
            "Jobs of one key take turns with those of others in their queue, and share the limits that the "
            "queue sets for each key.",
            minLength=1,
            maxLength=CONCURRENCY_KEY_CHARS_MAX,
        ),
    ] = None
    tags: Annotated[
        tuple[Tag, ...] | None,
        about("For filters.", maxItems=TAGS_MAX),
    ] = None
    meta: Annotated[
        Raw | UnsetType, about("Belongs to the user: an object of at most 16 KiB.", type="object")
    ] = UNSET


class Receipt(Struct, kw_only=True):
    """A job that is accepted: now, or before (`duplicate`)."""

    id: Annotated[
        str,
        about(
            "The job's id; with on_conflict return_existing that of the job which holds the key.",
            pattern=ID_PATTERN,
        ),
    ]
    duplicate: bool
    lsn: Annotated[
        int | UnsetType,
        about(
            "The position of its job_enqueued, if some jobs of the message depend on others. Else new jobs "
            "have positions in a row, in their order, and that of the reply is the last."
        ),
    ] = UNSET


class ChangeObject(Struct, kw_only=True):
    """What a command did to one job or queue."""

    name: Annotated[str, about("The job's id, or the queue's name.")]
    changed: bool
    code: Annotated[RefusalCode | None, about("Why not, if it was not.")] = None
    state: Annotated[JobState | None, about("The job's state afterwards; null if it does not exist.")] = None


class ErrorObject(Struct, kw_only=True):
    """What went wrong in one attempt."""

    at: Time
    attempt: int
    type: str
    message: str
    traceback: str


class RelativeObject(Struct, kw_only=True):
    """A parent or a child of a job."""

    id: JobId
    kind: Annotated[str | None, about("Null, as the state, for a job that is gone.")]
    state: JobState | None


class JobObject(Struct, kw_only=True):
    """A job as it is shown. Durations are seconds."""

    id: JobId
    kind: Kind
    args: Args
    queue: QueueName
    priority: int
    state: JobState
    run_at: Time
    max_attempts: int
    timeout: int | float | None
    backoff: BackoffRule
    expires_at: Time | None
    retention: int | float | None
    unique_key: str | None = None
    unique_until: UniqueUntil | None = None
    unique_for: int | float | None = None
    depends_on: Annotated[list[JobId] | UnsetType, about("Its parents, if it has any.")] = UNSET
    on_parent_failure: Annotated[OnParentFailure | UnsetType, about("If it has parents.")] = UNSET
    parents: Annotated[
        list[RelativeObject] | UnsetType,
        about("In the reply to `get`, if it has any: the first thousand, in the order of depends_on."),
    ] = UNSET
    children: Annotated[
        list[RelativeObject] | UnsetType,
        about("In the reply to `get`, if it has any: the first thousand jobs that depend on it."),
    ] = UNSET
    children_count: Annotated[int | UnsetType, about("With children: how many there are in all.")] = UNSET
    concurrency_key: str | None = None
    tags: tuple[str, ...]
    meta: UserMeta
    created_at: Time
    started_at: Annotated[str | None, about("When the latest attempt started.", **TIME)]
    finished_at: Time | None
    attempt: Annotated[int, about("Starts so far.")]
    rescues: Annotated[int, about("Attempts that ended because a worker or the server died.")]
    fence: Annotated[int, about("The position of the latest lease; it only grows. 0 before the first.")]
    worker_id: str | None
    cancel_requested: bool
    reason: Annotated[
        EndReason | None,
        about("Why it is dead; or cancelled, if nobody asked for that."),
    ]
    waits_for: Annotated[WaitReason | None, about("Why it does not run now.")]
    progress: Annotated[Raw, about("What the handler last told; null for nothing.")]
    result: Annotated[Raw, about("What the handler returned; null for nothing.")]
    errors: list[ErrorObject]
    lsn: Annotated[int, about("The position of the latest event of this job.")]


class BecauseObject(Struct, kw_only=True):
    """One reason why a job does not run, or why it ended."""

    reason: BecauseReason
    text: Annotated[str, about("The same in half a sentence about the job.")]
    until: Annotated[
        str | None, about("When this ends by itself; null if it does not, or nobody knows.", **TIME)
    ]
    jobs: Annotated[tuple[str, ...], about("The jobs that it waits for, the first few of them.")]
    total: Annotated[int | None, about("How many there are; null if it waits for none.")]
    exact: Annotated[bool, about("False: there are more than `total`.")]
    names: Annotated[
        tuple[str, ...], about("What else it is about: queue, workers, or kinds that are served.")
    ]


class ExplanationObject(Struct, kw_only=True):
    """Why a job does not run, or why it ended."""

    job_id: JobId
    state: JobState
    text: Annotated[str, about("All of it in a sentence.")]
    because: Annotated[list[BecauseObject], about("The most stubborn reason first.")]
