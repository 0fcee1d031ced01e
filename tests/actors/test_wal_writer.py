"""The WAL writer on a full disk: what is refused is certainly not written, so it waits and misleads none."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest
import trio
from trio.testing import MockClock

from beaver_actors.actors import wal_writer
from beaver_actors.actors.publisher import Chunk, Committed, Message as PublisherMessage
from beaver_actors.actors.wal_writer import Append, Rotate, StorageFailed
from beaver_actors.core.facts import QueuePaused
from beaver_actors.journal.errors import AppendRefused
from beaver_actors.kernel.mailbox import Mailbox
from beaver_actors.kernel.offload import inline
from beaver_actors.kernel.pace import Pace
from tests.actors.world import MemoryLog

R = TypeVar("R")


class Desk:
    """A WAL writer, its mailbox, and what it has told."""

    def __init__(self, log: MemoryLog, *, publisher_room: int = 100, pace: Pace | None = None) -> None:
        self.log = log
        self.pace = pace
        self.in_thread = 0
        self.mailbox = Mailbox[wal_writer.Message]("wal_writer", 100)
        self.handle = self.mailbox.handle()
        self.published = Mailbox[PublisherMessage]("publisher", publisher_room)
        self.refusals: list[AppendRefused] = []

    async def run(self) -> None:
        await wal_writer.run(
            self.mailbox,
            self.log,
            self.published.handle(),
            offload=self._offload,
            pace=self.pace,
            committed=lambda seconds, facts: None,
            refused=self.refusals.append,
        )

    async def _offload(self, work: Callable[[], R]) -> R:
        self.in_thread += 1
        return await inline(work)


async def test_small_commits_are_written_on_the_loop_while_the_disk_is_quick(
    autojump_clock: MockClock,
) -> None:
    """P1: and are answered alike. A large one goes to the thread, and after a slow one all do for a while."""
    now = 0.0
    answered: list[int] = []
    pace = Pace(lambda: now)
    desk = Desk(MemoryLog(), pace=pace)

    async def write(facts: int) -> int:
        before = desk.in_thread
        batch = [QueuePaused("a", 1)] * facts
        await desk.handle.tell(Append(batch, [lambda: answered.append(desk.log.head)]))
        await trio.sleep(1)
        return desk.in_thread - before

    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.run)
        assert await write(1) == 0
        assert await write(wal_writer.QUICK_FACTS_MAX + 1) == 1
        with pace.measured():
            now += 1
        assert await write(1) == 1
        now += 100
        assert await write(1) == 0
        desk.handle.close()
    assert answered == [1, 66, 67, 68]


async def test_an_error_of_a_commit_on_the_loop_ends_the_run_as_well(autojump_clock: MockClock) -> None:
    """P8."""
    desk = Desk(MemoryLog(fail_with=OSError("broken")), pace=Pace(lambda: 0.0))
    with pytest.RaisesGroup(pytest.RaisesExc(StorageFailed, match="could not be written: broken")):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(desk.run)
            await desk.handle.tell(Append([QueuePaused("a", 1)]))
    assert desk.in_thread == 0


async def test_a_commit_without_room_waits_and_is_answered_when_there_is_some(
    autojump_clock: MockClock,
) -> None:
    """P7, P1, P10: a log that refuses for ten seconds, then takes it; until then watchers hear nothing."""
    desk = Desk(MemoryLog(fail_with=AppendRefused("the disk is full")))
    answered: list[int] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.run)
        await desk.handle.tell(Append([QueuePaused("a", 1)], [lambda: answered.append(desk.log.head)]))
        await trio.sleep(10)
        assert answered == []
        assert len(desk.published) == 0
        desk.log.fail_with = None
        await trio.sleep(1)
        assert answered == [1]
        assert len(desk.published) == 1
        assert len(desk.refusals) == 1, "told once, not at every try"
        desk.handle.close()


async def test_a_disk_that_stays_full_ends_the_run_and_nobody_was_answered(autojump_clock: MockClock) -> None:
    """P7, P1."""
    desk = Desk(MemoryLog(fail_with=AppendRefused("the disk is full")))
    answered: list[int] = []
    with pytest.RaisesGroup(pytest.RaisesExc(StorageFailed, match="no room for the log in 30 s")):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(desk.run)
            await desk.handle.tell(Append([QueuePaused("a", 1)], [lambda: answered.append(1)]))
    assert answered == []


async def test_a_segment_that_cannot_be_changed_for_a_snapshot_is_no_failure_of_the_log(
    autojump_clock: MockClock,
) -> None:
    """P7: the one who asked is told, and the log goes on."""

    class Full(MemoryLog):
        def rotate(self) -> int:
            raise AppendRefused("no room for another segment")

    desk = Desk(Full())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.run)
        rotate = Rotate()
        await desk.handle.tell(rotate)
        with pytest.raises(AppendRefused):
            await rotate.reply.wait()
        await desk.handle.tell(Append([QueuePaused("a", 1)]))
        await trio.sleep(1)
        assert desk.log.head == 1
        desk.handle.close()


async def test_a_publisher_that_missed_a_commit_hears_of_it_though_nothing_more_is_written(
    autojump_clock: MockClock,
) -> None:
    """P10: its mailbox was full when the commit was told; the next request of any kind brings the word."""
    desk = Desk(MemoryLog(), publisher_room=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.run)
        await desk.handle.tell(Append([QueuePaused("a", 1)]))
        await trio.sleep(1)
        await desk.handle.tell(Append([QueuePaused("b", 2)]))  # finds the mailbox full
        await trio.sleep(1)
        assert await desk.published.batch(10) == [Committed(Chunk(1, [QueuePaused("a", 1)]))]
        await desk.handle.tell(Append([]))
        assert await desk.published.batch(10) == [Committed(Chunk(3, ()))]
        await desk.handle.tell(Append([]))
        await trio.sleep(1)
        assert len(desk.published) == 0
        desk.handle.close()
