"""A job queue so plain that it is right by reading: a dictionary of jobs and linear searches.

It answers the same commands as the core, without facts, tables or indexes, and says what every job must look
like afterwards. Nothing here is fast, nothing is stored twice.
"""

from __future__ import annotations

import copy
import dataclasses
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

from beaver_actors.core.commands import Enqueue, Fire, Lease, NewJob, Policy, Report, SetSchedule
from beaver_actors.core.job import Extras, JobError, OnConflict, Terms, Unique
from beaver_actors.core.limits import QueueRules, Rate
from beaver_actors.core.operation import Wanted
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
from beaver_actors.core.retry import delay_ms
from beaver_actors.core.schedule import Plan

WAITING = ("waiting", "blocked")


@dataclass
class ModelJob:
    id: str
    terms: Terms
    args: bytes
    order: int
    run_at_ms: int
    expires_at_ms: int | None
    created_ms: int
    unique: Unique | None = None
    depends_on: tuple[str, ...] = ()
    on_parent_failure: str = "cancel"
    key: str | None = None
    asked: Terms | None = None
    """The terms it was enqueued with."""
    stands: str = "waiting"
    """waiting, blocked, in_flight, completed, dead or cancelled."""
    attempt: int = 0
    rescues: int = 0
    fence: int = 0
    started_ms: int = 0
    deadline_ms: int | None = None
    worker_id: str = ""
    lease_ms: int | None = None
    cancel_requested: bool = False
    finished_ms: int | None = None
    finished_as: int = 0
    """The how-manieth fact finished it."""
    reason: str | None = None
    result: bytes | None = None
    progress: bytes | None = None
    errors: list[tuple[int, int, str]] = field(default_factory=list)
    """When, in which attempt, and what it said."""
    said: Outcome | None = None
    """How the latest attempt ended, if its worker said so and nobody changed anything since."""


ERROR_TYPES = {"a": "KeyError", "b": "OSError"}
"""Of the errors that the machine's workers report, by what they say."""
STEP_JOBS = 2
"""Jobs that one step of an operation changes, in the machine."""


@dataclass
class ModelOperation:
    word: str
    wanted: Wanted
    began: int
    """The how-manieth fact began it."""
    left: int
    """Jobs that were enqueued by a later fact than this are still to be looked at."""
    to_look_at: int
    looked_at: int = 0
    changed: int = 0
    refused: int = 0
    state: str = "running"


@dataclass
class ModelSchedule:
    plan: Plan
    paused: bool
    source: str
    through_ms: int
    set_as: int
    """The how-manieth fact set it."""
    last: str | None = None
    jobs: int = 0
    skipped: int = 0
    used: set[int] = field(default_factory=set)
    """Nominal times that brought a job."""


class Model:
    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.now_ms = 0
        self.facts = 0
        self.jobs: dict[str, ModelJob] = {}
        self.paused: set[str] = set()
        self.turns: dict[str, int] = {}
        self.operations: dict[str, ModelOperation] = {}
        self.schedules: dict[str, ModelSchedule] = {}
        self.drained: set[str] = set()
        self.rules: dict[str, QueueRules] = {}
        self.declared: dict[str, frozenset[str]] = {}
        """For each queue, the names of its rules that the configuration names."""
        self.starts: list[tuple[str, str | None, int]] = []
        """Queue, key and time of every start."""
        self.rated_since: dict[tuple[str, str], int] = {}
        """By queue and name of the rate, how many starts there had been when it was set."""
        self.key_turns: dict[tuple[str, str | None], int] = {}
        """For keys that wait in a queue, and for jobs without one beside them: since when, or the latest
        start."""

    def rule(self, queue: str) -> QueueRules:
        return self.rules.get(queue, QueueRules())

    def keys_changed(self) -> None:
        """To be called after every fact that changes who waits where."""
        waiting = {
            (job.terms.queue, job.key) for job in self.jobs.values() if job.stands in WAITING and job.key
        }
        for place in waiting:
            self.key_turns.setdefault(place, self.facts)
        queues = {queue for queue, _ in waiting}
        for queue, key in list(self.key_turns):
            if (queue, key) not in waiting and not (key is None and queue in queues):
                del self.key_turns[queue, key]

    def tokens(self, rate: Rate, starts: Iterable[int]) -> Fraction:
        """What is in a bucket now that was full before these starts."""
        tokens, last_ms = Fraction(rate.burst), 0
        for at_ms in [*starts, self.now_ms]:
            paid = Fraction((at_ms - last_ms) * rate.limit, rate.period_ms)
            tokens, last_ms = min(Fraction(rate.burst), tokens + paid) - 1, at_ms
        return tokens + 1

    def limits(self, job: ModelJob) -> list[str]:
        """The rules of its queue that leave this job no room."""
        queue, key = job.terms.queue, job.key
        rules, found = self.rule(queue), []
        running = [other for other in self.running() if other.terms.queue == queue]
        every = self.starts[self.rated_since.get((queue, "rate"), 0) :]
        at_all = [at_ms for name, _, at_ms in every if name == queue]
        if rules.concurrency is not None and len(running) >= rules.concurrency:
            found.append("queue_concurrency")
        if rules.rate is not None and self.tokens(rules.rate, at_all) < 1:
            found.append("queue_rate")
        if key is None:
            return found
        same = [other for other in running if other.key == key]
        if rules.key_concurrency is not None and len(same) >= rules.key_concurrency:
            found.append("key_concurrency")
        every = self.starts[self.rated_since.get((queue, "key_rate"), 0) :]
        own = [at_ms for name, other, at_ms in every if (name, other) == (queue, key)]
        if rules.key_rate is not None and self.tokens(rules.key_rate, own) < 1:
            found.append("key_rate")
        return found

    def priority(self, job: ModelJob) -> int:
        ageing_ms = self.rule(job.terms.queue).ageing_ms
        if ageing_ms is None:
            return job.terms.priority
        return min(100, job.terms.priority + (self.now_ms - job.run_at_ms) // ageing_ms)

    def configure(self, queue: str, rules: QueueRules) -> None:
        before = self.rule(queue)
        for name in ("rate", "key_rate"):
            if getattr(rules, name) != getattr(before, name):
                self.rated_since[queue, name] = len(self.starts)
        self.rules[queue] = rules
        self.facts += 1

    def move(self, queue: str, to: str, kind: str | None, limit: int) -> int | str:
        """How many jobs were moved, or the code of the refusal."""
        if to in self.drained:
            return "draining"
        if self.policy.storage_full:
            return "storage_full"
        most = self.rule(to).jobs_max
        most = self.policy.queue_jobs_max if most is None else most
        moved = 0
        for job in sorted(self.jobs.values(), key=lambda job: -job.order):
            if job.stands not in WAITING or job.terms.queue != queue or kind not in (None, job.terms.kind):
                continue
            if moved == limit:
                break
            if self.waiting(to) >= most:
                return moved or "queue_full"
            job.terms = job.terms._replace(queue=to)
            job.said = None
            self.facts += 1
            moved += 1
            self.keys_changed()
        return moved

    def forget(self, queue: str) -> None:
        self.facts += 1
        for known in (self.rules, self.turns):
            known.pop(queue, None)
        self.paused.discard(queue)
        self.drained.discard(queue)
        self.rated_since = {place: n for place, n in self.rated_since.items() if place[0] != queue}

    def state(self, job: ModelJob) -> str:
        if job.stands != "waiting":
            return job.stands
        return "scheduled" if job.run_at_ms > self.now_ms else "pending"

    def expired(self, job: ModelJob) -> bool:
        return job.expires_at_ms is not None and job.expires_at_ms <= self.now_ms

    def running(self) -> list[ModelJob]:
        held = [job for job in self.jobs.values() if job.stands == "in_flight"]
        return sorted(held, key=lambda job: job.fence)

    def waiting(self, queue: str | None = None) -> int:
        jobs = [job for job in self.jobs.values() if job.stands in ("waiting", "blocked")]
        return len([job for job in jobs if queue in (None, job.terms.queue)])

    def holder(self, key: str) -> ModelJob | None:
        """The job that holds this key."""
        held = [job for job in self.jobs.values() if job.unique and job.unique.key == key and self.holds(job)]
        assert len(held) < 2, f"{key} is held by {held}"
        return held[0] if held else None

    def holds(self, job: ModelJob) -> bool:
        if job.unique is None or job.reason == "replaced":
            return False
        if job.unique.for_ms is not None and self.now_ms >= job.created_ms + job.unique.for_ms:
            return False
        match job.unique.until:
            case "window":
                return True
            case "started":
                return job.stands in ("waiting", "blocked") and job.fence == 0
            case _:
                return job.stands in ("waiting", "blocked", "in_flight")

    def enqueue(self, command: Enqueue) -> str | list[tuple[str, bool]]:
        """A refusal's code, or for each job the id of the one that is there, and whether it was before."""
        before = copy.deepcopy((self.jobs, self.facts, self.key_turns))
        said = self.enqueue_or_stop(command)
        if isinstance(said, str):
            self.jobs, self.facts, self.key_turns = before
        return said

    def enqueue_or_stop(self, command: Enqueue) -> str | list[tuple[str, bool]]:
        order = self.parents_first(command.jobs)
        receipts: dict[int, tuple[str, bool]] = {}
        replaced: list[ModelJob] = []
        others: dict[str, str] = {}
        queues = {None} | {new.terms.queue for new in command.jobs}
        facts, waited = self.facts, {queue: self.waiting(queue) for queue in queues}
        for place in range(len(command.jobs)) if isinstance(order, str) else order:
            new = command.jobs[place]
            known = self.jobs.get(new.job_id)
            if known is not None:
                receipts[place] = new.job_id, True
                if (known.asked, known.args) != (new.terms, new.args):
                    return "conflict"
                continue
            extras = new.extras or Extras()
            if isinstance(order, str) and extras.depends_on:
                return order
            held = self.holder(extras.unique.key) if extras.unique else None
            if held is not None:
                if new.on_conflict == "return_existing":
                    receipts[place] = held.id, True
                    others[new.job_id] = held.id
                    continue
                if new.on_conflict == "reject" or held.order > facts:
                    return "not_unique"
                if held.stands not in ("waiting", "blocked"):
                    return "not_unique"
                held.said = None
                replaced.append(held)
                held.reason = "replaced"  # and so it holds its key no longer
            run_at_ms = self.now_ms + (new.delay_ms or 0)
            if new.delay_ms is None and new.run_at_ms is not None:
                run_at_ms = max(self.now_ms, new.run_at_ms)
            self.facts += 1
            receipts[place] = new.job_id, False
            parents = tuple(dict.fromkeys(others.get(parent, parent) for parent in extras.depends_on))
            self.jobs[new.job_id] = ModelJob(
                new.job_id,
                new.terms,
                new.args,
                self.facts,
                run_at_ms,
                extras.expires_at_ms,
                self.now_ms,
                extras.unique,
                parents,
                extras.on_parent_failure,
                extras.concurrency_key,
                new.terms,
                "blocked" if parents else "waiting",
            )
        fresh = [job for job in self.jobs.values() if job.order > facts]
        self.facts = facts
        for job in fresh:
            del self.jobs[job.id]
        for job in replaced:
            self.settle(job, "cancelled", "replaced")
        for job in fresh:
            self.facts += 1
            job.order = self.facts
            self.jobs[job.id] = job
            self.keys_changed()
        entered = {job.terms.queue for job in self.jobs.values() if job.order > facts}
        if entered & self.drained:
            return "draining"
        if self.facts > facts and self.policy.storage_full:
            return "storage_full"
        for queue, count in waited.items():
            most = self.policy.queue_jobs_max if queue else self.policy.pending_jobs_max
            if queue is not None and self.rule(queue).jobs_max is not None:
                most = self.rule(queue).jobs_max or 0
            if most < self.waiting(queue) > count:
                return "queue_full"
        return [receipts[place] for place in range(len(order))]

    def parents_first(self, new_jobs: tuple[NewJob, ...]) -> str | list[int]:
        """Always the first job of which all parents are there; the code of a refusal if there is none."""
        ids = [new.job_id for new in new_jobs]
        wanted = [new.extras.depends_on if new.extras else () for new in new_jobs]
        for place, new in enumerate(new_jobs):
            if new.job_id in self.jobs or new.job_id in ids[:place]:
                wanted[place] = ()
            for parent in wanted[place]:
                if parent == new.job_id:
                    return "bad_request"
                if parent not in self.jobs and parent not in ids:
                    return "not_found"
        order: list[int] = []
        there = set(self.jobs)
        while len(order) < len(ids):
            left = (place for place in range(len(ids)) if place not in order)
            free = [place for place in left if there.issuperset(wanted[place])]
            free = [place for place in free if ids.index(ids[place]) in (place, *order)]
            if not free:
                return "bad_request"
            order.append(free[0])
            there.add(ids[free[0]])
        return order

    def ripe(self) -> dict[str, str]:
        """What must become of blocked jobs now: by job, "cancelled" or "waiting"."""
        due: dict[str, str] = {}
        for job in self.jobs.values():
            parents = [self.jobs[parent].stands for parent in job.depends_on if parent in self.jobs]
            if job.stands != "blocked":
                continue
            if job.on_parent_failure == "cancel" and ("dead" in parents or "cancelled" in parents):
                due[job.id] = "cancelled"
            elif not {"waiting", "blocked", "in_flight"}.intersection(parents):
                due[job.id] = "waiting"
        return due

    def follow(self, order: Iterable[str]) -> None:
        """Blocked jobs with nothing left to wait for, in this order: it decides who finished first."""
        for job_id in order:
            due = self.ripe()
            assert job_id in due, f"job {job_id} has something left to wait for"
            job, stands = self.jobs[job_id], due[job_id]
            if stands == "waiting":
                job.run_at_ms = max(job.run_at_ms, self.now_ms)
            self.settle(job, stands, "parent_failed" if stands == "cancelled" else None)
        assert not self.ripe()

    def needed(self, job: ModelJob) -> bool:
        """Whether a child may yet ask for its result."""
        return any(job.id in child.depends_on and child.finished_ms is None for child in self.jobs.values())

    def lease(self, command: Lease) -> list[tuple[str, int, int]]:
        """Id, fence and attempt of each leased job."""
        leased: list[tuple[str, int, int]] = []
        served: Counter[tuple[int, str]] = Counter()
        turns = dict(self.turns)

        def rank(job: ModelJob) -> tuple[object, ...]:
            priority, queue = self.priority(job), job.terms.queue
            key_turn = self.key_turns.get((queue, job.key), 0)
            had = served[priority, queue]
            if queue in command.turns:
                own = [place for place, name in enumerate(command.turns) if name == queue]
                turn: tuple[object, ...] = had // len(own), own[had % len(own)], queue
            elif command.turns:
                turn = had, len(command.turns), queue
            else:
                turn = had, turns.get(queue, 0), queue
            return (-priority, *turn, key_turn, job.run_at_ms, job.order)

        while len(leased) < command.limit:
            able = [job for job in self.jobs.values() if self.may_start(job, command)]
            if not able:
                break
            job = min(able, key=rank)
            served[self.priority(job), job.terms.queue] += 1
            self.facts += 1
            self.starts.append((job.terms.queue, job.key, self.now_ms))
            self.turns[job.terms.queue] = job.fence = self.facts
            job.stands, job.attempt, job.progress, job.said = "in_flight", job.attempt + 1, None, None
            job.started_ms, job.worker_id, job.lease_ms = self.now_ms, command.worker_id, command.lease_ms
            if job.terms.timeout_ms is not None:
                job.deadline_ms = self.now_ms + job.terms.timeout_ms + self.policy.timeout_grace_ms
            if job.key or any(queue == job.terms.queue for queue, _ in self.key_turns):
                self.key_turns[job.terms.queue, job.key] = self.facts
            self.keys_changed()
            leased.append((job.id, job.fence, job.attempt))
        return leased

    def may_start(self, job: ModelJob, command: Lease) -> bool:
        terms = job.terms
        if self.policy.storage_full or self.state(job) != "pending" or self.expired(job):
            return False
        if terms.kind not in command.kinds or terms.queue in self.paused:
            return False
        if command.queues is not None and terms.queue not in command.queues:
            return False
        if self.limits(job):
            return False
        suspects = [other for other in self.running() if other.rescues]
        if self.last_chance(job):
            return not suspects
        return not job.rescues or not any(self.last_chance(other) for other in suspects)

    def reasons(self, job: ModelJob) -> list[str]:
        """Everything that keeps it from running, or how it stands."""
        if job.stands == "in_flight":
            return ["running"]
        if job.stands not in ("waiting", "blocked"):
            return [job.reason or job.stands]
        state, found = self.state(job), []
        if state == "scheduled":
            found.append("retry" if job.errors else "run_at")
        if state == "blocked":
            found.append("parents")
        if job.terms.kind not in self.policy.served_kinds:
            found.append("unknown_kind")
        if job.terms.queue in self.paused:
            found.append("queue_paused")
        if state != "pending":
            return found
        if self.policy.storage_full:
            found.append("storage_full")
        found += self.limits(job)
        suspects = [other for other in self.running() if other.rescues]
        alone = self.last_chance(job) and suspects
        if job.rescues and (alone or any(self.last_chance(other) for other in suspects)):
            found.append("last_chance")
        return found or ["turn"]

    def before(self, job: ModelJob) -> list[str]:
        """The jobs that would be started before this one."""
        trial = copy.deepcopy(self)
        taken = trial.lease(Lease("trial", len(self.jobs), self.policy.served_kinds))
        ids = [job_id for job_id, _, _ in taken]
        return ids[: ids.index(job.id)] if job.id in ids else ids

    def last_chance(self, job: ModelJob) -> bool:
        return job.rescues > 0 and job.rescues + 1 >= self.policy.max_rescues

    def report(self, report: Report) -> bool | None:
        """Whether it is accepted; None where the core may say either, but must change nothing."""
        job = self.jobs.get(report.job_id)
        if job is None or job.fence != report.fence or job.fence == 0:
            return False
        if report.worker_id not in (None, job.worker_id):
            return False
        if job.stands == "in_flight":
            self.end(job, report.outcome, report.dice)
            job.said = report.outcome
            return True
        repeated = type(job.said) is type(report.outcome) and job.said == report.outcome
        if isinstance(report.outcome, Succeeded):
            return repeated
        if job.errors and not hasattr(report.outcome, "error") and job.errors[-1][0] >= job.started_ms:
            return None  # an error of the attempt before, in the same millisecond, looks like one of this
        return True if repeated else None

    def end(self, job: ModelJob, outcome: Outcome, dice: float = 0.5) -> None:
        if isinstance(outcome, Succeeded):
            job.result = outcome.result
            return self.settle(job, "completed")
        if job.cancel_requested:
            return self.settle(job, "cancelled")
        match outcome:
            case Rejected(error):
                self.note(job, error)
                return self.settle(job, "dead", "rejected")
            case Failed(error) | TimedOut(error):
                self.note(job, error)
                failures = job.attempt - job.rescues
                if failures >= job.terms.max_attempts:
                    return self.settle(job, "dead", "max_attempts")
                wait_ms = delay_ms(job.terms.backoff, failures - 1, dice)
                if isinstance(outcome, Failed) and outcome.retry_in_ms is not None:
                    wait_ms = outcome.retry_in_ms
                job.run_at_ms = self.now_ms + wait_ms
            case Crashed(error):
                self.note(job, error)
                job.rescues += 1
                if job.rescues >= self.policy.max_rescues:
                    return self.settle(job, "dead", "poison")
            case Snoozed(in_ms):
                job.attempt -= 1
                job.run_at_ms = self.now_ms + in_ms
            case Released() | Stopped():
                job.attempt -= 1
        return self.settle(job, "waiting")

    def note(self, job: ModelJob, error: JobError) -> None:
        job.errors.append((self.now_ms, job.attempt, error.message))

    def settle(self, job: ModelJob, stands: str, reason: str | None = None) -> None:
        self.facts += 1
        job.stands, job.reason = stands, reason
        job.deadline_ms, job.cancel_requested = None, False
        finished = stands not in ("waiting", "blocked")
        job.finished_ms = self.now_ms if finished else None
        job.finished_as = self.facts
        self.keys_changed()

    def cancel(self, job_id: str) -> tuple[bool, str | None]:
        """Whether it changed, and the state afterwards."""
        job = self.jobs.get(job_id)
        if job is None or job.finished_ms is not None:
            return False, None if job is None else self.state(job)
        if job.stands in ("waiting", "blocked"):
            job.said = None
            self.settle(job, "cancelled")
        elif not job.cancel_requested:
            self.facts += 1
            job.cancel_requested = True
        return True, job.stands

    def retry(self, job_id: str) -> tuple[bool, str | None]:
        job = self.jobs.get(job_id)
        if job is None or job.stands not in ("dead", "cancelled"):
            return False, None if job is None else self.state(job)
        stands = "waiting"
        for parent in [self.jobs[name] for name in job.depends_on if name in self.jobs and not job.fence]:
            if parent.finished_ms is None:
                stands = "blocked"
            elif parent.stands != "completed" and job.on_parent_failure == "cancel":
                return False, job.stands
        if job.terms.queue in self.drained:
            return False, self.state(job)
        if job.unique is not None:
            other = self.holder(job.unique.key)
            put_back = dataclasses.replace(job, stands="waiting", reason=None)
            if other is not None and other is not job and self.holds(put_back):
                return False, self.state(job)
        job.attempt = job.rescues = 0
        job.run_at_ms, job.result, job.said = self.now_ms, None, None
        if self.expired(job):
            job.expires_at_ms = None
        self.settle(job, stands)
        return True, "pending" if stands == "waiting" else stands

    def delete(self, job_id: str) -> tuple[bool, str | None]:
        job = self.jobs.get(job_id)
        if job is None or job.stands == "in_flight":
            return False, None if job is None else self.state(job)
        for child in sorted(self.jobs.values(), key=lambda child: child.order):
            abandoned = job_id in child.depends_on and child.on_parent_failure == "cancel"
            if child.stands == "blocked" and abandoned:
                self.settle(child, "cancelled", "parent_failed")
        del self.jobs[job_id]
        self.facts += 1
        self.keys_changed()
        return True, None

    def recover(self, running: Iterable[int] | None, error: JobError) -> None:
        for job in self.running():
            if job.lease_ms is not None:
                continue
            blamed = running is None or job.fence in running
            self.end(job, Crashed(error) if blamed else Released())

    def moments(self) -> set[int]:
        """Times at which something becomes due."""
        times: set[int | None] = set()
        for job in self.jobs.values():
            times |= {job.run_at_ms, job.expires_at_ms, job.deadline_ms}
            if job.unique is not None and job.unique.for_ms is not None:
                times.add(job.created_ms + job.unique.for_ms)
            for kept_ms in (job.terms.retention_ms, 5):
                if job.finished_ms is not None and kept_ms is not None:
                    times.add(job.finished_ms + kept_ms)
        return {time_ms for time_ms in times if time_ms is not None}

    def demands(self) -> dict[str, str]:
        """What a tick must do now: by job, "overrun", "expired" or "deleted"."""
        due: dict[str, str] = {}
        for job in self.jobs.values():
            kept_ms = job.terms.retention_ms
            if job.deadline_ms is not None and job.deadline_ms <= self.now_ms:
                due[job.id] = "overrun"
            elif job.stands in ("waiting", "blocked") and self.expired(job):
                due[job.id] = "expired"
            elif (
                job.finished_ms is not None
                and kept_ms is not None
                and job.finished_ms + kept_ms <= self.now_ms
                and not self.holds(job)
                and not self.needed(job)
            ):
                due[job.id] = "deleted"
        for stands in ("completed", "dead", "cancelled"):
            left = [job for job in self.jobs.values() if job.stands == stands and job.id not in due]
            left.sort(key=lambda job: job.finished_as)
            kept_ms = getattr(self.policy, f"{stands}_kept_ms")
            excess = len(left) - getattr(self.policy, f"{stands}_kept")
            for job in left:
                old = job.terms.retention_ms is None and (job.finished_ms or 0) + kept_ms <= self.now_ms
                if (old or excess > 0) and not self.holds(job) and not self.needed(job):
                    due[job.id] = "deleted"
                    excess -= 1
        return due

    def start(self, operation_id: str, word: str, wanted: Wanted) -> str | None:
        """A refusal's code, if there is one."""
        known = self.operations.get(operation_id)
        if known is not None:
            return None if (known.word, known.wanted) == (word, wanted) else "conflict"
        self.facts += 1
        self.operations[operation_id] = ModelOperation(word, wanted, self.facts, 0, len(self.jobs))
        return None

    def stop(self, operation_id: str) -> None:
        operation = self.operations[operation_id]
        if operation.state == "running":
            self.facts += 1
            operation.state = "stopped"

    def meant(self, job: ModelJob, operation: ModelOperation) -> bool:
        wanted = operation.wanted
        error = job.errors[-1][2] if job.errors else None
        return (
            job.finished_as <= operation.began
            and wanted.state == self.state(job)
            and wanted.queue in (None, job.terms.queue)
            and wanted.reason in (None, job.reason)
            and wanted.error_type in (None, error and ERROR_TYPES.get(error))
            and (wanted.created_before_ms is None or job.created_ms < wanted.created_before_ms)
            and (wanted.finished_after_ms is None or (job.finished_ms or 0) >= wanted.finished_after_ms)
        )

    def steppable(self) -> list[str]:
        return [
            operation_id
            for operation_id, operation in self.operations.items()
            if operation.state == "running" and not (self.policy.storage_full and operation.word == "retry")
        ]

    def step(self) -> tuple[list[str], list[str]]:
        """Go on with one operation; returns the jobs it changes, in order, and what is told of it."""
        able = self.steppable()
        if not able:
            return [], []
        name = min(able, key=lambda one: (self.operations[one].looked_at, self.operations[one].began))
        operation = self.operations[name]
        chosen: list[str] = []
        left = [job for job in self.jobs.values() if operation.left < job.order <= operation.began]
        looked_at = 0
        for job in left:
            if len(chosen) == STEP_JOBS:
                break
            looked_at += 1
            operation.left = job.order
            if self.meant(job, operation):
                chosen.append(job.id)
        judge = self.retry if operation.word == "retry" else self.delete
        done = [job_id for job_id in chosen if judge(job_id)[0]]
        operation.looked_at += looked_at
        operation.changed += len(done)
        operation.refused += len(chosen) - len(done)
        told = [name] if looked_at else []
        if looked_at == len(left):
            operation.state = "completed"
            told.append(name)
        self.facts += len(told)
        return done, told

    def tick(self, order: Iterable[str], error: JobError) -> None:
        """Do what time demands, in this order: it decides who finished first."""
        due = self.demands()
        for job_id in order:
            job = self.jobs[job_id]
            if due[job_id] == "overrun":
                self.end(job, TimedOut(error))
            elif due[job_id] == "expired":
                self.settle(job, "dead", "expired")
            else:
                self.delete(job_id)

    def set_schedule(self, command: SetSchedule) -> bool:
        """Whether it changes anything."""
        known = self.schedules.get(command.schedule)
        paused = command.paused if command.paused is not None else bool(known and known.paused)
        if known is None:
            self.facts += 1
            fresh = ModelSchedule(command.plan, paused, command.source, command.wall_ms, self.facts)
            self.schedules[command.schedule] = fresh
            return True
        if (known.plan, known.paused, known.source) == (command.plan, paused, command.source):
            return False
        if known.plan.timing != command.plan.timing:
            known.through_ms, known.used = command.wall_ms, set()
        elif known.paused and not paused:
            known.through_ms = max(known.through_ms, command.wall_ms)
        self.facts += 1
        known.plan, known.paused, known.source, known.set_as = (
            command.plan,
            paused,
            command.source,
            self.facts,
        )
        return True

    def turn_schedule(self, name: str, paused: bool, wall_ms: int) -> bool | None:
        """Whether pausing or resuming changes anything; None if it does not exist."""
        known = self.schedules.get(name)
        if known is None or known.paused == paused:
            return None if known is None else False
        if not paused:
            known.through_ms = max(known.through_ms, wall_ms)
        self.facts += 1
        known.paused, known.set_as = paused, self.facts
        return True

    def remove_schedule(self, name: str) -> None:
        del self.schedules[name]
        self.facts += 1

    def trigger(self, name: str, job_id: str) -> str | bool:
        """A refusal's code, or whether a job came of it."""
        schedule = self.schedules[name]
        said = self.enqueue(self.job_of(schedule, schedule.plan.on_conflict, job_id))
        if isinstance(said, str):
            return said
        if said[0][1]:
            return False
        self.facts += 1
        schedule.last, schedule.jobs = job_id, schedule.jobs + 1
        return True

    def fire(self, command: Fire, names: dict[int, str]) -> str | int:
        """A refusal's code, or how many jobs came of it. `names`: the id of the job of each time."""
        schedule = self.schedules.get(command.schedule)
        if schedule is None or schedule.paused or schedule.set_as != command.revision:
            return 0
        news = [at_ms for at_ms in command.times_ms if at_ms > schedule.through_ms]
        if not news:
            return 0
        before = copy.deepcopy((self.jobs, self.schedules, self.facts))
        most = {"none": 1, "one": 1, "all": 100}[schedule.plan.catch_up]
        due = news[-most:]
        if schedule.plan.catch_up == "none" and command.wall_ms - due[0] > 60_000:
            due = []
        missed = [at_ms for at_ms in news if at_ms not in due]
        runs = due
        held = self.jobs.get(schedule.last or "")
        unfinished = held is not None and held.finished_ms is None
        stops = held if unfinished and schedule.plan.overlap == "cancel_old" else None
        if due and schedule.plan.overlap == "skip":
            runs = [] if unfinished else due[:1]
        elif due and schedule.plan.overlap == "cancel_old":
            runs = due[-1:]
        overlapping, chosen = len(runs) < len(due), runs
        if runs and schedule.plan.unique is not None:
            taker = self.holder(schedule.plan.unique.key)
            replaces = schedule.plan.on_conflict == "replace"
            runs = runs[-1:] if replaces else runs[:1]
            if taker is not None:
                waits = taker.stands in ("waiting", "blocked")
                if not (waits and (replaces or taker is stops)):
                    runs = []
                if not runs or taker is stops:
                    stops = None
        stopped = None if stops is None else stops.id
        barred, cut = len(runs) < len(chosen), False
        while True:
            jobs = [names[at_ms] for at_ms in runs if names[at_ms] not in self.jobs]
            said = self.enqueue(self.job_of(schedule, "replace", *jobs)) if jobs else []
            if said != "queue_full" or len(runs) == 1:
                break
            runs, cut = runs[: len(runs) // 2], True
        self.jobs, self.schedules, self.facts = copy.deepcopy(before)
        if isinstance(said, str) or self.policy.storage_full:
            return said if isinstance(said, str) else "storage_full"
        schedule = self.schedules[command.schedule]
        if missed:
            self.facts += 1
            schedule.skipped += len(missed) + (command.earlier if len(news) == len(command.times_ms) else 0)
        self.facts += overlapping + barred
        if due and stopped is not None:
            self.stop_job(self.jobs[stopped])
        fresh = [at_ms for at_ms in runs if names[at_ms] not in self.jobs]
        for at_ms in runs:
            if at_ms in fresh:
                self.enqueue(self.job_of(schedule, "replace", names[at_ms]))
            assert at_ms not in schedule.used, f"{names[at_ms]} twice"
            schedule.used.add(at_ms)
            self.facts += 1
            schedule.last, schedule.jobs = names[at_ms], schedule.jobs + 1
        schedule.skipped += 0 if cut else len(due) - len(runs)
        schedule.through_ms = runs[-1] if cut else news[-1]
        return len(fresh)

    def job_of(self, schedule: ModelSchedule, on_conflict: OnConflict, *job_ids: str) -> Enqueue:
        plan = schedule.plan
        expires_at_ms = None if plan.expires_in_ms is None else self.now_ms + plan.expires_in_ms
        extras = Extras(expires_at_ms, plan.unique, concurrency_key=plan.concurrency_key)
        own = None if extras == Extras() else extras
        return Enqueue(
            tuple(NewJob(job_id, plan.terms, plan.args, None, None, own, on_conflict) for job_id in job_ids)
        )

    def stop_job(self, job: ModelJob) -> None:
        if job.stands == "waiting":
            job.said = None
            self.settle(job, "cancelled", "replaced")
        elif not job.cancel_requested:
            self.facts += 1
            job.cancel_requested = True
