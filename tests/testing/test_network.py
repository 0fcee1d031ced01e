"""The simulated network: everything that its fault model names comes up, and nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random

import pytest
import trio
from trio.testing import MockClock

from beaver_actors.testing.network import BUFFER_BYTES, Refused, SimulatedListener, SimulatedNetwork, Stream

FOREVER = 1_000_000.0
"""Simulated seconds: whatever has not happened by then does not happen."""


class Place:
    """A network, and a server's process that may die."""

    def __init__(self, seed: int = 1, delay_seconds: float = 0.0) -> None:
        self.alive = True
        self.network = SimulatedNetwork(Random(seed), delay_seconds, lambda: self.alive)
        self.door: SimulatedListener = self.network.listen()

    async def connected(self) -> tuple[Stream, Stream]:
        """The client's end and the server's."""
        client = await self.network.connect()
        return client, await self.door.accept()


async def read(stream: Stream, size: int) -> bytes:
    """So many bytes, in as many pieces as it takes."""
    data = b""
    while len(data) < size:
        piece = await stream.receive_some(size - len(data))
        assert piece, "the end came first"
        data += piece
    return data


async def never(work: Callable[[], Awaitable[object]]) -> None:
    """Expect that something never happens."""
    with trio.move_on_after(FOREVER) as patience:
        await work()
    assert patience.cancelled_caught, "it happened"


async def test_bytes_arrive_both_ways_in_order_and_late(autojump_clock: MockClock) -> None:
    """Delay: drawn for each piece up to the longest, and never overtaking."""
    place = Place(delay_seconds=0.5)
    client, server = await place.connected()
    arrivals: list[float] = []

    async def send_all(stream: Stream) -> None:
        for number in range(200):
            await stream.send_all(number.to_bytes(2, "big"))

    async def expect_all(stream: Stream) -> None:
        for number in range(200):
            assert await read(stream, 2) == number.to_bytes(2, "big")
            arrivals.append(trio.current_time())

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for sender, receiver in ((client, server), (server, client)):
            nursery.start_soon(send_all, sender)
            nursery.start_soon(expect_all, receiver)
    late = {arrival - began for arrival in arrivals}
    assert len(late) > 5, "all took the same time"
    assert 0 < min(late) < max(late) <= 0.5


async def test_without_delay_no_time_passes(autojump_clock: MockClock) -> None:
    """Delay 0 is none."""
    place = Place()
    client, server = await place.connected()
    await client.send_all(b"at once")
    assert await read(server, 7) == b"at once"
    assert autojump_clock.current_time() == 0


async def test_a_reader_that_does_not_read_holds_up_the_writer(autojump_clock: MockClock) -> None:
    """The buffer on the way is bounded, and a writer goes on as soon as something is taken."""
    place = Place()
    client, server = await place.connected()
    sent = 0

    async def send() -> None:
        nonlocal sent
        while True:
            await client.send_all(b"x" * 1000)
            sent += 1000

    await never(send)
    assert BUFFER_BYTES <= sent < BUFFER_BYTES + 1000
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await read(server, 30_000)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert sent >= BUFFER_BYTES + 29_000


async def test_bytes_arrive_in_other_pieces_than_they_were_sent_in(autojump_clock: MockClock) -> None:
    """A piece may come in parts, and several as one; no byte is lost, doubled or moved by that."""
    place = Place()
    client, server = await place.connected()
    sent = [bytes([number]) * 100 for number in range(200)]
    for piece in sent:
        await client.send_all(piece)
    arrived: list[bytes] = []
    while len(b"".join(arrived)) < 200 * 100:
        arrived.append(await server.receive_some())
    assert b"".join(arrived) == b"".join(sent)
    sizes = {len(piece) for piece in arrived}
    assert min(sizes) < 100 < max(sizes)
    assert 100 in sizes


async def test_nobody_gets_more_than_was_asked_for(autojump_clock: MockClock) -> None:
    """What is left of a piece comes next."""
    place = Place()
    client, server = await place.connected()
    for _ in range(10):
        await client.send_all(b"abc" * 10)
    left = 300
    while left:
        piece = await server.receive_some(7)
        assert 1 <= len(piece) <= 7
        left -= len(piece)


@pytest.mark.parametrize("side", ["client", "server"])
async def test_what_is_on_its_way_arrives_before_the_end(side: str, autojump_clock: MockClock) -> None:
    """Closing: the other end reads everything, then the end, and cannot send any more."""
    place = Place(delay_seconds=0.2)
    client, server = await place.connected()
    leaver, other = (client, server) if side == "client" else (server, client)
    await leaver.send_all(b"goodbye")
    await leaver.aclose()
    assert await read(other, 7) == b"goodbye"
    assert await other.receive_some() == b""
    with pytest.raises(trio.BrokenResourceError):
        await other.send_all(b"too late")
    with pytest.raises(trio.ClosedResourceError):
        await leaver.send_all(b"mine")
    with pytest.raises(trio.ClosedResourceError):
        await leaver.receive_some()


async def test_who_has_sent_everything_can_still_read(autojump_clock: MockClock) -> None:
    """A half that is closed is the end for the reader, and nothing for the other direction."""
    client, server = await Place().connected()
    await client.send_eof()
    assert await server.receive_some() == b""
    await server.send_all(b"answer")
    assert await read(client, 6) == b"answer"


@pytest.mark.parametrize("waits", ["to read", "to write", "for nothing"])
async def test_a_cut_is_seen_by_both_ends(waits: str, autojump_clock: MockClock) -> None:
    """Both get an error, whatever they are at; what was on its way is lost."""
    place = Place(delay_seconds=0.2)
    client, server = await place.connected()
    await client.send_all(b"lost")
    errors = 0

    async def write(stream: Stream) -> None:
        while True:
            await stream.send_all(b"x" * 1000)

    async def use(stream: Stream) -> None:
        nonlocal errors
        with pytest.raises(trio.BrokenResourceError):
            await (write(stream) if waits == "to write" else stream.receive_some())
        errors += 1

    async with trio.open_nursery() as nursery:
        if waits != "for nothing":
            nursery.start_soon(use, client)
            nursery.start_soon(use, server)
            await trio.testing.wait_all_tasks_blocked()
        place.network.trouble(silently=False)
        if waits == "for nothing":
            nursery.start_soon(use, client)
            nursery.start_soon(use, server)
    assert (errors, place.network.cut) == (2, 1)


async def test_of_a_half_open_connection_neither_end_hears_again(autojump_clock: MockClock) -> None:
    """Silence: both go on sending until the buffer is full, nothing arrives, and nobody is told."""
    place = Place(delay_seconds=0.2)
    client, server = await place.connected()
    await client.send_all(b"lost on its way")
    place.network.trouble(silently=True)
    await client.send_all(b"lost")
    await server.send_all(b"lost")
    await never(server.receive_some)
    await never(client.receive_some)

    async def send_for_ever() -> None:
        while True:
            await client.send_all(b"x" * 1000)

    await never(send_for_ever)
    await client.aclose()
    await never(server.receive_some)  # not even the end arrives
    assert place.network.silenced == 1


async def test_trouble_befalls_one_connection_of_many(autojump_clock: MockClock) -> None:
    """The others go on; of none, nothing happens."""
    place = Place()
    place.network.trouble(silently=False)
    pairs = [await place.connected() for _ in range(5)]
    place.network.trouble(silently=False)
    broken = 0
    for client, server in pairs:
        try:
            await client.send_all(b"hello")
        except trio.BrokenResourceError:
            broken += 1
        else:
            assert await read(server, 5) == b"hello"
    assert (broken, place.network.cut, place.network.opened) == (1, 1, 5)


async def test_nobody_listens_before_the_door_is_open_and_after_the_server_died(
    autojump_clock: MockClock,
) -> None:
    """Refused, as by a host whose port is closed."""
    network = SimulatedNetwork(Random(1), 0.1, lambda: True)
    with pytest.raises(Refused):
        await network.connect()
    network.listen()
    await network.connect()
    network.server_died(silently=False)
    with pytest.raises(Refused):
        await network.connect()


async def test_when_a_process_dies_its_clients_see_an_error_at_once(autojump_clock: MockClock) -> None:
    """Its kernel closes what it had open, also what it had not accepted yet."""
    place = Place()
    client, server = await place.connected()
    waiting = await place.network.connect()
    place.alive = False
    place.network.server_died(silently=False)
    for stream in (client, waiting):
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
    assert server is not None


async def test_when_a_machine_dies_its_clients_hear_nothing(autojump_clock: MockClock) -> None:
    """Power loss: connections are half open, and the next process knows nothing of them."""
    place = Place(delay_seconds=0.1)
    client, server = await place.connected()
    await server.send_all(b"lost on its way")
    place.alive = False
    place.network.server_died(silently=True)
    place.alive = True
    place.door = place.network.listen()
    await never(client.receive_some)
    again, server = await place.connected()
    await again.send_all(b"new")
    assert await read(server, 3) == b"new"


async def test_nobody_sees_what_a_dead_process_does_on_its_way_out(autojump_clock: MockClock) -> None:
    """It cannot send, and its goodbye does not arrive; what it sent while it lived does."""
    place = Place(delay_seconds=0.1)
    client, server = await place.connected()
    await server.send_all(b"alive")
    place.alive = False
    for dead in (server.send_all(b"dead"), server.receive_some()):
        with pytest.raises(trio.BrokenResourceError):
            await dead
    await server.send_eof()
    await server.aclose()
    assert await read(client, 5) == b"alive"
    await never(client.receive_some)


async def test_a_seed_repeats_all_delays_and_pieces(autojump_clock: MockClock) -> None:
    """Same seed, same arrivals; another seed, others."""

    async def arrivals(seed: int) -> list[tuple[float, bytes]]:
        place = Place(seed, 0.5)
        client, server = await place.connected()
        began, seen, left = trio.current_time(), list[tuple[float, bytes]](), 50 * 64
        for _ in range(50):
            await client.send_all(b"x" * 64)
        while left:
            piece = await server.receive_some()
            left -= len(piece)
            seen.append((round(trio.current_time() - began, 6), piece))
        return seen

    assert await arrivals(3) == await arrivals(3)
    assert await arrivals(3) != await arrivals(4)
