"""What the tests of sessions and of the HTTP routes stand on: a client's end of a connection in memory, and
the service over the real actors."""

from __future__ import annotations

import json
import random
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import cbor2
import msgspec
import trio

from beaver_actors.actors.fleet import Message
from beaver_actors.codec.ids import JobIds
from beaver_actors.codec.wire_answers import NodeView
from beaver_actors.codec.wire_decode import Limits
from beaver_actors.codec.wire_past import Wish
from beaver_actors.core.answers import RefusalCode
from beaver_actors.journal.past_replies import past_reply
from beaver_actors.journal.recovery import open_journal
from beaver_actors.journal.settings import JournalSettings
from beaver_actors.server.past import Past
from beaver_actors.server.service import Service
from beaver_actors.server.session import Session, SessionSettings
from beaver_actors.server.websocket import WebSocketClosed
from beaver_actors.testing.disk import SimulatedDisk
from tests.actors.world import World, running


class Client:
    """Both ends of a connection in memory: the server's as `Session` sees a WebSocket, and the client's.

    What the server sends waits in an outbox of `outbox_max` messages until the client hears it. Whether the
    session may pass a message on, or send one, without waiting is drawn by chance, so both ways are gone.
    """

    def __init__(self, outbox_max: int = 256) -> None:
        self.closed_with: tuple[int, str] | None = None
        self.outbox: deque[str | bytes] = deque()
        self._outbox_max = outbox_max
        self._inbox: deque[str | bytes] = deque()
        self._gone = False
        self._take: Callable[[str | bytes], bool] | None = None
        self._chance = random.Random(outbox_max)
        self._changed = trio.lowlevel.ParkingLot()

    # The server's end.

    @property
    def outbox_messages(self) -> int:
        return len(self.outbox)

    def take_over(self, take: Callable[[str | bytes], bool]) -> None:
        self._take = take

    def send_nowait(self, data: str | bytes) -> bool:
        if self._gone:
            raise WebSocketClosed
        if self._chance.random() < 0.3 or len(self.outbox) >= self._outbox_max:
            return False
        self.outbox.append(data)
        self._changed.unpark_all()
        return True

    async def receive(self) -> str | bytes | None:
        while not self._inbox and not self._gone:
            await self._changed.park()
        await trio.lowlevel.checkpoint()
        return self._inbox.popleft() if self._inbox and not self._gone else None

    async def send(self, data: str | bytes) -> None:
        while len(self.outbox) >= self._outbox_max and not self._gone:
            await self._changed.park()
        if self._gone:
            raise WebSocketClosed
        await trio.lowlevel.checkpoint_if_cancelled()
        self.outbox.append(data)
        self._changed.unpark_all()

    async def close(self, code: int, reason: str) -> None:
        await trio.lowlevel.checkpoint()
        self.closed_with = (code, reason)
        self.leave()

    # The client's end.

    def tell(self, message: str | bytes | dict[str, Any], *, cbor: bool = False) -> None:
        """Send; never waits."""
        if isinstance(message, dict):
            message = cbor2.dumps(message) if cbor else json.dumps(message)
        if self._take and not self._inbox and self._chance.random() < 0.7 and self._take(message):
            return
        self._inbox.append(message)
        self._changed.unpark_all()

    async def hear(self) -> dict[str, Any]:
        """The next message."""
        data = await self.hear_raw()
        value: dict[str, Any] = cbor2.loads(data) if isinstance(data, bytes) else json.loads(data)
        return value

    async def hear_raw(self) -> str | bytes:
        """The next message as it came."""
        while not self.outbox:
            await self._changed.park()
        data = self.outbox.popleft()
        self._changed.unpark_all()
        return data

    async def ask(self, message: dict[str, Any], *, cbor: bool = False) -> dict[str, Any]:
        """Send, and return the next message: for a connection on which nothing is pushed."""
        self.tell({"id": "q", **message}, cbor=cbor)
        return await self.hear()

    async def nothing_more(self) -> None:
        """All that was sent is heard, and nothing follows within a minute."""
        assert not self.outbox, list(self.outbox)
        await trio.sleep(60)
        assert not self.outbox, list(self.outbox)

    def leave(self) -> None:
        """Be gone."""
        self._gone = True
        self._changed.unpark_all()


@dataclass
class Node:
    """The process, as sessions see it."""

    draining: bool = False
    unready: str | None = None
    refusals: list[RefusalCode] = field(default_factory=list)

    def view(self) -> NodeView:
        return NodeView("0.1.0", 1_000_000, self.draining, 2, 1)

    def refused(self, code: RefusalCode) -> None:
        self.refusals.append(code)


class NoFleet:
    """Where no worker ever registers."""

    has_room = True

    async def tell(self, message: Message) -> None:
        raise AssertionError(f"a worker says {message}")

    def tell_nowait(self, message: Message) -> bool:
        raise AssertionError(f"a worker says {message}")


@dataclass
class House:
    """The service over a running life, and connections to it."""

    world: World
    node: Node
    service: Service
    nursery: trio.Nursery

    def connect(self, settings: SessionSettings | None = None, *, outbox_max: int = 256) -> Client:
        """A new connection with its session."""
        client = Client(outbox_max)
        self.nursery.start_soon(Session(client, self.service, settings).run)
        return client


async def _look_back(world: World, wish: Wish) -> bytes:
    """What a child process would answer, if the log of this life were on a disk."""
    await trio.lowlevel.checkpoint()
    disk = SimulatedDisk()
    journal = open_journal(disk, JournalSettings()).journal
    if world.log.facts:
        journal.append(world.log.facts)
    assert world.access is not None
    return msgspec.json.encode(past_reply(disk, wish, world.access.clock.now_ms()))


@asynccontextmanager
async def open_house(**options: Any) -> AsyncIterator[House]:
    """Run a life, as `tests.actors.world.running` does, and serve from it while the body runs.

    `limits` and `waiting_bytes_max` are for the service, all other options for the life.
    """
    service_options = {name: options.pop(name) for name in ("limits", "waiting_bytes_max") if name in options}
    service_options.setdefault("limits", Limits())
    async with running(**options) as world:
        assert world.access is not None
        node = Node()
        clock = world.access.clock
        ids = JobIds(clock.now_ms, random.Random(1).getrandbits)
        service = Service(
            world.access.jobs,
            world.access.stream,
            node,
            fleet=world.access.fleet,
            now_ms=clock.now_ms,
            ids=ids,
            past=(past := Past(partial(_look_back, world))),
            **service_options,
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(past.run)
            yield House(world, node, service, nursery)
            nursery.cancel_scope.cancel()
