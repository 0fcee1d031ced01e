"""Subscriptions: tasks that push the status or events to one client, at the pace of that client.

An event subscription is a cursor: it reads on, filters, and waits in `send` while the client is slow; what it
reads later comes from memory or the log, or is told as a gap. So nothing queues up for a slow client, and
nothing is left out silently (P10). Status messages are never piled up: one that is not yet written is enough.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import trio

from beaver_actors.actors.publisher import Gap
from beaver_actors.codec.wire_decode import Form, encode, in_form
from beaver_actors.codec.wire_events import event_push, events_push, status_push
from beaver_actors.codec.wire_watch import WatchEvents
from beaver_actors.codec.wire_watch_messages import GapPush
from beaver_actors.core.facts import (
    OPERATION_FACTS,
    QUEUE_FACTS,
    SCHEDULE_FACTS,
    Fact,
    JobEnqueued,
    JobMoved,
    OperationAdvanced,
    OperationEnded,
    OperationStarted,
    ScheduleFired,
    ScheduleRemoved,
    ScheduleSet,
)
from beaver_actors.server.places import Place
from beaver_actors.server.ports import Connection
from beaver_actors.server.service import Service

FACTS_READ = 1000
"""Facts looked at between two turns of the loop."""

OTHER_FACTS = (*QUEUE_FACTS, *OPERATION_FACTS, *SCHEDULE_FACTS)
"""Facts that are about no job."""

PUSH_BYTES = 1024 * 1024
"""An `events` message is sent when it has grown to this, however few events are in it."""


class Outgoing:
    """The way out of one connection, counting, so that one can tell what has been written."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sent = 0

    async def send(self, data: str | bytes) -> int:
        """Put a message into the outbox and return its number."""
        await self._connection.send(data)
        self._sent += 1
        return self._sent

    def send_nowait(self, data: str | bytes) -> bool:
        """Send a message if nothing has to be waited for; returns whether that was so."""
        sent = self._connection.send_nowait(data)
        self._sent += sent
        return sent

    def is_written(self, number: int) -> bool:
        """Whether that message has left the outbox."""
        return self._sent - self._connection.outbox_messages >= number


@dataclass(slots=True)
class Subscription:
    """One of a connection's subscriptions. Nothing is sent for it once its scope is cancelled."""

    id: str
    form: Form
    """That of the request."""
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)


async def push_status(
    subscription: Subscription, interval_ms: int, service: Service, outgoing: Outgoing
) -> None:
    """Push the status until the subscription ends."""
    due = trio.current_time()
    number = 0
    with subscription.scope:
        while True:
            if outgoing.is_written(number):
                text = status_push(subscription.id, await service.status_text())
                number = await outgoing.send(in_form(text, subscription.form))
            due = max(due + interval_ms / 1_000, trio.current_time())
            await trio.sleep_until(due)


async def push_events(
    subscription: Subscription, watch: WatchEvents, after_lsn: int, service: Service, outgoing: Outgoing
) -> None:
    """Push the events after `after_lsn` until the subscription ends."""
    with subscription.scope:
        while True:
            found = await service.stream.read(after_lsn, FACTS_READ)
            if isinstance(found, Gap):
                assert found.from_lsn == after_lsn + 1, f"asked for {after_lsn + 1}, the gap is {found}"
                gap = GapPush(subscription=subscription.id, from_lsn=found.from_lsn, to_lsn=found.to_lsn)
                await outgoing.send(encode(gap, subscription.form))
                after_lsn = found.to_lsn
                continue
            assert found.first_lsn == after_lsn + 1, f"asked for {after_lsn + 1}, got {found.first_lsn}"
            wanted = await _wanted(watch, found.first_lsn, found.facts, service)
            for message in _messages(subscription.id, watch, wanted, service):
                await outgoing.send(in_form(message, subscription.form))
            after_lsn += len(found.facts)


def _messages(
    subscription: str, watch: WatchEvents, wanted: Iterable[tuple[int, Fact]], service: Service
) -> Iterable[bytes]:
    """The messages that carry these events, one by one or in batches."""
    texts = service.event_texts(wanted)
    if watch.batch is None:
        for text in texts:
            yield event_push(subscription, text)
        return
    batch: list[bytes] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if len(batch) == watch.batch or size >= PUSH_BYTES:
            yield events_push(subscription, batch)
            batch, size = [], 0
    if batch:
        yield events_push(subscription, batch)


async def _wanted(
    watch: WatchEvents, first_lsn: int, facts: Sequence[Fact], service: Service
) -> list[tuple[int, Fact]]:
    """The facts that pass the filter, with their LSNs."""
    names, job_ids = watch.facts, watch.job_ids
    passed = list(enumerate(facts, first_lsn))
    if names is not None:
        passed = [(lsn, fact) for lsn, fact in passed if type(fact) in names]
    if job_ids is not None:
        passed = [
            (lsn, fact) for lsn, fact in passed if fact[0] in job_ids and not isinstance(fact, OTHER_FACTS)
        ]
    if watch.kind is None and watch.queue is None:
        return passed
    for fact in facts:
        if isinstance(fact, JobEnqueued | JobMoved):
            service.places.learn(fact)
    places = await service.places.find(fact[0] for _, fact in passed if not isinstance(fact, OTHER_FACTS))
    return [(lsn, fact) for lsn, fact in passed if _belongs(watch, fact, places)]


def _belongs(watch: WatchEvents, fact: Fact, places: dict[str, Place | None]) -> bool:
    """Whether the fact is about the kind and queue asked for, or about a job that nobody can place."""
    if isinstance(fact, QUEUE_FACTS):
        return watch.kind is None and fact.queue == watch.queue
    if isinstance(fact, OperationStarted | OperationAdvanced | OperationEnded):
        return False
    if isinstance(fact, ScheduleSet | ScheduleRemoved | ScheduleFired):
        return False  # of no kind and in no queue; its jobs are
    place = places[fact.job_id]
    return place is None or (
        watch.kind in (None, place.kind) and (watch.queue is None or place.queue in (None, watch.queue))
    )
