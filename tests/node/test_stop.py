"""Stops that meet something unusual: a recovery under way, a failure of the node, someone who waits."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import trio

from beaver_actors import App
from beaver_actors.client import JobState, connect
from beaver_actors.journal.recovery import open_journal
from beaver_actors.node import world
from beaver_actors.node.exits import Exit
from tests.node.faults import Fuse, in_wal_writer
from tests.node.home import WAIT_SECONDS, Node, config, node


async def test_a_server_that_is_asked_to_stop_while_it_recovers_stops_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P3: what was recovered is served for a moment, and nothing is lost by it."""
    settings = config(tmp_path / "data")
    async with node(settings) as home, connect(home.url) as client:
        await client.pause("default")
        for number in range(20):
            await client.enqueue("demo.echo", {}, id=f"j{number}")
    may_recover, recovering = threading.Event(), trio.Event()
    token = trio.lowlevel.current_trio_token()

    def held_up(*args: Any) -> Any:
        token.run_sync_soon(recovering.set)
        assert may_recover.wait(WAIT_SECONDS)
        return open_journal(*args)

    with monkeypatch.context() as patch:
        patch.setattr(world, "open_journal", held_up)
        home = Node(settings)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(home.run, None, None)
            with trio.fail_after(WAIT_SECONDS):
                await recovering.wait()
            home.orders.drain.set()
            may_recover.set()
            assert await home.end() == Exit.OK
    async with node(settings) as home, connect(home.url) as client:
        assert (await client.status()).states[JobState.PENDING] == 20


async def test_a_node_that_fails_while_it_drains_ends_with_an_error_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P3: exit code 1, for there is no point in another life. The outcome was written, though nobody knew."""
    app, begun, may_end = App("held"), trio.Event(), trio.Event()

    @app.job("held")
    async def held() -> None:
        begun.set()
        await may_end.wait()

    fuse = Fuse()
    in_wal_writer(fuse, monkeypatch)
    settings = config(tmp_path / "data")
    async with node(settings, app) as home, connect(home.url, reconnect=False) as client:
        with trio.fail_after(WAIT_SECONDS):
            await client.enqueue("held", id="held")
            await begun.wait()
            home.orders.drain.set()
            fuse.charges = 1
            may_end.set()  # its outcome is the commit that fails, after it was written
            assert await home.end() == Exit.ERROR
    async with node(settings, app) as home, connect(home.url) as client:
        assert (await client.get("held")).state == "completed"
        assert home.lives[0].leases.rescued == 0


async def test_a_server_stops_while_the_result_of_a_job_is_waited_for(tmp_path: Path) -> None:
    """P10: the one who waits is told when the next server on this directory has finished it."""
    app, begun, may_end = App("held"), trio.Event(), trio.Event()

    @app.job("held")
    async def held() -> str:
        begun.set()
        await may_end.wait()
        return "done"

    settings = config(tmp_path / "data", workers__grace="0s")
    results: list[str] = []
    told = trio.Event()
    async with node(settings, app) as home:
        port = home.lives[0].listen[0]
        async with connect(home.url) as client, trio.open_nursery() as nursery:

            async def wait() -> None:
                results.append(await (await client.enqueue("held")).result())
                told.set()

            nursery.start_soon(wait)
            with trio.fail_after(WAIT_SECONDS):
                await begun.wait()
                assert await home.stop() == Exit.OK
                may_end.set()
                async with node(config(tmp_path / "data", server__listen=port), app):
                    await told.wait()
    assert results == ["done"]
