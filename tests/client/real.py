"""The real server in a process of its own, for tests."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import NamedTuple

import trio


class Server(NamedTuple):
    """A server process."""

    process: trio.Process
    url: str


@asynccontextmanager
async def server(data: Path, listen: str = "127.0.0.1:0") -> AsyncIterator[Server]:
    """The real server, as a user starts it; killed at the end of the block."""
    options = ["--data-dir", str(data), "--listen", listen, "--metrics-listen", "127.0.0.1:0", "--json"]
    command = [sys.executable, "-m", "beaver_actors", "run", *options]
    process = await trio.lowlevel.open_process(command, stdout=PIPE, stderr=DEVNULL)
    assert process.stdout is not None
    try:
        line = b""
        while not line.endswith(b"\n"):
            part = await process.stdout.receive_some()
            assert part, "the server ended before it was ready"
            line += part
        yield Server(process, json.loads(line)["listen"][0])
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
            await process.stdout.aclose()
