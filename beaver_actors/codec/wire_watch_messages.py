"""The messages of those who look on: the status, events as they come, the past. Structs only; `wire_watch`
and `wire_past` check the values."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Struct

from beaver_actors.codec.wire_event_objects import EventFilter, EventObject
from beaver_actors.codec.wire_fields import (
    BATCH_EVENTS_MAX,
    DURATION,
    ID_PATTERN,
    TIME,
    JobId,
    Lsn,
    RequestBase,
    Seconds,
    about,
)
from beaver_actors.codec.wire_status_objects import StatusObject


class StatusRequest(RequestBase, tag="status"):
    """Show the counts of the whole queue. Reply: `status`."""


class SubscribeRequest(RequestBase, tag="subscribe"):
    """Push status or events from now on. Reply: `subscription`, the id that the pushes carry, and for events
    `lsn`, the position after which they begin."""

    topic: Literal["status", "events"]
    interval: Annotated[
        Seconds | None, about(f"status: the time between two pushes, 0.1 s to 1 h; 1 s if none. {DURATION}")
    ] = None
    from_lsn: Annotated[
        int | None, about("events: the first position wanted; from now on if there is none.", minimum=0)
    ] = None
    filter: Annotated[EventFilter | None, about("events: which ones.")] = None
    batch: Annotated[
        int | None,
        about(
            "events: if given, pushes are `events` messages of up to so many events each, far cheaper under "
            "load; else each event is an `event` message.",
            minimum=1,
            maximum=BATCH_EVENTS_MAX,
        ),
    ] = None


class UnsubscribeRequest(RequestBase, tag="unsubscribe"):
    """End a subscription. After the reply nothing more is pushed for it."""

    subscription: str


class HistoryRequest(RequestBase, tag="history"):
    """Show the whole life of a job, deleted or not, as far as the log is kept. Reply: `events`, oldest first,
    and `complete_from`, the position from which on they are all there."""

    job_id: JobId


class PastRequest(RequestBase, tag="past"):
    """Show the status as it was at a moment, or one job as it was. One of `lsn` and `at` is given. Reply:
    `status` or `job`, and `lsn`, the last position of that moment."""

    lsn: Annotated[int | None, about("After the event at this position.", minimum=0)] = None
    at: Annotated[str | None, about("At this time.", **TIME)] = None
    job_id: Annotated[str | None, about("This job; else the status.", pattern=ID_PATTERN)] = None


class StatusPush(Struct, kw_only=True, tag_field="type", tag="status"):
    """The status, pushed to a subscriber."""

    subscription: str
    status: StatusObject


class EventPush(EventObject, kw_only=True, omit_defaults=True, tag_field="type", tag="event"):
    """One event, pushed to a subscriber without `batch`."""

    subscription: str


class EventsPush(Struct, kw_only=True, tag_field="type", tag="events"):
    """Events in order, pushed to a subscriber with `batch`."""

    subscription: str
    events: list[EventObject]


class GapPush(Struct, kw_only=True, tag_field="type", tag="gap", rename={"from_lsn": "from", "to_lsn": "to"}):
    """The events from `from` through `to` are gone for good; the next push goes on after them (P10)."""

    subscription: str
    from_lsn: Lsn
    to_lsn: Lsn
