"""An app for servers that are tested to death: jobs that end the whole process, as a fault in a C library
would, and jobs that the test holds in its hand."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import trio

from beaver_actors import App, Context

app = App("bad")


@app.job("bad.exit")
async def leave(after: float = 0.3) -> None:
    """End the server while others are at work."""
    await trio.sleep(after)
    os._exit(13)


@app.job("bad.signal")
def shoot() -> None:
    """The same from a thread, and with no exit code."""
    os.kill(os.getpid(), signal.SIGKILL)


@app.job("bad.witness")
async def witness(context: Context, directory: str) -> int:
    """Leave a mark outside for each attempt, with its fence; then take long enough to be met by a kill."""
    os.mkdir(os.path.join(directory, f"{context.job_id}.{context.fence}"))  # fails if it was there
    await trio.sleep(0.05)
    return context.fence


@app.job("bad.held")
async def held(until: str, size: int = 0) -> str:
    """Run until the file exists, then return a text of so many characters."""
    while not await trio.Path(until).exists():  # noqa: ASYNC110  # another process makes it
        await trio.sleep(0.02)
    return "x" * size


@app.job("bad.parent", isolation="process")
def parent(started: str) -> None:
    """In a process of its own, with a child of its own, both for a day; makes the file when both are up."""
    script = f"import time; open({started!r}, 'x').close(); time.sleep(86400)"
    subprocess.run([sys.executable, "-c", script], check=True)
