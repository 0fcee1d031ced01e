"""Metrics: counts what happens and says it to Prometheus. It never slows what it counts.

Two sorts. What happens is counted here as it happens, once per batch where it comes in batches, in plain
integers: only what is durable, only since this process started, so a restart is a reset as Prometheus expects
it. How things stand (`Gauges`) is asked for at the moment of a scrape. No label takes a value that a client
can invent, but for the queue's name, which is bounded. The names are listed in `docs/operating.md`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import get_args

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from beaver_actors.core.answers import RefusalCode
from beaver_actors.core.facts import (
    EVENT_NAMES,
    FACTS,
    Fact,
    JobCompleted,
    JobDied,
    JobEnqueued,
    JobFailed,
    JobRescued,
    JobStarted,
)
from beaver_actors.core.job import DEAD_REASONS, DeadReason
from beaver_actors.core.outcome import (
    Crashed,
    Failed,
    Outcome,
    Rejected,
    Released,
    Snoozed,
    Stopped,
    Succeeded,
    TimedOut,
)
from beaver_actors.observe.distribution import Distribution
from beaver_actors.observe.gauges import Gauges, gauge_families

OUTCOMES: tuple[type[Outcome], ...] = (
    Succeeded,
    Failed,
    TimedOut,
    Rejected,
    Snoozed,
    Stopped,
    Released,
    Crashed,
)
OUTCOME_NAMES = {kind: re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower() for kind in OUTCOMES}

ACTORS = ("worker", "session", "publisher", "snapshotter")
"""Those that fail alone. Told from the start: a series that begins at 1 shows Prometheus no increase."""

JOB_SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 1800, 3600)
"""From a function that only looks something up to the default timeout and beyond."""
SYNC_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
"""A good SSD syncs in 0.2 ms, a tired one in 5, a disk in 10 to 20; above 100 something is wrong."""
COMMIT_FACTS = (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000)


class Metrics(Collector):
    """The figures of one process. They outlive recoveries within it.

    The methods that count are for the loop's thread; `render` may run in another.

    Args:
        version: of the program, told as `beaver_build_info`.
    """

    def __init__(self, version: str) -> None:
        self._version = version
        self._facts: Counter[type[Fact]] = Counter()
        self._died: Counter[DeadReason] = Counter()
        self._outcomes: Counter[type[Outcome]] = Counter()
        self._refusals: Counter[RefusalCode] = Counter()
        self._restarts = dict.fromkeys(ACTORS, 0)
        self._lost = 0
        self._lives = 0
        self._blocked_seconds = 0.0
        self._recovery_seconds: float | None = None
        self._job_seconds = Distribution(JOB_SECONDS)
        self._sync_seconds = Distribution(SYNC_SECONDS)
        self._commit_facts = Distribution(COMMIT_FACTS)
        self.registry = CollectorRegistry()
        """Not the library's global one. A program that embeds the server may add collectors of its own."""
        self.registry.register(self)
        ProcessCollector(registry=self.registry)

    # Counting. None of these waits or raises.

    def committed(self, seconds: float, facts: Sequence[Fact]) -> None:
        """A commit is durable.

        Args:
            seconds: what write and sync took.
            facts: all of the commit.
        """
        kinds = Counter(map(type, facts))
        for kind, count in kinds.items():
            self._facts[kind] += count
        if JobDied in kinds:
            self._died.update(fact.reason for fact in facts if isinstance(fact, JobDied))
        self._sync_seconds.observe(seconds)
        self._commit_facts.observe(len(facts))

    def attempt(self, outcome: Outcome, seconds: float) -> None:
        """An attempt has ended in this process, after `seconds`."""
        self._outcomes[type(outcome)] += 1
        if not isinstance(outcome, Released):
            self._job_seconds.observe(seconds)

    def lost(self, count: int) -> None:
        """Outcomes came too late: their lease was lost, and they were not recorded."""
        self._lost += count

    def refused(self, code: RefusalCode) -> None:
        """A client's wish was refused."""
        self._refusals[code] += 1

    def restarted(self, actor: str) -> None:
        """An actor failed alone and is run again. Of a name such as `worker 3` only the word is kept."""
        name = re.split(r"[^a-z_]", actor, maxsplit=1)[0]
        self._restarts[name] = self._restarts.get(name, 0) + 1

    def recovered(self, seconds: float) -> None:
        """The node has recovered from the journal and serves, the first time or after a failure."""
        self._lives += 1
        self._recovery_seconds = seconds

    def loop_blocked(self, seconds: float) -> None:
        """The event loop stood still for so long, and turns again."""
        self._blocked_seconds += seconds

    # Telling.

    def render(self, gauges: Gauges, accept: str | None = None) -> tuple[bytes, str]:
        """Write a scrape. Takes milliseconds, so it belongs into a thread; `gauges` is filled in before, on
        the loop.

        Args:
            gauges: how things stand now.
            accept: the Accept header of the request, to choose between Prometheus' text and OpenMetrics.

        Returns:
            The body and its content type.
        """
        encode, content_type = choose_encoder(accept or "")
        return encode(_Scrape(self.registry, gauges)), content_type

    def collect(self) -> Iterator[Metric]:
        """Yield what was counted; the registry calls this."""
        facts = dict(self._facts)
        died = dict(self._died)
        info = GaugeMetricFamily("beaver_build_info", "1, with the program's version.", labels=["version"])
        info.add_metric([self._version], 1)
        yield info
        yield _count("beaver_raft_jobs_enqueued_total", "Jobs accepted.", facts.get(JobEnqueued, 0))
        yield _count("beaver_raft_jobs_dispatched_total", "Attempts leased.", facts.get(JobStarted, 0))
        yield _count("beaver_raft_jobs_completed_total", "Jobs completed.", facts.get(JobCompleted, 0))
        failed = facts.get(JobFailed, 0) + died.get("max_attempts", 0) + died.get("rejected", 0)
        yield _count("beaver_raft_jobs_failed_total", "Attempts that failed, the last ones too.", failed)
        yield self._job_seconds.family(
            "beaver_raft_job_duration_seconds", "How long attempts ran, however they ended."
        )
        if self._recovery_seconds is not None:
            yield GaugeMetricFamily(
                "beaver_raft_recovery_duration_seconds",
                "How long the latest recovery took.",
                value=self._recovery_seconds,
            )
        rescued = facts.get(JobRescued, 0) + died.get("poison", 0)
        yield _count("beaver_jobs_rescued_total", "Attempts ended by the death of worker or server.", rescued)
        yield _counts(
            "beaver_jobs_dead_total",
            "Jobs that gave up.",
            "reason",
            {r: died.get(r, 0) for r in DEAD_REASONS},
        )
        yield _counts(
            "beaver_facts_total",
            "Facts on disk, by what they tell.",
            "fact",
            {EVENT_NAMES[fact]: facts.get(fact, 0) for fact in FACTS},
        )
        outcomes = dict(self._outcomes)
        yield _counts(
            "beaver_attempts_total",
            "Attempts that ended in this process.",
            "outcome",
            {name: outcomes.get(kind, 0) for kind, name in OUTCOME_NAMES.items()},
        )
        yield _count("beaver_leases_lost_total", "Outcomes not recorded: they came too late.", self._lost)
        yield _counts(
            "beaver_refusals_total",
            "Requests refused.",
            "code",
            {c: self._refusals[c] for c in get_args(RefusalCode)},
        )
        yield self._sync_seconds.family("beaver_sync_seconds", "What writing and syncing one commit took.")
        yield self._commit_facts.family("beaver_commit_facts", "Facts that shared one sync.")
        yield _counts("beaver_actor_restarts_total", "Failures of one actor.", "actor", dict(self._restarts))
        yield _count(
            "beaver_loop_blocked_seconds_total",
            "How long the event loop stood still, in all.",
            self._blocked_seconds,
        )
        yield _count("beaver_node_lives_total", "Recoveries, the start included.", self._lives)


class _Scrape(Collector):
    """All families of one scrape."""

    def __init__(self, registry: CollectorRegistry, gauges: Gauges) -> None:
        self._registry = registry
        self._gauges = gauges

    def collect(self) -> Iterable[Metric]:
        yield from self._registry.collect()
        yield from gauge_families(self._gauges)


def _count(name: str, help_text: str, value: float) -> Metric:
    return CounterMetricFamily(name, help_text, value=value)


def _counts(name: str, help_text: str, label: str, values: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, help_text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
