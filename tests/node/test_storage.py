"""A disk that fails under the server: it ends at once, and nobody was answered (P8)."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from beaver_actors import App
from beaver_actors.client import ConnectionLost, JobState, StorageFull, connect
from beaver_actors.client.async_client import Client
from beaver_actors.journal.disk import RealDisk
from beaver_actors.journal.errors import AppendRefused
from beaver_actors.node.exits import Exit
from tests.node.faults import Fuse, in_sync, in_wal_writer, input_output_error
from tests.node.home import WAIT_SECONDS, config, end_of, node


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


async def test_new_jobs_are_refused_as_soon_as_the_reserve_cannot_be_made_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """P7: no append has been refused yet, but the next segment cannot be made ahead. What is left is for
    outcomes: the job that runs is recorded, and when there is room again, new jobs are taken. The log tells
    of both, once."""
    caplog.set_level("INFO")
    app, go_on = App(), trio.Event()

    @app.job("held")
    async def held() -> str:
        await go_on.wait()
        return "done"

    async with node(config(tmp_path / "data"), app) as home, connect(home.url) as client:
        job = await client.enqueue("held")
        async with client.subscribe_events(job.lsn, events=["job_started"]) as started:
            with trio.fail_after(WAIT_SECONDS):
                await anext(started)
        with monkeypatch.context() as full:
            full.setattr(RealDisk, "free_bytes", lambda disk: 0)
            with pytest.raises(StorageFull):
                await _fill(client)
            go_on.set()
            with trio.fail_after(WAIT_SECONDS):
                assert await job.result() == "done"
        async with connect(home.url, patience=WAIT_SECONDS) as patient:
            await patient.enqueue("unknown", {})
    assert len(home.lives) == 1
    told = [message.partition(":")[0] for message in caplog.messages if "disk" in message]
    assert told == ["the disk is full", "there is room on the disk again"]


async def _fill(client: Client) -> None:
    """Far more than the segment at hand and the one made ahead, which take two of these each."""
    for _ in range(20):
        await client.enqueue("unknown", {"text": "x" * 100_000})
