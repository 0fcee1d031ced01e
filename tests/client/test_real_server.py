"""Both clients and the real server, in a process of its own that is killed in the middle."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

from beaver_actors.client import Client, Event, FinishedJob, Gap, Job, JobCancelled, connect, new_job, sync
from tests.client.real import Server, server

pytestmark = pytest.mark.process


async def test_a_killed_server_loses_no_job_and_no_event(tmp_path: Path) -> None:
    """P3, P5, P10: kill -9 while jobs go in and run; the client goes on by itself when the server is back."""
    ended: list[FinishedJob] = []
    jobs: list[Job] = []
    seen: list[int] = []
    enough = trio.Event()

    async def hand_in(client: Client, number: int) -> None:
        for step in range(20):
            jobs.append(await client.enqueue("demo.echo", {"x": [number, step]}))
            if len(jobs) >= 60:
                enough.set()

    async def watch(client: Client, last: Callable[[], bool], task_status: trio.TaskStatus[None]) -> None:
        async with client.subscribe_events(1) as stream:
            task_status.started()
            while not last():
                for event in await stream.batch():
                    assert isinstance(event, Event | Gap)
                    seen.extend(
                        range(event.from_lsn, event.to_lsn + 1) if isinstance(event, Gap) else [event.lsn]
                    )

    async with trio.open_nursery() as nursery:
        first = await nursery.start(_hold, tmp_path, "127.0.0.1:0", enough.wait)
        async with connect(first.url) as client:
            async with trio.open_nursery() as tasks:
                await tasks.start(watch, client, lambda: bool(ended) and seen[-1] >= (jobs[-1].lsn or 0))
                async with trio.open_nursery() as producers:
                    for number in range(10):
                        producers.start_soon(hand_in, client, number)
                    await enough.wait()
                    await first.process.wait()
                    second = await nursery.start(_hold, tmp_path, first.url.removeprefix("ws://"), _for_ever)
                ended += await client.wait_all(jobs)
                await client.enqueue("demo.echo", {"x": "last"})
            assert sorted(one.value()["x"] for one in ended) == [[n, s] for n in range(10) for s in range(20)]
            assert len({job.id for job in jobs}) == 200
            assert seen == list(range(1, len(seen) + 1))
            status = await client.status()
            assert status.totals["enqueued"] == 201
            assert second.url == first.url
        nursery.cancel_scope.cancel()


async def _for_ever() -> None:
    await trio.sleep_forever()


async def _hold(
    data: Path, listen: str, until: Callable[[], Awaitable[None]], task_status: trio.TaskStatus[Server]
) -> None:
    """Run a server until something happens, then kill it."""
    async with server(data, listen) as running:
        task_status.started(running)
        await until()


async def test_a_script_talks_to_the_real_server(tmp_path: Path) -> None:
    """The synchronous client, end to end."""
    async with server(tmp_path) as running:

        def script() -> None:
            with sync.connect(running.url) as client:
                assert client.enqueue("demo.echo", {"x": 1}).result(timeout=60) == {"x": 1}
                jobs = client.enqueue_many([new_job("demo.echo", {"x": number}) for number in range(50)])
                assert [job.value()["x"] for job in client.wait_all(jobs, timeout=60)] == list(range(50))
                slow = client.enqueue("demo.sleep", {"seconds": 300})
                with pytest.raises(TimeoutError):
                    slow.result(timeout=0.01)
                assert slow.cancel().changed
                with pytest.raises(JobCancelled):
                    slow.result(timeout=60)

        await trio.to_thread.run_sync(script)
