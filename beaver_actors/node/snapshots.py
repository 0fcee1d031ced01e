"""Snapshots as the node has them made, and what is told of them."""

from __future__ import annotations

import trio

from beaver_actors.actors.snapshotter import SnapshotTaken
from beaver_actors.journal.journal import FileJournal
from beaver_actors.kernel.clock import Clock
from beaver_actors.node.world import World
from beaver_actors.observe.gauges import SnapshotGauge
from beaver_actors.observe.log import get_logger

log = get_logger("beaver_actors.node")


class Snapshots:
    """One per life.

    Args:
        world: whose log is folded.
        keep: how many snapshots are kept.
        journal: the log; only asked for sizes here.
        clock: when snapshots were taken.
        size: of the newest snapshot on disk, bytes; 0 if there is none.
    """

    def __init__(self, world: World, keep: int, journal: FileJournal, clock: Clock, size: int) -> None:
        self._world = world
        self._keep = keep
        self._journal = journal
        self._clock = clock
        self._bytes = size
        self._folded_bytes = 0
        self._gauge: SnapshotGauge | None = None

    async def fold(self, through_lsn: int) -> SnapshotTaken:
        """Have the snapshot of the state after `through_lsn` made; it is durable when this returns."""
        began = trio.current_time()
        folded_bytes = self._journal.appended_bytes
        folded = await self._world.fold(through_lsn, self._keep)
        seconds = trio.current_time() - began
        self._folded_bytes = folded_bytes
        self._bytes = folded.bytes or self._bytes
        self._gauge = SnapshotGauge(taken_ms=self._clock.now_ms(), bytes=self._bytes, seconds=seconds)
        figures = {"jobs": folded.jobs, "bytes": self._bytes, "seconds": round(seconds, 3)}
        log.info("snapshot taken", lsn=through_lsn, **figures)
        for refused in folded.refused:
            log.error("a snapshot could not be read and is passed over", reason=refused)
        return SnapshotTaken(through_lsn, self._bytes, seconds, folded.keep_from_lsn)

    def sizes(self) -> tuple[int, int]:
        """Bytes of log since the newest snapshot, and of that snapshot."""
        return self._journal.appended_bytes - self._folded_bytes, self._bytes

    def gauge(self) -> SnapshotGauge | None:
        """The newest snapshot of this life."""
        return self._gauge

    def disk_free_bytes(self) -> int | None:
        """What the file system of the data directory has left; None if it does not say."""
        try:
            return self._world.disk.free_bytes()
        except OSError:
            return None
