"""What all sessions and HTTP handlers of one server share: the ways to the queue, the limits, and the
refusals that need no look at the queue."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec
import trio

from beaver_actors.codec.ids import JobIds
from beaver_actors.codec.wire_answers import status_object
from beaver_actors.codec.wire_decode import Limits
from beaver_actors.codec.wire_events import event_json
from beaver_actors.codec.wire_jobs import Defaults
from beaver_actors.codec.wire_past import Wish
from beaver_actors.codec.wire_schedule_messages import (
    ScheduleRequest,
    SetScheduleRequest,
    TriggerScheduleRequest,
)
from beaver_actors.codec.wire_schedules import NextTimes, to_schedule_command
from beaver_actors.core.answers import Refused, Status
from beaver_actors.core.commands import Command, Count
from beaver_actors.core.facts import Fact
from beaver_actors.server.past import Past
from beaver_actors.server.places import Places
from beaver_actors.server.ports import FleetPort, JobsPort, NodePort, StreamPort

WAITING_BYTES_MAX = 64 * 1024 * 1024
"""Messages with jobs that wait for the disk, over all connections; above it new ones are refused (P11)."""

STATUS_SECONDS = 0.1
"""How long a status is good enough for every subscriber: the shortest interval one can ask for."""

EVENTS_KEPT = 4096
EVENT_BYTES_KEPT = 4096
"""Written events are kept for other subscribers, unless they are large: 16 MiB at most."""


class Service:
    """One per server and life of the node.

    Args:
        jobs: the job manager.
        stream: the facts.
        node: the process.
        fleet: the workers on other machines.
        now_ms: the time, milliseconds UTC.
        wall_ms: what the wall clock shows, which schedules follow; None: the same.
        ids: makes ids for jobs that have none.
        limits: for one message.
        defaults: for jobs that do not say.
        waiting_bytes_max: of messages with jobs that wait for the disk.
        past: answers what was; None if nobody can.
    """

    def __init__(
        self,
        jobs: JobsPort,
        stream: StreamPort,
        node: NodePort,
        *,
        fleet: FleetPort,
        now_ms: Callable[[], int],
        wall_ms: Callable[[], int] | None = None,
        ids: JobIds,
        limits: Limits | None = None,
        defaults: Defaults | None = None,
        waiting_bytes_max: int = WAITING_BYTES_MAX,
        past: Past | None = None,
    ) -> None:
        self.jobs = jobs
        self.stream = stream
        self.node = node
        self.fleet = fleet
        self.now_ms = now_ms
        self.wall_ms = wall_ms or now_ms
        self.next_times = NextTimes()
        self.ids = ids
        self.limits = limits or Limits()
        self.defaults = defaults or Defaults()
        self.places = Places(jobs)
        self.past = past or Past(_no_past)
        self.waiting_bytes = 0
        self.subscriptions = 0
        """Subscriptions of all connections, for metrics."""
        self._waiting_bytes_max = waiting_bytes_max
        self._events: list[tuple[int, bytes]] = [(-1, b"")] * EVENTS_KEPT
        self._status = b""
        self._status_at = float("-inf")
        self._status_lock = trio.Lock()

    @property
    def has_room(self) -> bool:
        """Whether nobody has to wait now who wants something of the queue or the fleet."""
        return self.jobs.has_room and self.fleet.has_room

    def admit(self, size: int) -> Refused | None:
        """Take in a message with jobs, of `size` bytes, until `leave`; or say why not: nothing to leave."""
        if self.node.draining:
            return Refused("draining", "the server is stopping and takes no new jobs; another may", 1_000)
        # One message is always let in, or a small limit would refuse a large one for good.
        if self.waiting_bytes and self.waiting_bytes + size > self._waiting_bytes_max:
            message = f"{self.waiting_bytes} bytes of jobs wait for the disk already"
            return Refused("overloaded", message, 1_000)
        self.waiting_bytes += size
        return None

    def schedule_command(self, request: ScheduleRequest) -> Command | Refused:
        """What a request about schedules asks of the queue, or why it is not asked.

        Raises:
            WireError: a value is not allowed.
        """
        if isinstance(request, SetScheduleRequest | TriggerScheduleRequest) and self.node.draining:
            return Refused("draining", "the server is stopping and takes nothing new", 1_000)
        return to_schedule_command(request, self.wall_ms(), self.ids, self.limits, self.defaults)

    def leave(self, size: int) -> None:
        """The answer to an admitted message is there, or nobody waits for it any more."""
        self.waiting_bytes -= size

    async def status_text(self) -> bytes:
        """A recent status as JSON, for pushes; asked for once, however many subscribers there are."""
        async with self._status_lock:
            if trio.current_time() - self._status_at >= STATUS_SECONDS:
                answer = await self.jobs.ask(Count())
                assert isinstance(answer, Status), answer
                self._status = msgspec.json.encode(status_object(answer, self.node.view(), self.now_ms()))
                self._status_at = trio.current_time()
            return self._status

    def event_texts(self, facts: Iterable[tuple[int, Fact]]) -> Iterator[bytes]:
        """These facts, each with its LSN, as JSON texts of events, which are written once."""
        kept = self._events
        for lsn, fact in facts:
            place = lsn % EVENTS_KEPT
            kept_lsn, text = kept[place]
            if kept_lsn != lsn:
                text = event_json(lsn, fact)
                if len(text) <= EVENT_BYTES_KEPT:
                    kept[place] = lsn, text
            yield text


async def _no_past(wish: Wish) -> bytes:
    raise AssertionError(f"nobody serves {wish}")
