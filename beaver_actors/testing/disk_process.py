"""The process that uses the simulated disk: counts its calls, lets them fail, and may die in any of them.

What is opened or locked belongs to one process. Once it is dead, every call through any of that ends with
`ProcessDied`, so nothing that still unwinds can write. What the calls do is the disk's business.
"""

from __future__ import annotations

from collections.abc import Callable

CHANGES = frozenset(
    {
        "make_directory", "create", "write_at", "datasync", "truncate", "preallocate",
        "rename", "unlink", "sync_directory",
    }
)  # fmt: skip
"""The kinds of calls that change something."""

Fault = Callable[[int, str, str], int | None]
"""Called with the number, kind and name of each call that changes something, before it does; may raise, or
return how many bytes a write takes."""


class ProcessDied(BaseException):
    """The process has died in this call. Not an `Exception`, so nothing swallows it."""


class Process:
    """One life."""

    __slots__ = ("calls", "dead", "fault")

    def __init__(self) -> None:
        self.fault: Fault | None = None
        self.calls: list[tuple[str, str]] = []
        self.dead = False

    def expect_alive(self) -> None:
        if self.dead:
            raise ProcessDied

    def call(self, kind: str, name: str) -> int | None:
        """A call that changes something is about to be made: count it, and let it fail."""
        if self.dead:
            raise ProcessDied
        self.calls.append((kind, name))
        return self.fault(len(self.calls), kind, name) if self.fault else None
