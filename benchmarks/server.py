"""A server process for a measurement: started on a temporary directory, and ended by pid."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

READY_SECONDS = 60


class Server:
    """A running server.

    Args:
        data_dir: where its log lies.
        settings: overrides, as environment variables without the prefix: `{"WORKERS__COUNT": "0"}`.
    """

    def __init__(self, data_dir: Path, **settings: str) -> None:
        environment = os.environ | {f"BEAVER_{name}": value for name, value in settings.items()}
        command = [sys.executable, "-m", "beaver_actors", "run", "--json", "--listen", "127.0.0.1:0"]
        command += ["--metrics-listen", "127.0.0.1:0", "--log-level", "warning", "--data-dir", str(data_dir)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
        assert self._process.stdout is not None
        first = self._process.stdout.readline()
        if not first:
            raise RuntimeError(f"the server ended with exit code {self._process.wait()}")
        self.ready: dict[str, Any] = json.loads(first)
        self.url: str = self.ready["listen"][0]
        self.pid = self._process.pid

    @property
    def recovery_seconds(self) -> float:
        """What bringing back its data directory took."""
        return float(self.ready["recovery"]["seconds"])

    def rss_bytes(self) -> int:
        """Memory that it occupies now."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024

    def cpu_seconds(self) -> float:
        """Processor time that it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """End it as a power cut would, as far as a process can."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
