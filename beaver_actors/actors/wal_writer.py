"""WAL writer: makes facts durable, then lets go of everything that waited for them.

The one actor that appends to the log. While a commit is on its way to the disk the next one collects in the
mailbox, so the load forms the batches and an idle server syncs at once. No answer leaves before its facts are
synced (P1); after a failed sync none leaves at all (P8).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeAlias, TypeVar

import trio

from beaver_actors.actors.publisher import Chunk, Committed, Message as PublisherMessage
from beaver_actors.core.facts import Fact
from beaver_actors.kernel.mailbox import Handle, Mailbox, Reply
from beaver_actors.kernel.offload import Offload

R = TypeVar("R")

BATCH_MAX = 64
"""Messages that go into one commit at most; an append is a whole batch of requests already."""


@dataclass(frozen=True, slots=True)
class Append:
    """Write these facts, then make these calls: the answers that depend on them. With no facts, the calls
    still wait for everything sent before (P5: a duplicate's answer waits for the original's sync)."""

    facts: Sequence[Fact]
    release: Sequence[Callable[[], None]] = ()


@dataclass(frozen=True, slots=True)
class Rotate:
    """Seal the active segment; the answer is the last LSN in sealed segments."""

    reply: Reply[int] = field(default_factory=Reply)


@dataclass(frozen=True, slots=True)
class Trim:
    """Delete the sealed segments that no kept snapshot needs."""

    keep_from_lsn: int
    reply: Reply[None] = field(default_factory=Reply)


Message: TypeAlias = Append | Rotate | Trim


class StorageFailed(Exception):
    """The disk failed under the log; the cause is its `OSError`. Recovery decides what is on it (P8)."""


class Log(Protocol):
    """What the writer needs of a journal; blocking calls, one at a time."""

    @property
    def head(self) -> int: ...
    @property
    def wants_replenishing(self) -> bool: ...
    def append(self, facts: Sequence[Fact]) -> int: ...
    def rotate(self) -> int: ...
    def trim(self, keep_from_lsn: int) -> None: ...
    def replenish(self) -> None: ...


class Meter(Protocol):
    """Told of each commit: how long write and sync took in seconds, and the facts."""

    def __call__(self, seconds: float, facts: Sequence[Fact], /) -> None: ...


async def run(
    mailbox: Mailbox[Message],
    log: Log,
    publisher: Handle[PublisherMessage],
    *,
    offload: Offload,
    committed: Meter,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Write until the mailbox is closed.

    Args:
        log: the journal, opened; this actor alone appends to it.
        publisher: told of what is on disk; never waited for.
        offload: runs the blocking calls.
        committed: told of each commit.

    Raises:
        StorageFailed: the disk failed. Whether the facts are on it is unknown: nobody is answered, and the
            process must end (P8).
    """
    task_status.started()
    offload = _fatal(offload)
    with mailbox, publisher:
        while batch := await mailbox.batch(BATCH_MAX):
            appends = [message for message in batch if isinstance(message, Append)]
            facts = [fact for append in appends for fact in append.facts]
            if facts:
                await _commit(log, facts, publisher, offload, committed)
            for append in appends:
                for release in append.release:
                    release()
            if log.wants_replenishing:
                await offload(log.replenish)
            for message in batch:
                match message:
                    case Rotate(reply):
                        reply.give(await offload(log.rotate))
                    case Trim(keep_from_lsn, reply):
                        await offload(partial(log.trim, keep_from_lsn))
                        reply.give(None)


async def _commit(
    log: Log, facts: list[Fact], publisher: Handle[PublisherMessage], offload: Offload, committed: Meter
) -> None:
    began = trio.current_time()
    first_lsn = log.head + 1
    await offload(lambda: log.append(facts))
    committed(trio.current_time() - began, facts)
    # A full mailbox loses nothing: the publisher sees the hole and sends its readers to the files.
    publisher.tell_nowait(Committed(Chunk(first_lsn, facts)))


def _fatal(offload: Offload) -> Offload:
    """Let an `OSError` of the work end the process: a retry on the same pages would lie."""

    async def work_or_end(work: Callable[[], R]) -> R:
        try:
            return await offload(work)
        except OSError as error:
            raise StorageFailed(f"the log could not be written: {error}") from error

    return work_or_end
