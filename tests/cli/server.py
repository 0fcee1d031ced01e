"""A real server in a process of its own, started as its user would start it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.request import urlopen

COMMAND = (sys.executable, "-m", "beaver_actors")
END_SECONDS = 60
"""After which a test that waits for a process fails instead of waiting on."""


class Server:
    """One data directory, and the server that runs on it, if one does.

    Args:
        directory: made if it is missing; holds the data and the server's log.
        options: for each start, after our own.
    """

    def __init__(self, directory: Path, *options: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.data_dir = directory / "data"
        self.log = directory / "log"
        self.ready: dict[str, Any] = {}
        self._options = options
        self._listen = "127.0.0.1:0"
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """Where it is; the same after another start."""
        url: str = self.ready["listen"][0]
        return url

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not running"
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until clients are welcome."""
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                [
                    *COMMAND, "run", "--json", "--data-dir", str(self.data_dir), "--listen", self._listen,
                    "--metrics-listen", "127.0.0.1:0", *self._options,
                ],
                stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the server did not start:\n{self.log.read_text()}"
        self.ready = json.loads(line)
        self._listen = self.url.removeprefix("ws://")

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would."""
        assert self._process is not None
        self._process.kill()
        self._ended()

    def stop(self) -> int:
        """Ask it to stop, wait, and return its exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._ended()

    def close(self) -> None:
        """End it if it runs."""
        if self._process is not None:
            self.kill()

    def metrics(self) -> str:
        """What a scrape of the metrics port gets."""
        with urlopen(self.ready["metrics"][0], timeout=END_SECONDS) as response:
            text: str = response.read().decode()
        return text

    def _ended(self) -> int:
        assert self._process is not None
        assert self._process.stdout is not None
        code = self._process.wait(END_SECONDS)
        self._process.stdout.close()
        self._process = None
        return code
