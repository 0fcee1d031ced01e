"""A server in a process of its own, as `run` starts it, whose log a test reads."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WAIT_SECONDS = 60.0
"""For what takes some seconds at most."""


class Server:
    """A server whose log is read line by line.

    Args:
        directory: where it is started.
        app: the text of a module with an `app`.
        limits: shell commands that set limits before the process begins.
        options: of the process.
    """

    def __init__(self, directory: Path, app: str, limits: str = ":", **options: Any) -> None:
        (directory / "jobs_here.py").write_text(app)
        command = [sys.executable, "-m", "beaver_actors", "run", "--json", "--log-format", "json"]
        command += ["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--data-dir", "data"]
        self.process = subprocess.Popen(
            ["sh", "-c", f'{limits}; exec "$@"', "sh", *command, "--app", "jobs_here:app"],
            cwd=directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **{"stdin": subprocess.DEVNULL} | options,
        )
        assert self.process.stdout is not None
        self.ready = json.loads(self.process.stdout.readline())
        self.url: str = self.ready["listen"][0]

    def line(self, event: str) -> dict[str, Any]:
        """The next line of the log that begins so; the test's own time limit bounds the wait."""
        for line in self.rest():
            if line["event"].startswith(event):
                return line
        raise AssertionError(f"the server ended with {self.end()} and did not say: {event}")

    def rest(self) -> Iterator[dict[str, Any]]:
        """The lines of its log that have not been read, those to come included."""
        assert self.process.stderr is not None
        for text in self.process.stderr:
            yield json.loads(text)

    def end(self) -> int:
        """Wait for its end and return its exit code."""
        return self.process.wait(WAIT_SECONDS)


@contextmanager
def serving(directory: Path, app: str, limits: str = ":", **options: Any) -> Iterator[Server]:
    """A server that is ready; killed in the end, if it still runs."""
    server = Server(directory, app, limits, **options)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.wait()
        for pipe in (server.process.stdout, server.process.stderr):
            assert pipe is not None
            pipe.close()
