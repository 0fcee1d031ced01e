"""Subscriptions as asked for to what the session serves: values checked, names of events become facts."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TypeAlias

from beaver_actors.codec.wire_checks import (
    check_duration,
    check_id,
    check_kind,
    check_queue,
    check_range,
    refuse,
)
from beaver_actors.codec.wire_errors import WireError, shorten
from beaver_actors.codec.wire_event_objects import EventFilter
from beaver_actors.codec.wire_fields import (
    BATCH_EVENTS_MAX,
    EVENTS,
    INTERVAL_MS_MAX,
    INTERVAL_MS_MIN,
    JOB_IDS_MAX,
    LSN_MAX,
)
from beaver_actors.codec.wire_watch_messages import SubscribeRequest
from beaver_actors.core.durations import shown
from beaver_actors.core.facts import EVENT_NAMES, Fact


@dataclass(frozen=True, slots=True)
class WatchStatus:
    """Push the status at this interval."""

    interval_ms: int


@dataclass(frozen=True, slots=True)
class WatchEvents:
    """Push events. None everywhere means no condition."""

    from_lsn: int | None
    kind: str | None
    queue: str | None
    job_ids: frozenset[str] | None
    facts: frozenset[type[Fact]] | None
    batch: int | None


Watch: TypeAlias = WatchStatus | WatchEvents

FACTS_BY_NAME: dict[str, type[Fact]] = {name: fact for fact, name in EVENT_NAMES.items()}


def to_watch(request: SubscribeRequest) -> Watch:
    """Check a subscription.

    Raises:
        WireError: a value is not allowed; carries the request's id.
    """
    try:
        return _status(request) if request.topic == "status" else _events(request)
    except WireError as error:
        error.request_id = request.id
        raise


def _status(request: SubscribeRequest) -> WatchStatus:
    for name in ("from_lsn", "filter", "batch"):
        if getattr(request, name) is not None:
            refuse(f"{name}: only for the topic events")
    interval = 1 if request.interval is None else request.interval
    interval_ms = check_duration(interval, "interval")
    if not INTERVAL_MS_MIN <= interval_ms <= INTERVAL_MS_MAX:
        refuse(f"interval: expected 0.1 s to 1 h, got {shown(interval)}")
    return WatchStatus(interval_ms)


def _events(request: SubscribeRequest) -> WatchEvents:
    if request.interval is not None:
        refuse("interval: only for the topic status")
    if request.from_lsn is not None:
        check_range(request.from_lsn, "from_lsn", 0, LSN_MAX)
    if request.batch is not None:
        check_range(request.batch, "batch", 1, BATCH_EVENTS_MAX)
    wanted = request.filter or EventFilter()
    return WatchEvents(
        request.from_lsn,
        None if wanted.kind is None else check_kind(wanted.kind, "filter.kind"),
        None if wanted.queue is None else check_queue(wanted.queue, "filter.queue"),
        None if wanted.job_ids is None else _job_ids(wanted.job_ids),
        None if wanted.events is None else _facts(wanted.events),
        request.batch,
    )


def _job_ids(job_ids: tuple[str, ...]) -> frozenset[str]:
    if not 1 <= len(job_ids) <= JOB_IDS_MAX:
        refuse(f"filter.job_ids: expected 1 to {JOB_IDS_MAX} ids, got {len(job_ids)}")
    for position, job_id in enumerate(job_ids):
        check_id(job_id, f"filter.job_ids[{position}]")
    return frozenset(job_ids)


def _facts(names: tuple[str, ...]) -> frozenset[type[Fact]]:
    if not names:
        refuse("filter.events: expected at least 1 event, got none")
    for position, name in enumerate(names):
        if name not in EVENTS:
            near = get_close_matches(name, EVENTS, n=1) if len(name) <= 50 else []
            hint = f'; did you mean "{near[0]}"?' if near else ""
            refuse(f'filter.events[{position}]: expected an event\'s name, got "{shorten(name)}"{hint}')
    return frozenset(FACTS_BY_NAME[name] for name in names)
