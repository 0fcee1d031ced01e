"""Scrapes for the tests of observation: one that has a value for every metric, and how to read one."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from beaver_actors.core.answers import QueueStatus, Status
from beaver_actors.core.facts import (
    Fact,
    JobCompleted,
    JobDied,
    JobEnqueued,
    JobFailed,
    JobRescued,
    JobStarted,
)
from beaver_actors.core.job import JobError, JobState, Terms
from beaver_actors.core.outcome import Failed, Released, Succeeded
from beaver_actors.core.workers import FleetCount
from beaver_actors.observe.gauges import Gauges, MailboxGauge, SnapshotGauge
from beaver_actors.observe.metrics import Metrics

NOW_MS = 1_700_000_000_000
ERROR = JobError("ValueError", "no")

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def read(body: bytes) -> Samples:
    """The samples of a scrape by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def queue(name: str, *, pending: int = 0, paused: bool = False, oldest_ms: int | None = None) -> QueueStatus:
    """A queue in which `pending` jobs wait and as many are dead."""
    counts = dict.fromkeys(JobState, 0) | {JobState.PENDING: pending, JobState.DEAD: pending}
    return QueueStatus(name, paused, counts, oldest_ms)


def status(*queues: QueueStatus, unknown: int = 0, storage_full: bool = False) -> Status:
    """The status of a server with these queues."""
    counts = {state: sum(queue.counts[state] for queue in queues) for state in JobState}
    return Status(7, counts, queues, {}, {}, {"other.kind": unknown} if unknown else {}, storage_full)


def full_gauges() -> Gauges:
    """Gauges with a value for everything."""
    return Gauges(
        now_ms=NOW_MS,
        status=status(queue("default", pending=3, oldest_ms=NOW_MS - 2500), unknown=1),
        workers=8,
        workers_busy=5,
        jobs_in_hand=2,
        threads_busy=6,
        threads_abandoned=1,
        worker_processes=2,
        fleet=FleetCount(3, 1, 8, 12),
        sessions=4,
        subscriptions=3,
        mailboxes=(MailboxGauge(actor="wal_writer", waiting=1, peak=3, capacity=4),),
        log_head_lsn=700,
        log_bytes=16_777_216,
        log_since_snapshot_bytes=5000,
        snapshot=SnapshotGauge(taken_ms=NOW_MS - 30_000, bytes=1234, seconds=0.5),
        disk_free_bytes=10**10,
    )


def busy_metrics() -> Metrics:
    """Metrics of a process to which everything has happened."""
    metrics = Metrics("1.2.3")
    metrics.recovered(0.25)
    metrics.committed(0.0004, one_of_each())
    metrics.attempt(Succeeded(), 0.02)
    metrics.attempt(Failed(ERROR), 70.0)
    metrics.attempt(Released(), 0.0)
    metrics.lost(2)
    metrics.refused("queue_full")
    metrics.restarted("worker 3")
    metrics.loop_blocked(6.5)
    return metrics


def one_of_each() -> list[Fact]:
    """A commit in which two jobs come, and jobs end in every way."""
    return [
        JobEnqueued("a", NOW_MS, Terms("demo.echo"), b"{}", NOW_MS),
        JobEnqueued("b", NOW_MS, Terms("demo.echo"), b"{}", NOW_MS),
        JobStarted("a", NOW_MS, "w"),
        JobCompleted("a", NOW_MS, 3),
        JobFailed("b", NOW_MS, 4, ERROR, NOW_MS + 1),
        JobRescued("b", NOW_MS, 5, ERROR),
        JobDied("c", NOW_MS, "max_attempts", ERROR),
        JobDied("d", NOW_MS, "rejected", ERROR),
        JobDied("e", NOW_MS, "poison", ERROR),
        JobDied("f", NOW_MS, "expired"),
    ]
