"""The job kinds that every server has, so that it can be tried, measured and broken without any code."""

from __future__ import annotations

import os
import signal
from typing import Annotated, Any

from msgspec import Meta

from beaver_actors.execute.app import App
from beaver_actors.execute.context import Context

app = App("demo")

STEPS_MAX = 10
STEP_SECONDS_MIN = 0.2


@app.job("demo.echo")
async def echo(**values: Any) -> dict[str, Any]:
    """Return the arguments, whatever they are."""
    return values


@app.job("demo.sleep")
async def sleep(context: Context, seconds: Annotated[float, Meta(ge=0, le=1e9)] = 1.0) -> float:
    """Sleep, telling how far it is, and return the seconds."""
    # Imported here because a worker process that runs plain functions has no need of Trio.
    import trio

    steps = max(1, min(STEPS_MAX, int(seconds / STEP_SECONDS_MIN)))
    for step in range(1, steps + 1):
        await trio.sleep(seconds / steps)
        if step < steps:
            context.progress(100 * step / steps, f"slept {seconds * step / steps:g} of {seconds:g} s")
    return seconds


@app.job("demo.fail")
async def fail(context: Context, message: str = "this job always fails", times: int | None = None) -> int:
    """Raise; with `times`, only in the first so many attempts. Returns the attempt that succeeded."""
    if times is None or context.attempt <= times:
        raise RuntimeError(message)
    return context.attempt


@app.job("demo.crash", isolation="process")
def crash() -> None:
    """Kill the own worker process, as the out-of-memory killer would."""
    os.kill(os.getpid(), signal.SIGKILL)
