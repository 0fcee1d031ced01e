"""WAL writer: makes facts durable, then lets go of everything that waited for them.

The one actor that appends to the log. While a commit is on its way to the disk the next one collects in the
mailbox, so the load forms the batches and an idle server syncs at once. No answer leaves before its facts are
synced (P1); after a failed sync none leaves at all (P8).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, Protocol, TypeAlias, TypeVar

import trio

from beaver_actors.actors.publisher import Chunk, Committed, Message as PublisherMessage
from beaver_actors.core.facts import Fact
from beaver_actors.journal.errors import AppendRefused
from beaver_actors.kernel.mailbox import Closed, Handle, Mailbox, Reply
from beaver_actors.kernel.offload import Offload
from beaver_actors.kernel.pace import Pace

R = TypeVar("R")

BATCH_MAX = 64
"""Messages that go into one commit at most; an append is a whole batch of requests already."""


QUICK_FACTS_MAX = 64
"""A larger commit is encoded for longer than a hop to the thread takes, and the loop goes on meanwhile."""

REFUSED_SECONDS = 30.0
"""How long to wait for room when the disk is full beyond the reserve. Somebody may be freeing some; whoever
asked waits meanwhile."""

REFUSED_RETRY_SECONDS = 0.5


class Append(NamedTuple):
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
    """The disk failed under the log, or stayed full; the cause tells. Recovery decides what is on it (P8)."""


class Log(Protocol):
    """What the writer needs of a journal; blocking calls, one at a time. `append` and `rotate` may raise
    `AppendRefused`: nothing was written, and the log goes on."""

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
    refused: Callable[[AppendRefused], None],
    pace: Pace | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Write until the mailbox is closed.

    Args:
        log: the journal, opened; this actor alone appends to it.
        publisher: told of what is on disk; never waited for.
        offload: runs the blocking calls.
        committed: told of each commit.
        refused: told when a commit finds no room, once until it does.
        pace: knows whether small commits are quick enough for the loop itself; None: they never are.

    Raises:
        StorageFailed: the disk failed, and whether the facts are on it is unknown; or it stayed full, and
            they are not. Nobody is answered, and the process must end (P8).
    """
    task_status.started()
    offload = _fatal(offload)
    told = True
    with mailbox, publisher:
        while batch := await mailbox.batch(BATCH_MAX):
            appends = [message for message in batch if isinstance(message, Append)]
            facts = [fact for append in appends for fact in append.facts]
            if facts:
                began, first_lsn = trio.current_time(), log.head + 1
                if pace is None or len(facts) > QUICK_FACTS_MAX or not pace.is_quick():
                    write = offload
                else:
                    write = _fatal(partial(_at_once, pace))
                await _append(log, facts, write, refused)
                committed(trio.current_time() - began, facts)
                # A full mailbox loses nothing: the publisher sees the hole and sends readers to the files.
                told = _publish(publisher, first_lsn, facts)
            elif not told:
                # Else nobody would hear of it before the next commit. Time is brought here every second.
                told = _publish(publisher, log.head + 1, ())
            for append in appends:
                for release in append.release:
                    release()
            if log.wants_replenishing:
                await offload(log.replenish)
            for message in batch:
                match message:
                    case Rotate(reply):
                        try:
                            reply.give(await offload(log.rotate))
                        except AppendRefused as error:
                            reply.fail(error)  # no snapshot now, then
                    case Trim(keep_from_lsn, reply):
                        await offload(partial(log.trim, keep_from_lsn))
                        reply.give(None)


async def _at_once(pace: Pace, work: Callable[[], R]) -> R:
    """Do it on the loop, instead of in a thread."""
    with pace.measured():
        return work()


def _publish(publisher: Handle[PublisherMessage], first_lsn: int, facts: Sequence[Fact]) -> bool:
    """Tell the publisher, if it has room; False if it was not told."""
    try:
        return publisher.tell_nowait(Committed(Chunk(first_lsn, facts)))
    except Closed:
        return False  # the life is being cancelled around us, and a write is never left half-way


async def _append(
    log: Log, facts: list[Fact], offload: Offload, refused: Callable[[AppendRefused], None]
) -> None:
    """Append; while there is no room, again and again for a while: what is refused is certainly not written,
    so nobody is misled, and everything behind it waits."""
    give_up = trio.current_time() + REFUSED_SECONDS
    first = True
    while True:
        try:
            await offload(lambda: log.append(facts))
        except AppendRefused as error:
            if trio.current_time() >= give_up:
                raise StorageFailed(f"no room for the log in {REFUSED_SECONDS:g} s: {error}") from error
            if first:
                refused(error)
            first = False
            await trio.sleep(REFUSED_RETRY_SECONDS)
        else:
            return


def _fatal(offload: Offload) -> Offload:
    """Let an `OSError` of the work end the process: a retry on the same pages would lie."""

    async def work_or_end(work: Callable[[], R]) -> R:
        try:
            return await offload(work)
        except OSError as error:
            raise StorageFailed(f"the log could not be written: {error}") from error

    return work_or_end
