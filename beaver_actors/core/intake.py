"""How jobs come in: with an enqueue, with the completion that brings them, or with a schedule's time. Part of
`decide`: reads, never writes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from operator import attrgetter

from beaver_actors.core import graphs, queue_orders as queues
from beaver_actors.core.answers import Enqueued, Receipt, Refused
from beaver_actors.core.commands import Enqueue, NewJob, Policy
from beaver_actors.core.decision import Decision, refuse
from beaver_actors.core.facts import Fact, JobCancelled, JobEnqueued
from beaver_actors.core.job import WAITING, Job
from beaver_actors.core.state import State
from beaver_actors.core.unique import holder


def enqueue(state: State, command: Enqueue, now_ms: int, policy: Policy) -> Decision:
    """Accept all these jobs or none."""
    intake = Intake(state, now_ms)
    decision = intake.take(command.jobs)
    if decision.facts:
        refusal = intake.no_room(policy)
        if refusal is not None:
            return Decision([], refusal)
    return decision


class Intake:
    """The new jobs of one command, judged one after the other: each stands beside those before it as if they
    were there already. Limits on waiting jobs are asked of all together, in the end.

    Args:
        state: of before the command.
        now_ms: the time.
    """

    def __init__(self, state: State, now_ms: int) -> None:
        self._state = state
        self._now_ms = now_ms
        self._fresh: dict[str, NewJob] = {}
        """Those that are accepted, by id."""
        self._keys: dict[str, NewJob] = {}
        """The unique keys that they take."""
        self._replaced: list[Job] = []
        """Jobs whose keys they take."""

    def copy(self) -> Intake:
        """The same, to go on from."""
        intake = Intake(self._state, self._now_ms)
        intake._fresh, intake._keys = dict(self._fresh), dict(self._keys)
        intake._replaced = list(self._replaced)
        return intake

    def take(self, jobs: Sequence[NewJob]) -> Decision:
        """Judge these jobs. Answer: `Enqueued`, or `Refused`, after which this intake is of no use."""
        if not any(new.extras is not None and new.extras.depends_on for new in jobs):
            return self._judge(jobs)
        order = graphs.parents_first(self._state, jobs)
        if isinstance(order, Refused):
            return Decision([], order)
        decision = self._judge([jobs[place] for place in order])
        if not isinstance(decision.answer, Enqueued):
            return decision
        refusal = graphs.too_many_children(self._state, self._fresh.values())
        if refusal is not None:
            return Decision([], refusal)
        return Decision(decision.facts, graphs.as_asked(order, decision.answer))

    def no_room(self, policy: Policy) -> Refused | None:
        """Why what was taken cannot be taken now, if it cannot (P7, P11)."""
        drained = _drained(self._state, map(_queue_of, self._fresh.values()))
        return drained or _no_room(self._state, self._fresh.values(), self._replaced, policy)

    def _judge(self, new_jobs: Sequence[NewJob]) -> Decision:
        """Judge these jobs, each after its parents."""
        facts: list[Fact] = []
        receipts: list[Receipt] = []
        others: dict[str, str] = {}
        replaced_before = len(self._replaced)
        state, now_ms, fresh = self._state, self._now_ms, self._fresh
        jobs = state.jobs
        for new in new_jobs:
            job_id = new.job_id
            known = jobs.get(job_id) or fresh.get(job_id)
            if known is not None:
                if not _is_same(known, new):
                    return refuse("conflict", f"job {job_id} exists with other content; use another id")
                receipts.append(Receipt(job_id, True))
                continue
            _, terms, args, at_ms, delay_ms, extras, _ = new
            if extras is not None:
                extras = graphs.renamed(extras, others)
                if extras.unique is not None:
                    taken = self._take_key(new, extras.unique.key)
                    if isinstance(taken, Refused):
                        return Decision([], taken)
                    if taken is not None:
                        receipts.append(taken)
                        others[job_id] = taken.job_id
                        continue
            fresh[job_id] = new
            run_at_ms = now_ms
            if delay_ms is not None:
                run_at_ms = now_ms + max(delay_ms, 0)
            elif at_ms is not None:
                run_at_ms = max(at_ms, now_ms)
            facts.append(JobEnqueued(job_id, now_ms, terms, args, run_at_ms, extras))
            receipts.append(Receipt(job_id, False))
        replaced = self._replaced[replaced_before:]
        if replaced:
            # First, so that the arrivals are the last facts of the answer's LSN, one after the other.
            facts[:0] = [JobCancelled(job.id, now_ms, "replaced") for job in replaced]
        return Decision(facts, Enqueued(tuple(receipts), state.lsn + len(facts)))

    def _take_key(self, new: NewJob, key: str) -> Refused | Receipt | None:
        """What becomes of this job instead of being accepted: a refusal of them all, or the job that is there
        already."""
        held = self._keys.get(key) or holder(self._state.unique, key, self._now_ms)
        if held is not None:
            job_id = held.id if isinstance(held, Job) else held.job_id
            if new.on_conflict == "return_existing":
                return Receipt(job_id, True)
            state = held.state.replace("_", " ") if isinstance(held, Job) else "of the same message"
            if new.on_conflict == "reject" or not isinstance(held, Job) or held.state not in WAITING:
                text = f"job {new.job_id}: its unique_key {key!r} is held by job {job_id}, which is {state}"
                return Refused("not_unique", text)
            self._replaced.append(held)
        self._keys[key] = new
        return None


def _is_same(known: Job | NewJob, new: NewJob) -> bool:
    """Whether this is the job that is there, which may have been moved to another queue since."""
    terms = known.terms
    if known.extras is not None and known.extras.enqueued_in is not None:
        terms = terms._replace(queue=known.extras.enqueued_in)
    return terms == new.terms and known.args == new.args


_queue_of = attrgetter("terms.queue")


def _no_room(
    state: State, fresh: Collection[NewJob], replaced: Collection[Job], policy: Policy
) -> Refused | None:
    if policy.storage_full:
        message = "the disk is full; running jobs can finish, new ones are refused until there is room"
        return Refused("storage_full", message, 5_000)
    grown = len(fresh) - len(replaced)
    if grown > 0 and state.waiting + grown > policy.pending_jobs_max:
        return Refused(
            "queue_full", f"the server holds its limit of {policy.pending_jobs_max} waiting jobs", 1_000
        )
    if len(fresh) == 1 and not replaced:
        more: dict[str, int] = {next(iter(fresh)).terms.queue: 1}
    else:
        counted = Counter(map(_queue_of, fresh))
        counted.subtract(map(_queue_of, replaced))
        more = counted
    for name, count in more.items():
        if count > 0 and count > queues.room_for(state, name, policy):
            return queues.full(state, name, policy)
    return None


def _drained(state: State, names: Iterable[str]) -> Refused | None:
    """Why one of these queues takes no new jobs, if it does not."""
    for name in names:
        queue = state.queues.get(name)
        if queue is not None and queue.draining:
            return Refused("draining", f"queue {name} is drained: it takes no new jobs until it is resumed")
    return None
