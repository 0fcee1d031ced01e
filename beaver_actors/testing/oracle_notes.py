"""What the oracle knows: one note for each job, made of what clients, watchers and handlers told.

Notes never claim more than what was told. Where two things were told in an order that is not that of the log,
their LSNs decide; where even that is open, because a request has no answer yet, the note keeps still.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from beaver_actors.client.rules import QueueOptions
from beaver_actors.codec.wire_times import parse_time_ms
from beaver_actors.core.commands import NewJob, Policy
from beaver_actors.core.job import FINISHED, Job, JobState, OnParentFailure, Terms, Unique
from beaver_actors.core.operation import OperationWord, Wanted
from beaver_actors.core.outcome import Outcome
from beaver_actors.core.schedule import Plan, fire_id

Content: TypeAlias = tuple[Terms, bytes]


class Broken(AssertionError):
    """A promise is broken.

    Args:
        promise: "P1" to "P12".
        job_id: the job it is about, if it is about one.
        message: what was told, and what is.
    """

    def __init__(self, promise: str, job_id: str | None, message: str) -> None:
        super().__init__(f"{promise}: {'' if job_id is None else f'job {job_id} '}{message}")
        self.promise = promise
        self.job_id = job_id


@dataclass(slots=True)
class Known:
    """What is known of one id, without having looked at the server."""

    contents: list[Content] = field(default_factory=list)
    """Everything that was ever sent under it."""
    sent: int = 0
    open: int = 0
    """Sendings without an answer: each may have been carried out, or may yet be."""
    batch: tuple[str, ...] = ()
    """The ids it was sent with, if always the same."""
    unique: set[Unique | None] = field(default_factory=set)
    """The keys that it was ever sent with."""
    rules: set[OnParentFailure] = field(default_factory=set)
    """What it was ever sent with for the failure of its parents; empty if it has none."""
    acknowledged: Content | None = None
    acknowledged_lsn: int = 0
    """The job was there at this LSN."""
    asked: set[str] = field(default_factory=set)
    """Whether anybody has ever asked to cancel, retry or delete it."""
    open_asks: dict[str, int] = field(default_factory=dict)
    """Such requests without an answer."""
    swept: set[str] = field(default_factory=set)
    """The same, by operations on many jobs: they come to it when they come to it."""
    gone: int = 0
    """The LSN by which it was deleted, as far as told."""
    retried: int = 0
    """The LSN by which it was put back, as far as told."""
    order: int | None = None
    """The LSN of its arrival, if told; a job that is deleted and sent again arrives anew."""
    lsn: int = 0
    """The newest LSN told of it, and the state that this left it in (None: not said)."""
    state: JobState | None = None
    result: Any = None
    stage: JobState | None = None
    """Its state after the event at `stage_lsn`, by the newest events without a hole."""
    stage_lsn: int = 0
    lease: int | None = None
    """The newest start among those, if known."""
    fence: int = 0
    """The newest that a handler ran under."""
    attempt: int = 0
    outcomes: dict[int, Outcome | None] = field(default_factory=dict)
    """By fence, how the handler ended; None if it has not, or was cut off."""

    def may_be_replaced(self, replacing: set[str]) -> bool:
        """Whether another may have taken its key. `replacing`: keys of those that would."""
        return any(unique is not None and unique.key in replacing for unique in self.unique)

    def had_cause(self, reason: object, replacing: set[str]) -> bool:
        """Whether it may have been cancelled for this reason with nobody asking. `replacing`: as above."""
        if reason == "replaced":
            return self.may_be_replaced(replacing)
        return reason == "parent_failed" and "cancel" in self.rules

    def may_yet(self, wish: str) -> bool:
        """Whether a request to do so may not have been carried out yet."""
        return self.open_asks.get(wish, 0) > 0 or wish in self.swept

    def begun(self, job: Job) -> int:
        """Executions of this very job."""
        return sum(fence > job.order for fence in self.outcomes)

    def learn(self, lsn: int, state: JobState | None, result: Any = None) -> None:
        """The job stood so with that LSN."""
        if lsn >= self.lsn:
            if state in FINISHED and lsn < self.retried:
                state = None  # it was put back after that
            self.lsn, self.state, self.result = lsn, state, value(result)

    def arrive(self, order: int, *, replaceable: bool) -> None:
        """A job arrived under this id. `replaceable`: it may have been deleted since, and another come."""
        if self.lsn > order:
            # More was told before this was; of this job, unless it was replaced.
            self.order = self.order if replaceable or "delete" in self.asked else order
        elif self.order != order:
            self.order, self.lsn, self.state, self.result = order, order, None, None

    def leave(self, lsn: int) -> None:
        """The job was deleted by that LSN; another may have come after it."""
        self.gone = max(self.gone, lsn)
        if self.acknowledged_lsn <= lsn:
            self.acknowledged = None
        if self.lsn <= lsn:
            self.order, self.lsn, self.state, self.result = None, lsn, None, None
        elif self.order is not None and self.order <= lsn:
            self.order = None


@dataclass(slots=True)
class Sweep:
    """What is known of one operation on many jobs, without having looked at the server."""

    word: OperationWord
    wanted: Wanted
    open: int = 0
    """Sendings without an answer."""
    granted: bool = False
    told: tuple[int, ...] = (False, 0, 0, 0)
    """The most that was told of it: whether it has ended, and how many jobs it had looked at, changed and
    refused."""

    def mark(self, known: Known) -> None:
        """If it may be about this job, that may be retried or deleted by it at any time from now on."""
        kind, queue, tag = self.wanted.kind, self.wanted.queue, self.wanted.tag
        for terms, _ in known.contents:
            if kind in (None, terms.kind) and queue in (None, terms.queue) and tag in (None, *terms.tags):
                known.asked.add(self.word)
                known.swept.add(self.word)


@dataclass(slots=True)
class Notes:
    """Everything known, over all lives on one data directory."""

    policy: Policy
    retention: bool
    """Whether time may have deleted finished jobs."""
    handlers: bool
    """Whether every execution is told."""
    fleet: bool = False
    """Whether workers on other machines take part, whose leases may end without any execution."""
    jobs: dict[str, Known] = field(default_factory=dict)
    batches: dict[tuple[str, ...], None] = field(default_factory=dict)
    """Ids that were sent together, and have no answer yet."""
    schedules: dict[str, Plan] = field(default_factory=dict)
    """Those that may be there, which bring jobs that nobody sends."""
    declared: frozenset[str] = frozenset()
    """Those that must be."""
    begins: dict[str, int] = field(default_factory=dict)
    """For each schedule, the number of its times before it was there."""
    rules: dict[str, tuple[QueueOptions, int]] = field(default_factory=dict)
    """For each queue what was set for it, and the LSN from which on that holds."""
    sweeps: dict[str, Sweep] = field(default_factory=dict)
    """Operations on many jobs, by their ids."""
    _replacing: set[str] = field(default_factory=set)
    """Unique keys of jobs that were sent to replace others."""
    fences: dict[int, str] = field(default_factory=dict)
    """The job that ran under each."""
    lives: int = 0
    head: int = 0
    """The end of the log when this life began."""
    told: int = 0
    """The highest LSN that anybody was told."""
    teller: str = "nobody"
    ceiling: int | None = None
    """After a failed sync: nobody must hear of a higher LSN in this life."""

    @property
    def replacing(self) -> set[str]:
        """Unique keys that some job, sent or of a schedule, would take from others."""
        plans = [plan for plan in self.schedules.values() if plan.on_conflict == "replace"]
        return self._replacing | {plan.unique.key for plan in plans if plan.unique is not None}

    def known(self, job_id: str, what: str) -> Known:
        """The note of a job that must have been sent before this is told of it."""
        known = self.there(job_id)
        if known is None or not known.sent:
            raise Broken("P3", job_id, f"{what}, and nobody sent it")
        return known

    def there(self, job_id: str) -> Known | None:
        """The note of a job that was sent, or that a schedule may bring."""
        known = self.jobs.get(job_id)
        if known is None and self.schedules:
            known = job_of_schedule(self.schedules, job_id)
            if known is not None:
                self.jobs[job_id] = known
                for sweep in self.sweeps.values():
                    sweep.mark(known)
        return known

    def may_be_gone(self, known: Known) -> bool:
        """Whether somebody, or time, may have deleted the job since it was last told of."""
        return self.retention or known.may_yet("delete")

    def hear(self, lsn: int, teller: str) -> None:
        """Somebody was told of this LSN."""
        if self.ceiling is not None and lsn > self.ceiling:
            raise Broken("P8", None, f"{teller} tells of LSN {lsn}, after a sync failed at {self.ceiling}")
        if lsn > self.told:
            self.told, self.teller = lsn, teller

    def sent(self, jobs: Iterable[NewJob]) -> None:
        """These jobs leave a client together."""
        jobs = tuple(jobs)
        batch = batch_of(jobs)
        if len(batch) > 1:
            self.batches[batch] = None
        for job in jobs:
            known = self.jobs.setdefault(job.job_id, Known())
            if job.on_conflict != "return_existing":
                known.batch = batch if known.sent == 0 or known.batch == batch else ()
            unique = None if job.extras is None else job.extras.unique
            known.unique.add(unique)
            if job.extras is not None and job.extras.depends_on:
                known.rules.add(job.extras.on_parent_failure)
            if unique is not None and job.on_conflict == "replace":
                self._replacing.add(unique.key)
            known.sent += 1
            known.open += 1
            if (job.terms, job.args) not in known.contents:
                known.contents.append((job.terms, job.args))
            for sweep in self.sweeps.values():
                if sweep.open > 0:
                    sweep.mark(known)  # it may arrive before the operation does


def job_of_schedule(plans: Mapping[str, Plan], job_id: str) -> Known | None:
    """The note of a job that a schedule may bring under this id, now or later; None if none does."""
    name, _, moment = job_id.partition("@")
    plan = plans.get(name)
    if plan is None or plan.every_ms is None:
        return None
    try:
        nominal_ms = parse_time_ms(moment)
    except ValueError:
        return None
    if nominal_ms % plan.every_ms or fire_id(name, nominal_ms) != job_id:
        return None
    known = Known(contents=[(plan.terms, plan.args)], sent=1, open=1, unique={plan.unique})
    if plan.overlap == "cancel_old":
        known.asked.add("cancel")  # by its schedule, at any time
    return known


def batch_of(jobs: Iterable[NewJob]) -> tuple[str, ...]:
    """The ids of those of a message that are there together or not at all: where the existing job is to be
    returned, it may be another one that is there."""
    return tuple(job.job_id for job in jobs if job.on_conflict != "return_existing")


def value(result: Any) -> Any:
    """A result as a value, whether it came as JSON text or as one."""
    return json.loads(result) if isinstance(result, bytes) else result


def result_of(job: Job) -> Any:
    """The result that a job holds, as a value."""
    return None if job.trail is None else value(job.trail.result)
