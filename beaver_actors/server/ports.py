"""What the protocol side of the server needs of the rest: the queue, the facts, the node, a connection.

Protocols only, so that sessions can be tested with whatever stands behind them.
"""

from __future__ import annotations

from typing import Protocol

from beaver_actors.actors.publisher import Chunk, Gap
from beaver_actors.codec.wire_answers import NodeView
from beaver_actors.core.answers import Answer, RefusalCode
from beaver_actors.core.commands import Command


class Pending(Protocol):
    """An answer that is on its way."""

    async def wait(self) -> Answer:
        """Wait for it. Raises `Closed` if the node is going down."""


class JobsPort(Protocol):
    """The job manager."""

    async def post(self, command: Command) -> Pending:
        """Hand over a command; waits only while the job manager is far behind. Commands are judged in the
        order in which they were posted. Raises `Closed` if the node is going down."""

    async def ask(self, command: Command) -> Answer:
        """Post a command and wait for its answer."""


class StreamPort(Protocol):
    """The facts, in order."""

    async def read(self, after_lsn: int, limit: int) -> Chunk | Gap:
        """Wait for facts after `after_lsn`: contiguous ones, at most `limit`, or the gap that lies before
        them. Raises `Closed` if the node is going down."""


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

    async def receive(self) -> str | bytes | None:
        """Wait for the next message; None when there will be no more."""

    async def send(self, data: str | bytes) -> None:
        """Put a message into the outbox; waits while that is full. Cancelling it sends nothing. Raises
        `WebSocketClosed` if the client is gone."""

    async def close(self, code: int, reason: str) -> None:
        """Say goodbye."""
