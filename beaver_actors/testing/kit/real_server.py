"""A real server in a process of its own, on a directory of its own: for tests that want to see their jobs
survive it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from beaver_actors.client import sync

END_SECONDS: Final = 60.0
"""After which a process that should have ended counts as stuck."""


class RealServer:
    """One data directory, and the server that runs on it, if one does.

    Args:
        directory: made if it is missing; holds the data and the server's log.
        app: `module:attr` of the app; None for the demo jobs.
        options: further options of `beaver run`.
        working_directory: where it is started, and so found by imports; the present one if not given.
    """

    def __init__(
        self,
        directory: Path,
        app: str | None = None,
        *,
        options: Sequence[str] = (),
        working_directory: Path | None = None,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.data_dir = directory / "data"
        self.log = directory / "log"
        """What it said on its standard error."""
        self._app = () if app is None else ("--app", app)
        self._options = tuple(options)
        self._working_directory = working_directory
        self._listen = "127.0.0.1:0"
        self._process: subprocess.Popen[str] | None = None
        self._client: sync.Client | None = None

    @property
    def url(self) -> str:
        """Where it is; the same after another start. Raises RuntimeError if it was never started."""
        if self._listen.endswith(":0"):
            raise RuntimeError("the server has not been started")
        return f"ws://{self._listen}"

    @property
    def client(self) -> sync.Client:
        """A synchronous client of it, which connects again by itself after a crash."""
        if self._client is None:
            self._client = sync.connect(self.url, timeout=END_SECONDS)
        return self._client

    def start(self) -> None:
        """Start it and wait until it accepts clients.

        Raises:
            RuntimeError: it did not start, with what it said; or it runs already.
        """
        if self._process is not None:
            raise RuntimeError("the server runs already")
        command = [sys.executable, "-m", "beaver_actors", "run", "--json", "--data-dir", str(self.data_dir)]
        command += ["--listen", self._listen, "--metrics-listen", "127.0.0.1:0", *self._app, *self._options]
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=self._working_directory
            )
        assert self._process.stdout is not None, "it was asked for"
        line = self._process.stdout.readline()
        if not line:
            self._ended()
            raise RuntimeError(f"the server did not start:\n{self.log.read_text()}")
        ready: dict[str, Any] = json.loads(line)
        self._listen = ready["listen"][0].removeprefix("ws://")

    def kill(self) -> None:
        """End it with SIGKILL, together with its worker processes."""
        self._running().kill()
        self._ended()

    def crash(self) -> None:
        """End it with SIGKILL, and start it again at the same address."""
        self.kill()
        self.start()

    def stop(self) -> int:
        """Ask it to stop in order, wait, and return its exit code."""
        self._running().terminate()
        return self._ended()

    def close(self) -> None:
        """End it if it runs, and the client."""
        if self._client is not None:
            self._client.close()
        if self._process is not None:
            self.kill()

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise RuntimeError("the server does not run")
        return self._process

    def _ended(self) -> int:
        process, self._process = self._running(), None
        code = process.wait(END_SECONDS)
        assert process.stdout is not None, "it was asked for"
        process.stdout.close()
        return code
