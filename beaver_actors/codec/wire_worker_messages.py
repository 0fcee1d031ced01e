"""The messages between the server and workers on other machines: what they ask and report, what is pushed to
them. Structs only; `wire_workers` checks the values."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Struct, field

from beaver_actors.codec.wire_fields import (
    PID_MAX,
    REPORTS_MAX,
    WORKER_KINDS_MAX,
    WORKER_QUEUES_MAX,
    WORKER_TEXT_CHARS_MAX,
    Fence,
    Fences,
    Kind,
    QueueName,
    RequestBase,
    Slots,
    WorkerId,
    about,
)
from beaver_actors.codec.wire_worker_objects import LeasedJobObject, ProgressObject, ReportObject


class RegisterRequest(RequestBase, tag="register"):
    """From now on this connection is that of a worker. Reply: `lease`, `heartbeat`, `limits`, and what it
    must know of the leases it names: `lost`, `cancel`, `overdue`."""

    worker_id: WorkerId
    kinds: Annotated[list[Kind], about("The kinds that it can run.", minItems=1, maxItems=WORKER_KINDS_MAX)]
    queues: Annotated[
        dict[QueueName, int] | None,
        about(
            "The queues it serves, each with a weight: how often it gets a turn among those of one priority. "
            "All queues if there is none.",
            minProperties=1,
            maxProperties=WORKER_QUEUES_MAX,
        ),
    ] = None
    slots: Slots = 0
    fences: Annotated[
        Fences, about("After a reconnect: what it runs, and what it has reported without an answer.")
    ] = field(default_factory=list)
    host: Annotated[str, about("For people.", maxLength=WORKER_TEXT_CHARS_MAX)] = ""
    pid: Annotated[int, about("For people.", minimum=0, maximum=PID_MAX)] = 0
    version: Annotated[str, about("For people.", maxLength=WORKER_TEXT_CHARS_MAX)] = ""


class ReadyRequest(RequestBase, tag="ready"):
    """The worker can hold so many jobs at the same time from now on; 0: no more, for it drains. Jobs come as
    `lease` pushes while it holds fewer. Reply: nothing but `ok`."""

    slots: Slots


class HeartbeatRequest(RequestBase, tag="heartbeat"):
    """The worker lives; these leases begin anew. Reply: `lost`, `cancel`, `overdue`."""

    fences: Annotated[Fences, about("What it runs, and what it has reported without an answer.")]


class ReportRequest(RequestBase, tag="report"):
    """How attempts ended, and how far others are. Reply: `reports`, a `ReportReceipt` for each in order; it
    is sent when they are on disk. A stale lease is told there, and changes nothing (P4)."""

    reports: Annotated[list[ReportObject], about("Outcomes.", maxItems=REPORTS_MAX)] = field(
        default_factory=list
    )
    progress: Annotated[list[ProgressObject], about("Progress.", maxItems=REPORTS_MAX)] = field(
        default_factory=list
    )


class DeregisterRequest(RequestBase, tag="deregister"):
    """The worker ends, and runs nothing any more: what it still holds goes back, without using an attempt."""


class WorkersRequest(RequestBase, tag="workers"):
    """Show the workers on other machines. Reply: `workers`."""


class LeasePush(Struct, kw_only=True, tag_field="type", tag="lease"):
    """Jobs for a worker to run."""

    jobs: list[LeasedJobObject]


class NoticePush(Struct, kw_only=True, omit_defaults=True, tag_field="type", tag="notice"):
    """What a worker should know of its leases at once; replies to heartbeats repeat it."""

    lost: Annotated[list[Fence], about("These are no longer its: stop, and do not report.")] = []
    cancel: Annotated[list[Fence], about("Someone wants these stopped.")] = []
    overdue: Annotated[
        list[Fence], about("The timeout of these has passed; they will be taken from it.")
    ] = []


WorkerPush: TypeAlias = LeasePush | NoticePush
WorkerRequest: TypeAlias = (
    RegisterRequest | ReadyRequest | HeartbeatRequest | ReportRequest | DeregisterRequest
)
"""What only workers say, on a connection that is theirs."""
