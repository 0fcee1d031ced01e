"""What the asynchronous client needs of the event loop that it runs on: the few words that Trio and asyncio
say differently. Each transport brings its own; everything above it is the same for both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from beaver_actors.client.core import Core
from beaver_actors.codec.wire import Ok, Request


class Event(Protocol):
    """Happens once; whoever waits for it goes on then."""

    def set(self) -> None: ...
    async def wait(self) -> object: ...


class Loop(Protocol):
    """An event loop."""

    def event(self) -> Event:
        """An event that has not happened."""

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""

    async def checkpoint(self) -> None:
        """Let others run, and end here if the task is cancelled."""

    async def checkpoint_if_cancelled(self) -> None:
        """End here if the loop can tell that the task is cancelled."""


class Transport(Protocol):
    """Keeps a client connected and moves its messages."""

    @property
    def core(self) -> Core: ...
    @property
    def loop(self) -> Loop: ...
    @property
    def dice(self) -> Callable[[], float]:
        """Draws chance from [0, 1), for the length of pauses."""

    async def ask(self, request: Request) -> Ok:
        """Ask and wait for the answer, across reconnects; raises ClientError if it is no, or never comes."""
