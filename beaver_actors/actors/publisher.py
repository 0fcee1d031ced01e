"""Publisher: hands committed facts to whoever watches, in log order and without silent holes (P10).

It keeps the newest facts in memory. A watcher pulls, naming the LSN it has; one that is too far behind reads
the log's files instead, and learns of a gap where they are gone. So a slow watcher costs nothing but its own
time: nothing is queued for it here, and the WAL writer never waits for anyone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from beaver_actors.core.facts import Fact
from beaver_actors.kernel.mailbox import Closed, Handle, Mailbox, Reply
from beaver_actors.kernel.offload import Offload

BATCH_MAX = 256
"""Messages taken at once; only so that one turn of the loop is bounded."""

FACTS_KEPT = 50_000
"""Facts in memory: some seconds of full load, so that a watcher that keeps up never reads a file."""


class Chunk(NamedTuple):
    """Facts in a row; the first has the LSN `first_lsn`."""

    first_lsn: int
    facts: Sequence[Fact]


class Gap(NamedTuple):
    """The facts from `from_lsn` through `to_lsn` are gone: trimmed after a snapshot."""

    from_lsn: int
    to_lsn: int


class Behind(NamedTuple):
    """What was asked for is no longer in memory; the log's files may have it."""


class Committed(NamedTuple):
    """These facts are on disk. Without facts: everything before `first_lsn` is, and was not told in time."""

    chunk: Chunk


@dataclass(frozen=True, slots=True)
class Read:
    """Give what comes after `after_lsn`, at most `limit` facts; the answer waits until there is something."""

    after_lsn: int
    limit: int
    reply: Reply[Chunk | Behind] = field(default_factory=Reply)


Message: TypeAlias = Committed | Read


class Stream:
    """What a watcher holds: reads on from any LSN, from memory or from the log's files.

    Args:
        publisher: a handle to the actor.
        history: reads the log's files, `(first_lsn, limit) -> Chunk`; a chunk that begins later than asked
            means that everything before it is gone. Blocking.
        offload: runs `history`.
    """

    def __init__(
        self, publisher: Handle[Message], history: Callable[[int, int], Chunk], offload: Offload
    ) -> None:
        self._publisher = publisher
        self._history = history
        self._offload = offload

    async def read(self, after_lsn: int, limit: int) -> Chunk | Gap:
        """Wait for facts after `after_lsn`: contiguous ones, or the gap that lies before them.

        Raises:
            Closed: the node is stopping.
        """
        while True:
            request = Read(after_lsn, limit)
            await self._publisher.tell(request)
            try:
                answer = await request.reply.wait()
            except Closed:
                continue  # the publisher was restarted; if it is gone for good, `tell` says so
            if isinstance(answer, Chunk):
                return answer
            chunk = await self._offload(lambda: self._history(after_lsn + 1, limit))
            if chunk.first_lsn > after_lsn + 1:
                return Gap(after_lsn + 1, chunk.first_lsn - 1)
            if chunk.facts:
                return chunk

    def close(self) -> None:
        """Give up the handle."""
        self._publisher.close()


async def run(mailbox: Mailbox[Message], head: int) -> None:
    """Serve readers until the mailbox is closed.

    Args:
        mailbox: stays open when the actor fails, so that it can be run again.
        head: the LSN of the newest fact that is already on disk.
    """
    recent = _Recent(head)
    waiting: list[Read] = []
    looked_at = 0
    batch: list[Message] = []
    try:
        while batch := await mailbox.batch(BATCH_MAX):
            news = False
            for message in batch:
                if isinstance(message, Committed):
                    recent.add(message.chunk)
                    news = True
                elif not _answer(recent, message):
                    waiting.append(message)
            # Those who gave up are forgotten with every commit, and on an idle server when they may be many.
            if news or len(waiting) > 2 * looked_at + BATCH_MAX:
                waiting = [read for read in waiting if not (read.reply.abandoned or _answer(recent, read))]
                looked_at = len(waiting)
    finally:
        # Of a batch that could not be dealt with, readers may be left who have not come to wait.
        for message in (*waiting, *batch):
            if isinstance(message, Read):
                message.reply.fail(Closed(mailbox.name))


def _answer(recent: _Recent, read: Read) -> bool:
    """Answer a reader if there is something to say; returns whether there was."""
    if read.after_lsn >= recent.head:
        return False
    read.reply.give(recent.after(read.after_lsn, read.limit) or Behind())
    return True


class _Recent:
    """The newest facts, contiguous up to `head`."""

    def __init__(self, head: int) -> None:
        self.head = head
        self._chunks: deque[Chunk] = deque()
        self._kept = 0

    def add(self, chunk: Chunk) -> None:
        """Take the next facts. After a hole (the mailbox was full) what came before is dropped: readers go to
        the files for it."""
        if chunk.first_lsn != self.head + 1:
            self._chunks.clear()
            self._kept = 0
        self._chunks.append(chunk)
        self._kept += len(chunk.facts)
        self.head = chunk.first_lsn + len(chunk.facts) - 1
        while self._kept > FACTS_KEPT and len(self._chunks) > 1:
            self._kept -= len(self._chunks.popleft().facts)

    def after(self, lsn: int, limit: int) -> Chunk | None:
        """Facts that follow `lsn`, or None if they are no longer here."""
        if not self._chunks or self._chunks[0].first_lsn > lsn + 1:
            return None
        # Readers are mostly near the end, so the search starts there.
        for chunk in reversed(self._chunks):
            if chunk.first_lsn <= lsn + 1:
                start = lsn + 1 - chunk.first_lsn
                return Chunk(lsn + 1, chunk.facts[start : start + limit])
        return None
