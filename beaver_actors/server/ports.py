"""What the protocol side of the server needs of the rest: the queue, the facts, the node, a connection.

Protocols only, so that sessions can be tested with whatever stands behind them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from beaver_actors.actors import fleet
from beaver_actors.actors.publisher import Chunk, Gap
from beaver_actors.codec.wire_answers import NodeView
from beaver_actors.core.answers import Answer, RefusalCode
from beaver_actors.core.commands import Command


class Pending(Protocol):
    """An answer that is on its way."""

    @property
    def given(self) -> bool:
        """Whether it is there."""

    def when_given(self, call: Callable[[], None]) -> None:
        """Have `call` made as soon as it is there; at once if it is."""

    def answer(self) -> Answer:
        """The answer, which must be there. Raises `Closed` if the node is going down."""

    async def wait(self) -> Answer:
        """Wait for it. Raises `Closed` if the node is going down."""


class JobsPort(Protocol):
    """The job manager."""

    async def post(self, command: Command) -> Pending:
        """Hand over a command; waits only while the job manager is far behind. Commands are judged in the
        order in which they were posted. Raises `Closed` if the node is going down."""

    @property
    def has_room(self) -> bool:
        """Whether `post_nowait` is in order now."""

    def post_nowait(self, command: Command) -> Pending:
        """As `post`, for callers that have seen `has_room` and not waited since."""

    async def ask(self, command: Command) -> Answer:
        """Post a command and wait for its answer."""


class StreamPort(Protocol):
    """The facts, in order."""

    async def read(self, after_lsn: int, limit: int) -> Chunk | Gap:
        """Wait for facts after `after_lsn`: contiguous ones, at most `limit`, or the gap that lies before
        them. Raises `Closed` if the node is going down."""


class FleetPort(Protocol):
    """Those who look after workers on other machines."""

    async def tell(self, message: fleet.Message) -> None:
        """Hand over a message; its reply is filled in. Raises `Closed` if the node is going down."""

    @property
    def has_room(self) -> bool:
        """Whether `tell_nowait` is in order now."""

    def tell_nowait(self, message: fleet.Message) -> bool:
        """As `tell`, for callers that have seen `has_room` and not waited since."""


class NodePort(Protocol):
    """The process that serves."""

    @property
    def draining(self) -> bool:
        """Whether no new jobs are taken any more."""

    @property
    def unready(self) -> str | None:
        """Why clients should go elsewhere, in a few words; None if they are welcome."""

    def view(self) -> NodeView:
        """What the status says about the server."""

    def refused(self, code: RefusalCode) -> None:
        """Count an error reply."""


class Connection(Protocol):
    """One WebSocket."""

    @property
    def outbox_messages(self) -> int:
        """How many messages given to `send` are not yet written."""

    def take_over(self, take: Callable[[str | bytes], bool]) -> None:
        """From now on give each message to `take` as it comes, in the reader's own task; one that it does not
        take waits for `receive`, and so do all behind it until it has been received."""

    async def receive(self) -> str | bytes | None:
        """Wait for the next message that was not taken; None when there will be no more."""

    def send_nowait(self, data: str | bytes) -> bool:
        """Send if nothing has to be waited for; returns whether that was so. Raises `WebSocketClosed` if the
        client is gone."""

    async def send(self, data: str | bytes) -> None:
        """Put a message into the outbox; waits while that is full. Cancelling it sends nothing. Raises
        `WebSocketClosed` if the client is gone."""

    async def close(self, code: int, reason: str) -> None:
        """Say goodbye."""
