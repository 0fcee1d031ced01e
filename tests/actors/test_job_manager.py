"""The job manager and the WAL writer's mailbox: nobody hears of a state that is still on its way to the disk.

The writer is played by the test, which looks at what has come for it and lets it go when it likes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from beaver_actors.actors import job_manager, wal_writer
from beaver_actors.actors.job_manager import Jobs, Request, Rules, Signals
from beaver_actors.actors.wal_writer import Append
from beaver_actors.core.answers import Answer, Enqueued
from beaver_actors.core.commands import (
    Cancel,
    Command,
    Count,
    Delete,
    Enqueue,
    Finish,
    Get,
    Lease,
    List,
    NewJob,
    Pause,
    Policy,
    Report,
    Resume,
    Retry,
    Tick,
)
from beaver_actors.core.facts import Fact, JobEnqueued
from beaver_actors.core.job import Terms
from beaver_actors.core.outcome import Succeeded
from beaver_actors.core.state import State
from beaver_actors.kernel.clock import Clock
from beaver_actors.kernel.mailbox import Closed, Mailbox, Reply

WRITER_ROOM = 10
JOB = NewJob("a", Terms("work"), b"{}")
COMMANDS: dict[str, Command] = {
    "the same job": Enqueue((JOB,)),
    "another job under the id": Enqueue((JOB._replace(args=b'{"n":1}'),)),
    "another job": Enqueue((JOB._replace(job_id="b"),)),
    "a lease": Lease("worker", 1, frozenset({"work"})),
    "an outcome of nobody": Finish((Report("a", 7, Succeeded()),)),
    "a cancel": Cancel(("a",)),
    "a retry that is refused": Retry(("a",)),
    "a delete": Delete(("a",)),
    "a pause": Pause("default"),
    "a resume that changes nothing": Resume("default"),
    "time": Tick(),
    "a look at the job": Get("a"),
    "a look at a job that is not there": Get("z"),
    "a list": List(),
    "the status": Count(),
}


class Desk:
    """A job manager, and the mailbox that it writes into."""

    def __init__(self) -> None:
        self.requests = Mailbox[Request]("job_manager", 10)
        self.appends = Mailbox[wal_writer.Message]("wal_writer", WRITER_ROOM)
        self.rules = Rules(Policy(), lambda: False)
        self.jobs = Jobs(self.requests.handle())

    async def run(self) -> None:
        clock, state = Clock(1_000_000), State()
        await job_manager.run(
            self.requests, state, self.appends.handle(), clock=clock, rules=self.rules, signals=Signals()
        )

    async def post(self, command: Command) -> Reply[Answer]:
        """Put a command, and let everybody do all they can before the disk does anything."""
        reply = await self.jobs.post(command)
        await wait_all_tasks_blocked()
        return reply

    async def sync(self) -> list[Fact]:
        """Do what the writer does with all that waits for it; returns what it would have written."""
        facts: list[Fact] = []
        for message in await self.appends.batch(WRITER_ROOM):
            assert isinstance(message, Append)
            facts += message.facts
            for release in message.release:
                release()
        return facts


@asynccontextmanager
async def managing() -> AsyncIterator[Desk]:
    """A job manager at work."""
    desk = Desk()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.run)
        yield desk
        desk.jobs.close()


@pytest.mark.parametrize("name", COMMANDS)
async def test_no_answer_leaves_while_what_it_may_speak_of_is_on_its_way(name: str) -> None:
    """P1, P5: duplicates, refusals and reads wait for the disk like everything else, for they tell of a job
    that is not on it yet."""
    async with managing() as desk:
        first = await desk.post(Enqueue((JOB,)))
        second = await desk.post(COMMANDS[name])
        assert (first.given, second.given) == (False, False)
        await desk.sync()
        assert (first.given, second.given) == (True, True)


async def test_a_draining_node_writes_what_it_answers() -> None:
    """P1, P3: who is still let in while no leases are given has a job like any other."""
    async with managing() as desk:
        desk.rules.leasing = False
        reply = await desk.post(Enqueue((JOB,)))
        facts = await desk.sync()
        assert isinstance(await reply.wait(), Enqueued)
        assert [(type(fact), fact[0]) for fact in facts] == [(JobEnqueued, "a")]


@pytest.mark.parametrize("posts", [1, WRITER_ROOM + 1])
async def test_when_the_writer_is_gone_nobody_is_answered(posts: int, autojump_clock: MockClock) -> None:
    """P1, P8: what was not written was not done; also when the job manager waits for room at the writer's."""
    desk = Desk()
    replies: list[Reply[Answer]] = []
    with pytest.RaisesGroup(Closed), trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(desk.run)
            jobs = [JOB._replace(job_id=f"job-{number}") for number in range(posts)]
            replies += [await desk.post(Enqueue((job,))) for job in jobs]
            with desk.appends:
                pass  # the writer ends
            if posts <= WRITER_ROOM:
                replies.append(await desk.post(Count()))
    assert not any(reply.given for reply in replies)
