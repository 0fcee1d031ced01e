"""Health while the node recovers, and a wall clock that was set back between two starts."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import trio

from beaver_actors.client import connect
from beaver_actors.journal.recovery import open_journal
from beaver_actors.node import world
from tests.node.faults import Fuse, in_wal_writer
from tests.node.home import WAIT_SECONDS, config, get, node

HOUR = 3600


async def test_while_the_node_recovers_it_is_healthy_and_not_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the metrics port; clients of the main port wait to be accepted, and are."""
    may_recover = threading.Event()
    may_recover.set()
    recovering = trio.Event()
    token = trio.lowlevel.current_trio_token()

    def held_up(*args: Any) -> Any:
        if not may_recover.is_set():
            token.run_sync_soon(recovering.set)
            assert may_recover.wait(WAIT_SECONDS)
        return open_journal(*args)

    monkeypatch.setattr(world, "open_journal", held_up)
    fuse = Fuse()
    in_wal_writer(fuse, monkeypatch)
    async with node(config(tmp_path / "data")) as home:
        assert (await get(f"{home.metrics}/readyz")).status == 200
        may_recover.clear()
        fuse.charges = 1
        async with connect(home.url) as client, trio.open_nursery() as nursery:

            async def enqueue() -> None:
                await (await client.enqueue("demo.echo", {})).result()

            nursery.start_soon(enqueue)
            with trio.fail_after(WAIT_SECONDS):
                await recovering.wait()
                assert (await get(f"{home.metrics}/healthz")).status == 200
                unready = await get(f"{home.metrics}/readyz")
                assert (unready.status, '"recovering"' in unready.text) == (503, True)
                assert (await get(f"{home.metrics}/metrics")).status == 200
                may_recover.set()
                await home.until_life(2)
                assert (await get(f"{home.metrics}/readyz")).status == 200


async def test_time_on_record_never_runs_backwards_though_the_wall_clock_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """P3, P10: a start an hour "earlier" goes on from the last recorded time, says so, and jobs still run."""
    wall = 2_000_000_000.0
    monkeypatch.setattr("beaver_actors.kernel.clock.time.time", lambda: wall)
    async with node(config(tmp_path / "data")) as home, connect(home.url) as client:
        first = await client.enqueue("demo.echo", {}, id="first")
        with trio.fail_after(WAIT_SECONDS):
            await first.result()
        before = await client.get("first")
    wall -= HOUR
    async with node(config(tmp_path / "data")) as home, connect(home.url) as client:
        second = await client.enqueue("demo.echo", {}, id="second", delay=0.05)
        with trio.fail_after(WAIT_SECONDS):
            await second.result()
        after = await client.get("second")
        assert before.finished_at is not None
        assert after.created_at >= before.finished_at
    (told,) = [record for record in caplog.records if "wall clock is behind" in record.message]
    assert told.levelname == "WARNING"
