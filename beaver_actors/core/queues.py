"""A named queue: what is set for it, how many jobs it holds in each state, and who takes turns in it.

Jobs with a concurrency key take turns by key: the key that has waited longest is served first, so a tenant
with a million jobs does not starve one with a single job. What must be remembered for that, and for the rates
of keys, lives no longer than it matters: a turn while jobs of the key wait, a bucket until it is paid off.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from beaver_actors.core.index import SLACK
from beaver_actors.core.job import WAITING, Job, JobState
from beaver_actors.core.limits import NO_RULES, Bucket, QueueRules

SCHEDULED, PENDING, IN_FLIGHT = JobState.SCHEDULED, JobState.PENDING, JobState.IN_FLIGHT


@dataclass(slots=True, eq=True)
class Tenant:
    """What a queue knows of one concurrency key. The first two fields are stored, the counts are derived."""

    turn: int = 0
    """While jobs of it wait: the LSN of its latest start since, or since when some wait; else 0."""
    bucket: Bucket = field(default_factory=Bucket)
    waiting: int = 0
    running: int = 0


@dataclass(slots=True, eq=True)
class Queue:
    """A named queue. It exists from the first fact that names it until it is deleted. Its counts are derived,
    and so are those of its tenants; the other fields are stored."""

    name: str
    paused: bool = False
    turn: int = 0
    """The LSN of its latest start: the queue that has waited longest is served first."""
    draining: bool = False
    """It takes nothing new, and goes on working."""
    rules: QueueRules = NO_RULES
    bucket: Bucket = field(default_factory=Bucket)
    keyless_turn: int = 0
    """While jobs with a key wait: the LSN of the latest start of a job without one; else 0."""
    tenants: dict[str, Tenant] = field(default_factory=dict)
    """By concurrency key."""
    declared: tuple[str, ...] = ()
    """The names of the rules that stand in the server's configuration, in the order of `QueueRules`."""
    tenants_waiting: int = 0
    """How many of them have jobs that wait."""
    sweep_at: int = SLACK
    """How many tenants there may be before those that mean nothing any more are looked for."""
    counts: dict[JobState, int] = field(default_factory=dict)

    def count(self, state: JobState) -> int:
        return self.counts.get(state, 0)

    @property
    def waiting(self) -> int:
        """Jobs that have yet to run: what the limits on a queue's length count."""
        counts = self.counts
        return counts.get(SCHEDULED, 0) + counts.get(PENDING, 0) + counts.get(JobState.BLOCKED, 0)

    def room(self, now_ms: int) -> int | None:
        """How many of its jobs may start now; None for no limit."""
        rules = self.rules
        if rules.concurrency is None and rules.rate is None:
            return None
        rooms = []
        if rules.concurrency is not None:
            rooms.append(rules.concurrency - self.counts.get(IN_FLIGHT, 0))
        if rules.rate is not None:
            rooms.append(self.bucket.room(rules.rate, now_ms))
        return max(0, min(rooms))

    def key_room(self, key: str, now_ms: int) -> int | None:
        """How many jobs of this key may start now, as far as limits of keys go; None for no limit."""
        rules = self.rules
        if rules.key_concurrency is None and rules.key_rate is None:
            return None
        tenant = self.tenants[key]
        rooms = []
        if rules.key_concurrency is not None:
            rooms.append(rules.key_concurrency - tenant.running)
        if rules.key_rate is not None:
            rooms.append(tenant.bucket.room(rules.key_rate, now_ms))
        return max(0, min(rooms))

    def next_start_ms(self, now_ms: int) -> int | None:
        """When its rates let a job start that may not start now; None if they hold up none. The jobs of one
        key may be others than those that a worker can run."""
        rules = self.rules
        times: list[int | None] = []
        if rules.rate is not None:
            times.append(self.bucket.next_ms(rules.rate, now_ms))
        if rules.key_rate is not None:
            waiting = (tenant for tenant in self.tenants.values() if tenant.waiting)
            times += [tenant.bucket.next_ms(rules.key_rate, now_ms) for tenant in waiting]
        return min((at_ms for at_ms in times if at_ms is not None), default=None)

    def is_full(self, tenant: Tenant) -> bool:
        """Whether as many jobs of this key run as may."""
        most = self.rules.key_concurrency
        return most is not None and tenant.running >= most

    def moved(self, key: str, source: JobState | None, target: JobState | None, lsn: int, at_ms: int) -> None:
        """A job of this key has changed its state by the fact with this LSN. None: it is not here before, or
        not afterwards."""
        tenant = self.tenants.get(key)
        if tenant is None:
            tenant = self._admit(key, at_ms)
        waited = tenant.waiting
        tenant.waiting += (target in WAITING) - (source in WAITING)
        tenant.running += (target is IN_FLIGHT) - (source is IN_FLIGHT)
        started = target is IN_FLIGHT and source is not IN_FLIGHT
        if started and self.rules.key_rate is not None:
            tenant.bucket.spend(self.rules.key_rate, at_ms)
        if not tenant.waiting:
            tenant.turn = 0
        elif not waited or started:
            tenant.turn = lsn
        self.tenants_waiting += (tenant.waiting > 0) - (waited > 0)
        if not self.tenants_waiting:
            self.keyless_turn = 0
        if self._means_nothing(tenant, at_ms):
            del self.tenants[key]

    def _admit(self, key: str, at_ms: int) -> Tenant:
        if len(self.tenants) >= self.sweep_at:
            self.tenants = self.remembered(at_ms)
            self.sweep_at = 2 * len(self.tenants) + SLACK
        tenant = self.tenants[key] = Tenant()
        return tenant

    def _means_nothing(self, tenant: Tenant, at_ms: int) -> bool:
        if tenant.waiting or tenant.running:
            return False
        rate = self.rules.key_rate
        return rate is None or not tenant.bucket.owed_at(rate, at_ms)

    def remembered(self, at_ms: int) -> dict[str, Tenant]:
        """The tenants that mean anything at this time."""
        return {key: one for key, one in self.tenants.items() if not self._means_nothing(one, at_ms)}

    def stored(self, at_ms: int) -> dict[str, Tenant]:
        """The tenants of which more is to be kept than their jobs say."""
        rate = self.rules.key_rate
        return {
            key: one
            for key, one in self.tenants.items()
            if one.turn or (rate is not None and one.bucket.owed_at(rate, at_ms))
        }

    def set_rules(self, rules: QueueRules, at_ms: int) -> None:
        """From now on these hold. A rate that is another than before starts with nothing spent."""
        if rules.rate != self.rules.rate:
            self.bucket.clear()
        if rules.key_rate != self.rules.key_rate:
            for tenant in self.tenants.values():
                tenant.bucket.clear()
        self.rules = rules
        self.tenants = self.remembered(at_ms)

    def recount(self) -> None:
        """Forget what is derived; `counted` is called for each job after that."""
        self.counts.clear()
        self.tenants_waiting = 0
        for tenant in self.tenants.values():
            tenant.waiting = tenant.running = 0

    def counted(self, job: Job, key: str) -> None:
        """A job with this key is here; its state is counted elsewhere."""
        tenant = self.tenants.get(key)
        if tenant is None:
            if job.state not in WAITING and job.state is not IN_FLIGHT:
                return
            tenant = self.tenants[key] = Tenant()
        if job.state in WAITING:
            self.tenants_waiting += not tenant.waiting
            tenant.waiting += 1
        elif job.state is IN_FLIGHT:
            tenant.running += 1
