"""Mailboxes: how one actor reaches another.

A handle is the right to send; a mailbox is bounded, so a slow actor slows its senders and nobody else. A
message that wants an answer carries a `Reply`, a slot that the answerer fills without ever waiting, so that
questions and answers never deadlock. No stop message: when the last handle is closed and the mailbox is
empty, the actor's loop ends. No async generators here: they leak when an actor raises.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

import trio

T = TypeVar("T")
A = TypeVar("A")


class Closed(Exception):
    """The other side is gone: the actor has ended, or every handle to it is closed."""


class Reply(Generic[A]):
    """A slot for exactly one answer. `give` never waits, even if the asker has gone."""

    __slots__ = ("_answer", "_error", "_given", "_task", "_then", "abandoned")

    def __init__(self) -> None:
        self.abandoned = False
        """Whether the asker was cancelled while it waited: nobody will look at the answer."""
        self._given = False
        self._answer: A | None = None
        self._error: BaseException | None = None
        self._task: trio.lowlevel.Task | None = None
        self._then: Callable[[], None] | None = None

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

    def when_given(self, call: Callable[[], None]) -> None:
        """Have `call` made as soon as the slot is filled, in the task that fills it; at once if it is filled.
        For one caller, instead of `wait`: it saves a turn of the loop. It must neither wait nor raise."""
        if self._given:
            call()
        else:
            self._then = call

    def _fill(self) -> None:
        self._given = True
        if self._task is not None:
            trio.lowlevel.reschedule(self._task)
            self._task = None
        if self._then is not None:
            self._then()

    async def wait(self) -> A:
        """Wait for the answer. Raises what `fail` was given."""
        if not self._given:
            self._task = trio.lowlevel.current_task()

            def abort(_: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
                self._task = None
                self.abandoned = True
                return trio.lowlevel.Abort.SUCCEEDED

            await trio.lowlevel.wait_task_rescheduled(abort)
        return self.answer()

    def answer(self) -> A:
        """The answer, which must be there. Raises what `fail` was given."""
        assert self._given, "an answer is looked at before it is there"
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
        self.capacity = capacity
        self.waiting = 0
        """How many messages wait now. Counted here, because asking the channel costs more than sending."""
        self.peak = 0
        """The most messages that have waited at once."""
        self.ended = False
        """Whether its actor has left it."""

    def handle(self) -> Handle[T]:
        """The first right to send; further ones are its clones. Called once, by whoever made the mailbox."""
        return Handle(self._first, self)

    def __len__(self) -> int:
        """How many messages wait now."""
        return self.waiting

    def recount(self) -> None:
        """Look how many messages wait, after senders that had to wait have moved up."""
        self.waiting = self._channel.statistics().current_buffer_used

    async def batch(self, limit: int) -> list[T]:
        """Wait for a message, then take all that wait, up to `limit`. Empty: the last handle is closed."""
        channel = self._channel
        try:
            messages = [await channel.receive()]
        except trio.EndOfChannel:
            return []
        if self.waiting > self.peak:
            self.peak = self.waiting
        try:
            while len(messages) < limit:
                messages.append(channel.receive_nowait())
            self.recount()
        except (trio.WouldBlock, trio.EndOfChannel):
            self.waiting = 0
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

    def __init__(self, channel: trio.MemorySendChannel[T], mailbox: Mailbox[T]) -> None:
        self._channel = channel
        self._mailbox = mailbox
        self._closed = False

    @property
    def name(self) -> str:
        """The actor's name."""
        return self._mailbox.name

    async def tell(self, message: T) -> None:
        """Send; waits while the mailbox is full, and lets others run only then. Raises `Closed` if the actor
        is gone."""
        await trio.lowlevel.checkpoint_if_cancelled()
        if self.tell_nowait(message):
            return
        try:
            await self._channel.send(message)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as gone:
            raise Closed(self.name) from gone
        self._mailbox.recount()

    def tell_nowait(self, message: T) -> bool:
        """Send if there is room; returns whether there was. Raises `Closed` if the actor is gone."""
        try:
            self._channel.send_nowait(message)
        except trio.WouldBlock:
            return False
        except (trio.BrokenResourceError, trio.ClosedResourceError) as gone:
            raise Closed(self.name) from gone
        self._mailbox.waiting += 1
        return True

    @property
    def has_room(self) -> bool:
        """Whether `tell_nowait` would succeed now. False if the actor is gone."""
        mailbox = self._mailbox
        return mailbox.waiting < mailbox.capacity and not mailbox.ended and not self._closed

    def clone(self) -> Handle[T]:
        """Another handle to the same actor, to be closed on its own."""
        return Handle(self._channel.clone(), self._mailbox)

    def close(self) -> None:
        """Give up the right to send."""
        self._closed = True
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
