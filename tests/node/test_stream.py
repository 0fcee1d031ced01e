"""Watchers on a log that is written, folded and trimmed under them: no event missing, or a gap that says so.

The publisher is made forgetful, so that everyone but the newest is served from the files."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from beaver_actors.client import Event, Gap, connect, new_job
from beaver_actors.client.async_client import Client
from tests.node.home import WAIT_SECONDS, config, get, node

FACTS_KEPT = 20
JOBS = 1500


async def read_through(client: Client, from_lsn: int, through_lsn: int) -> tuple[int, int]:
    """Read on until `through_lsn`, checking each step; how many events came, and how many gaps were told."""
    events = gaps = 0
    next_lsn = from_lsn
    async with client.subscribe_events(from_lsn) as stream:
        while next_lsn <= through_lsn:
            for item in await stream.batch():
                if isinstance(item, Gap):
                    assert item.from_lsn == next_lsn, f"expected {next_lsn}, got {item}"
                    next_lsn = item.to_lsn + 1
                    gaps += 1
                else:
                    assert isinstance(item, Event)
                    assert item.lsn == next_lsn, f"expected {next_lsn}, got {item}"
                    next_lsn += 1
                    events += 1
    return events, gaps


async def test_watchers_of_every_age_see_no_silent_hole_while_the_log_is_trimmed_under_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P10: readers that begin at the start, in the middle and now, while snapshots take the old log away."""
    monkeypatch.setattr("beaver_actors.actors.publisher.FACTS_KEPT", FACTS_KEPT)
    settings = config(
        tmp_path / "data",
        wal__segment_size="64KiB",
        snapshot__interval="100ms",
        snapshot__min_growth=0,
        workers__count=8,
    )
    figures: list[tuple[int, int]] = []
    async with node(settings) as home, connect(home.url) as writer:
        done = trio.Event()

        async def load() -> None:
            for first in range(0, JOBS, 50):
                jobs = [new_job("demo.echo", {"n": first + place, "text": "x" * 200}) for place in range(50)]
                await writer.wait_all(await writer.enqueue_many(jobs))
            done.set()

        async def watch(share: float) -> None:
            """Begin again and again at this share of what there is, each time on a new connection."""
            while not done.is_set():
                head = (await writer.status()).lsn
                async with connect(home.url) as client:
                    figures.append(await read_through(client, max(1, round(head * share)), head))

        with trio.fail_after(2 * WAIT_SECONDS):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(load)
                for share in (0.0, 0.3, 0.8, 1.0):
                    nursery.start_soon(watch, share)
        scrape = (await get(f"{home.metrics}/metrics")).text
        assert 'beaver_actor_restarts_total{actor="snapshotter"} 0.0' in scrape
    assert sum(events for events, _ in figures) > 3 * JOBS
    assert any(gaps for _, gaps in figures), "nothing was trimmed: the test has lost its point"
