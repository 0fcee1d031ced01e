"""How the process ends: the exit codes of `run`, and the failures that they stand for."""

from __future__ import annotations

from enum import IntEnum


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
