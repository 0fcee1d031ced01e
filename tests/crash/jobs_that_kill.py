"""An app whose jobs end the whole server, as a fault in a C library would; run by the tests of poison."""

from __future__ import annotations

import os
import signal

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
