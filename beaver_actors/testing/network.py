"""The simulated network: connections in memory that are slow, break, and go silent, as real ones do.

What it models: delay, drawn for each piece and never overtaking; a bounded buffer on the way, so that a
reader who does not read holds up the writer; bytes that arrive in other pieces than they were sent in; a
connection that is cut (both ends see an error, and what was on its way is lost); one that is half open (both
ends believe in it, and nothing arrives any more); a server that nobody listens for, or that died in silence.

What it does not model: bytes that arrive changed or twice (TCP sees to that), and TLS.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import inf
from random import Random

import trio

BUFFER_BYTES = 65_536
"""On its way in one direction, at most: what kernels hold for one connection at first."""


class Refused(OSError):
    """Nobody listens there."""


class SimulatedNetwork:
    """All connections between clients and one server's address.

    Args:
        random: draws delays and pieces.
        delay_seconds: the longest delay of a piece; 0 for none.
        alive: asked by server ends: whether their process still runs. What a dead process does on the way
            out must not be seen by anyone.
    """

    def __init__(self, random: Random, delay_seconds: float, alive: Callable[[], bool]) -> None:
        self.random = random
        self.delay_seconds = delay_seconds
        self._alive = alive
        self._door: SimulatedListener | None = None
        self._open: dict[Connection, None] = {}
        self.opened = self.cut = self.silenced = 0
        """Connections so far: all, those that were cut, those that went silent."""

    def listen(self) -> SimulatedListener:
        """Open the server's door, in place of any earlier one."""
        self._door = SimulatedListener()
        return self._door

    async def connect(self) -> Stream:
        """Open a connection; the client's end. Raises Refused."""
        await trio.sleep(self.random.random() * self.delay_seconds)
        if self._door is None:
            raise Refused("nobody listens")
        connection = Connection(self)
        self._open[connection] = None
        self.opened += 1
        self._door.arrive(connection.server)
        return connection.client

    def server_died(self, *, silently: bool) -> None:
        """The server's process is gone. Its kernel closes what it had open, unless that is gone as well."""
        self._door = None
        for connection in list(self._open):
            if silently:
                connection.silence()
            else:
                connection.break_off()

    def trouble(self, *, silently: bool) -> None:
        """One connection, drawn at random, is cut or goes silent."""
        if self._open:
            connection = self.random.choice(list(self._open))
            if silently:
                self.silenced += 1
                connection.silence()
            else:
                self.cut += 1
                connection.break_off()

    def forget(self, connection: Connection) -> None:
        """It is over for both ends."""
        self._open.pop(connection, None)

    def server_lives(self) -> bool:
        """Whether the server's process still runs."""
        return self._alive()


class SimulatedListener(trio.abc.Listener["Stream"]):
    """The server's door."""

    def __init__(self) -> None:
        self._arrived: deque[Stream] = deque()
        self._news = trio.lowlevel.ParkingLot()

    def arrive(self, stream: Stream) -> None:
        """A client has connected."""
        self._arrived.append(stream)
        self._news.unpark()

    async def accept(self) -> Stream:
        """Wait for the next connection."""
        await trio.lowlevel.checkpoint()
        while not self._arrived:
            await self._news.park()
        return self._arrived.popleft()

    async def aclose(self) -> None:
        """Nothing to do: the door belongs to the network."""
        await trio.lowlevel.checkpoint()


class Connection:
    """Two ends and what is on its way between them."""

    def __init__(self, network: SimulatedNetwork) -> None:
        self.network = network
        up, down = Pipe(network), Pipe(network)
        self.client = Stream(self, incoming=down, outgoing=up, is_server=False)
        self.server = Stream(self, incoming=up, outgoing=down, is_server=True)
        self._pipes = up, down

    def break_off(self) -> None:
        """Both ends see an error from now on."""
        for pipe in self._pipes:
            pipe.break_off()
        self.network.forget(self)

    def silence(self) -> None:
        """Nothing arrives any more, and nobody is told."""
        for pipe in self._pipes:
            pipe.silence()

    def closed(self) -> None:
        """One end was closed."""
        if self.client.closed and self.server.closed:
            self.network.forget(self)


class Pipe:
    """One direction of a connection."""

    def __init__(self, network: SimulatedNetwork) -> None:
        self._network = network
        self._pieces: deque[tuple[float, bytes]] = deque()
        self._size = 0
        self._latest = -inf
        self._changed = trio.lowlevel.ParkingLot()
        self._broken = self._ended = self._silent = False

    async def send(self, data: bytes) -> None:
        """Put bytes on their way; waits while too many are."""
        await trio.lowlevel.checkpoint()
        while self._size >= BUFFER_BYTES and not self._broken:
            await self._changed.park()
        if self._broken:
            raise trio.BrokenResourceError("the simulated connection is cut")
        if self._silent:
            self._size += len(data)  # until the buffer is full, as it is with a peer that went away
            return
        network = self._network
        self._latest = max(
            self._latest, trio.current_time() + network.random.random() * network.delay_seconds
        )
        self._pieces.append((self._latest, data))
        self._size += len(data)
        self._changed.unpark_all()

    async def receive(self, limit: int) -> bytes:
        """Wait for bytes; none at the end."""
        await trio.lowlevel.checkpoint()
        while True:
            if self._broken:
                raise trio.BrokenResourceError("the simulated connection is cut")
            if self._pieces and not self._silent:
                arrival, data = self._pieces[0]
                if arrival > trio.current_time():
                    await trio.sleep_until(arrival)
                    continue
                return self._take(data, limit)
            if self._ended and not self._silent:
                return b""
            await self._changed.park()

    def _take(self, data: bytes, limit: int) -> bytes:
        arrival, _ = self._pieces.popleft()
        random = self._network.random
        while self._pieces and self._pieces[0][0] <= trio.current_time() and random.random() < 0.5:
            arrival, more = self._pieces.popleft()
            data += more
        if random.random() < 0.1:
            limit = min(limit, random.randint(1, len(data)))
        if len(data) > limit:
            self._pieces.appendleft((arrival, data[limit:]))
            data = data[:limit]
        self._size -= len(data)
        self._changed.unpark_all()
        return data

    def end(self) -> None:
        """The sender is done."""
        self._ended = True
        self._changed.unpark_all()

    def break_off(self) -> None:
        """Errors from now on; what was on its way is lost."""
        self._broken = True
        self._pieces.clear()
        self._changed.unpark_all()

    def silence(self) -> None:
        """Nothing arrives from now on."""
        self._silent = True
        self._pieces.clear()


class Stream(trio.abc.HalfCloseableStream):
    """One end of a connection."""

    def __init__(self, connection: Connection, incoming: Pipe, outgoing: Pipe, *, is_server: bool) -> None:
        self._connection = connection
        self._incoming = incoming
        self._outgoing = outgoing
        self._is_server = is_server
        self.closed = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send; returns when the bytes are on their way."""
        self._expect_open()
        await self._outgoing.send(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        """Never a reason to wait here."""
        self._expect_open()
        await trio.lowlevel.checkpoint()

    async def send_eof(self) -> None:
        """Send nothing more."""
        await trio.lowlevel.checkpoint()
        if self._is_seen():
            self._outgoing.end()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Wait for bytes; none at the end."""
        self._expect_open()
        return await self._incoming.receive(max_bytes or BUFFER_BYTES)

    async def aclose(self) -> None:
        """Close this end; the other reads what is on its way, and then the end."""
        if not self.closed:
            self.closed = True
            if self._is_seen():
                self._outgoing.end()
                self._incoming.break_off()
            self._connection.closed()
        await trio.lowlevel.checkpoint()

    def _expect_open(self) -> None:
        if self.closed:
            raise trio.ClosedResourceError
        if not self._is_seen():
            raise trio.BrokenResourceError("the process is dead")

    def _is_seen(self) -> bool:
        """Whether what this end does is seen by the other."""
        return not self._is_server or self._connection.network.server_lives()
