"""Facts that can happen, drawn from a seed: every kind, every state and every optional field in time.

They follow the table of transitions and nothing else: no policy, no clock, no command. That is enough for
whatever carries facts without understanding them, and much faster than having the core decide.
"""

from __future__ import annotations

from random import Random

from beaver_actors.core.facts import (
    DeleteReason,
    Fact,
    JobCancelled,
    JobCancelRequested,
    JobCompleted,
    JobDeleted,
    JobDied,
    JobEnqueued,
    JobFact,
    JobFailed,
    JobMoved,
    JobProgressed,
    JobReleased,
    JobRescued,
    JobRetried,
    JobSnoozed,
    JobStarted,
    JobUnblocked,
    OperationAdvanced,
    OperationEnded,
    OperationStarted,
    QueueConfigured,
    QueueDrainStarted,
    QueuePaused,
    QueueResumed,
    ScheduleFact,
    ScheduleFired,
    ScheduleRemoved,
    ScheduleSet,
)
from beaver_actors.core.fold import fold
from beaver_actors.core.job import (
    DEAD_REASONS,
    ON_PARENT_FAILURE,
    UNIQUE_UNTIL,
    WAITING,
    Backoff,
    DeadReason,
    Extras,
    Job,
    JobError,
    JobState,
    Terms,
    Unique,
)
from beaver_actors.core.limits import QueueRules, Rate
from beaver_actors.core.operation import Operation
from beaver_actors.core.schedule import Plan, Schedule
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

PLAN = Plan(TERMS[2], b'{"a":1}', "0 3 * * *", None, "Europe/Berlin", "all", "cancel_old")

_KINDS: dict[JobState, list[type[JobFact]]] = {
    state: [kind for source, kind in TRANSITIONS if source is state and kind is not JobMoved]
    for state in JobState
}
_CALM = [reason for reason in DEAD_REASONS if reason != "poison"]
"""Only an attempt can poison."""


def happen(
    random: Random, count: int, state: State | None = None, *, jobs_max: int | None = None
) -> list[Fact]:
    """Facts that may follow one another, from `state` on, which is left after the last of them.

    Args:
        jobs_max: no more jobs come in while there are as many.
    """
    state = State() if state is None else state
    facts: list[Fact] = []
    for _ in range(count):
        is_full = jobs_max is not None and len(state.jobs) >= jobs_max
        fact = _next(random, state, max(NOON_MS, state.time_ms + random.randrange(3)), is_full)
        fold(state, fact)
        facts.append(fact)
    return facts


def state_after(facts: list[Fact]) -> State:
    """What `fold` makes of these facts from the beginning."""
    state = State()
    for fact in facts:
        fold(state, fact)
    return state


def essence(
    state: State,
) -> tuple[int, int, list[Job], list[tuple[object, ...]], Totals, list[Operation], dict[str, Schedule]]:
    """All of a state that is not derived, for comparison; jobs in their order."""
    queues: list[tuple[object, ...]] = [
        (
            *(queue.name, queue.paused, queue.turn, queue.draining, queue.rules, queue.bucket),
            queue.keyless_turn,
            {key: (one.turn, one.bucket) for key, one in queue.stored(state.time_ms).items()},
        )
        for queue in state.queues.values()
    ]
    return (
        state.lsn,
        state.time_ms,
        list(state.jobs.values()),
        queues,
        state.totals,
        list(state.operations.values()),
        state.schedules,
    )


def _next(random: Random, state: State, at_ms: int, is_full: bool) -> Fact:
    if state.lsn % 257 == 256:
        return _operation(state, at_ms)
    if state.lsn % 19 == 18:  # now and then, and nothing is drawn for it
        return _about_schedule(state, at_ms)
    if random.random() < 0.05:
        kind = random.choice((QueuePaused, QueueResumed))
        return _about_queue(kind, random.choice(TERMS).queue, state.lsn, at_ms)
    if not state.jobs or (random.random() < 0.35 and not is_full):
        run_at_ms = at_ms + random.choice((0, 0, -5, 1000))
        extras = _extras(state.lsn, random.choice((None, at_ms + 9)))
        blob = random.randrange(2000)
        args = random.choice((b"{}", b'{"a":"\xc3\xbc"}', None)) or b'{"blob":"%b"}' % (b"x" * blob)
        terms = random.choice(TERMS)
        return JobEnqueued(f"job-{state.lsn}", at_ms, terms, args, run_at_ms, extras)
    job = random.choice(list(state.jobs.values()))
    if state.lsn % 16 == 13 and job.state in WAITING:
        return JobMoved(job.id, at_ms, TERMS[state.lsn % len(TERMS)].queue)
    return _about(random, job, random.choice(_KINDS[job.state]), at_ms)


def _operation(state: State, at_ms: int) -> Fact:
    """Now and then an operation begins, gets on and ends, whatever it does; nothing is drawn for it."""
    running = [one for one in state.operations.values() if one.state == "running"]
    if len(running) < 2:
        name = f"operation-{state.lsn}"
        times = (None, at_ms, at_ms, None)
        return OperationStarted(name, at_ms, "retry", JobState.DEAD, "q", "größe", "a", "poison", "E", *times)
    oldest = running[0]
    if oldest.looked_at < oldest.to_look_at:
        return OperationAdvanced(oldest.id, at_ms, (oldest.cursor + oldest.lsn) // 2, 1, state.lsn % 2, 0)
    return OperationEnded(oldest.id, at_ms, "completed" if state.lsn % 2 else "stopped")


def _about_schedule(state: State, at_ms: int) -> ScheduleFact:
    number, plans = state.lsn // 19, (Plan(TERMS[0], every_ms=5000), PLAN)
    known = state.schedules.get(f"schedule-{number % 3}")
    if known is None or number % 5 == 0:
        plan = plans[number % 2]
        paused = number % 4 == 3
        return ScheduleSet(
            f"schedule-{number % 3}", at_ms, plan, at_ms, paused, "code" if paused else "request"
        )
    if number % 7 == 0:
        return ScheduleRemoved(known.name, at_ms, "undeclared" if number % 2 else "request")
    later_ms = known.through_ms + 1
    if number % 2:
        return ScheduleFired(known.name, at_ms, later_ms, None, "missed", number)
    return ScheduleFired(known.name, at_ms, later_ms if number % 4 else None, f"job-{number}")


def _extras(lsn: int, expires_at_ms: int | None) -> Extras | None:
    """Now and then a key, each job its own, or parents, there or not; nothing is drawn for it."""
    unique = None if lsn % 16 else Unique(f"key-{lsn}", UNIQUE_UNTIL[lsn % 3], 5 + lsn % 5)
    parents = (f"job-{lsn - 1}", f"job-{lsn - 3}")[: lsn % 3] if lsn % 8 == 3 else ()
    tenant = None if lsn % 8 < 7 or lsn < 12 else f"tenant-{lsn % 3}"
    extras = Extras(expires_at_ms, unique, parents, ON_PARENT_FAILURE[lsn % 2], tenant)
    return None if extras._replace(on_parent_failure="cancel") == Extras() else extras


def _about_queue(kind: type[QueuePaused | QueueResumed], queue: str, lsn: int, at_ms: int) -> Fact:
    """Now and then something else than what was drawn."""
    if lsn % 4 == 0:
        rate = Rate(1 + lsn % 3, 1000, 2)
        declared = ("concurrency", "rate") if lsn % 8 else ()
        return QueueConfigured(
            queue, at_ms, QueueRules(lsn, 1 + lsn % 9, rate, None, rate, 1 + lsn), declared
        )
    return QueueDrainStarted(queue, at_ms) if lsn % 4 == 1 else kind(queue, at_ms)


def _about(random: Random, job: Job, kind: type[JobFact], at_ms: int) -> JobFact:
    # All is drawn for every fact, whichever it is: one kind more does not change what a seed brings.
    error = JobError("ValueError", "no “good”", random.choice(("", "Traceback …\n" * 9)))
    later_ms = at_ms + random.choice((0, 1000))
    deadline_ms = random.choice((None, at_ms + 5))
    result = random.choice((None, b'{"ok":true}'))
    dead: DeadReason = random.choice(DEAD_REASONS if job.state is JobState.IN_FLIGHT else _CALM)
    deleted: DeleteReason = random.choice(("request", "retention"))
    if kind is JobStarted:
        return JobStarted(job.id, at_ms, "worker-1", deadline_ms)
    if kind is JobProgressed:
        return JobProgressed(job.id, at_ms, job.fence, b"0.5")
    if kind is JobCompleted:
        return JobCompleted(job.id, at_ms, job.fence, result)
    if kind is JobFailed:
        return JobFailed(job.id, at_ms, job.fence, error, later_ms)
    if kind is JobSnoozed:
        return JobSnoozed(job.id, at_ms, job.fence, later_ms)
    if kind is JobReleased:
        return JobReleased(job.id, at_ms, job.fence)
    if kind is JobRescued:
        return JobRescued(job.id, at_ms, job.fence, error)
    if kind is JobDied:
        return JobDied(job.id, at_ms, dead, error if job.trail else None)
    if kind is JobCancelRequested or kind is JobCancelled:
        return kind(job.id, at_ms)
    if kind is JobRetried:
        return JobRetried(job.id, at_ms, later_ms, bool(job.depends_on) and job.lsn % 2 == 0)
    if kind is JobUnblocked:
        return JobUnblocked(job.id, at_ms, later_ms)
    assert kind is JobDeleted, f"nobody knows how a {kind.__name__} happens"
    return JobDeleted(job.id, at_ms, deleted)
