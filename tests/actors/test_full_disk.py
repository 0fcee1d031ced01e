"""A whole life on a disk that is full: snapshots fail, and the node does not."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from beaver_actors.actors.snapshotter import SnapshotTaken
from beaver_actors.core.job import JobState
from tests.actors.world import running


async def test_snapshots_that_keep_failing_never_take_the_node_with_them(autojump_clock: MockClock) -> None:
    """P7: no room for a snapshot for an hour, while the log grows and calls for one all the time."""
    tries = 0

    async def fail(lsn: int) -> SnapshotTaken:
        nonlocal tries
        tries += 1
        raise OSError(28, "No space left on device")

    async with running(fold_snapshot=fail, snapshot_log_bytes=1) as world:
        for number in range(60):
            await world.enqueue(f"j{number}")
            await trio.sleep(60)
        await world.until("j59", JobState.COMPLETED)
    assert tries > 60, "it was tried again and again"
