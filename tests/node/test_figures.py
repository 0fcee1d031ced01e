"""Figures of a whole server that only the parts around the queue know."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import trio

from beaver_actors import App
from beaver_actors.client import JobFailed, connect
from tests.node.home import WAIT_SECONDS, Node, config, get, node


async def figures(home: Node, *names: str) -> list[float]:
    """The values of these metrics, which have no labels."""
    scrape = (await get(f"{home.metrics}/metrics")).text
    values = dict(line.split(" ", 1) for line in scrape.splitlines() if not line.startswith("#"))
    return [float(values[f"beaver_{name}"]) for name in names]


async def test_a_thread_that_was_left_behind_is_counted_until_it_ends(tmp_path: Path) -> None:
    """By scraping a server with a function that outlasts its attempt, until it ends."""
    app, may_end = App("held"), threading.Event()

    @app.job("held", timeout="50ms", max_attempts=1)
    def held() -> None:
        may_end.wait(WAIT_SECONDS)

    names = ("threads_busy", "threads_abandoned", "worker_processes")
    async with node(config(tmp_path / "data"), app) as home, connect(home.url) as client:
        assert await figures(home, *names) == [0, 0, 0]
        with trio.fail_after(WAIT_SECONDS):
            with pytest.raises(JobFailed, match="Timeout"):
                await (await client.enqueue("held")).result()
            assert await figures(home, *names) == [1, 1, 0]
            may_end.set()
            while await figures(home, *names) != [0, 0, 0]:
                await trio.lowlevel.checkpoint()
