"""The publisher and the stream: every fact once, whatever becomes of readers and of the actor itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from beaver_actors.actors import publisher
from beaver_actors.actors.publisher import Chunk, Committed, Gap, Message, Read, Stream
from beaver_actors.core.facts import Fact, QueuePaused
from beaver_actors.kernel.mailbox import Mailbox
from beaver_actors.kernel.offload import inline
from beaver_actors.kernel.supervise import one_for_one


def facts(first_lsn: int, count: int) -> list[Fact]:
    return [QueuePaused(f"q{lsn}", lsn) for lsn in range(first_lsn, first_lsn + count)]


def told(first_lsn: int, count: int) -> Committed:
    return Committed(Chunk(first_lsn, facts(first_lsn, count)))


def files(head: Callable[[], int], oldest: int = 1) -> Callable[[int, int], Chunk]:
    """History as the log's files have it, from `oldest` through `head()`."""

    def read(first_lsn: int, limit: int) -> Chunk:
        first_lsn = max(first_lsn, oldest)
        return Chunk(first_lsn, facts(first_lsn, min(limit, head() - first_lsn + 1)))

    return read


async def read_through(stream: Stream, after_lsn: int, through_lsn: int) -> list[int]:
    """Read on until `through_lsn`; the LSNs that came."""
    came: list[int] = []
    while after_lsn < through_lsn:
        found = await stream.read(after_lsn, 7)
        assert isinstance(found, Chunk)
        assert found.first_lsn == after_lsn + 1
        for lsn, fact in enumerate(found.facts, found.first_lsn):
            assert fact == QueuePaused(f"q{lsn}", lsn)
            came.append(lsn)
        after_lsn = came[-1]
    return came


async def test_a_reader_survives_a_publisher_that_fails_with_its_question_in_hand(
    autojump_clock: MockClock,
) -> None:
    """P10, by a publisher that dies between taking a batch and dealing with it."""
    mailbox = Mailbox[Message]("publisher", 16)
    handle = mailbox.handle()
    failures: list[str] = []
    poisoned = trio.Event()
    lives = 0

    async def run() -> None:
        nonlocal lives
        lives += 1
        if lives == 1:
            # Something that is no message, taken in one batch with the reader's question, and before it.
            await handle.tell(None)  # type: ignore[arg-type]  # the fault
            poisoned.set()
            await wait_all_tasks_blocked()
        await publisher.run(mailbox, 0)

    stream = Stream(handle.clone(), files(lambda: 0), inline)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one_for_one, "publisher", run, lambda name, _: failures.append(name))
        came: list[int] = []

        async def watch() -> None:
            await poisoned.wait()
            came.extend(await read_through(stream, 0, 5))

        nursery.start_soon(watch)
        await trio.sleep(1)
        await handle.tell(told(1, 5))
        await trio.sleep(1)
        assert came == [1, 2, 3, 4, 5]
        assert failures == ["publisher"]
        stream.close()
        handle.close()


async def test_readers_who_gave_up_are_forgotten_though_nothing_happens(autojump_clock: MockClock) -> None:
    """A dashboard that subscribes and leaves, on an idle server, all night."""
    mailbox = Mailbox[Message]("publisher", 16)
    handle = mailbox.handle()
    stream = Stream(handle.clone(), files(lambda: 0), inline)
    rounds = 10 * publisher.BATCH_MAX
    kept: list[Read] = []
    original = publisher._answer

    def spy(recent: publisher._Recent, read: Read) -> bool:
        kept.append(read)
        return original(recent, read)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(publisher.run, mailbox, 0)
        for _ in range(rounds):
            with trio.move_on_after(0.001):
                await stream.read(0, 10)
        with pytest.MonkeyPatch.context() as patch:
            # Who is asked about at the next commit is who was kept.
            patch.setattr(publisher, "_answer", spy)
            await handle.tell(told(1, 1))
            await wait_all_tasks_blocked()
        assert len(kept) < rounds / 3
        stream.close()
        handle.close()


async def test_a_commit_that_was_not_told_in_time_is_read_from_the_files(autojump_clock: MockClock) -> None:
    """P10, by a hole in what the publisher hears, and by the word that only names the head."""
    head = 0
    mailbox = Mailbox[Message]("publisher", 16)
    handle = mailbox.handle()
    stream = Stream(handle.clone(), files(lambda: head), inline)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(publisher.run, mailbox, 0)
        head = 3
        await handle.tell(told(1, 3))
        assert await read_through(stream, 0, 3) == [1, 2, 3]
        head = 9  # 4 to 9 are on disk, and nobody was told
        await handle.tell(Committed(Chunk(10, ())))
        with trio.fail_after(5):
            assert await read_through(stream, 3, 9) == [4, 5, 6, 7, 8, 9]
        head = 15  # 10 to 12 are missed, 13 to 15 told
        await handle.tell(told(13, 3))
        assert await read_through(stream, 9, 15) == [10, 11, 12, 13, 14, 15]
        stream.close()
        handle.close()


async def test_what_was_trimmed_is_told_as_one_gap_and_the_rest_follows(autojump_clock: MockClock) -> None:
    """P10, by a history whose beginning is gone."""
    mailbox = Mailbox[Message]("publisher", 16)
    handle = mailbox.handle()
    stream = Stream(handle.clone(), files(lambda: 20, oldest=12), inline)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(publisher.run, mailbox, 20)
        assert await stream.read(4, 100) == Gap(5, 11)
        assert await read_through(stream, 11, 20) == list(range(12, 21))
        stream.close()
        handle.close()
