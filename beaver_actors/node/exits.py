"""How the process ends: the exit codes of `run`, and the failures that they stand for."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

from beaver_actors.actors.wal_writer import StorageFailed
from beaver_actors.journal.errors import (
    AppendRefused,
    Damaged,
    DirectoryLocked,
    DirectoryUnusable,
    JournalError,
    NoSpace,
    UnknownFormat,
)


class Exit(IntEnum):
    """Exit codes of the server."""

    OK = 0
    ERROR = 1
    """A bug, or failures beyond the restart limit."""
    USAGE = 2
    DAMAGED = 5
    """The data directory is damaged, or of an unknown format."""
    LOCKED = 6
    """Another process owns the data directory."""
    STORAGE = 7
    """The disk failed, a sync above all (P8)."""


def verdict(error: BaseException) -> Exit | None:
    """The exit code that a failed life calls for; None: another life may do better."""
    for cause in _leaves(error):
        match cause:
            case DirectoryLocked():
                return Exit.LOCKED
            case Damaged() | UnknownFormat():
                return Exit.DAMAGED
            case DirectoryUnusable():
                return Exit.USAGE
            case PermissionError():
                return Exit.USAGE  # a file that belongs to another user; no disk has failed
            case StorageFailed() | NoSpace() | AppendRefused() | OSError():
                return Exit.STORAGE
            case _:
                continue
    return None


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def main_cause(error: BaseException) -> BaseException:
    for cause in _leaves(error):
        if isinstance(cause, (JournalError, StorageFailed, OSError)):
            return cause
    return error
