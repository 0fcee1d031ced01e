"""Controller: brings jobs to workers, outcomes and time to the job manager, and has snapshots taken.

Four loops, each a task of its own: *dispatch* leases what the workers want, in batches; *result* records
outcomes, in batches; *timeout* brings time; *snapshot* decides when the log is worth folding. A fifth passes
on cancel requests. Nothing here touches the queue's state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import trio

from beaver_actors.actors.desk import Desk, Message, weigh
from beaver_actors.actors.job_manager import Jobs, Signals
from beaver_actors.actors.snapshotter import TakeSnapshot
from beaver_actors.core.answers import Finished, Leased, Ticked
from beaver_actors.core.commands import Finish, Lease, Progress, Report, Tick
from beaver_actors.kernel.clock import Clock
from beaver_actors.kernel.mailbox import Handle, Mailbox

TICK_SECONDS = 1.0
"""Time is brought to the job manager at least this often: retention and overrun deadlines need no better."""

REPORTS_MAX = 1000
"""Outcomes recorded in one command."""

REPORTS_BYTES_MAX = 8 * 1024 * 1024
"""Results, errors and progress recorded in one command: a commit of a thousand results of a megabyte would
hold up all others for seconds, and not fit into the room that is kept for outcomes on a full disk."""

SNAPSHOT_BYTES_MIN = 2 * 1024 * 1024
"""Snapshots are taken for as large at least when it is asked whether the log has grown enough."""
SNAPSHOT_RETRY_SECONDS = 30.0
"""From a snapshot that failed to the next try, at least: a full disk may refuse one after the other, and that
must stay far below the limit at which a failing actor takes the node with it."""

IN_HAND_SECONDS_MAX = 1.0
"""A leased job that nobody has begun for so long goes back: the workers turned out to be busy."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the controller needs to know."""

    worker_id: str
    """New for each start of the process, so that no lease of an earlier one can be mistaken for ours."""
    kinds: frozenset[str]
    queues: frozenset[str] | None
    workers: int
    ahead_max: int
    snapshot_interval: float
    """Seconds."""
    snapshot_min_growth: float
    snapshot_log_bytes: int


async def run(
    outcomes: Mailbox[Message],
    desk: Desk,
    jobs: Jobs,
    snapshots: Handle[TakeSnapshot],
    *,
    settings: Settings,
    clock: Clock,
    signals: Signals,
    sizes: Callable[[], tuple[int, int]],
    lost: Callable[[int], None],
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run the loops until the desk is closed and the last outcome is recorded.

    Args:
        outcomes: reports and progress from the workers.
        desk: where leased jobs are laid down.
        jobs: the job manager.
        snapshots: the snapshotter.
        signals: rung by the job manager.
        sizes: bytes of log written since the newest snapshot, and of that snapshot.
        lost: told of outcomes that were not recorded because their lease was lost.
    """
    task_status.started()
    with outcomes, snapshots:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_timeouts, desk, jobs, clock, signals)
            nursery.start_soon(_snapshots, snapshots, settings, sizes)
            nursery.start_soon(_cancels, desk, signals)
            async with trio.open_nursery() as work:
                work.start_soon(_dispatch, desk, jobs, settings)
                work.start_soon(_results, outcomes, desk, jobs, lost)
            nursery.cancel_scope.cancel()
    jobs.close()


async def _dispatch(desk: Desk, jobs: Jobs, settings: Settings) -> None:
    """Lease as many jobs as the workers want; while the lease is on its way to the disk, wants collect."""
    while wanted := await desk.wait_wanted():
        asked = trio.current_time()
        answer = await jobs.ask(Lease(settings.worker_id, wanted, settings.kinds, settings.queues))
        assert isinstance(answer, Leased), f"a lease was answered with {answer}"
        if answer.jobs:
            await desk.put(answer.jobs, trio.current_time() - asked)
            desk.ahead = _ahead(desk, settings)
    desk.hang_up()


def _ahead(desk: Desk, settings: Settings) -> int:
    """How many leased jobs to keep in hand. By Little's law the workers use up `workers / attempt time` jobs
    a second, so that many times the lease's own time hides it; for jobs that take long this is none."""
    rate = settings.workers / max(desk.attempt_seconds, 1e-6)
    return min(settings.ahead_max, round(rate * min(desk.lease_seconds, 0.05)))


async def _results(outcomes: Mailbox[Message], desk: Desk, jobs: Jobs, lost: Callable[[int], None]) -> None:
    """Record outcomes; while a batch is on its way to the disk, the next collects."""
    while batch := await outcomes.batch(REPORTS_MAX):
        for messages, weight in _portions(batch):
            reports = tuple(message for message in messages if isinstance(message, Report))
            # Only the last word of each attempt counts.
            latest = {message.fence: message for message in messages if isinstance(message, Progress)}
            answer = await jobs.ask(Finish(reports, tuple(latest.values())))
            assert isinstance(answer, Finished), f"outcomes were answered with {answer}"
            desk.recorded(weight)
            missed = answer.accepted.count(False)
            if missed:
                lost(missed)


def _portions(batch: list[Message]) -> Iterator[tuple[list[Message], int]]:
    """The batch in its order, in portions of at most `REPORTS_BYTES_MAX`, or of one message that is larger,
    each with its weight. Mostly that is all of it."""
    portion: list[Message] = []
    weight = 0
    for message in batch:
        added = weigh(message)
        if portion and weight + added > REPORTS_BYTES_MAX:
            yield portion, weight
            portion, weight = [], 0
        portion.append(message)
        weight += added
    yield portion, weight


async def _timeouts(desk: Desk, jobs: Jobs, clock: Clock, signals: Signals) -> None:
    """Bring time to the job manager: when something is due, and every second in any case."""
    while True:
        answer = await jobs.ask(Tick())
        assert isinstance(answer, Ticked), f"a tick was answered with {answer}"
        await desk.give_back_stale(trio.current_time() - IN_HAND_SECONDS_MAX)
        if answer.more:
            continue
        wake = trio.current_time() + TICK_SECONDS
        if answer.next_ms is not None:
            wake = min(wake, clock.deadline(answer.next_ms))
        with trio.move_on_at(wake):
            await signals.due.wait()
            # Something is due sooner than known: ask again for when exactly.


async def _cancels(desk: Desk, signals: Signals) -> None:
    """Pass cancel requests on to the attempts they are for; the ones not begun yet are told when they do."""
    while True:
        for fence in await signals.cancels.wait():
            desk.cancel(fence)


async def _snapshots(
    snapshots: Handle[TakeSnapshot], settings: Settings, sizes: Callable[[], tuple[int, int]]
) -> None:
    """Ask for a snapshot when the log has grown enough to be worth one."""
    since = trio.current_time()
    while True:
        await trio.sleep(min(TICK_SECONDS, settings.snapshot_interval))
        waited = trio.current_time() - since
        if not snapshot_due(waited, *sizes(), settings):
            continue
        request = TakeSnapshot()
        await snapshots.tell(request)
        try:
            await request.reply.wait()
        except Exception:  # noqa: BLE001  # whatever it was, its supervisor has told of it
            await trio.sleep(SNAPSHOT_RETRY_SECONDS)
        since = trio.current_time()


def snapshot_due(waited: float, log_bytes: int, snapshot_bytes: int, settings: Settings) -> bool:
    """Whether a snapshot is worth its cost.

    At the interval only if the log has grown by a fair share of the last snapshot, else the cost of snapshots
    would grow with the backlog and not with the work; by size of the log in any case. A small server would
    else make one of nearly nothing at every interval, and forget a past that costs nothing to keep.

    Args:
        waited: seconds since the last one.
        log_bytes: log written since then.
        snapshot_bytes: size of the last one.
    """
    if log_bytes >= max(settings.snapshot_log_bytes, snapshot_bytes):
        return True
    worth = settings.snapshot_min_growth * max(snapshot_bytes, SNAPSHOT_BYTES_MIN)
    grown = log_bytes > 0 and log_bytes >= worth
    return waited >= settings.snapshot_interval and grown
