"""A command on a real terminal."""

from __future__ import annotations

import os
import pty
import select
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.cli.server import COMMAND, END_SECONDS


@contextmanager
def on_a_terminal(*args: str, **env: str) -> Iterator[tuple[subprocess.Popen[bytes], Callable[..., str]]]:
    """A command on a terminal of its own, and a function that reads what it draws until all this has come; or
    until the command has ended, if nothing is named."""
    ours, its = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "30", **env}
    process = subprocess.Popen([*COMMAND, *args], stdin=its, stdout=its, stderr=its, env=environment)
    os.close(its)

    def read_until(*wanted: str) -> str:
        drawn, found = "", 0
        while found < len(wanted) or not wanted:
            ready, _, _ = select.select([ours], [], [], END_SECONDS)
            assert ready, f"{wanted[found]!r} did not appear in {drawn!r}"
            try:
                drawn += os.read(ours, 65_536).decode(errors="replace")
            except OSError:  # so the system tells that nobody holds the other side
                if wanted:
                    raise
                return drawn
            while found < len(wanted) and wanted[found] in drawn:
                found += 1
        return drawn

    try:
        yield process, read_until
    finally:
        process.kill()
        process.wait(END_SECONDS)
        os.close(ours)
