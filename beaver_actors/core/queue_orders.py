"""What is asked of a queue as a whole: its rules, drain, delete, and moving its jobs to another. Part of
`decide`: reads, never writes."""

from __future__ import annotations

from beaver_actors.core.answers import Change, Changed, Moved, Refused
from beaver_actors.core.commands import Configure, DeleteQueue, Drain, Move, Policy
from beaver_actors.core.decision import Decision, refuse
from beaver_actors.core.facts import Fact, JobMoved, QueueConfigured, QueueDeleted, QueueDrainStarted
from beaver_actors.core.job import WAITING, Job
from beaver_actors.core.limits import NO_RULES
from beaver_actors.core.state import State

MOVED_MAX = 1000
"""Jobs that one command moves at most, so that a million do not hold up the commands behind it."""
LOOKED_AT_MAX = 10_000
"""Jobs that one command looks at."""


def room_for(state: State, name: str, policy: Policy) -> int:
    """How many more jobs may wait in this queue."""
    queue = state.queues.get(name)
    if queue is None:
        return policy.queue_jobs_max
    most = queue.rules.jobs_max
    return (policy.queue_jobs_max if most is None else most) - queue.waiting


def full(state: State, name: str, policy: Policy) -> Refused:
    """The refusal of what this queue has no room for."""
    queue = state.queues.get(name)
    most = None if queue is None else queue.rules.jobs_max
    text = f"queue {name} holds its limit of {policy.queue_jobs_max if most is None else most} waiting jobs"
    return Refused("queue_full", text, 1_000)


def configure(state: State, command: Configure, now_ms: int, policy: Policy) -> Decision:
    queue = state.queues.get(command.queue)
    before = NO_RULES if queue is None else queue.rules
    rules = before._replace(**{name: getattr(command.rules, name) for name in command.fields})
    changes = rules != before
    return _one(state, command.queue, QueueConfigured(command.queue, now_ms, rules) if changes else None)


def drain(state: State, command: Drain, now_ms: int, policy: Policy) -> Decision:
    queue = state.queues.get(command.queue)
    drains = queue is not None and queue.draining
    return _one(state, command.queue, None if drains else QueueDrainStarted(command.queue, now_ms))


def delete(state: State, command: DeleteQueue, now_ms: int, policy: Policy) -> Decision:
    queue = state.queues.get(command.queue)
    if queue is None:
        return refuse("not_found", f"queue {command.queue} does not exist")
    held = {job_state: count for job_state, count in queue.counts.items() if count}
    if held:
        text = ", ".join(f"{count} {job_state}" for job_state, count in sorted(held.items()))
        jobs = sum(held.values())
        return refuse("conflict", f"queue {queue.name} holds {jobs} jobs ({text}); move or delete them first")
    return _one(state, command.queue, QueueDeleted(command.queue, now_ms))


def _one(state: State, name: str, fact: Fact | None) -> Decision:
    facts = [] if fact is None else [fact]
    return Decision(facts, Changed((Change(name, bool(facts)),), state.lsn + len(facts)))


def move(state: State, command: Move, now_ms: int, policy: Policy) -> Decision:
    refusal = _why_not(state, command, policy)
    if refusal is not None:
        return Decision([], refusal)
    facts: list[Fact] = []
    most = min(max(command.limit, 1), MOVED_MAX)
    room = room_for(state, command.to, policy)
    after: int | None = None
    for looked_at, job in enumerate(state.roll.before(command.after, state.jobs)):
        if len(facts) == most or looked_at == LOOKED_AT_MAX:
            after = job.order + 1
            break
        if state.jobs.get(job.id) is job and _is_meant(job, command):
            if len(facts) >= room:
                if not facts:
                    return Decision([], full(state, command.to, policy))
                after = job.order + 1
                break
            facts.append(JobMoved(job.id, now_ms, command.to))
    return Decision(facts, Moved(len(facts), after, state.lsn + len(facts)))


def _why_not(state: State, command: Move, policy: Policy) -> Refused | None:
    if command.queue == command.to:
        return Refused("bad_request", f"to: expected another queue than {command.queue}, got the same")
    if command.queue not in state.queues:
        return Refused("not_found", f"queue {command.queue} does not exist")
    target = state.queues.get(command.to)
    if target is not None and target.draining:
        return Refused("draining", f"queue {command.to} is drained: it takes no new jobs until it is resumed")
    if policy.storage_full:
        return Refused("storage_full", "the disk is full; jobs can be moved once there is room", 5_000)
    return None


def _is_meant(job: Job, command: Move) -> bool:
    terms = job.terms
    return (
        terms.queue == command.queue
        and job.state in WAITING
        and (command.kind is None or terms.kind == command.kind)
        and (command.tag is None or command.tag in terms.tags)
    )
