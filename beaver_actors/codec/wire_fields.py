"""The fields of the wire protocol: types, patterns and limits, each said once for code, checks and schema.

The messages themselves are in `wire_*_messages`; the objects that they carry in `wire_*objects`.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from msgspec import Meta, Raw, Struct

from beaver_actors.core.facts import EVENT_NAMES

ID_PATTERN = "^[!-~]{1,200}$"
KIND_PATTERN = "^[A-Za-z0-9_.:-]{1,200}$"
QUEUE_PATTERN = "^[A-Za-z0-9_.:-]{1,128}$"
SCHEDULE_PATTERN = "^[A-Za-z0-9_.:-]{1,100}$"
NEXT_MAX = 100
REQUEST_ID_CHARS_MAX = 200
PRIORITY_MAX = 100
ATTEMPTS_MAX = 1000
TAGS_MAX = 20
TAG_CHARS_MAX = 100
META_BYTES_MAX = 16 * 1024
DELAYS_MAX = 1000
UNIQUE_KEY_CHARS_MAX = 200
PARENTS_MAX = 10_000
"""Of one job. As many as a graph can have, so that one job may wait for all others of it."""
ERROR_TYPE_CHARS_MAX = 200
CHILDREN_MAX = 1000
"""Jobs that are enqueued with one completion."""
CONCURRENCY_KEY_CHARS_MAX = 200
JOBS_MAX = 1_000_000_000
"""Waiting jobs, where a queue has a limit of its own."""
MOVED_MAX = 1000
"""Jobs moved by one request."""
JOB_IDS_MAX = 1000
PAGE_JOBS_MAX = 1000
INTERVAL_MS_MIN = 100
INTERVAL_MS_MAX = 3_600_000
BATCH_EVENTS_MAX = 1000
LSN_MAX = 2**63 - 1
FENCES_MAX = 10_000
"""Leases named in one message, and the most that one worker may hold."""
REPORTS_MAX = 1000
WORKER_KINDS_MAX = 1000
WORKER_QUEUES_MAX = 100
WEIGHTS_MAX = 1000
"""Of all queues of one worker together."""
WORKER_TEXT_CHARS_MAX = 200
PID_MAX = 2**31 - 1
PROGRESS_BYTES_MAX = 65_536
SNOOZE_MS_MIN = 1_000
"""As for handlers of the server itself (`execute/context.py`)."""
DEPTH_MAX = 64
"""Objects and lists within each other; every JSON and CBOR library can follow that far."""
EVENTS = frozenset(EVENT_NAMES.values())


def about(description: str, **schema: Any) -> Meta:
    """What the schema says beyond the type. `wire_commands` checks the values, as it can tell what came."""
    return Meta(description=description, extra_json_schema=schema or None)


Seconds: TypeAlias = int | float | str
DURATION = 'Seconds as a number, or text: "250ms", "30s", "5m", "1h", "7d".'
TIME = {"format": "date-time"}

RequestId = Annotated[
    str,
    about("Chosen by the client; the reply carries it as `re`.", maxLength=REQUEST_ID_CHARS_MAX),
]
JobId = Annotated[str, about("The job's id.", pattern=ID_PATTERN)]
JobIds = Annotated[list[JobId], about("Ids of jobs.", minItems=1, maxItems=JOB_IDS_MAX)]
Tag = Annotated[str, about("Any text.", minLength=1, maxLength=TAG_CHARS_MAX)]
EventName = Annotated[str, about("The name of a fact.", enum=sorted(EVENTS))]
Kind = Annotated[str, about("Which handler runs the job.", pattern=KIND_PATTERN)]
QueueName = Annotated[str, about("A queue's name.", pattern=QUEUE_PATTERN)]
ScheduleName = Annotated[str, about("A schedule's name.", pattern=SCHEDULE_PATTERN)]
Fence = Annotated[
    int, about("The lease: its position in the log, which only grows.", minimum=1, maximum=LSN_MAX)
]
Fences = Annotated[list[Fence], about("Leases.", maxItems=FENCES_MAX)]
WorkerId = Annotated[str, about("The worker's id, new for each start of its process.", pattern=ID_PATTERN)]
Slots = Annotated[
    int, about("Jobs that the worker can hold at the same time.", minimum=0, maximum=FENCES_MAX)
]
Lsn = Annotated[int, about("A position in the log.", minimum=0)]
Args = Annotated[Raw, about("Named arguments for the handler: an object.", type="object")]
UserMeta = Annotated[Raw, about("Belongs to the user: an object of at most 16 KiB.", type="object")]
Time = Annotated[str, about("RFC 3339; the server writes UTC with milliseconds.", **TIME)]


class RequestBase(Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="type"):
    """What every request has."""

    id: RequestId
