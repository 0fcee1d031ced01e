"""What the messages about schedules carry: a schedule as asked for and as shown."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Raw, Struct, UnsetType

from beaver_actors.codec.wire_fields import (
    ATTEMPTS_MAX,
    CONCURRENCY_KEY_CHARS_MAX,
    DURATION,
    PRIORITY_MAX,
    QUEUE_PATTERN,
    SCHEDULE_PATTERN,
    TAGS_MAX,
    TIME,
    UNIQUE_KEY_CHARS_MAX,
    Args,
    Kind,
    QueueName,
    ScheduleName,
    Seconds,
    Tag,
    UserMeta,
    about,
)
from beaver_actors.codec.wire_job_objects import BackoffRule
from beaver_actors.core.job import ON_CONFLICT, UNIQUE_UNTIL, JobState, OnConflict, UniqueUntil
from beaver_actors.core.schedule import CATCH_UP, OVERLAP, CatchUp, Overlap, ScheduleSource


class ScheduledJobObject(Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The jobs of a schedule: what `NewJobObject` says, without what is one job's own."""

    kind: Kind
    args: Annotated[
        Raw | UnsetType, about("Named arguments for the handler: an object; {} if left out.", type="object")
    ] = UNSET
    queue: Annotated[str | None, about('"default" if nothing says otherwise.', pattern=QUEUE_PATTERN)] = None
    priority: Annotated[
        int | None, about("Larger runs first.", minimum=-PRIORITY_MAX, maximum=PRIORITY_MAX)
    ] = None
    max_attempts: Annotated[int | None, about("Runs in all.", minimum=1, maximum=ATTEMPTS_MAX)] = None
    timeout: Annotated[
        Seconds | UnsetType | None, about(f"The longest one attempt may run; null for no limit. {DURATION}")
    ] = UNSET
    backoff: Annotated[BackoffRule | None, about("The wait between failed attempts.")] = None
    retention: Annotated[Seconds | None, about(f"How long a finished job is kept. {DURATION}")] = None
    expires_in: Annotated[
        Seconds | None,
        about(f"A job that still waits so long after it came is dead, reason `expired`. {DURATION}"),
    ] = None
    unique_key: Annotated[
        str | None,
        about(
            "Taken by each of its jobs. While another job holds it no job comes, and the fire is told as "
            "skipped, reason `not_unique`.",
            minLength=1,
            maxLength=UNIQUE_KEY_CHARS_MAX,
        ),
    ] = None
    unique_until: Annotated[
        str | None, about("As for a job: finished if there is none.", enum=list(UNIQUE_UNTIL))
    ] = None
    unique_for: Annotated[Seconds | None, about(f"As for a job. {DURATION}")] = None
    on_conflict: Annotated[
        str | None,
        about(
            "replace: a job that holds the key and still waits makes way. reject (if there is none) and "
            "return_existing: no job comes; they differ for `trigger_schedule`, which is answered with "
            "`not_unique` or with that job.",
            enum=list(ON_CONFLICT),
        ),
    ] = None
    concurrency_key: Annotated[
        str | None, about("As for a job.", minLength=1, maxLength=CONCURRENCY_KEY_CHARS_MAX)
    ] = None
    tags: Annotated[tuple[Tag, ...] | None, about("For filters.", maxItems=TAGS_MAX)] = None
    meta: Annotated[
        Raw | UnsetType, about("Belongs to the user: an object of at most 16 KiB.", type="object")
    ] = UNSET


class NewScheduleObject(Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A schedule as asked for: exactly one of `cron` and `every`."""

    name: ScheduleName
    job: Annotated[ScheduledJobObject, about("The job that each fire brings.")]
    cron: Annotated[
        str | None,
        about(
            "Minute, hour, day of month, month, day of week; or @hourly, @daily, @weekly, @monthly, @yearly."
        ),
    ] = None
    every: Annotated[Seconds | None, about(f"An interval of 1 s to 366 d, counted from 1970. {DURATION}")] = (
        None
    )
    tz: Annotated[str | None, about("With cron: whose clocks, by IANA name; UTC if there is none.")] = None
    catch_up: Annotated[
        str | None,
        about(
            "Of several times that passed unnoticed: none brings a job for the newest if that was within the "
            "last minute, one (the default) brings one for the newest, all for each, 100 at most.",
            enum=list(CATCH_UP),
        ),
    ] = None
    overlap: Annotated[
        str | None,
        about(
            "While the job before is not finished: allow another (the default), skip the fire, or "
            "cancel_old, the job before.",
            enum=list(OVERLAP),
        ),
    ] = None
    paused: Annotated[bool | None, about("As it is if there is none; a new one is not.")] = None


class ScheduledJobShown(Struct, kw_only=True):
    """The jobs of a schedule, as they are enqueued. Durations are seconds."""

    kind: Kind
    args: Args
    queue: QueueName
    priority: int
    max_attempts: int
    timeout: int | float | None
    backoff: BackoffRule
    retention: int | float | None
    tags: tuple[str, ...]
    meta: UserMeta
    expires_in: int | float | None = None
    unique_key: str | None = None
    unique_until: Annotated[UniqueUntil | None, about("Null without a unique key.")] = None
    unique_for: int | float | None = None
    on_conflict: Annotated[OnConflict | None, about("Null without a unique key.")] = None
    concurrency_key: str | None = None


class ScheduleObject(Struct, kw_only=True):
    """A schedule as it is shown."""

    name: Annotated[str, about("Its name.", pattern=SCHEDULE_PATTERN)]
    job: ScheduledJobShown
    cron: str | None
    every: Annotated[int | float | None, about("Seconds.")]
    tz: str | None
    catch_up: CatchUp
    overlap: Overlap
    paused: bool
    source: Annotated[
        ScheduleSource, about("Who says so: a request, the app's code, or the server's configuration.")
    ]
    created_at: Annotated[str, about("When it was first set.", **TIME)]
    next: Annotated[list[str], about("The next times, as many as were asked for; none while paused.")]
    fired: Annotated[int, about("Jobs that came of it.")]
    skipped: Annotated[int, about("Times of which no job came: missed, overlapping, or their key was held.")]
    last_at: Annotated[str | None, about("The time for which the latest job came.", **TIME)]
    last_job_id: str | None
    last_job_state: Annotated[JobState | None, about("Null if it was deleted.")]
