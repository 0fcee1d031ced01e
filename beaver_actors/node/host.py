"""The host: what outlives the lives of the node. Figures, flags, what a scrape or a status wants to know."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import trio

from beaver_actors import __version__
from beaver_actors.actors.desk import Desk
from beaver_actors.actors.roster import Roster
from beaver_actors.codec.wire_answers import NodeView
from beaver_actors.core.answers import LeasedJob, RefusalCode, Status
from beaver_actors.core.commands import Count
from beaver_actors.core.facts import Fact
from beaver_actors.core.outcome import Outcome
from beaver_actors.core.workers import FleetCount
from beaver_actors.execute.executor import Executor
from beaver_actors.journal.journal import FileJournal
from beaver_actors.kernel.mailbox import Closed, Mailbox
from beaver_actors.node.life import Access, Observer, Orders
from beaver_actors.node.snapshots import Snapshots
from beaver_actors.observe.gauges import Gauges, MailboxGauge
from beaver_actors.observe.log import get_logger
from beaver_actors.observe.metrics import Metrics
from beaver_actors.server.listener import Listener
from beaver_actors.server.service import Service

COUNT_SECONDS = 2.0
"""How long a scrape waits for the job manager before it goes without the figures of the queue."""

log = get_logger("beaver_actors.node")


class Host(Observer):
    """One per process.

    Args:
        orders: what the operator wants.
        workers: jobs that can run at the same time.
        executor: what runs them.
        started_ms: when the process started, milliseconds UTC.
    """

    def __init__(self, orders: Orders, workers: int, executor: Executor, started_ms: int) -> None:
        self.metrics = Metrics(__version__)
        self._orders = orders
        self._workers = workers
        self._executor = executor
        self._started_ms = started_ms
        self._access: Access | None = None
        self._listener: Listener | None = None
        self._service: Service | None = None
        self._journal: FileJournal | None = None
        self._snapshots: Snapshots | None = None
        self._desk: Desk | None = None
        self._roster: Roster | None = None
        self._mailboxes: tuple[Mailbox[Any], ...] = ()

    # What a life tells.

    def recovered(self, journal: FileJournal, snapshots: Snapshots, seconds: float) -> None:
        """A life begins on this journal; bringing it back took `seconds`."""
        self._journal, self._snapshots = journal, snapshots
        self.metrics.recovered(seconds)

    def serving(self, access: Access, listener: Listener, service: Service) -> None:
        """Clients are served from now on."""
        self._access, self._listener, self._service = access, listener, service

    def ended(self) -> None:
        """The life is over, well or badly."""
        self._access = self._listener = self._service = self._journal = self._snapshots = self._desk = None
        self._roster = None

    def began(self, desk: Desk, roster: Roster, mailboxes: tuple[Mailbox[Any], ...]) -> None:
        self._desk, self._roster, self._mailboxes = desk, roster, mailboxes

    def committed(self, seconds: float, facts: Sequence[Fact]) -> None:
        self.metrics.committed(seconds, facts)

    def attempt(self, job: LeasedJob, outcome: Outcome, seconds: float) -> None:
        self.metrics.attempt(outcome, seconds)

    def lost(self, count: int) -> None:
        self.metrics.lost(count)
        log.warning("outcomes came too late, their leases were lost", count=count)

    def lingering(self, count: int) -> None:
        log.warning("handlers go on although they were cancelled; the server waits for them", count=count)

    def no_room(self, error: Exception) -> None:
        log.error("the disk is full beyond the reserve: nobody is answered until there is room", error=error)

    def fire_refused(self, schedule: str, reason: str) -> None:
        log.warning("a schedule is due and there is no room for its job", schedule=schedule, reason=reason)

    def restarted(self, actor: str, error: Exception) -> None:
        self.metrics.restarted(actor)
        log.error("an actor failed and is run again", actor=actor, error=error)

    def connection_failed(self, error: Exception) -> None:
        """A session ended with an error of ours; its connection is closed, the others are not touched."""
        self.metrics.restarted("session")

    # What sessions and scrapes ask.

    @property
    def draining(self) -> bool:
        """Whether no new jobs are taken any more."""
        return self._orders.drain.is_set()

    @property
    def unready(self) -> str | None:
        """Why clients should go elsewhere; None if they are welcome."""
        if self._access is None:
            return "recovering"
        return "draining" if self.draining else None

    def refused(self, code: RefusalCode) -> None:
        """Count an error reply."""
        self.metrics.refused(code)

    def view(self) -> NodeView:
        """What the status says about the server."""
        sessions = 0 if self._listener is None else self._listener.websockets
        return NodeView(__version__, self._started_ms, self.draining, self._workers, sessions, self._fleet())

    def _fleet(self) -> FleetCount:
        if self._roster is None or self._access is None:
            return FleetCount()
        return self._roster.count(self._access.clock.now_ms())

    async def scrape(self, accept: str | None) -> tuple[bytes, str]:
        """Everything, as Prometheus reads it: body and content type."""
        gauges = await self._gauges()
        return await trio.to_thread.run_sync(  # noqa: TID251  # 20 ms of formatting that no simulation needs
            self.metrics.render, gauges, accept
        )

    async def _gauges(self) -> Gauges:
        status: Status | None = None
        known = partial(Gauges, workers=self._workers, **self._executor.load._asdict())
        access, desk, journal, snapshots = self._access, self._desk, self._journal, self._snapshots
        if access is None or desk is None or journal is None or snapshots is None:
            return known(now_ms=self._started_ms)
        with trio.move_on_after(COUNT_SECONDS):
            try:
                answer = await access.jobs.ask(Count())
                status = answer if isinstance(answer, Status) else None
            except Closed:
                pass
        return known(
            now_ms=access.clock.now_ms(),
            status=status,
            workers_busy=desk.busy,
            jobs_in_hand=desk.in_hand,
            sessions=self.view().sessions,
            fleet=self._fleet(),
            subscriptions=0 if self._service is None else self._service.subscriptions,
            mailboxes=tuple(
                MailboxGauge(actor=box.name, waiting=len(box), peak=box.peak, capacity=box.capacity)
                for box in self._mailboxes
                if not box.ended
            ),
            log_head_lsn=journal.head,
            log_bytes=journal.size_bytes,
            log_since_snapshot_bytes=snapshots.sizes()[0],
            snapshot=snapshots.gauge(),
            disk_free_bytes=snapshots.disk_free_bytes(),
        )
