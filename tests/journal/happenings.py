"""Facts that can happen, drawn from a seed: every kind, every state and every optional field in time."""

from __future__ import annotations

from random import Random

from beaver_actors.core.facts import (
    Fact,
    JobCancelled,
    JobCancelRequested,
    JobCompleted,
    JobDeleted,
    JobDied,
    JobEnqueued,
    JobFact,
    JobFailed,
    JobProgressed,
    JobReleased,
    JobRescued,
    JobRetried,
    JobSnoozed,
    JobStarted,
    QueuePaused,
    QueueResumed,
)
from beaver_actors.core.fold import fold
from beaver_actors.core.job import DEAD_REASONS, Backoff, Job, JobError, JobState, Terms
from beaver_actors.core.state import State, Totals
from beaver_actors.core.transitions import TRANSITIONS

NOON_MS = 1_764_000_000_000

TERMS = (
    Terms("demo.echo"),
    Terms("demo.sleep", queue="slow", priority=-100, max_attempts=1, timeout_ms=None),
    Terms(
        "größe", "q", 100, 3, 5, Backoff("list", 1, 2.5, 3, False, (1, 2, 3)), 60_000, ("a", "b"), b'{"x":1}'
    ),
)


def happen(random: Random, count: int, state: State | None = None) -> list[Fact]:
    """Facts that may follow one another, from `state` on, which is left after the last of them."""
    state = State() if state is None else state
    facts: list[Fact] = []
    for _ in range(count):
        fact = _next(random, state, max(NOON_MS, state.time_ms + random.randrange(3)))
        fold(state, fact)
        facts.append(fact)
    return facts


def state_after(facts: list[Fact]) -> State:
    """What `fold` makes of these facts from the beginning."""
    state = State()
    for fact in facts:
        fold(state, fact)
    return state


def essence(state: State) -> tuple[int, int, list[Job], list[tuple[str, bool, int]], Totals]:
    """All of a state that is not derived, for comparison; jobs in their order."""
    queues = [(queue.name, queue.paused, queue.turn) for queue in state.queues.values()]
    return state.lsn, state.time_ms, list(state.jobs.values()), queues, state.totals


def _next(random: Random, state: State, at_ms: int) -> Fact:
    if random.random() < 0.05:
        return random.choice((QueuePaused, QueueResumed))(random.choice(TERMS).queue, at_ms)
    if not state.jobs or random.random() < 0.35:
        run_at_ms = at_ms + random.choice((0, 0, -5, 1000))
        expires_at_ms = random.choice((None, at_ms + 9))
        args = random.choice(
            (b"{}", b'{"a":"\xc3\xbc"}', b'{"blob":"' + b"x" * random.randrange(2000) + b'"}')
        )
        terms = random.choice(TERMS)
        return JobEnqueued(f"job-{state.lsn}", at_ms, terms, args, run_at_ms, expires_at_ms)
    job = random.choice(list(state.jobs.values()))
    return _about(
        random, job, random.choice([kind for source, kind in TRANSITIONS if source is job.state]), at_ms
    )


def _about(random: Random, job: Job, kind: type[JobFact], at_ms: int) -> JobFact:
    error = JobError("ValueError", "no “good”", random.choice(("", "Traceback …\n" * 9)))
    later_ms = at_ms + random.choice((0, 1000))
    reasons = [reason for reason in DEAD_REASONS if reason != "poison" or job.state is JobState.IN_FLIGHT]
    facts: dict[type[JobFact], JobFact] = {
        JobStarted: JobStarted(job.id, at_ms, "worker-1", random.choice((None, at_ms + 5))),
        JobProgressed: JobProgressed(job.id, at_ms, job.fence, b"0.5"),
        JobCompleted: JobCompleted(job.id, at_ms, job.fence, random.choice((None, b'{"ok":true}'))),
        JobFailed: JobFailed(job.id, at_ms, job.fence, error, later_ms),
        JobSnoozed: JobSnoozed(job.id, at_ms, job.fence, later_ms),
        JobReleased: JobReleased(job.id, at_ms, job.fence),
        JobRescued: JobRescued(job.id, at_ms, job.fence, error),
        JobDied: JobDied(job.id, at_ms, random.choice(reasons), error if job.trail else None),
        JobCancelRequested: JobCancelRequested(job.id, at_ms),
        JobCancelled: JobCancelled(job.id, at_ms),
        JobRetried: JobRetried(job.id, at_ms, later_ms),
        JobDeleted: JobDeleted(job.id, at_ms, random.choice(("request", "retention"))),
    }
    return facts[kind]
