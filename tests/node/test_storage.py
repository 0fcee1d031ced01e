"""A disk that fails under the server: it ends at once, and nobody was answered (P8)."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from beaver_actors.client import ConnectionLost, JobState, connect
from beaver_actors.client.trio_client import Client
from beaver_actors.journal.errors import AppendRefused
from beaver_actors.node.exits import Exit
from tests.node.faults import Fuse, in_sync, in_wal_writer, input_output_error
from tests.node.home import config, end_of, node


async def test_a_failed_sync_ends_the_run_and_nobody_was_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """P8, P1: many clients wait on the sync that fails; it is not tried again."""
    fuse = Fuse(input_output_error)
    in_sync(fuse, monkeypatch)
    lost: list[str] = []

    async def enqueue(client: Client, name: str) -> None:
        try:
            await client.enqueue("demo.echo", {}, id=name)
        except ConnectionLost:
            lost.append(name)

    async with node(config(tmp_path / "data")) as home:
        async with connect(home.url, reconnect=False) as client:
            await client.enqueue("demo.echo", {}, id="before", delay=3600)
            fuse.charges = 1_000_000
            async with trio.open_nursery() as nursery:
                for number in range(20):
                    nursery.start_soon(enqueue, client, f"j{number}")
        assert await home.end() == Exit.STORAGE
    assert len(lost) == 20
    assert fuse.burnt == 1, "a retry on the same pages would lie"
    assert "the server ends: the log could not be written: [Errno 5] Input/output error" in caplog.messages
    fuse.charges = 0
    async with node(config(tmp_path / "data")) as home, connect(home.url) as client:
        assert (await client.get("before")).state == "scheduled"
        for name in lost:
            await client.enqueue("demo.echo", {}, id=name)
        assert (await client.status()).states.get(JobState.DEAD, 0) == 0


async def test_a_sync_that_fails_during_recovery_ends_the_run_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P8: at each sync of a recovery in turn; none of them answers anybody, and the next start has it all."""
    settings = config(tmp_path / "data")
    async with node(settings) as home, connect(home.url) as client:
        await client.enqueue("demo.echo", {}, id="before", delay=3600)
    fuse = Fuse(input_output_error)
    in_sync(fuse, monkeypatch)
    for skipped in range(2):
        passed = 0

        def pass_some(skipped: int = skipped) -> None:
            nonlocal passed
            passed += 1
            if passed > skipped:
                fuse.burnt += 1
                raise input_output_error()

        with monkeypatch.context() as patch:
            patch.setattr(fuse, "pass_through", pass_some)
            assert await end_of(settings) == Exit.STORAGE
        assert fuse.burnt == skipped + 1, "one failure, and nothing after it"
    async with node(settings) as home, connect(home.url) as client:
        assert (await client.get("before")).state == "scheduled"


async def test_a_disk_that_stays_full_beyond_the_reserve_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P7: exit code 7 and no other life, which would find the disk as full. The wait is cut short here."""
    monkeypatch.setattr("beaver_actors.actors.wal_writer.REFUSED_SECONDS", 0.0)
    fuse = Fuse(lambda: AppendRefused("the disk is full"))
    in_wal_writer(fuse, monkeypatch)
    async with node(config(tmp_path / "data")) as home:
        async with connect(home.url, reconnect=False) as client:
            fuse.charges = 1_000_000
            with pytest.raises(ConnectionLost):
                await client.enqueue("demo.echo", {})
        assert await home.end() == Exit.STORAGE
    assert len(home.lives) == 1
