"""One life of the node: recover, start the actors bottom-up, serve, drain top-down. The topology is here.

```
sessions ───▶ fleet ──────┐
sessions ───▶ job_manager ◀┘ ──▶ wal_writer ──▶ publisher
controller ─▶ job_manager          ▲         scheduler ─▶ job_manager
controller ─▶ snapshotter ─────────┘         workers ─▶ desk ─▶ controller
```

Arrows are mailboxes; replies and signals, which never wait, run the other way.

Workers, sessions, scheduler, publisher and snapshotter fail alone. If WAL writer, job manager, fleet or
controller fails, the life ends, and the next one recovers from the journal: the same path as after a crash,
so only one to test."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import trio

from beaver_actors.actors import (
    controller,
    fleet,
    job_manager,
    publisher,
    scheduler,
    snapshotter,
    wal_writer,
    worker,
)
from beaver_actors.actors.desk import Board, Desk, Message as DeskMessage, ReadChildren
from beaver_actors.actors.job_manager import Jobs, Request, Rules, Signals
from beaver_actors.actors.publisher import Chunk, Stream
from beaver_actors.actors.roster import Roster, Timing
from beaver_actors.actors.snapshotter import FoldSnapshot, TakeSnapshot
from beaver_actors.core.answers import LeasedJob
from beaver_actors.core.commands import Policy, Tick
from beaver_actors.core.facts import Fact
from beaver_actors.core.outcome import Outcome
from beaver_actors.core.state import State
from beaver_actors.kernel.clock import Chance, Clock
from beaver_actors.kernel.mailbox import Handle, Mailbox
from beaver_actors.kernel.offload import Offload
from beaver_actors.kernel.pace import Pace
from beaver_actors.kernel.supervise import one_for_one

REQUESTS_WAITING = 1024
"""Requests that may wait for the job manager before sessions stop reading: a few batches."""
OUTCOMES_WAITING = 4096
"""Outcomes that may wait for the controller before workers do."""
WORKERS_WAITING = 1024
"""Messages of workers that may wait for the fleet, which never waits itself."""
COMMITS_WAITING = 1024
"""Commits that may wait for the publisher before it must send its readers to the files."""
LINGER_SECONDS = 5.0
"""For handlers to end that were told to; then the operator learns why the node does not stop."""
GOODBYE_SECONDS = 3.0
"""For telling clients that the server goes; one that does not listen is cut off."""
DRAIN_SECONDS = 20.0
"""From the last job's end to the journal's: only commits are left, so longer means a leaked handle."""


class DrainFailed(Exception):
    """The actors did not end by themselves: someone still holds a handle."""


class Observer:
    """Told of what happens, for metrics and the log. This one tells nobody."""

    def committed(self, seconds: float, facts: Sequence[Fact]) -> None:
        """A commit is durable."""

    def attempt(self, job: LeasedJob, outcome: Outcome, seconds: float) -> None:
        """An attempt has ended."""

    def lost(self, count: int) -> None:
        """Outcomes came too late: their lease was lost."""

    def lingering(self, count: int) -> None:
        """So many handlers were told to end, and go on; the drain waits for them."""

    def no_room(self, error: Exception) -> None:
        """The disk is full beyond the reserve; until there is room, nobody is answered."""

    def fire_refused(self, schedule: str, reason: str) -> None:
        """What a schedule is due for does not fit into the queue; it is tried again."""

    def restarted(self, actor: str, error: Exception) -> None:
        """An actor failed alone and is run again."""

    def began(self, desk: Desk, roster: Roster, mailboxes: tuple[Mailbox[Any], ...]) -> None:
        """These are the desk, the roster and the mailboxes of this life."""


@dataclass(slots=True)
class Orders:
    """What the operator wants: set by signals, looked at by the life."""

    drain: trio.Event = field(default_factory=trio.Event)
    """Stop: no new jobs, running ones may finish within the grace."""
    hurry: trio.Event = field(default_factory=trio.Event)
    """Stop at once: running ones go back unfinished."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a life is made of and does not make itself."""

    state: State
    """Recovered; leases of the life before are already given back."""
    log: wal_writer.Log
    history: Callable[[int, int], Chunk]
    """Reads committed facts from the log's files."""
    sizes: Callable[[], tuple[int, int]]
    """Bytes of log since the newest snapshot, and of that snapshot."""
    storage_full: Callable[[], bool]
    fold_snapshot: FoldSnapshot
    snapshot_lsn: int
    execute: worker.Execute
    children: ReadChildren
    board: Board
    clock: Clock
    wall_ms: Callable[[], int]
    """The wall clock, milliseconds UTC, which schedules follow."""
    chance: Chance
    offload: Offload
    write: Offload
    """Runs the log's blocking calls."""
    pace: Pace | None
    """Whether they are quick enough for the loop itself."""
    policy: Policy
    settings: controller.Settings
    remote: Timing
    """How long is waited for workers on other machines."""
    remote_workers_max: int
    appends_waiting: int
    """Appends that may wait while a commit is on its way; above it the job manager waits."""
    grace: float
    """Seconds that running jobs get when the node drains."""
    observer: Observer


@dataclass(frozen=True, slots=True)
class Access:
    """What those who serve clients get: the job manager, the stream of facts, and the fleet."""

    jobs: Jobs
    stream: Stream
    fleet: Handle[fleet.Message]
    clock: Clock
    wall_ms: Callable[[], int]
    closing: trio.Event
    """Set when it is time to say goodbye; every job is finished or handed back by then."""


class Front(Protocol):
    """Serves clients until `closing`, and ends soon after; tells `task_status` once it accepts them."""

    def __call__(self, access: Access, *, task_status: trio.TaskStatus[None]) -> Awaitable[None]: ...


async def live(parts: Parts, orders: Orders, front: Front) -> None:
    """Run one life; returns after a drain.

    Args:
        parts: what the life works with; the journal in it is open and is not closed here.
        orders: when to drain, and when to hurry.
        front: serves clients.

    Raises:
        ExceptionGroup: an actor failed that the others cannot do without.
        DrainFailed: the actors did not end.
    """
    signals = Signals()
    rules = Rules(parts.policy, parts.storage_full)
    requests = Mailbox[Request]("job_manager", REQUESTS_WAITING)
    appends = Mailbox[wal_writer.Message]("wal_writer", parts.appends_waiting)
    commits = Mailbox[publisher.Message]("publisher", COMMITS_WAITING)
    snapshots = Mailbox[TakeSnapshot]("snapshotter", 1)
    outcomes = Mailbox[DeskMessage]("controller", OUTCOMES_WAITING)
    from_workers = Mailbox[fleet.Message]("fleet", WORKERS_WAITING)
    mailboxes: tuple[Mailbox[Any], ...] = (requests, appends, commits, snapshots, outcomes, from_workers)
    jobs, wal, watchers = Jobs(requests.handle()), appends.handle(), commits.handle()
    desk = Desk(outcomes.handle(), parts.board, parts.chance.dice, parts.children)
    roster = Roster(parts.remote)
    roster.inherit(parts.state.in_flight.values(), parts.clock.now_ms())
    parts.observer.began(desk, roster, mailboxes)
    stream = Stream(watchers.clone(), parts.history, parts.offload)
    snapshotting = trio.CancelScope()
    restarted = parts.observer.restarted

    async def publish() -> None:
        with commits:
            await one_for_one("publisher", lambda: publisher.run(commits, parts.log.head), restarted)

    async def take_snapshots(wal: Handle[wal_writer.Message]) -> None:
        run = partial(snapshotter.run, snapshots, wal, parts.fold_snapshot, parts.snapshot_lsn)
        with snapshotting, snapshots, wal:
            await one_for_one("snapshotter", run, restarted)

    async with trio.open_nursery() as back:
        back.start_soon(publish)
        write = partial(wal_writer.run, offload=parts.write, pace=parts.pace, refused=parts.observer.no_room)
        await back.start(partial(write, appends, parts.log, watchers, committed=parts.observer.committed))
        back.start_soon(take_snapshots, wal.clone())
        manage = partial(job_manager.run, clock=parts.clock, rules=rules, signals=signals)
        await back.start(partial(manage, requests, parts.state, wal))
        look_after = partial(fleet.run, clock=parts.clock, rules=rules, signals=signals)
        look_after = partial(look_after, dice=parts.chance.dice, workers_max=parts.remote_workers_max)
        look_after = partial(look_after, lost=parts.observer.lost)
        await back.start(partial(look_after, from_workers, roster, jobs.clone()))
        workers = from_workers.handle()
        async with trio.open_nursery() as serving:
            closing = trio.Event()
            await serving.start(front, Access(jobs, stream, workers, parts.clock, parts.wall_ms, closing))
            async with trio.open_nursery() as working:
                control = partial(controller.run, settings=parts.settings, clock=parts.clock, signals=signals)
                control = partial(control, sizes=parts.sizes, lost=parts.observer.lost)
                await working.start(partial(control, outcomes, desk, jobs.clone(), snapshots.handle()))
                working.start_soon(_employ, desk, parts)
                scheduling = trio.CancelScope()
                working.start_soon(_schedule, scheduling, jobs.clone(), signals, parts)
                await orders.drain.wait()
                scheduling.cancel()
                await _send_home(desk, rules, jobs, orders, parts)
            snapshotting.cancel()
            closing.set()
            serving.cancel_scope.deadline = trio.current_time() + GOODBYE_SECONDS
        back.cancel_scope.deadline = trio.current_time() + DRAIN_SECONDS
        workers.close()
        jobs.close()
        stream.close()
    if back.cancel_scope.cancelled_caught:
        held = ", ".join(box.name for box in (from_workers, requests, appends, commits) if not box.ended)
        raise DrainFailed(f"a handle was never closed; still open: {held}")


async def _employ(desk: Desk, parts: Parts) -> None:
    """Run the workers until the desk is closed, then hang up: no more outcomes will come."""
    work = partial(worker.run, desk, parts.execute, parts.observer.attempt)
    async with trio.open_nursery() as workers:
        for number in range(parts.settings.workers):
            workers.start_soon(one_for_one, f"worker {number}", work, parts.observer.restarted)
    desk.hang_up()


async def _schedule(scope: trio.CancelScope, jobs: Jobs, signals: Signals, parts: Parts) -> None:
    """Bring what schedules are due for, until cancelled."""
    bring = partial(scheduler.run, jobs, wall_ms=parts.wall_ms, signals=signals)
    bring = partial(bring, refused=parts.observer.fire_refused)
    try:
        with scope:
            await one_for_one("scheduler", bring, parts.observer.restarted)
    finally:
        jobs.close()


async def _send_home(desk: Desk, rules: Rules, jobs: Jobs, orders: Orders, parts: Parts) -> None:
    """Lease nothing more, hand back what has not begun, and wait for the rest as long as the grace lasts."""
    rules.leasing = False
    desk.close()
    await desk.clear()
    await jobs.ask(Tick())  # lets the job manager answer the lease that waits for work
    with trio.move_on_after(parts.grace):
        async with trio.open_nursery() as waiting:
            waiting.start_soon(_until, orders.hurry.wait, waiting.cancel_scope)
            waiting.start_soon(_until, desk.wait_quiet, waiting.cancel_scope)
    desk.release_all()
    with trio.move_on_after(LINGER_SECONDS) as patience:
        await desk.wait_quiet()
    if patience.cancelled_caught:
        parts.observer.lingering(desk.busy)


async def _until(wait: Callable[[], Awaitable[None]], scope: trio.CancelScope) -> None:
    await wait()
    scope.cancel()
