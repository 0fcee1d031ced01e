"""What time demands: overrun deadlines, expiries, retention; and when that is done, operations go on.
Part of `decide`: reads, never writes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from beaver_actors.core.answers import Ticked
from beaver_actors.core.attempts import ending
from beaver_actors.core.commands import Policy, Tick
from beaver_actors.core.decision import Decision
from beaver_actors.core.facts import Fact, JobDeleted, JobDied, JobFailed
from beaver_actors.core.families import settle
from beaver_actors.core.job import FINISHED, JobError, JobState
from beaver_actors.core.operations import Judges, can_step, step
from beaver_actors.core.outcome import TimedOut
from beaver_actors.core.state import State, is_needed, is_overdue, next_ms as next_start_ms
from beaver_actors.core.unique import holds

TICK_FACTS_MAX = 1000
"""Facts that one tick may bring, so that a mass expiry does not hold up the commands behind it."""


def tick(state: State, command: Tick, now_ms: int, policy: Policy, judges: Judges) -> Decision:
    facts = list(islice(_time_demands(state, now_ms, policy), TICK_FACTS_MAX))
    if state.families is not None and len(facts) < TICK_FACTS_MAX:
        named = {fact[0] for fact in facts}
        left = TICK_FACTS_MAX - len(facts)
        ripe = settle(state.families, state.jobs, now_ms, left)
        facts += [fact for fact in ripe if fact[0] not in named]
    running = (state.in_flight.get(fact[0]) for fact in facts)
    taken = tuple(job.fence for job in running if job is not None)
    more = len(facts) == TICK_FACTS_MAX
    if can_step(state, policy):
        if facts:
            more = True  # never both in one batch: they may be about the same jobs
        else:
            facts, more = step(state, now_ms, policy, judges)
    return Decision(facts, Ticked(_next_ms(state, facts, now_ms), more, taken))


def _time_demands(state: State, now_ms: int, policy: Policy) -> Iterator[Fact]:
    """Overrun deadlines, then what has expired, then what is past its retention."""
    for job in state.in_flight.values():
        deadline_ms = job.trail.deadline_ms if job.trail else None
        if deadline_ms is not None and deadline_ms <= now_ms:
            error = JobError("Timeout", "the worker did not report within the timeout and its grace")
            yield ending(job, TimedOut(error), 0.5, now_ms, policy)
    named: set[str] = set()
    leaving = dict.fromkeys(FINISHED, 0)
    for job in state.overdue:
        if job.id in named or not is_overdue(state, job, now_ms):
            continue
        named.add(job.id)
        if job.state in FINISHED:
            leaving[job.state] += 1
            yield JobDeleted(job.id, now_ms, "retention")
        else:
            yield JobDied(job.id, now_ms, "expired")
    for final, kept_ms, kept in (
        (JobState.COMPLETED, policy.completed_kept_ms, policy.completed_kept),
        (JobState.CANCELLED, policy.cancelled_kept_ms, policy.cancelled_kept),
        (JobState.DEAD, policy.dead_kept_ms, policy.dead_kept),
    ):
        excess = len(state.finished[final]) - leaving[final] - kept
        for job in state.finished[final]:
            old = job.trail is not None and (job.trail.finished_ms or 0) + kept_ms <= now_ms
            if excess <= 0 and not old:
                break  # those behind it finished later still
            if job.id in named or (excess <= 0 and job.terms.retention_ms is not None) or holds(job, now_ms):
                continue
            if is_needed(state, job):
                continue
            excess -= 1
            yield JobDeleted(job.id, now_ms, "retention")


def _next_ms(state: State, facts: list[Fact], now_ms: int) -> int | None:
    """When time next demands something of a job that waits or runs, once these facts are folded."""
    times = [next_start_ms(state, now_ms), state.expiries.next_ms(), state.keepsakes.next_ms()]
    deadlines = (job.trail.deadline_ms for job in state.in_flight.values() if job.trail)
    times += (deadline_ms for deadline_ms in deadlines if deadline_ms is not None and deadline_ms > now_ms)
    times += (fact.retry_at_ms for fact in facts if isinstance(fact, JobFailed))
    return min((time_ms for time_ms in times if time_ms is not None), default=None)
