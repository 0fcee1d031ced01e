"""A server process for a measurement: started on a temporary directory, and ended by pid."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from benchmarks.load import enqueue_message
from benchmarks.websocket import WebSocket

APP = "benchmarks.app:app"
STOP_SECONDS = 30.0
IDLE = {"WORKERS__QUEUES": '["nobody"]'}
"""Settings of a server that accepts jobs and runs none."""
ROOMY = {"LIMITS__QUEUE_JOBS": "5000000"}
"""Settings of a server that takes a backlog of a million and what comes on top of it."""
NO_SNAPSHOTS = {"SNAPSHOT__INTERVAL": "1h", "SNAPSHOT__LOG_SIZE": "1TiB"}


class Server:
    """A running server.

    Args:
        data_dir: where its log lies.
        settings: overrides, as environment variables without the prefix: `{"WORKERS__COUNT": "16"}`.
        environment: further variables, for its jobs.
    """

    def __init__(
        self,
        data_dir: Path,
        settings: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        given = {f"BEAVER_{name}": value for name, value in (settings or {}).items()}
        given |= environment or {}
        command = [sys.executable, "-m", "beaver_actors", "run", "--json", "--app", APP]
        command += ["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--log-level", "warning"]
        command += ["--data-dir", str(data_dir)]
        self.started_ns = time.monotonic_ns()
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | given, text=True)
        assert self._process.stdout is not None
        first = self._process.stdout.readline()
        if not first:
            raise RuntimeError(f"the server ended with exit code {self._process.wait()}")
        self.ready: dict[str, Any] = json.loads(first)
        self.url: str = self.ready["listen"][0]
        self.pid = self._process.pid
        self.data_dir = data_dir
        self._control: WebSocket | None = None

    @property
    def recovery_seconds(self) -> float:
        """What bringing back its data directory took, by its own account."""
        return float(self.ready["recovery"]["seconds"])

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """One request on a connection of the runner's own."""
        if self._control is None:
            self._control = WebSocket(self.url)
        reply: dict[str, Any] = json.loads(self._control.ask(json.dumps(message | {"id": "c"}).encode()))
        if reply["type"] != "ok":
            raise RuntimeError(f"refused: {reply}")
        return reply

    def status(self) -> dict[str, Any]:
        """What it says of itself."""
        status: dict[str, Any] = self.ask({"type": "status"})["status"]
        return status

    def completed(self) -> int:
        """Jobs that were ever completed."""
        return int(self.status()["totals"]["completed"])

    def wait_completed(self, jobs: int, seconds: float) -> int:
        """Wait until so many jobs were ever completed; returns when, monotonic nanoseconds."""
        deadline = time.monotonic() + seconds
        while self.completed() < jobs:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.completed():,} of {jobs:,} jobs completed within {seconds:g} s")
            time.sleep(0.01)
        return time.monotonic_ns()

    def acknowledge_one(self) -> int:
        """Enqueue one job; returns when it was acknowledged, monotonic nanoseconds."""
        with WebSocket(self.url) as connection:
            reply = connection.ask(enqueue_message("bench.noop", 1))
        assert b'"ok"' in reply[:40], reply
        return time.monotonic_ns()

    def rss_bytes(self) -> int:
        """Memory that it occupies now."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024

    def cpu_seconds(self) -> float:
        """Processor time that it has used, its children not counted."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """End it as a power cut would, as far as a process can."""
        self._hang_up()
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def _hang_up(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._hang_up()
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
