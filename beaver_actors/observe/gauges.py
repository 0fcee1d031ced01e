"""Gauges: how things stand at the moment of a scrape, and how that is told to Prometheus.

The node fills in `Gauges` on its own loop when someone asks; nothing is kept up to date in between, so a
gauge costs nothing per job. This file reads no live state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from heapq import nlargest

from prometheus_client.core import GaugeMetricFamily, Metric

from beaver_actors.core.answers import QueueStatus, Status
from beaver_actors.core.job import JobState
from beaver_actors.core.workers import FleetCount

QUEUES_MAX = 50
"""Queues told apart by name. Names come from clients, and every label value is a time series that Prometheus
keeps for weeks: the queues in which most jobs wait are named, the others are added up."""

OTHER_QUEUES = "(other)"
"""The label under which they are: no queue can be called so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxGauge:
    """One actor's mailbox."""

    actor: str
    waiting: int
    peak: int
    capacity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotGauge:
    """The newest snapshot on disk."""

    taken_ms: int
    bytes: int
    seconds: float | None = None
    """What it took to make; None if an earlier process made it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauges:
    """How things stand. What is not known (yet) keeps its default, and a None is left out of the scrape."""

    now_ms: int
    status: Status | None = None
    """The answer to `Count`; None while the node recovers, or if it did not answer in time."""
    workers: int = 0
    """Jobs that can run at the same time."""
    workers_busy: int = 0
    jobs_in_hand: int = 0
    """Leased jobs that no worker has begun."""
    threads_busy: int = 0
    """Threads that run a handler, abandoned ones included."""
    threads_abandoned: int = 0
    """Threads whose handler runs on although its attempt is over."""
    worker_processes: int = 0
    """Those that are alive, idle ones included."""
    fleet: FleetCount = field(default_factory=FleetCount)
    """Workers on other machines."""
    sessions: int = 0
    subscriptions: int = 0
    mailboxes: tuple[MailboxGauge, ...] = ()
    log_head_lsn: int | None = None
    log_bytes: int | None = None
    """All log files on disk."""
    log_since_snapshot_bytes: int | None = None
    snapshot: SnapshotGauge | None = None
    disk_free_bytes: int | None = None
    """What the file system of the data directory has left for us."""


def gauge_families(gauges: Gauges) -> Iterator[Metric]:
    """Yield every gauge for which there is a value."""
    yield _one("beaver_serving", "1 if the queue answers, 0 while it recovers.", gauges.status is not None)
    if gauges.status is not None:
        yield from _queue_families(gauges.status, gauges.now_ms)
    yield _one("beaver_raft_worker_pool_size", "Jobs that can run at the same time.", gauges.workers)
    yield _one("beaver_workers_busy", "Workers that run a job.", gauges.workers_busy)
    yield _one("beaver_jobs_in_hand", "Jobs leased ahead, which no worker has begun.", gauges.jobs_in_hand)
    yield _one("beaver_threads_busy", "Threads that run a handler.", gauges.threads_busy)
    yield _one(
        "beaver_threads_abandoned",
        "Threads whose handler runs on although its attempt is over.",
        gauges.threads_abandoned,
    )
    yield _one("beaver_worker_processes", "Worker processes that are alive.", gauges.worker_processes)
    fleet = gauges.fleet
    yield _by(
        "beaver_fleet_workers",
        "Workers on other machines; a suspect is silent or has no connection.",
        "state",
        {"connected": fleet.workers, "suspect": fleet.suspect},
    )
    yield _one("beaver_fleet_slots_free", "Jobs that connected workers could take now.", fleet.slots_free)
    yield _one("beaver_fleet_jobs", "Jobs that workers on other machines hold.", fleet.in_flight)
    yield _one("beaver_sessions", "WebSocket connections.", gauges.sessions)
    yield _one("beaver_subscriptions", "Live streams that clients watch.", gauges.subscriptions)
    yield from _mailbox_families(gauges.mailboxes)
    yield from _disk_families(gauges)


def _queue_families(status: Status, now_ms: int) -> Iterator[Metric]:
    counts = status.counts
    yield _one(
        "beaver_raft_queue_depth", "Jobs that may run and wait for a worker.", counts[JobState.PENDING]
    )
    yield _one("beaver_raft_in_flight_jobs", "Jobs that are leased.", counts[JobState.IN_FLIGHT])
    yield _by("beaver_jobs", "Jobs by state.", "state", {state.value: counts[state] for state in JobState})
    help_text = "How long the job next in line has been allowed to run; 0 if none waits."
    waits = [_waited(queue, now_ms) for queue in status.queues if not queue.paused]
    yield _one(
        "beaver_oldest_pending_seconds", f"{help_text} Without paused queues.", max(waits, default=0.0)
    )
    yield _one(
        "beaver_unknown_kind_jobs",
        "Pending jobs of kinds that no worker can run.",
        sum(status.unknown_kinds.values()),
    )
    yield _one(
        "beaver_storage_full", "1 while new jobs are refused because the disk is full.", status.storage_full
    )

    named = nlargest(QUEUES_MAX, status.queues, key=_weight)
    rest = status.queues if len(named) < len(status.queues) else ()
    names = {queue.name for queue in named}
    rows = [(queue.name, [queue]) for queue in named]
    if rest:
        rows.append((OTHER_QUEUES, [queue for queue in rest if queue.name not in names]))
    jobs = GaugeMetricFamily("beaver_queue_jobs", "Jobs by queue and state.", labels=["queue", "state"])
    oldest = GaugeMetricFamily("beaver_queue_oldest_pending_seconds", help_text, labels=["queue"])
    paused = GaugeMetricFamily(
        "beaver_queue_paused", "1 for a paused queue; their number for (other).", labels=["queue"]
    )
    for name, queues in rows:
        for state in JobState:
            jobs.add_metric([name, state.value], sum(queue.counts.get(state, 0) for queue in queues))
        oldest.add_metric([name], max(_waited(queue, now_ms) for queue in queues))
        paused.add_metric([name], sum(queue.paused for queue in queues))
    yield from (jobs, oldest, paused)


def _weight(queue: QueueStatus) -> tuple[int, int]:
    """Queues in which jobs wait or run come first, then those that hold anything at all."""
    counts = queue.counts
    live = sum(counts.get(s, 0) for s in (JobState.SCHEDULED, JobState.PENDING, JobState.IN_FLIGHT))
    return live, sum(counts.values())


def _waited(queue: QueueStatus, now_ms: int) -> float:
    return 0.0 if queue.oldest_pending_ms is None else max(0, now_ms - queue.oldest_pending_ms) / 1000


def _mailbox_families(mailboxes: tuple[MailboxGauge, ...]) -> Iterator[Metric]:
    yield _by(
        "beaver_mailbox_waiting",
        "Messages that wait.",
        "actor",
        {box.actor: box.waiting for box in mailboxes},
    )
    yield _by(
        "beaver_mailbox_peak",
        "The most messages that have waited at once since the last recovery.",
        "actor",
        {box.actor: box.peak for box in mailboxes},
    )
    yield _by(
        "beaver_mailbox_capacity",
        "Messages that may wait before senders wait.",
        "actor",
        {box.actor: box.capacity for box in mailboxes},
    )


def _disk_families(gauges: Gauges) -> Iterator[Metric]:
    known: list[tuple[str, str, float | None]] = [
        ("beaver_log_head_lsn", "Position of the newest fact on disk.", gauges.log_head_lsn),
        ("beaver_log_bytes", "Size of the log's files.", gauges.log_bytes),
        (
            "beaver_log_since_snapshot_bytes",
            "Log written since the newest snapshot, which a recovery would read.",
            gauges.log_since_snapshot_bytes,
        ),
        ("beaver_disk_free_bytes", "Room left on the data directory's file system.", gauges.disk_free_bytes),
    ]
    if (snapshot := gauges.snapshot) is not None:
        age = max(0, gauges.now_ms - snapshot.taken_ms) / 1000
        known += [
            ("beaver_snapshot_age_seconds", "Time since the newest snapshot was taken.", age),
            ("beaver_snapshot_bytes", "Size of the newest snapshot.", snapshot.bytes),
            ("beaver_snapshot_duration_seconds", "What the newest snapshot took to make.", snapshot.seconds),
        ]
    for name, help_text, value in known:
        if value is not None:
            yield _one(name, help_text, value)


def _one(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, help_text, value=float(value))


def _by(name: str, help_text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, help_text, labels=[label])
    for key, value in values.items():
        family.add_metric([str(key)], float(value))
    return family
