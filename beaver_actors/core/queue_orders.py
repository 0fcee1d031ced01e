"""What is asked of a queue as a whole: its rules, drain, delete, and moving its jobs to another. Part of
`decide`: reads, never writes."""

from __future__ import annotations

from beaver_actors.core.answers import Change, Changed, Moved, Refused
from beaver_actors.core.commands import Configure, DeclareQueues, DeleteQueue, Drain, Move, Policy
from beaver_actors.core.decision import Decision, refuse
from beaver_actors.core.facts import Fact, JobMoved, QueueConfigured, QueueDeleted, QueueDrainStarted
from beaver_actors.core.job import WAITING, Job
from beaver_actors.core.limits import QueueRules
from beaver_actors.core.queues import Queue
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
    if most == 0:
        return Refused("queue_full", f"queue {name} takes no jobs: its jobs_max is 0")
    text = f"queue {name} holds its limit of {policy.queue_jobs_max if most is None else most} waiting jobs"
    return Refused("queue_full", text, 1_000)


def configure(state: State, command: Configure, now_ms: int, policy: Policy) -> Decision:
    queue = state.queues.get(command.queue) or Queue(command.queue)
    rules = _with(queue.rules, command)
    for name in queue.declared:
        if getattr(rules, name) != getattr(queue.rules, name):
            text = (
                f"rule {name.removesuffix('_ms')} of queue {queue.name} stands in the server's configuration"
            )
            return refuse("conflict", f"{text}, change it there; here the queue can be paused")
    if rules == queue.rules:
        return _one(state, queue.name, None)
    return _one(state, queue.name, QueueConfigured(queue.name, now_ms, rules, queue.declared))


def declare(state: State, command: DeclareQueues, now_ms: int, policy: Policy) -> Decision:
    """What the configuration says, at a start. A rule that it named before and names no more is taken away;
    those that somebody has set by request, and it does not name, stay."""
    facts: list[Fact] = []
    wanted = {one.queue: one for one in command.queues}
    before = [queue.name for queue in state.queues.values() if queue.declared]
    for name in dict.fromkeys((*wanted, *before)):
        queue = state.queues.get(name) or Queue(name)
        rules = queue.rules._replace(**dict.fromkeys(queue.declared))
        declared: tuple[str, ...] = ()
        if name in wanted:
            rules = _with(rules, wanted[name])
            declared = tuple(rule for rule in QueueRules._fields if rule in wanted[name].fields)
        if (rules, declared) != (queue.rules, queue.declared):
            facts.append(QueueConfigured(name, now_ms, rules, declared))
    changes = tuple(Change(fact[0], True) for fact in facts)
    return Decision(facts, Changed(changes, state.lsn + len(facts)))


def _with(rules: QueueRules, command: Configure) -> QueueRules:
    return rules._replace(**{name: getattr(command.rules, name) for name in command.fields})


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
    if queue.declared:
        text = f"queue {queue.name} has rules in the server's configuration; take them out there first"
        return refuse("conflict", text)
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
