"""Snapshotter: keeps the log short without ever touching live state.

It has the log rotated, has a separate process fold the previous snapshot and the sealed segments into the
next snapshot, and only then has the segments deleted that no kept snapshot needs. Serving goes on meanwhile.
It may fail alone: an old snapshot and a longer log lose nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from beaver_actors.actors.wal_writer import Message as WalMessage, Rotate, Trim
from beaver_actors.kernel.mailbox import Closed, Handle, Mailbox, Reply


class SnapshotTaken(NamedTuple):
    """A new snapshot is durable."""

    lsn: int
    """It holds the state after this fact."""
    bytes: int
    seconds: float
    keep_from_lsn: int
    """The first fact that the oldest kept snapshot does not hold: older segments may go."""


@dataclass(frozen=True, slots=True)
class TakeSnapshot:
    """Take a snapshot now. The answer is None if nothing has happened since the last one."""

    reply: Reply[SnapshotTaken | None] = field(default_factory=Reply)


FoldSnapshot: TypeAlias = Callable[[int], Awaitable[SnapshotTaken]]
"""The work itself, by the LSN to go through: in production a child process, in simulations inline."""


async def run(
    mailbox: Mailbox[TakeSnapshot],
    wal: Handle[WalMessage],
    fold_snapshot: FoldSnapshot,
    last_lsn: int,
) -> None:
    """Take snapshots until the mailbox is closed.

    Args:
        mailbox: stays open when the actor fails, so that it can be run again.
        wal: asked to rotate and to trim.
        fold_snapshot: makes the snapshot through an LSN, durable when it returns.
        last_lsn: the LSN of the newest snapshot on disk, 0 if there is none.
    """
    while batch := await mailbox.batch(1):
        (request,) = batch
        try:
            taken = await _take(wal, fold_snapshot, last_lsn)
        except BaseException as error:
            request.reply.fail(error if isinstance(error, Exception) else Closed(mailbox.name))
            raise
        if taken is not None:
            last_lsn = taken.lsn
        request.reply.give(taken)


async def _take(wal: Handle[WalMessage], fold_snapshot: FoldSnapshot, last_lsn: int) -> SnapshotTaken | None:
    rotate = Rotate()
    await wal.tell(rotate)
    sealed_lsn = await rotate.reply.wait()
    if sealed_lsn <= last_lsn:
        return None
    taken = await fold_snapshot(sealed_lsn)
    trim = Trim(taken.keep_from_lsn)
    await wal.tell(trim)
    await trim.reply.wait()
    return taken
