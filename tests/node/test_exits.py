"""Which failure ends the process, and with which code."""

from __future__ import annotations

import errno

import pytest

from beaver_actors.actors.wal_writer import StorageFailed
from beaver_actors.journal.errors import (
    AppendRefused,
    Damaged,
    DirectoryLocked,
    DirectoryUnusable,
    NoSpace,
    UnknownFormat,
)
from beaver_actors.kernel.mailbox import Closed
from beaver_actors.node.exits import Exit, main_cause, verdict


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Damaged("data", "wal/1.wal", 0, 1, "rot"), Exit.DAMAGED),
        (UnknownFormat("data/format", 2, 1), Exit.DAMAGED),
        (DirectoryLocked("data", 7), Exit.LOCKED),
        (DirectoryUnusable("data"), Exit.USAGE),
        (NoSpace("data"), Exit.STORAGE),
        (AppendRefused("full"), Exit.STORAGE),
        (StorageFailed("EIO"), Exit.STORAGE),
        (OSError(errno.EIO, "Input/output error"), Exit.STORAGE),
        (PermissionError(errno.EACCES, "Permission denied", "data/running"), Exit.USAGE),
    ],
)
def test_a_failure_that_another_life_cannot_mend_ends_the_process(error: Exception, code: Exit) -> None:
    """P6, P8, P9: alone, and buried among what it brought down with it."""
    assert verdict(error) == code
    buried = ExceptionGroup("", [Closed("publisher"), ExceptionGroup("", [error]), AssertionError()])
    assert verdict(buried) == code
    assert main_cause(buried) is error


def test_a_bug_is_worth_another_life() -> None:
    """Supervision: one for all."""
    assert verdict(ExceptionGroup("", [AssertionError("job a"), Closed("publisher")])) is None
    assert verdict(RuntimeError("a bug")) is None


def test_exit_codes_are_those_that_the_command_line_documents() -> None:
    """Two floors, two enums: what `run` ends with must mean the same."""
    from beaver_actors.cli.exits import Exit as Documented

    assert {code.name: code.value for code in Exit}.items() <= {
        code.name: code.value for code in Documented
    }.items()
