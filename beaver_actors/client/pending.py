"""One request that the client has taken on: what is sent for it, as often as it takes, and how it ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from beaver_actors.client.errors import ClientError
from beaver_actors.codec.wire import Ok

Done: TypeAlias = Callable[["Pending"], None]


class Pending:
    """A request, and what became of it."""

    __slots__ = ("_done", "counted", "data", "lasting", "outcome", "request_id", "size_bytes")

    def __init__(
        self, request_id: str, data: str | bytes, done: Done, *, counted: bool, lasting: bool
    ) -> None:
        self.request_id = request_id
        self.data = data
        self.size_bytes = len(data) if isinstance(data, bytes) or data.isascii() else len(data.encode())
        self.counted = counted
        self.lasting = lasting
        self.outcome: Ok | ClientError | None = None
        self._done = done

    def ok(self) -> Ok:
        """Returns the reply.

        Raises:
            ClientError: it was refused, or there will be none.
        """
        assert self.outcome is not None, f"request {self.request_id} has no outcome yet"
        if isinstance(self.outcome, ClientError):
            raise self.outcome.twin()
        return self.outcome

    def settle(self, outcome: Ok | ClientError) -> None:
        """It is answered, or never will be."""
        self.outcome = outcome
        self._done(self)
