"""Waiting for jobs that were handed in."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Sequence
from typing import cast

import pytest
import trio
from trio.testing import MockClock

from beaver_actors.cli.enqueue import hand_in
from beaver_actors.cli.new_job import JobReader
from beaver_actors.client import Client, FinishedJob, Job, NewJob
from beaver_actors.client.questions import Accepted
from beaver_actors.core.job import JobState
from tests.cli.command import command
from tests.cli.server import COMMAND, END_SECONDS, Server


class SlowLine:
    """A client whose messages take three seconds each; half a second after the last, all jobs are done."""

    async def enqueue_many(self, jobs: Sequence[NewJob]) -> list[Job]:
        await trio.sleep(3)
        return [Job(cast(Client, self), Accepted(str(job.id), False, 1)) for job in jobs]

    async def wait_all(
        self, jobs: Sequence[Job], *, on_update: Callable[[FinishedJob], None]
    ) -> list[FinishedJob]:
        await trio.sleep(0.5)
        return [FinishedJob(id=job.id, state=JobState.COMPLETED) for job in jobs]


async def test_the_rate_counts_from_the_first_job_handed_in(autojump_clock: MockClock) -> None:
    """By example: four jobs in messages of one take twelve seconds to hand in; the time told
    covers them, because the server works already."""
    jobs = [JobReader(1000)('{"kind": "demo.echo"}') for _ in range(4)]
    accepted, endings = await hand_in(cast(Client, SlowLine()), jobs, batch=1, wait=True)
    assert len(accepted) == 4
    assert endings is not None
    assert list(endings.summary()) == ["4 completed in 12.5 s (0.32/s)"]


@pytest.mark.process
def test_one_who_waits_is_told_why_and_what_goes_on(shared_server: Server) -> None:
    """By example: a kind that nobody serves; after Ctrl-C the id is known, and the job is there."""
    process = subprocess.Popen(
        [*COMMAND, "enqueue", "no.such.kind", "--wait", "--url", shared_server.url],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    first = process.stderr.readline()
    job_id, _, state = first.partition(" is ")
    assert state == "pending:\n"
    assert "no worker is there that can run its kind" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=END_SECONDS)
    assert (process.returncode, out) == (130, "")
    assert f"job {job_id} has not finished; it goes on" in err
    shown = command("jobs", "show", job_id, "--json", env={"BEAVER_URL": shared_server.url}).json()
    assert shown["state"] == "pending"
