"""What time demands: overrun deadlines, expiries, retention. Part of `decide`: reads, never writes."""

from __future__ import annotations

from collections.abc import Iterator

from beaver_actors.core.answers import Ticked
from beaver_actors.core.attempts import ending
from beaver_actors.core.commands import Policy, Tick
from beaver_actors.core.decision import Decision
from beaver_actors.core.facts import Fact, JobDeleted, JobDied
from beaver_actors.core.job import FINISHED, JobError, JobState
from beaver_actors.core.outcome import TimedOut
from beaver_actors.core.state import State, is_overdue

TICK_FACTS_MAX = 1000
"""Facts that one tick may bring, so that a mass expiry does not hold up the commands behind it."""


def tick(state: State, command: Tick, now_ms: int, policy: Policy) -> Decision:
    facts: list[Fact] = []
    for fact in _time_demands(state, now_ms, policy):
        facts.append(fact)
        if len(facts) == TICK_FACTS_MAX:
            break
    times = (state.schedule.next_ms(), state.expiries.next_ms(), state.keepsakes.next_ms())
    next_ms = min((time for time in times if time is not None), default=None)
    return Decision(facts, Ticked(next_ms, len(facts) == TICK_FACTS_MAX))


def _time_demands(state: State, now_ms: int, policy: Policy) -> Iterator[Fact]:
    """Overrun deadlines, then what has expired, then what is past its retention."""
    for job in state.in_flight.values():
        deadline_ms = job.trail.deadline_ms if job.trail else None
        if deadline_ms is not None and deadline_ms <= now_ms:
            error = JobError("Timeout", "the worker did not report within the timeout and its grace")
            yield ending(job, TimedOut(error), 0.5, now_ms, policy)
    named: set[str] = set()
    for job in state.overdue:
        if job.id in named or not is_overdue(state, job, now_ms):
            continue
        named.add(job.id)
        if job.state in FINISHED:
            yield JobDeleted(job.id, now_ms, "retention")
        else:
            yield JobDied(job.id, now_ms, "expired")
    for final, kept_ms, kept in (
        (JobState.COMPLETED, policy.completed_kept_ms, policy.completed_kept),
        (JobState.CANCELLED, policy.cancelled_kept_ms, policy.cancelled_kept),
        (JobState.DEAD, policy.dead_kept_ms, policy.dead_kept),
    ):
        excess = sum(queue.count(final) for queue in state.queues.values()) - kept
        for job in state.finished[final]:
            finished_ms = job.trail.finished_ms if job.trail else None
            if job.state is not final or finished_ms is None or state.jobs.get(job.id) is not job:
                continue
            if job.id in named:
                continue
            old = job.terms.retention_ms is None and finished_ms + kept_ms <= now_ms
            if excess <= 0 and not old:
                if job.terms.retention_ms is None:
                    break
                continue
            named.add(job.id)
            excess -= 1
            yield JobDeleted(job.id, now_ms, "retention")
