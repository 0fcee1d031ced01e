"""Mailboxes: how one actor reaches another.

A handle is the right to send; a mailbox is bounded, so a slow actor slows its senders and nobody else. A
message that wants an answer carries a `Reply`, a slot that the answerer fills without ever waiting, so that
questions and answers never deadlock. No stop message: when the last handle is closed and the mailbox is
empty, the actor's loop ends. No async generators here: they leak when an actor raises.
"""

from __future__ import annotations

from types import TracebackType
from typing import Generic, Self, TypeVar

import trio

T = TypeVar("T")
A = TypeVar("A")


class Closed(Exception):
    """The other side is gone: the actor has ended, or every handle to it is closed."""


class Reply(Generic[A]):
    """A slot for exactly one answer. `give` never waits, even if the asker has gone."""

    __slots__ = ("_answer", "_error", "_given", "_task", "abandoned")

    def __init__(self) -> None:
        self.abandoned = False
        """Whether the asker was cancelled while it waited: nobody will look at the answer."""
        self._given = False
        self._answer: A | None = None
        self._error: BaseException | None = None
        self._task: trio.lowlevel.Task | None = None

    @property
    def given(self) -> bool:
        """Whether the slot is filled."""
        return self._given

    def give(self, answer: A) -> None:
        """Fill the slot; a second time is a bug."""
        assert not self._given, "a reply was given twice"
        self._answer = answer
        self._fill()

    def fail(self, error: BaseException) -> None:
        """Fill the slot with an error that the asker will see; ignored if it is filled already."""
        if not self._given:
            self._error = error
            self._fill()

    def _fill(self) -> None:
        self._given = True
        if self._task is not None:
            trio.lowlevel.reschedule(self._task)
            self._task = None

    async def wait(self) -> A:
        """Wait for the answer. Raises what `fail` was given."""
        if not self._given:
            self._task = trio.lowlevel.current_task()

            def abort(_: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
                self._task = None
                self.abandoned = True
                return trio.lowlevel.Abort.SUCCEEDED

            await trio.lowlevel.wait_task_rescheduled(abort)
        if self._error is not None:
            raise self._error
        return self._answer  # type: ignore[return-value]  # given, so it is an A


class Mailbox(Generic[T]):
    """Where an actor takes its messages from. One actor reads one mailbox.

    Args:
        name: the actor's name, for errors and metrics.
        capacity: how many messages may wait before senders do.
    """

    def __init__(self, name: str, capacity: int) -> None:
        self._first: trio.MemorySendChannel[T]
        self._channel: trio.MemoryReceiveChannel[T]
        self._first, self._channel = trio.open_memory_channel(capacity)
        self.name = name
        self.peak = 0
        """The most messages that have waited at once."""
        self.ended = False
        """Whether its actor has left it."""

    def handle(self) -> Handle[T]:
        """The first right to send; further ones are its clones. Called once, by whoever made the mailbox."""
        return Handle(self._first, self.name)

    def __len__(self) -> int:
        """How many messages wait now."""
        return self._channel.statistics().current_buffer_used

    @property
    def capacity(self) -> float:
        """How many messages may wait before senders do."""
        return self._channel.statistics().max_buffer_size

    async def batch(self, limit: int) -> list[T]:
        """Wait for a message, then take all that wait, up to `limit`. Empty: the last handle is closed."""
        channel = self._channel
        try:
            messages = [await channel.receive()]
        except trio.EndOfChannel:
            return []
        waiting = channel.statistics().current_buffer_used + 1
        if waiting > self.peak:
            self.peak = waiting
        try:
            while len(messages) < limit:
                messages.append(channel.receive_nowait())
        except (trio.WouldBlock, trio.EndOfChannel):
            pass
        return messages

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended = True
        self._channel.close()


class Handle(Generic[T]):
    """The right to send to one actor. Close it when done: the actor lives as long as a handle is open."""

    def __init__(self, channel: trio.MemorySendChannel[T], name: str) -> None:
        self._channel = channel
        self.name = name

    async def tell(self, message: T) -> None:
        """Send; waits while the mailbox is full. Raises `Closed` if the actor is gone."""
        try:
            await self._channel.send(message)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as gone:
            raise Closed(self.name) from gone

    def tell_nowait(self, message: T) -> bool:
        """Send if there is room; returns whether there was. Raises `Closed` if the actor is gone."""
        try:
            self._channel.send_nowait(message)
        except trio.WouldBlock:
            return False
        except (trio.BrokenResourceError, trio.ClosedResourceError) as gone:
            raise Closed(self.name) from gone
        return True

    def clone(self) -> Handle[T]:
        """Another handle to the same actor, to be closed on its own."""
        return Handle(self._channel.clone(), self.name)

    def close(self) -> None:
        """Give up the right to send."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
