"""What a failure takes with it: some actors fail alone, some end the life, and then the node recovers."""

from __future__ import annotations

import gc
import logging
import os
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import trio

from beaver_actors import App, Context
from beaver_actors.client import Event, connect
from beaver_actors.core.facts import Fact, JobStarted
from beaver_actors.execute.progress import INTERVAL_SECONDS
from beaver_actors.journal.disk import Disk
from beaver_actors.journal.journal import FileJournal
from beaver_actors.journal.recovery import Recovered, open_journal
from beaver_actors.journal.settings import JournalSettings
from beaver_actors.node import world
from beaver_actors.node.exits import Exit
from tests.node.faults import (
    Fuse,
    in_controller,
    in_job_manager,
    in_publisher,
    in_session,
    in_wal_writer,
)
from tests.node.home import WAIT_SECONDS, config, end_of, get, node

Fault = Callable[[Fuse, pytest.MonkeyPatch], None]


@pytest.mark.parametrize("fault", [in_job_manager, in_wal_writer, in_controller])
async def test_when_one_of_three_fails_the_node_recovers_on_the_same_port_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    """P3, P5, P10: one for all. The client reconnects by itself and sends again what was not answered."""
    fuse = Fuse()
    fault(fuse, monkeypatch)
    async with node(config(tmp_path / "data")) as home:
        async with connect(home.url) as client, client.subscribe_events(1) as events:
            for round_number in range(3):
                fuse.charges = 1
                jobs = [
                    await client.enqueue("demo.echo", {"n": n}, id=f"r{round_number}-{n}") for n in range(5)
                ]
                with trio.fail_after(WAIT_SECONDS):
                    ended = await client.wait_all(jobs)
                assert [job.result for job in ended] == [{"n": n} for n in range(5)]
                await home.until_life(round_number + 2)
            history: dict[str, list[str]] = {}
            next_lsn = 1
            status = await client.status()
            with trio.fail_after(WAIT_SECONDS):
                while next_lsn <= status.lsn:
                    event = await anext(events)
                    assert isinstance(event, Event)
                    assert event.lsn == next_lsn
                    next_lsn += 1
                    assert event.job_id is not None
                    history.setdefault(event.job_id, []).append(event.event)
        assert fuse.burnt == 3
        assert len({life.listen[0] for life in home.lives}) == 1
    for names in history.values():
        assert (names.count("job_enqueued"), names.count("job_completed")) == (1, 1), names
        assert names[-1] == "job_completed"


async def test_a_publisher_that_fails_is_run_again_and_watchers_miss_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P10: one for one. The life goes on, the connection too, and the restart is counted."""
    fuse = Fuse()
    in_publisher(fuse, monkeypatch)
    async with node(config(tmp_path / "data")) as home:
        async with connect(home.url, reconnect=False) as client, client.subscribe_events(1) as events:
            lsns: list[int] = []
            for number in range(3):
                fuse.charges = 1
                await client.enqueue("demo.echo", {}, id=f"j{number}")
                with trio.fail_after(WAIT_SECONDS):
                    for _ in ("enqueued", "started", "completed"):
                        event = await anext(events)
                        assert isinstance(event, Event)
                        lsns.append(event.lsn)
        assert lsns == list(range(1, 10))
        assert len(home.lives) == 1
        scrape = (await get(f"{home.metrics}/metrics")).text
        assert f'beaver_actor_restarts_total{{actor="publisher"}} {fuse.burnt}.0' in scrape
    assert fuse.burnt == 3


async def test_a_session_that_fails_is_alone_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One for one: its client connects again, its neighbours have noticed nothing."""
    fuse = Fuse()
    in_session(fuse, monkeypatch)
    async with node(config(tmp_path / "data")) as home:
        async with connect(home.url) as client, connect(home.url, reconnect=False) as neighbour:
            await neighbour.status()
            fuse.charges = 1
            with trio.fail_after(WAIT_SECONDS):
                assert (await client.enqueue("demo.echo", {"a": 1}, id="a")).duplicate is False
            await neighbour.status()
        assert (fuse.burnt, len(home.lives)) == (1, 1)
        scrape = (await get(f"{home.metrics}/metrics")).text
        assert 'beaver_actor_restarts_total{actor="session"} 1.0' in scrape


async def test_a_node_that_fails_a_sixth_time_within_a_minute_gives_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1; what was acknowledged before is there for the next start (P3)."""
    fuse = Fuse()
    in_job_manager(fuse, monkeypatch)
    async with node(config(tmp_path / "data")) as home:
        async with connect(home.url, reconnect=False) as client:
            await client.enqueue("demo.echo", {}, id="before", delay=3600)
        fuse.charges = 1_000_000  # every life from now on
        assert await home.end() == Exit.ERROR
    assert len(home.lives) == 6
    fuse.charges = 0
    async with node(config(tmp_path / "data")) as home, connect(home.url) as client:
        assert (await client.get("before")).state == "scheduled"


async def test_a_running_job_whose_node_fails_is_rescued_and_runs_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P3, P4: the handler is cancelled with its life, and no outcome of it is recorded."""
    app, begun, cancelled = App("held"), trio.Event(), trio.Event()
    attempts: list[int] = []

    @app.job("held")
    async def held() -> str:
        attempts.append(1)
        if len(attempts) > 1:
            return "the second"
        begun.set()
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()

    fuse = Fuse()
    in_wal_writer(fuse, monkeypatch)
    async with node(config(tmp_path / "data"), app) as home, connect(home.url) as client:
        job = await client.enqueue("held", id="held")
        with trio.fail_after(WAIT_SECONDS):
            await begun.wait()
            fuse.charges = 1
            await client.enqueue("demo.echo", {})
            await cancelled.wait()
            assert await job.result() == "the second"
        info = await job.status()
        assert (info.attempt, info.rescues) == (2, 1)
        assert home.lives[1].leases.rescued == 1


async def test_a_lease_that_nobody_had_begun_is_not_blamed_for_the_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P12: the life ends when the lease is on disk and no worker has heard of it. The job goes back as if it
    had never been leased: neither a rescue nor an attempt is used up."""
    fuse = Fuse()
    original = FileJournal.append

    def append(journal: FileJournal, facts: Sequence[Fact]) -> int:
        head = original(journal, facts)
        if any(isinstance(fact, JobStarted) for fact in facts):
            fuse.pass_through()
        return head

    monkeypatch.setattr(FileJournal, "append", append)
    fuse.charges = 1
    async with node(config(tmp_path / "data")) as home, connect(home.url) as client:
        job = await client.enqueue("demo.echo", {"n": 1}, id="innocent")
        with trio.fail_after(WAIT_SECONDS):
            assert await job.result() == {"n": 1}
        assert fuse.burnt == 1
        assert home.lives[-1].leases.released == 1
        found = await job.status()
        assert (found.attempt, found.rescues, found.errors) == (1, 0, ())


async def test_a_failed_life_leaves_its_memory_behind_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a million jobs, each recovery would otherwise double the process."""
    journals: list[weakref.ref[FileJournal]] = []

    def remember(disk: Disk, settings: JournalSettings) -> Recovered:
        recovered = open_journal(disk, settings)
        journals.append(weakref.ref(recovered.journal))
        return recovered

    monkeypatch.setattr(world, "open_journal", remember)
    # What is told of a failure holds the frames it passed through, and pytest keeps all that is told.
    monkeypatch.setattr(logging.getLogger("beaver_actors"), "disabled", True)
    monkeypatch.setattr(logging.getLogger("beaver_actors.node"), "disabled", True)
    fuse = Fuse()
    in_wal_writer(fuse, monkeypatch)
    async with node(config(tmp_path / "data")) as home:
        for number in range(3):
            async with connect(home.url) as client:
                fuse.charges = 1
                await client.enqueue("demo.echo", {})
            await home.until_life(number + 2)
        gc.collect()
        assert [journal() is not None for journal in journals] == [False, False, False, True]
    gc.unfreeze()


async def test_a_handler_that_is_slow_to_go_holds_recovery_up_and_breaks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P3: one for all, while a handler cleans up and a word of its progress is still held back: by then there
    is nobody left to take it."""
    app, begun = App("slow"), trio.Event()
    attempts: list[int] = []

    @app.job("slow")
    async def slow(context: Context) -> None:
        attempts.append(1)
        if len(attempts) > 1:
            return
        try:
            context.progress(1)
            context.progress(2)  # too soon after the first: held back
            begun.set()
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(3 * INTERVAL_SECONDS)

    fuse = Fuse()
    in_job_manager(fuse, monkeypatch)
    async with node(config(tmp_path / "data"), app) as home, connect(home.url) as client:
        job = await client.enqueue("slow")
        with trio.fail_after(WAIT_SECONDS):
            await begun.wait()
            fuse.charges = 1
            await job.result()
        assert len(home.lives) == 2


async def test_a_cancelled_server_gives_its_directory_up(tmp_path: Path) -> None:
    """P9: whoever embeds a server may cancel it, and start another one in the same process."""
    settings = config(tmp_path / "data")
    for _ in range(2):
        async with node(settings) as home:
            async with connect(home.url) as client:
                await client.enqueue("demo.sleep", {"seconds": 3600})
                async with trio.open_nursery() as nursery:
                    # While a commit is on its way to the disk, as likely as not.
                    nursery.start_soon(client.enqueue, "demo.echo", {})
                    await trio.lowlevel.checkpoint()
                    home.scope.cancel()
                    nursery.cancel_scope.cancel()
            assert await home.end() is None


async def test_a_job_that_changes_the_working_directory_moves_nothing_of_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P3: with a data directory that was given relative to where the server was started."""
    monkeypatch.chdir(tmp_path)
    app = App("wanderer")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    @app.job("wander")
    async def wander() -> None:
        os.chdir(elsewhere)

    fuse = Fuse()
    in_wal_writer(fuse, monkeypatch)
    settings = config("data", snapshot__interval="100ms", snapshot__min_growth=0)
    async with node(settings, app) as home, connect(home.url) as client:
        with trio.fail_after(WAIT_SECONDS):
            await (await client.enqueue("wander")).result()
            fuse.charges = 1
            await (await client.enqueue("demo.echo", {})).result()
            await home.until_life(2)
            while "beaver_snapshot_bytes" not in (await get(f"{home.metrics}/metrics")).text:
                await (await client.enqueue("demo.echo", {})).result()
    assert list(elsewhere.iterdir()) == []


async def test_lives_that_end_by_themselves_end_with_their_own_code(tmp_path: Path) -> None:
    """P9: a second server in the same directory, in the same process too."""
    settings = config(tmp_path / "data")
    async with node(settings):
        assert await end_of(settings) == Exit.LOCKED
