"""Jobs that leave a trace of each start in a file, and end when the test says so."""

from __future__ import annotations

import os
import time
from pathlib import Path

import trio

from beaver_actors import App, Context

app = App("remote")


def trace(path: str, line: str) -> None:
    """One line, written with one call, so that lines of several processes do not mix."""
    with open(path, "ab", buffering=0) as file:
        file.write(f"{line}\n".encode())


@app.job("hold")
async def hold(context: Context, path: str, until: str) -> str:
    """Say that it runs, and wait until there is a file."""
    trace(path, f"{context.job_id} {context.attempt} {context.fence} {os.getpid()}")
    while not os.path.exists(until):  # noqa: ASYNC110, ASYNC240  # the test's files make no sound
        await trio.sleep(0.02)
    return context.job_id


@app.job("hold-in-thread")
def hold_in_thread(context: Context, path: str, until: str) -> str:
    """The same in a thread, and it hears when it is cancelled."""
    trace(path, f"{context.job_id} {context.attempt} {context.fence} {os.getpid()}")
    while not Path(until).exists():
        context.check_cancelled()
        time.sleep(0.02)
    return context.job_id


@app.job("hold-in-process", isolation="process")
def hold_in_process(context: Context, path: str, until: str) -> str:
    """The same in a process of its own."""
    return hold_in_thread.function(context, path, until)


@app.job("block")
async def block(path: str, seconds: float) -> str:
    """Keep the event loop for so long, as no handler should."""
    trace(path, "blocks")
    time.sleep(seconds)  # noqa: ASYNC251  # that is the point
    return "unblocked"


@app.job("large")
async def large(size: int) -> str:
    """Return so many letters."""
    return "x" * size
