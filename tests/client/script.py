"""A script for the client's core: what is asked, what the server says, and the JSON that is sent then."""

from __future__ import annotations

import json
from typing import Any

from beaver_actors.client.core import Core
from beaver_actors.client.errors import ConnectionLost
from beaver_actors.client.pending import Pending
from beaver_actors.client.subscriptions import EventSubscription
from beaver_actors.codec.wire_event_objects import EventFilter, EventObject
from beaver_actors.codec.wire_job_messages import GetRequest

LOST = ConnectionLost("the cable was pulled")


class Script:
    """A core and what it sends, as JSON."""

    def __init__(self, *, connected: bool = True) -> None:
        self.wakes = 0
        self.core = Core("json", self._wake)
        self.settled: list[Pending] = []
        if connected:
            self.core.opened()

    def _wake(self) -> None:
        self.wakes += 1

    def sent(self) -> list[dict[str, Any]]:
        """Everything that waits to be sent."""
        messages = []
        while (data := self.core.next_message()) is not None:
            messages.append(json.loads(data))
        return messages

    def get(self, job_id: str = "a") -> Pending:
        return self.core.ask(GetRequest(id="", job_id=job_id), self.settled.append)

    def receive(self, **message: Any) -> None:
        self.core.received(json.dumps(message))

    def reconnect(self) -> None:
        self.core.lost(LOST)
        self.core.opened()

    def events(self, from_lsn: int | None = None, wanted: EventFilter | None = None) -> EventSubscription:
        subscription = EventSubscription(wanted, from_lsn, lambda: None)
        self.core.subscribe(subscription)
        return subscription


def event(lsn: int) -> dict[str, Any]:
    return {"lsn": lsn, "event": "job_started", "at": "2026-01-01T00:00:00.000Z", "job_id": "a"}


def lsns(subscription: EventSubscription) -> list[int]:
    found: list[int] = []
    while items := subscription.take():
        found += [item.lsn if isinstance(item, EventObject) else -item.to_lsn for item in items]
    return found
