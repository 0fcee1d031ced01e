"""A whole life of the node in memory: the real actors on a log that is a list, a clock that jumps, and jobs
that do what the test says. Used by the tests of the actors; nothing here decides anything an actor should."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import trio

from beaver_actors.actors import controller
from beaver_actors.actors.desk import Control
from beaver_actors.actors.publisher import Chunk
from beaver_actors.actors.roster import Timing
from beaver_actors.actors.snapshotter import SnapshotTaken
from beaver_actors.codec.wire_decode import Limits
from beaver_actors.codec.wire_jobs import Defaults
from beaver_actors.core.answers import Answer, Enqueued, Found, JobView, LeasedJob
from beaver_actors.core.commands import Enqueue, Get, NewJob, Policy
from beaver_actors.core.facts import Fact
from beaver_actors.core.job import JobState, Terms
from beaver_actors.core.outcome import Outcome, Released, Stopped, Succeeded
from beaver_actors.core.state import State
from beaver_actors.execute.children import children_of
from beaver_actors.kernel.clock import Chance, Clock
from beaver_actors.kernel.offload import inline
from beaver_actors.node.life import Access, Observer, Orders, Parts, live


@dataclass
class MemoryLog:
    """A log that keeps what it is given, and can be told to be slow or to fail."""

    facts: list[Fact] = field(default_factory=list)
    commits: list[int] = field(default_factory=list)
    fail_with: Exception | None = None
    sealed: int = 0
    trimmed: list[int] = field(default_factory=list)
    wants_replenishing: bool = False

    @property
    def head(self) -> int:
        return len(self.facts)

    def append(self, facts: Sequence[Fact]) -> int:
        if self.fail_with is not None:
            raise self.fail_with
        self.facts.extend(facts)
        self.commits.append(len(facts))
        return self.head

    def rotate(self) -> int:
        self.sealed = self.head
        return self.sealed

    def trim(self, keep_from_lsn: int) -> None:
        self.trimmed.append(keep_from_lsn)

    def replenish(self) -> None:
        self.wants_replenishing = False


class Running:
    """An attempt under way, as the scripted executor has it."""

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self.ended_by: Outcome | None = None

    def cancel(self) -> None:
        self.ended_by = self.ended_by or Stopped()
        self.scope.cancel()

    def release(self) -> None:
        self.ended_by = self.ended_by or Released()
        self.scope.cancel()


Script = Callable[[LeasedJob], Awaitable[Outcome]]


async def succeed(job: LeasedJob) -> Outcome:
    """The job of most tests: done at once."""
    return Succeeded(b"1")


TIMING = Timing(lease_ms=60_000, heartbeat_ms=15_000, timeout_grace_ms=10_000)


class Board:
    """Remembers who is under way."""

    def __init__(self) -> None:
        self.fences: set[int] = set()

    def begin(self, fence: int) -> None:
        self.fences.add(fence)

    def end(self, fence: int) -> None:
        self.fences.discard(fence)


class Watcher(Observer):
    """Writes down what the node tells."""

    def __init__(self) -> None:
        self.lost_count = 0
        self.lingering_count = 0
        self.restarts: list[str] = []
        self.fires_refused: list[str] = []

    def lost(self, count: int) -> None:
        self.lost_count += count

    def lingering(self, count: int) -> None:
        self.lingering_count = count

    def fire_refused(self, schedule: str, reason: str) -> None:
        self.fires_refused.append(schedule)

    def restarted(self, actor: str, error: Exception) -> None:
        self.restarts.append(actor)


@dataclass
class World:
    """What a test can reach of the life that runs."""

    log: MemoryLog
    state: State
    orders: Orders
    board: Board
    watcher: Watcher
    began: list[LeasedJob] = field(default_factory=list)
    snapshots: list[int] = field(default_factory=list)
    full: bool = False
    access: Access | None = None
    wall_ahead_ms: int = 0
    """How far the wall clock is ahead of the one that everything but schedules goes by."""

    async def ask(self, command: Any) -> Answer:
        assert self.access is not None
        return await self.access.jobs.ask(command)

    async def enqueue(self, *names: str, kind: str = "work", **options: Any) -> Enqueued:
        terms = Terms(kind, **{key: options.pop(key) for key in list(options) if key in Terms._fields})
        answer = await self.ask(Enqueue(tuple(NewJob(name, terms, b"{}", **options) for name in names)))
        assert isinstance(answer, Enqueued), answer
        return answer

    async def show(self, name: str) -> JobView:
        answer = await self.ask(Get(name))
        assert isinstance(answer, Found), answer
        return answer.job

    async def until(self, name: str, *states: JobState) -> JobView:
        """Wait, on the mock clock, until the job is in one of these states."""
        while True:
            job = await self.show(name)
            if job.state in states:
                return job
            await trio.sleep(0.01)

    def kinds(self) -> list[str]:
        return [type(fact).__name__ for fact in self.log.facts]


@asynccontextmanager
async def running(
    script: Script = succeed,
    *,
    workers: int = 2,
    ahead_max: int = 0,
    grace: float = 10.0,
    policy: Policy | None = None,
    fold_snapshot: Callable[[int], Awaitable[SnapshotTaken]] | None = None,
    snapshot_interval: float = 1e6,
    snapshot_log_bytes: int = 1 << 40,
    log: MemoryLog | None = None,
    drain: bool = True,
    workers_max: int = 100,
    state: State | None = None,
) -> AsyncIterator[World]:
    """Run a life around the body of the test, and drain it afterwards."""
    world = World(log or MemoryLog(), state or State(), Orders(), Board(), Watcher())
    up = trio.Event()

    class Execute:
        """Each attempt in a scope of its own: no stage is ever spent."""

        spent = False

        async def __call__(
            self,
            job: LeasedJob,
            begin: Callable[[int, Control], None],
            progress: Callable[[LeasedJob, bytes], None],
        ) -> Outcome:
            control = Running()
            begin(job.fence, control)
            world.began.append(job)
            with control.scope:
                return await script(job)
            return control.ended_by or Released()

        def stage(self) -> AbstractContextManager[Execute]:
            return nullcontext(self)

    async def snapshot(lsn: int) -> SnapshotTaken:
        world.snapshots.append(lsn)
        return SnapshotTaken(lsn, 100, 0.0, max(0, lsn - 10))

    async def front(access: Access, *, task_status: trio.TaskStatus[None]) -> None:
        world.access = access
        task_status.started()
        up.set()
        await access.closing.wait()

    def history(first_lsn: int, limit: int) -> Chunk:
        return Chunk(first_lsn, world.log.facts[first_lsn - 1 : first_lsn - 1 + limit])

    clock = Clock(start_ms=1_000_000)
    parts = Parts(
        state=world.state,
        log=world.log,
        history=history,
        sizes=lambda: (world.log.head, 0),
        storage_full=lambda: world.full,
        fold_snapshot=fold_snapshot or snapshot,
        snapshot_lsn=0,
        execute=Execute(),
        children=lambda texts: children_of(texts, Limits(), Defaults()),
        board=world.board,
        clock=clock,
        wall_ms=lambda: clock.now_ms() + world.wall_ahead_ms,
        chance=Chance(1),
        offload=inline,
        write=inline,
        pace=None,
        policy=policy or Policy(served_kinds=frozenset({"work"})),
        settings=controller.Settings(
            worker_id="here",
            kinds=frozenset({"work"}),
            queues=None,
            workers=workers,
            ahead_max=ahead_max,
            snapshot_interval=snapshot_interval,
            snapshot_min_growth=0.0,
            snapshot_log_bytes=snapshot_log_bytes,
        ),
        remote=TIMING,
        remote_workers_max=workers_max,
        appends_waiting=4,
        grace=grace,
        observer=world.watcher,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(live, parts, world.orders, front)
        await up.wait()
        yield world
        if drain:
            world.orders.drain.set()
        else:
            nursery.cancel_scope.cancel()
