"""A server for the client's tests: real sessions on a real port, a queue in memory, and ways to be unkind.

The queue is a `Playbook`, so it decides as the real one does and shows every fact. Between it and the client
stand a tap, where a test may look at or hold up messages, and a proxy, which cuts connections when told to.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec
import trio

from beaver_actors.actors.publisher import Chunk, Gap
from beaver_actors.codec.ids import JobIds
from beaver_actors.codec.wire_answers import NodeView
from beaver_actors.codec.wire_cbor import json_from_cbor
from beaver_actors.core.answers import Answer, RefusalCode, Refused
from beaver_actors.core.commands import Command, Enqueue, Finish, Policy, Report
from beaver_actors.core.facts import Fact
from beaver_actors.core.job import JobError
from beaver_actors.core.outcome import Failed, Outcome, Rejected, Succeeded
from beaver_actors.kernel.mailbox import Reply
from beaver_actors.server.auth import Auth
from beaver_actors.server.http import Routes
from beaver_actors.server.listener import Listener
from beaver_actors.server.service import Service
from beaver_actors.server.session import Session
from beaver_actors.server.sockets import open_listeners
from beaver_actors.server.websocket import WebSocket, WebSocketClosed
from beaver_actors.testing.playbook import Playbook
from tests.server.house import NoFleet

KINDS = ("work", "demo.echo")
ERROR = JobError("ValueError", "no luck", "Traceback …")


class Queue:
    """The job manager, the log and the node, in memory."""

    def __init__(self) -> None:
        self.book = Playbook(Policy(served_kinds=frozenset(KINDS)))
        self.trimmed_lsn = 0
        """The events up to here are gone."""
        self.refuse: list[Refused] = []
        """Answers to the next enqueues, in turn."""
        self.draining = False
        self.unready: str | None = None
        self._grew = trio.Event()

    has_room = True

    async def post(self, command: Command) -> Reply[Answer]:
        return self.post_nowait(command)

    def post_nowait(self, command: Command) -> Reply[Answer]:
        reply: Reply[Answer] = Reply()
        if isinstance(command, Enqueue) and self.refuse:
            reply.give(self.refuse.pop(0))
        else:
            reply.give(self.book.do(command))
            self.grew()
        return reply

    async def ask(self, command: Command) -> Answer:
        return await (await self.post(command)).wait()

    async def read(self, after_lsn: int, limit: int) -> Chunk | Gap:
        while after_lsn >= len(self.book.log):
            await self._grew.wait()
        if after_lsn < self.trimmed_lsn:
            return Gap(after_lsn + 1, self.trimmed_lsn)
        return Chunk(after_lsn + 1, self.book.log[after_lsn : after_lsn + limit])

    def view(self) -> NodeView:
        return NodeView("1.2.3", self.book.now_ms, self.draining, 1, 1)

    def refused(self, code: RefusalCode) -> None:
        pass

    def grew(self) -> None:
        self._grew.set()
        self._grew = trio.Event()

    def run(self, outcome: Outcome | None = None, count: int = 1000) -> list[str]:
        """Run the jobs that wait; returns their ids. A job's result is its args unless said otherwise."""
        leases = self.book.lease(count, kinds=KINDS)
        reports = [Report(lease.job_id, lease.fence, outcome or Succeeded(lease.args)) for lease in leases]
        self.book.do(Finish(tuple(reports)))
        self.grew()
        return [lease.job_id for lease in leases]

    def fail(self) -> list[str]:
        """Run the jobs that wait and let them fail."""
        return self.run(Failed(ERROR))

    def reject(self) -> list[str]:
        """Run the jobs that wait and let them die."""
        return self.run(Rejected(ERROR))

    def trim(self) -> None:
        """Forget all events so far."""
        self.trimmed_lsn = len(self.book.log)

    @property
    def log(self) -> list[Fact]:
        return self.book.log


@dataclass
class Tap:
    """One connection as its session sees it, with the rig looking on."""

    websocket: WebSocket
    rig: Rig

    @property
    def outbox_messages(self) -> int:
        return self.websocket.outbox_messages

    def take_over(self, take: Callable[[str | bytes], bool]) -> None:
        """Not here: the rig's hooks wait, so messages take the way on which that is allowed."""

    def send_nowait(self, data: str | bytes) -> bool:
        return False

    async def receive(self) -> str | bytes | None:
        data = await self.websocket.receive()
        if data is None:
            # Sessions have no use for the code, so it has no public name.
            self.rig.goodbyes.append(int(getattr(self.websocket._connection.closed, "code", 1006)))
            self.rig.pulse()
        else:
            text = data if isinstance(data, str) else json_from_cbor(data)
            message = msgspec.json.decode(text)
            self.rig.requests.append(message)
            self.rig.pulse()
            await self.rig.on_request(message)
        return data

    async def send(self, data: str | bytes) -> None:
        text = data if isinstance(data, str) else json_from_cbor(data)
        message = msgspec.json.decode(text)
        await self.rig.on_reply(message)
        await self.websocket.send(data)
        self.rig.replies.append(message)
        self.rig.pulse()

    async def close(self, code: int, reason: str) -> None:
        await self.websocket.close(code, reason)


async def _nothing(message: dict[str, Any]) -> None:
    pass


Hook = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass
class Rig:
    """What a test holds."""

    queue: Queue
    proxy: Proxy
    listener: Listener
    url: str
    """Of the proxy."""
    direct_url: str
    listener_port: int
    requests: list[dict[str, Any]] = field(default_factory=list)
    """Every message that came, over all connections."""
    goodbyes: list[int] = field(default_factory=list)
    """The code with which each connection was closed; 1006 for one that broke."""
    replies: list[dict[str, Any]] = field(default_factory=list)
    """Every message that went out, over all connections."""
    on_request: Hook = _nothing
    """Awaited when a request has come, before it is understood."""
    on_reply: Hook = _nothing
    """Awaited when a message is about to be sent."""
    _news: trio.Event = field(default_factory=trio.Event)

    def sent(self, type_: str) -> list[dict[str, Any]]:
        """The requests of one type."""
        return [request for request in self.requests if request["type"] == type_]

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait for something that a message brings about."""
        while not true():
            await self._news.wait()

    async def until_answered(self, type_: str, times: int = 1) -> None:
        """Wait until so many requests of a type have been answered, in all."""

        def answered() -> bool:
            asked = {request["id"] for request in self.sent(type_)}
            return sum(reply.get("re") in asked for reply in self.replies) >= times

        await self.until(answered)

    def pulse(self) -> None:
        self._news.set()
        self._news = trio.Event()

    def revoke(self) -> None:
        """Take no token but another from now on."""
        self.listener._auth = Auth("another")

    def cut_at_reply(self, type_: str = "ok", times: int = 1) -> None:
        """Cut the connection instead of sending the next messages of a type."""
        left = times

        async def on_reply(message: dict[str, Any]) -> None:
            nonlocal left
            if message["type"] == type_ and left:
                left -= 1
                self.proxy.cut()

        self.on_reply = on_reply


class Proxy:
    """Passes bytes on between clients and the server, and stops doing so when told to."""

    def __init__(self, target_port: int) -> None:
        self.connections = 0
        """Ever accepted."""
        self.refusing = False
        self.frozen: trio.Event | None = None
        """While set and not over, nothing is passed on."""
        self._target_port = target_port
        self._open: set[trio.SocketStream] = set()

    def cut(self) -> None:
        """Break every connection, as a crash does."""
        for stream in self._open:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            stream.socket.close()
        self._open.clear()

    async def serve(self, client: trio.SocketStream) -> None:
        self.connections += 1
        if self.refusing:
            return
        with suppress(OSError):
            server = await trio.open_tcp_stream("127.0.0.1", self._target_port)
            self._open |= {client, server}
            async with server, trio.open_nursery() as nursery:
                nursery.start_soon(self._pass_on, client, server, nursery.cancel_scope)
                nursery.start_soon(self._pass_on, server, client, nursery.cancel_scope)
            self._open -= {client, server}

    async def _pass_on(
        self, source: trio.SocketStream, sink: trio.SocketStream, scope: trio.CancelScope
    ) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async for data in source:
                if self.frozen is not None:
                    await self.frozen.wait()
                await sink.send_all(data)
        scope.cancel()


@asynccontextmanager
async def rigged(token: str | None = None) -> AsyncIterator[Rig]:
    """A server on a free loopback port while the body runs."""
    queue = Queue()
    sockets, _ = await open_listeners("127.0.0.1", 0)
    port = sockets[0].socket.getsockname()[1]
    fronts = await trio.open_tcp_listeners(0, host="127.0.0.1")
    front_port = fronts[0].socket.getsockname()[1]
    proxy = Proxy(port)
    ids = JobIds(lambda: queue.book.now_ms, lambda bits: 0)
    service = Service(queue, queue, queue, fleet=NoFleet(), now_ms=lambda: queue.book.now_ms, ids=ids)

    async def talk(websocket: WebSocket) -> None:
        try:
            await Session(Tap(websocket, rig), service).run()
        except* WebSocketClosed:
            pass

    listener = Listener(Routes(), auth=Auth(token), websocket_handler=talk)
    rig = Rig(queue, proxy, listener, f"ws://127.0.0.1:{front_port}", f"ws://127.0.0.1:{port}", port)
    async with trio.open_nursery() as nursery:
        await nursery.start(listener.serve, sockets)
        nursery.start_soon(trio.serve_listeners, proxy.serve, fronts)
        try:
            yield rig
        finally:
            nursery.cancel_scope.cancel()
            for one in sockets:
                one.socket.close()
