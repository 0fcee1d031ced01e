"""What the facts about a queue change: one function for each, named like it. Part of `fold`: writes, never
decides."""

from __future__ import annotations

from beaver_actors.core.facts import (
    QueueConfigured,
    QueueDeleted,
    QueueDrainStarted,
    QueuePaused,
    QueueResumed,
)
from beaver_actors.core.queues import Queue
from beaver_actors.core.state import State


def configured(state: State, fact: QueueConfigured) -> None:
    queue = queue_named(state, fact.queue)
    queue.set_rules(fact.rules, fact.at_ms)
    queue.declared = fact.declared
    state.rings.rebuild(queue)
    if fact.rules.rate is None and fact.rules.key_rate is None:
        state.rated.discard(queue.name)
    else:
        state.rated.add(queue.name)


def drain_started(state: State, fact: QueueDrainStarted) -> None:
    queue_named(state, fact.queue).draining = True


def deleted(state: State, fact: QueueDeleted) -> None:
    queue = state.queues.get(fact.queue)
    assert queue is not None, f"queue {fact.queue}, which does not exist, was deleted"
    held = sum(queue.counts.values())
    assert not held, f"queue {fact.queue} was deleted while it held {held} jobs"
    del state.queues[fact.queue]
    state.rated.discard(fact.queue)


def paused(state: State, fact: QueuePaused) -> None:
    queue_named(state, fact.queue).paused = True


def resumed(state: State, fact: QueueResumed) -> None:
    queue = queue_named(state, fact.queue)
    queue.paused = queue.draining = False


def queue_named(state: State, name: str) -> Queue:
    """The queue of this name, which comes into being when a fact first names it."""
    queue = state.queues.get(name)
    if queue is None:
        queue = state.queues[name] = Queue(name)
    return queue
