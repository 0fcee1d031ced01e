"""What a server does with its own process: jobs find an empty input, connections find descriptors."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from beaver_actors.client import JobFailed
from beaver_actors.client.sync import connect
from tests.node.own import WAIT_SECONDS, Server, serving

pytestmark = pytest.mark.process

APP = """\
import subprocess
from beaver_actors import App

app = App()

@app.job("on_loop")
async def on_loop() -> str:
    return input()

@app.job("in_thread")
def in_thread() -> str:
    return input()

@app.job("in_process", isolation="process")
def in_process() -> str:
    return input()

@app.job("cat")
def cat() -> str:
    return subprocess.run(["cat"], capture_output=True, text=True).stdout
"""


def test_a_job_that_reads_the_standard_input_finds_it_empty(tmp_path: Path) -> None:
    """In a real process whose input never ends, as a terminal's: in every isolation, and in a program that
    the job starts."""
    read, write = os.pipe()
    try:
        with serving(tmp_path, APP, stdin=read) as server, connect(server.url) as client:
            for kind in ("on_loop", "in_thread", "in_process"):
                with pytest.raises(JobFailed, match="EOFError"):
                    client.enqueue(kind, max_attempts=1).result(WAIT_SECONDS)
            assert client.enqueue("cat").result(WAIT_SECONDS) == ""
    finally:
        os.close(read)
        os.close(write)


def limits_of(server: Server) -> list[str]:
    """The soft and the hard limit of open files."""
    lines = Path(f"/proc/{server.process.pid}/limits").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("Max open files")]
    return line.split()[3:5]


def test_the_limit_of_open_files_is_raised_for_the_connections_that_are_allowed(tmp_path: Path) -> None:
    """In a real process with the customary soft limit, and no further than needed: 700 connections, 2 workers
    with 8 each, and 256."""
    environment = os.environ | {"BEAVER_SERVER__CONNECTIONS_MAX": "700", "BEAVER_WORKERS__COUNT": "2"}
    with serving(tmp_path, APP, "ulimit -Sn 256; ulimit -Hn 4096", env=environment) as server:
        assert limits_of(server) == ["972", "4096"]
        server.process.terminate()
        assert not [line for line in server.rest() if line["level"] != "info"]
        assert server.end() == 0


def test_a_limit_of_open_files_that_cannot_be_raised_is_told_and_lived_with(tmp_path: Path) -> None:
    """In a real process: one warning with the figures, and clients are served."""
    environment = os.environ | {"BEAVER_SERVER__CONNECTIONS_MAX": "700", "BEAVER_WORKERS__COUNT": "2"}
    with serving(tmp_path, APP, "ulimit -Sn 256; ulimit -Hn 512", env=environment) as server:
        told = server.line("the limit of open files is too low")
        assert told["level"] == "warning"
        figures = {
            name: told[name] for name in ("limit", "needed", "connections_max", "fitting_connections_max")
        }
        assert figures == {
            "limit": 512,
            "needed": 972,
            "connections_max": 700,
            "fitting_connections_max": 240,
        }
        assert limits_of(server) == ["512", "512"]
        with connect(server.url) as client:
            assert client.enqueue("cat").result(WAIT_SECONDS) == ""
