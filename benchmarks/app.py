"""The jobs of the benchmark, in this process and, as the same functions, in every worker of ours."""

from __future__ import annotations

import time

from beaver_actors import App
from benchmarks.peers.apps.shared import count as count_run

app = App("bench")


@app.job("bench.noop")
async def noop(pad: str) -> None:
    """Do nothing: what is left is the queue."""


@app.job("bench.stamp")
async def stamp(pad: str) -> int:
    """Return when it began, in nanoseconds of the clock that all processes of a machine share."""
    return time.monotonic_ns()


@app.job("bench.count")
async def count(pad: str) -> None:
    """Tell the runner of the peers that it has run, as their jobs do."""
    count_run()


@app.job("bench.burn", isolation="process")
def burn(steps: int) -> int:
    """Compute: so many steps of plain Python."""
    total = 0
    for step in range(steps):
        total += step * step & 7
    return total
