"""The lives of one process: recover, live, and judge what ended it.

A life that fails is followed by another, which recovers from the journal, with a pause that doubles and a
limit; a failed disk, a damaged or a foreign data directory end the process at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import trio

from beaver_actors.actors.publisher import Chunk
from beaver_actors.actors.wal_writer import StorageFailed
from beaver_actors.config import Config
from beaver_actors.core.answers import Recovered as LeasesRecovered
from beaver_actors.core.carry import carry_out
from beaver_actors.core.commands import Recover
from beaver_actors.core.decide import decide
from beaver_actors.core.facts import Fact
from beaver_actors.execute.executor import Executor
from beaver_actors.journal.errors import HistoryGone, JournalError
from beaver_actors.journal.journal import FileJournal
from beaver_actors.journal.recovery import Recovered, RecoveryReport
from beaver_actors.journal.reserve import Room
from beaver_actors.journal.snapshots import snapshot_name
from beaver_actors.kernel.clock import Clock
from beaver_actors.kernel.supervise import RestartLimit
from beaver_actors.node import settings
from beaver_actors.node.exits import Exit, main_cause, verdict
from beaver_actors.node.host import Host
from beaver_actors.node.life import Access, Front, Orders, Parts, live
from beaver_actors.node.snapshots import Snapshots
from beaver_actors.node.world import World
from beaver_actors.observe.log import get_logger

log = get_logger("beaver_actors.node")


class Ready(NamedTuple):
    """The server accepts clients."""

    listen: list[str]
    """Addresses of the main port, `host:port`."""
    metrics: list[str]
    """Addresses of the metrics port; none if it is switched off."""
    life: int
    """1 for the first; more after failures within this process."""
    jobs: int
    """Jobs that are known, finished ones included."""
    recovered: RecoveryReport
    leases: LeasesRecovered
    seconds: float
    """What recovery took."""


class Lives:
    """What the lives of one process have in common."""

    def __init__(
        self,
        world: World,
        config: Config,
        executor: Executor,
        host: Host,
        front: Front,
        ready: Callable[[Ready], None],
    ) -> None:
        self._world = world
        self._config = config
        self._executor = executor
        self._host = host
        self._front = front
        self._ready = ready
        # A name may come again, as process numbers do.
        self._worker_id = f"{world.name}:{world.chance.bits(32):08x}"

    async def run(self, orders: Orders, listen: list[str], metrics: list[str]) -> Exit:
        """One life after the other, until one ends well or the limit is reached."""
        limit = RestartLimit()
        number = 0
        while True:
            number += 1
            try:
                await self._life(orders, number, listen, metrics)
            except Exception as error:  # noqa: BLE001  # what it means is decided here, and nowhere else
                code = verdict(error)
                if code is not None:
                    tell_end(main_cause(error), code)
                    return code
                pause = limit.spend(trio.current_time())
                log.error("a life of the node failed", error=error, life=number)
                if pause is None:
                    log.error("too many failures in a minute: giving up")
                    return Exit.ERROR
                await trio.sleep(pause)
            else:
                log.info("stopped")
                return Exit.OK
            finally:
                self._host.ended()
            if orders.drain.is_set():
                return Exit.ERROR

    async def _life(self, orders: Orders, number: int, listen: list[str], metrics: list[str]) -> None:
        began = trio.current_time()
        config, world = self._config, self._world
        recovered, running = await world.offload(self._open)
        state, journal, report = recovered
        try:
            clock = Clock(world.wall_ms(), not_before_ms=state.time_ms)
            policy = settings.policy(config, self._executor.kinds, self._worker_id)
            facts, answer = decide(state, Recover(running), clock.now_ms(), policy)
            brought = carry_out(state, facts, clock.now_ms())
            for declared in (
                settings.declared_queues(config),
                settings.declared(config, self._executor.app, world.wall_ms()),
            ):
                facts = decide(state, declared, clock.now_ms(), policy).facts
                brought += carry_out(state, facts, clock.now_ms())
            await world.write(lambda: _append(journal, brought))
            assert isinstance(answer, LeasesRecovered), f"recovery was answered with {answer}"
            snapshot_lsn = report.snapshot_lsn or 0
            size = 0 if snapshot_lsn == 0 else world.disk.size(snapshot_name(snapshot_lsn))
            snapshots = Snapshots(world, config.snapshot.keep, journal, clock, size)
            seconds = trio.current_time() - began
            self._host.recovered(journal, snapshots, seconds)
            _tell(report, answer, len(state.jobs), seconds, clock.behind_ms)
            board = world.open_board()
            parts = Parts(
                state=state,
                log=journal,
                history=lambda first_lsn, limit: _history(journal, first_lsn, limit),
                sizes=snapshots.sizes,
                storage_full=_watch_room(journal),
                fold_snapshot=snapshots.fold,
                snapshot_lsn=snapshot_lsn,
                execute=self._executor,
                children=settings.children(config, self._executor.app),
                board=board,
                clock=clock,
                wall_ms=world.wall_ms,
                chance=world.chance,
                offload=world.offload,
                write=world.write,
                pace=world.pace,
                policy=policy,
                settings=settings.control(config, self._executor.kinds, self._worker_id),
                remote=settings.remote(config),
                remote_workers_max=config.fleet.workers_max,
                appends_waiting=config.wal.mailbox,
                grace=config.workers.grace_ms / 1000,
                observer=self._host,
            )
            result = Ready(listen, metrics, number, len(state.jobs), report, answer, seconds)

            async def front(access: Access, *, task_status: trio.TaskStatus[None]) -> None:
                async with trio.open_nursery() as nursery:
                    await nursery.start(self._front, access)
                    task_status.started()
                    self._ready(result)

            try:
                with world.tended(lambda: len(state.jobs)):
                    await live(parts, orders, front)
            finally:
                board.close()
        finally:
            # Also when all is cancelled: whoever comes next in this process wants the directory.
            with trio.CancelScope(shield=True):
                await world.offload(journal.close)

    def _open(self) -> tuple[Recovered, frozenset[int] | None]:
        recovered = self._world.open_journal(settings.journal(self._config))
        try:
            # After the lock is ours: before it, another process might still be writing there.
            return recovered, self._world.read_board()
        except BaseException:
            recovered.journal.close()
            raise


def _append(journal: FileJournal, facts: list[Fact]) -> None:
    try:
        journal.append(facts)
    except OSError as error:
        raise StorageFailed(f"the log could not be written: {error}") from error


def _watch_room(journal: FileJournal) -> Callable[[], bool]:
    """Whether the disk is full. The job manager asks every second, and the log is told of changes."""
    told = False

    def storage_full() -> bool:
        nonlocal told
        full = journal.room is not Room.NORMAL
        if full and not told:
            log.warning("the disk is full: new jobs are refused and none is started; outcomes are recorded")
        elif told and not full:
            log.info("there is room on the disk again: new jobs are taken and started")
        told = full
        return full

    return storage_full


def _history(journal: FileJournal, first_lsn: int, limit: int) -> Chunk:
    """Committed facts from the files; a first LSN later than asked for tells that the earlier are gone."""
    while True:
        try:
            facts = journal.read_from(first_lsn, limit)
        except HistoryGone as gone:
            first_lsn = gone.oldest_lsn
        else:
            return Chunk(first_lsn, [fact for _, fact in facts])


def tell_end(cause: BaseException, code: Exit) -> None:
    """Errors of our own say what is wrong and what to do; where any other came from, its traceback says."""
    own = isinstance(cause, JournalError | StorageFailed | PermissionError)
    advice = ""
    if isinstance(cause, PermissionError):
        advice = (
            ". Let this user read and write the whole data directory, or start with another one (--data-dir)."
        )
    log.error(f"the server ends: {cause}{advice}", error=None if own else cause, exit_code=int(code))


def _tell(report: RecoveryReport, leases: LeasesRecovered, jobs: int, seconds: float, behind_ms: int) -> None:
    log.info(
        "recovered",
        jobs=jobs,
        seconds=round(seconds, 3),
        epoch=report.epoch,
        lsn=report.head,
        snapshot_lsn=report.snapshot_lsn,
        facts=report.facts,
        rescued=leases.rescued,
        released=leases.released,
        poisoned=leases.poisoned,
    )
    if report.torn_bytes:
        log.warning("an interrupted last write was cut", bytes=report.torn_bytes, reason=report.torn_reason)
    for refused in report.refused_snapshots:
        log.error("a snapshot could not be read, an older one or the log stood in", reason=refused)
    if behind_ms > 1000:
        log.warning("the wall clock is behind the last recorded time, which stands", behind_ms=behind_ms)
