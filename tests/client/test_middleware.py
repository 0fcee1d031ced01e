"""Hooks that are shown every job before it is sent."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from beaver_actors.client import NewJob, add_meta, meta_of, new_job, sync
from beaver_actors.execute.app import App
from tests.client.conftest import Connect
from tests.client.rig import rigged

app = App()


@app.job("work")
def work(x: int) -> int:
    return x


def stamp(job: NewJob[Any]) -> None:
    add_meta(job, {"stamp": job.kind})


async def test_a_hook_may_change_what_is_sent(connect: Connect) -> None:
    """By one that adds meta and one that moves jobs to a queue, each for a single job, many jobs and
    calls."""

    def move(job: NewJob[Any]) -> None:
        job.queue = f"{meta_of(job)['stamp']}-queue"

    async with rigged() as rig, connect(rig.url, on_enqueue=[stamp, move]) as client:
        one = await client.enqueue("work", {"x": 1}, meta={"own": 1})
        two, three = await client.enqueue_many([new_job("work", {"x": 2}), work.call(3)])
        assert (await one.status()).meta == {"own": 1, "stamp": "work"}
        for job in (one, two, three):
            assert (await job.status()).queue == "work-queue"


async def test_what_a_hook_raises_reaches_the_caller_and_nothing_is_sent(connect: Connect) -> None:
    """A job that a hook will not have is not handed in, nor are those beside it."""

    def refuse(job: NewJob[Any]) -> None:
        if bytes(job.args or b"") == b'{"x":2}':
            raise PermissionError("not this one")

    async with rigged() as rig, connect(rig.url, on_enqueue=[refuse]) as client:
        with pytest.raises(PermissionError, match="not this one"):
            await client.enqueue_many([work.call(1), work.call(2)])
        await client.status()
        assert not rig.sent("enqueue")


async def test_a_job_that_is_enqueued_again_stays_the_same_job(connect: Connect) -> None:
    """P5: a hook that never says the same twice is asked once for each job, or its repetition would
    conflict."""
    numbers = iter(range(100))

    def number(job: NewJob[Any]) -> None:
        add_meta(job, {"number": next(numbers)})

    async with rigged() as rig, connect(rig.url, on_enqueue=[number]) as client:
        jobs = [new_job("work", {"x": x}) for x in range(3)]
        await client.enqueue_many(jobs)
        assert all(job.duplicate for job in await client.enqueue_many(jobs))
        assert len(rig.queue.log) == 3


async def test_hooks_of_the_synchronous_client() -> None:
    """The same there."""
    async with rigged() as rig:

        def script() -> dict[str, Any]:
            with sync.connect(rig.url, on_enqueue=[stamp]) as client:
                return client.enqueue(work.call(1)).status().meta

        assert await trio.to_thread.run_sync(script) == {"stamp": "work"}


def test_a_job_knows_whether_its_id_was_chosen() -> None:
    """A hook must not make different jobs of what shall be one."""
    assert new_job("work", id="mine").named_by_user
    assert not new_job("work").named_by_user
