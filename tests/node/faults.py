"""Faults to be put into a running server: each breaks one real part, at a moment that the test chooses."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from beaver_actors.actors import controller, job_manager, publisher
from beaver_actors.core.facts import Fact
from beaver_actors.journal import disk
from beaver_actors.journal.journal import FileJournal
from beaver_actors.server.session import Session


class Injected(RuntimeError):
    """A bug that nobody foresaw."""


class Fuse:
    """Raises as often as it was charged."""

    def __init__(self, error: Callable[[], Exception] = lambda: Injected("injected by the test")) -> None:
        self.charges = 0
        self.burnt = 0
        self._error = error

    def pass_through(self) -> None:
        if self.charges:
            self.charges -= 1
            self.burnt += 1
            raise self._error()


def _before(fuse: Fuse, part: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a call of `part.name` raise first, while the fuse is charged."""
    original = getattr(part, name)

    def guarded(*args: Any, **kwargs: Any) -> Any:
        fuse.pass_through()
        return original(*args, **kwargs)

    monkeypatch.setattr(part, name, guarded)


def in_job_manager(fuse: Fuse, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it judges a command."""
    _before(fuse, job_manager, "decide", monkeypatch)


def in_wal_writer(fuse: Fuse, monkeypatch: pytest.MonkeyPatch) -> None:
    """After it has written: the facts are on disk, and nobody was answered."""
    original = FileJournal.append

    def guarded(journal: FileJournal, facts: Sequence[Fact]) -> int:
        head = original(journal, facts)
        fuse.pass_through()
        return head

    monkeypatch.setattr(FileJournal, "append", guarded)


def in_controller(fuse: Fuse, monkeypatch: pytest.MonkeyPatch) -> None:
    """While jobs are leased."""
    _before(fuse, controller, "_ahead", monkeypatch)


def in_publisher(fuse: Fuse, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it takes news in."""
    _before(fuse, publisher._Recent, "add", monkeypatch)


def in_session(fuse: Fuse, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it understands a request."""
    _before(fuse, Session, "_understand", monkeypatch)


def in_sync(fuse: Fuse, monkeypatch: pytest.MonkeyPatch) -> None:
    """In every sync of file content."""
    _before(fuse, disk._RealFile, "datasync", monkeypatch)


def input_output_error() -> OSError:
    return OSError(errno.EIO, os.strerror(errno.EIO))
