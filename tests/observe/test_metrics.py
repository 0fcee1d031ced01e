"""What a scrape says."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given, strategies as st
from prometheus_client import CollectorRegistry, Gauge, Histogram
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open_metrics

from beaver_actors.core.facts import JobEnqueued
from beaver_actors.core.job import Terms
from beaver_actors.observe.distribution import Distribution
from beaver_actors.observe.gauges import QUEUES_MAX, Gauges
from beaver_actors.observe.metrics import Metrics
from tests.observe.scrapes import NOW_MS, Samples, busy_metrics, full_gauges, one_of_each, queue, read, status

PROMISED = {
    "beaver_raft_jobs_enqueued_total",
    "beaver_raft_jobs_dispatched_total",
    "beaver_raft_jobs_completed_total",
    "beaver_raft_jobs_failed_total",
    "beaver_raft_job_duration_seconds_bucket",
    "beaver_raft_recovery_duration_seconds",
    "beaver_raft_queue_depth",
    "beaver_raft_in_flight_jobs",
    "beaver_raft_worker_pool_size",
}


def scrape(metrics: Metrics, gauges: Gauges) -> Samples:
    return read(metrics.render(gauges)[0])


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, tuple(sorted(labels.items()))]


def test_the_nine_promised_names_are_there() -> None:
    """By comparison, before anything has happened: a dashboard finds them from the first scrape on."""
    metrics = Metrics("1.2.3")
    metrics.recovered(0.1)
    names = {name for name, _ in scrape(metrics, Gauges(now_ms=NOW_MS, status=status()))}
    assert names >= PROMISED


def test_what_happened_is_counted_by_what_is_on_disk() -> None:
    """By example: a commit in which jobs end in every way. Jobs that expired did not fail; those
    that died of their last attempt did."""
    samples = scrape(busy_metrics(), full_gauges())
    assert value(samples, "beaver_raft_jobs_enqueued_total") == 2
    assert value(samples, "beaver_raft_jobs_dispatched_total") == 1
    assert value(samples, "beaver_raft_jobs_completed_total") == 1
    assert value(samples, "beaver_raft_jobs_failed_total") == 3
    assert value(samples, "beaver_jobs_rescued_total") == 2
    for reason in ("max_attempts", "rejected", "poison", "expired"):
        assert value(samples, "beaver_jobs_dead_total", reason=reason) == 1
    assert value(samples, "beaver_facts_total", fact="job_died") == 4
    assert value(samples, "beaver_facts_total", fact="job_enqueued") == 2
    assert value(samples, "beaver_commit_facts_sum") == len(one_of_each())
    assert value(samples, "beaver_sync_seconds_count") == 1


def test_attempts_are_timed_unless_they_never_ran() -> None:
    """By example: a released attempt is counted and not timed."""
    samples = scrape(busy_metrics(), full_gauges())
    assert value(samples, "beaver_raft_job_duration_seconds_count") == 2
    assert value(samples, "beaver_raft_job_duration_seconds_sum") == pytest.approx(70.02)
    assert value(samples, "beaver_raft_job_duration_seconds_bucket", le="0.05") == 1
    for outcome, count in (("succeeded", 1), ("failed", 1), ("released", 1), ("timed_out", 0)):
        assert value(samples, "beaver_attempts_total", outcome=outcome) == count


def test_how_things_stand_is_told_as_it_is_given() -> None:
    """By example: gauges with a value for everything."""
    samples = scrape(busy_metrics(), full_gauges())
    for name, expected in {
        "beaver_serving": 1,
        "beaver_raft_queue_depth": 3,
        "beaver_raft_in_flight_jobs": 0,
        "beaver_raft_worker_pool_size": 8,
        "beaver_raft_recovery_duration_seconds": 0.25,
        "beaver_workers_busy": 5,
        "beaver_jobs_in_hand": 2,
        "beaver_threads_busy": 6,
        "beaver_threads_abandoned": 1,
        "beaver_worker_processes": 2,
        "beaver_fleet_slots_free": 8,
        "beaver_fleet_jobs": 12,
        "beaver_sessions": 4,
        "beaver_subscriptions": 3,
        "beaver_oldest_pending_seconds": 2.5,
        "beaver_unknown_kind_jobs": 1,
        "beaver_storage_full": 0,
        "beaver_log_head_lsn": 700,
        "beaver_log_since_snapshot_bytes": 5000,
        "beaver_snapshot_age_seconds": 30,
        "beaver_snapshot_bytes": 1234,
        "beaver_snapshot_duration_seconds": 0.5,
        "beaver_node_lives_total": 1,
        "beaver_leases_lost_total": 2,
        "beaver_loop_blocked_seconds_total": 6.5,
    }.items():
        assert value(samples, name) == expected, name
    assert value(samples, "beaver_mailbox_peak", actor="wal_writer") == 3
    assert value(samples, "beaver_fleet_workers", state="connected") == 3
    assert value(samples, "beaver_fleet_workers", state="suspect") == 1
    assert value(samples, "beaver_build_info", version="1.2.3") == 1


def test_what_is_not_known_is_left_out() -> None:
    """By example: while the node recovers there is no count of jobs, rather than a count of none."""
    names = {name for name, _ in scrape(Metrics("1"), Gauges(now_ms=NOW_MS))}
    assert "beaver_serving" in names
    assert names.isdisjoint({"beaver_raft_queue_depth", "beaver_log_bytes", "beaver_snapshot_age_seconds"})


def test_a_paused_queue_does_not_look_like_a_stuck_one() -> None:
    """By example: its jobs wait because somebody wants it; only its own figure tells how long."""
    paused = queue("a", pending=1, paused=True, oldest_ms=NOW_MS - 9000)
    late = queue("b", pending=1, oldest_ms=NOW_MS + 5)  # the clock was set back
    samples = scrape(Metrics("1"), Gauges(now_ms=NOW_MS, status=status(paused, late)))
    assert value(samples, "beaver_oldest_pending_seconds") == 0
    assert value(samples, "beaver_queue_oldest_pending_seconds", queue="a") == 9
    assert value(samples, "beaver_queue_paused", queue="a") == 1


def test_clients_cannot_invent_time_series() -> None:
    """By example: a thousand queues are told under a bounded number of names, the fullest by their own, and
    nothing is left out of the sum."""
    queues = [queue(f"tenant-{number}", pending=number, paused=number < 3) for number in range(1000)]
    samples = scrape(Metrics("1"), Gauges(now_ms=NOW_MS, status=status(*queues)))
    pending = {
        dict(labels)["queue"]: count
        for (name, labels), count in samples.items()
        if name == "beaver_queue_jobs" and dict(labels)["state"] == "pending"
    }
    assert len(pending) == QUEUES_MAX + 1
    assert pending["tenant-999"] == 999
    assert "tenant-949" not in pending
    assert sum(pending.values()) == sum(range(1000)) == value(samples, "beaver_raft_queue_depth")
    assert value(samples, "beaver_queue_paused", queue="(other)") == 3


def test_a_numbered_actor_does_not_make_a_series_of_its_own() -> None:
    """By example: every worker is `worker`."""
    metrics = Metrics("1")
    for actor in ("worker", "worker 3", "worker-4", "session:127.0.0.1"):
        metrics.restarted(actor)
    samples = scrape(metrics, Gauges(now_ms=NOW_MS))
    assert value(samples, "beaver_actor_restarts_total", actor="worker") == 3
    assert value(samples, "beaver_actor_restarts_total", actor="session") == 1
    assert value(samples, "beaver_actor_restarts_total", actor="publisher") == 0


def test_open_metrics_is_spoken_to_those_who_ask() -> None:
    """By the library's own strict parser: the same figures in the other form."""
    body, content_type = busy_metrics().render(full_gauges(), "application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    families = parse_open_metrics(body.decode())  # type: ignore[no-untyped-call]  # the library's, unannotated
    names = {family.name for family in families}
    assert "beaver_raft_jobs_enqueued" in names
    assert busy_metrics().render(full_gauges())[1].startswith("text/plain; version=0.0.4")


def test_an_embedding_program_may_add_its_own() -> None:
    """By example: a collector on the registry appears in the scrape; nothing of ours is on the global one."""
    metrics = Metrics("1")
    Gauge("shop_orders", "Orders.", registry=metrics.registry).set(3)
    assert value(scrape(metrics, Gauges(now_ms=NOW_MS)), "shop_orders") == 3


def test_a_scrape_in_another_thread_agrees_with_itself() -> None:
    """By trying: while one thread counts, the scrapes of another have as many values in the last bucket as in
    the count, and never go back."""
    metrics = Metrics("1")
    facts = [JobEnqueued("a", NOW_MS, Terms("k"), b"{}", NOW_MS)] * 10
    stop = threading.Event()

    def count() -> None:
        while not stop.is_set():
            metrics.committed(0.001, facts)

    counter = threading.Thread(target=count)
    counter.start()
    try:
        before = -1.0
        for _ in range(50):
            samples = scrape(metrics, Gauges(now_ms=NOW_MS))
            commits = value(samples, "beaver_sync_seconds_count")
            assert commits == value(samples, "beaver_sync_seconds_bucket", le="+Inf")
            assert commits >= before
            before = commits
    finally:
        stop.set()
        counter.join()
    enqueued = value(scrape(metrics, Gauges(now_ms=NOW_MS)), "beaver_raft_jobs_enqueued_total")
    assert enqueued == 10 * value(scrape(metrics, Gauges(now_ms=NOW_MS)), "beaver_sync_seconds_count")


@given(
    st.lists(st.floats(0, 100, allow_nan=False)),
    st.lists(st.floats(0.001, 50), unique=True, min_size=1).map(sorted),
)
def test_our_histogram_counts_like_the_libraries(values: list[float], bounds: list[float]) -> None:
    """By comparison with the library's own, over arbitrary values and buckets."""
    registry = CollectorRegistry()
    theirs = Histogram("x", "x", buckets=bounds, registry=registry)
    ours = Distribution(bounds)
    for number in values:
        theirs.observe(number)
        ours.observe(number)
    (expected,) = registry.collect()
    got = {(s.name, s.labels.get("le")): s.value for s in ours.family("x", "x").samples}
    assert got == {
        (s.name, s.labels.get("le")): pytest.approx(s.value)
        for s in expected.samples
        if not s.name.endswith("_created")
    }
