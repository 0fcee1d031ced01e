"""The state of the queue: every job, every named queue, the counts, and the indexes over them.

What this file owns is the shape, and the passing of time (`advance`). Facts change the state in `fold` alone.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from beaver_actors.core.families import Families
from beaver_actors.core.index import Lanes, Line, Roll, Timetable
from beaver_actors.core.job import FINISHED, WAITING, Job, JobState, Terms
from beaver_actors.core.operation import Operation
from beaver_actors.core.queues import Queue
from beaver_actors.core.rings import Rings
from beaver_actors.core.schedule import Schedule
from beaver_actors.core.unique import held_until_ms, index_of

SCHEDULED, PENDING, IN_FLIGHT = JobState.SCHEDULED, JobState.PENDING, JobState.IN_FLIGHT


@dataclass(slots=True, eq=True)
class Totals:
    """What has ever happened, counted by fact; kept in snapshots, so it survives restarts."""

    enqueued: int = 0
    started: int = 0
    completed: int = 0
    failed: int = 0
    snoozed: int = 0
    released: int = 0
    rescued: int = 0
    cancelled: int = 0
    retried: int = 0
    deleted: int = 0
    died: dict[str, int] = field(default_factory=dict)
    """By reason."""


@dataclass(slots=True)
class State:
    """Everything the queue knows. The first six fields are the whole of it; the rest is
    derived (`reindex` builds it anew) and never stored."""

    lsn: int = 0
    """The LSN of the last fact folded in."""
    time_ms: int = 0
    """The latest time on record: the clock of the next life does not start before it."""
    jobs: dict[str, Job] = field(default_factory=dict)
    """In order of arrival."""
    queues: dict[str, Queue] = field(default_factory=dict)
    totals: Totals = field(default_factory=Totals)
    operations: dict[str, Operation] = field(default_factory=dict)
    """Those that run, and the last of those that have ended, in the order in which they began."""
    schedules: dict[str, Schedule] = field(default_factory=dict)

    in_flight: dict[str, Job] = field(default_factory=dict)
    lanes: Lanes = field(default_factory=Lanes)
    """Pending jobs without a concurrency key."""
    rings: Rings = field(default_factory=Rings)
    """Pending jobs with one."""
    schedule: Timetable = field(default_factory=Timetable)
    expiries: Timetable = field(default_factory=Timetable)
    """Waiting jobs by the time they expire."""
    finished: dict[JobState, Line] = field(default_factory=lambda: {state: Line() for state in FINISHED})
    """By final state, in order of finishing."""
    keepsakes: Timetable = field(default_factory=Timetable)
    """Finished jobs with a retention of their own, by the time it ends."""
    overdue: deque[Job] = field(default_factory=deque)
    """Jobs whose expiry or own retention has passed, found by `advance`, for `decide` to act on."""
    rated: set[str] = field(default_factory=set)
    """Queues with a rate of any sort."""
    roll: Roll = field(default_factory=Roll)
    unique: dict[str, Job] = field(default_factory=dict)
    """For each unique key, the last job to take it; `core/unique.py` says whether it still holds it."""
    families: Families | None = None
    """Who waits for whom; None as long as no job has a parent."""
    terms: dict[Terms, Terms] = field(default_factory=dict)
    """Equal terms are kept once."""

    @property
    def waiting(self) -> int:
        """Jobs in all queues that have yet to run."""
        return sum(queue.waiting for queue in self.queues.values())


def advance(state: State, now_ms: int) -> None:
    """Let time pass: what is due becomes pending, what has run out is set aside for `decide`.

    Not a fact: it follows from the jobs and the clock, so replay does without it. Time does not run
    backwards: `now_ms` is no earlier than at the call before, or than any fact.
    """
    overdue = state.overdue
    while overdue and not is_overdue(state, overdue[0], now_ms):
        overdue.popleft()
    for job in state.schedule.pop_due(now_ms):
        counts = state.queues[job.terms.queue].counts
        counts[SCHEDULED] -= 1
        counts[PENDING] = counts.get(PENDING, 0) + 1
        job.state = PENDING
        line_up(state, job)
    overdue.extend(state.expiries.pop_due(now_ms))
    overdue.extend(state.keepsakes.pop_due(now_ms))


def next_ms(state: State, now_ms: int) -> int | None:
    """When time next lets a job start: one is due, or a rate allows it."""
    times = [state.schedule.next_ms()]
    for name in state.rated:
        queue = state.queues[name]
        if queue.count(PENDING) and not queue.paused:
            times.append(queue.next_start_ms(now_ms))
    return min((at_ms for at_ms in times if at_ms is not None), default=None)


def is_overdue(state: State, job: Job, now_ms: int) -> bool:
    """Whether the job has waited past its expiry, or is finished and past a retention of its own."""
    if state.jobs.get(job.id) is not job:
        return False
    if job.state in FINISHED:
        kept_ms = kept_until_ms(job)
        return kept_ms is not None and kept_ms <= now_ms and not is_needed(state, job)
    return job.state is not IN_FLIGHT and job.expires_at_ms is not None and job.expires_at_ms <= now_ms


def kept_until_ms(job: Job) -> float | None:
    """When the retention of its own that this finished job has ends; None if it has none. A job that holds
    its unique key is kept for as long."""
    kept_ms, trail = job.terms.retention_ms, job.trail
    if kept_ms is None or trail is None:
        return None
    return max((trail.finished_ms or 0) + kept_ms, held_until_ms(job))


def is_needed(state: State, job: Job) -> bool:
    """Whether a child that has yet to finish may ask for the result of this job: then retention waits."""
    return state.families is not None and state.families.needs(job.id)


def let_go(state: State, parent_ids: list[str]) -> None:
    """No child needs these jobs any more: if their retention has passed meanwhile, their time has come."""
    for parent_id in parent_ids:
        job = state.jobs.get(parent_id)
        if job is not None and job.state in FINISHED and kept_until_ms(job) is not None:
            state.overdue.append(job)


def line_up(state: State, job: Job) -> None:
    """The job has become pending."""
    extras = job.extras
    if extras is None or extras.concurrency_key is None:
        state.lanes.add(job)
    else:
        state.rings.add(job, extras.concurrency_key, state.queues[job.terms.queue])


def step_out(state: State, job: Job) -> None:
    """The job is pending no more. Called after its LSN has changed, and nothing else that says where it
    stood."""
    extras = job.extras
    if extras is None or extras.concurrency_key is None:
        state.lanes.drop(job)
    else:
        state.rings.drop(job, extras.concurrency_key)


def file_job(state: State, job: Job) -> None:
    """Enter a job into the indexes that its state calls for; called after each fact that moved it."""
    job_state = job.state
    if job_state is PENDING:
        line_up(state, job)
    elif job_state is IN_FLIGHT:
        state.in_flight[job.id] = job
        return
    elif job_state is SCHEDULED:
        state.schedule.add(job.run_at_ms, job)
    elif job_state in FINISHED:
        state.finished[job_state].add(job)
        kept_ms = kept_until_ms(job)
        if kept_ms is not None:
            state.keepsakes.add(int(kept_ms), job)
        return
    extras = job.extras
    if extras is not None and extras.expires_at_ms is not None:
        state.expiries.add(extras.expires_at_ms, job)


def reindex(state: State) -> None:
    """Build everything derived from `jobs` and `queues`, after a snapshot was loaded.

    `jobs` must be in order of arrival. What is decided afterwards is what would have been decided before.
    """
    state.in_flight, state.lanes, state.rings, state.overdue = {}, Lanes(), Rings(), deque()
    state.schedule, state.expiries, state.keepsakes = Timetable(), Timetable(), Timetable()
    state.finished = {final: Line() for final in FINISHED}
    state.roll, state.terms = Roll(), {}
    state.rated = {name for name, queue in state.queues.items() if queue.rules.rate or queue.rules.key_rate}
    for queue in state.queues.values():
        queue.recount()
    # In groups that are alike, because a million jobs are to be served in seconds: what holds for a group is
    # asked once.
    alike: dict[tuple[int, JobState], list[Job]] = {}
    running: list[Job] = []
    unique: list[Job] = []
    children: list[Job] = []
    finished: dict[JobState, list[Job]] = {final: [] for final in FINISHED}
    terms: Terms | None = None
    job_state: JobState | None = None
    group: list[Job] = []
    for job in state.jobs.values():
        if job.terms is not terms or job.state is not job_state:
            terms, job_state = job.terms, job.state
            group = alike.setdefault((id(terms), job_state), [])
        group.append(job)
        extras = job.extras
        if extras is not None:
            if extras.expires_at_ms is not None and job.state in WAITING:
                state.expiries.add(extras.expires_at_ms, job)
            if extras.unique is not None:
                unique.append(job)
            if extras.depends_on:
                children.append(job)
            if extras.concurrency_key is not None:
                state.queues[terms.queue].counted(job, extras.concurrency_key)
    state.unique = index_of(unique)
    state.families = families = Families() if children else None
    if families is not None:
        for job in children:
            families.join(job, state.jobs)
    for (_, job_state), group in alike.items():
        terms = _share_terms(state, group)
        counts = state.queues[terms.queue].counts
        counts[job_state] = counts.get(job_state, 0) + len(group)
        if job_state is PENDING:
            state.lanes.fill([job for job in group if job.extras is None or not job.extras.concurrency_key])
            for job in group:
                if job.extras is not None and job.extras.concurrency_key:
                    line_up(state, job)
        elif job_state is SCHEDULED:
            for job in group:
                state.schedule.add(job.run_at_ms, job)
        elif job_state is IN_FLIGHT:
            running += group
        elif job_state in FINISHED:
            finished[job_state] += group
    for job in sorted(running, key=lambda job: job.fence):
        state.in_flight[job.id] = job
    for final, jobs in finished.items():
        jobs.sort(key=lambda job: job.lsn)
        state.finished[final].extend(jobs)
        for job in jobs:
            kept_ms = kept_until_ms(job)
            if kept_ms is not None:
                state.keepsakes.add(int(kept_ms), job)


def _share_terms(state: State, alike: list[Job]) -> Terms:
    """Let these jobs, which share their terms, share them with all others of the same."""
    own = alike[0].terms
    terms = state.terms.setdefault(own, own)
    if terms is not own:
        for job in alike:
            job.terms = terms
    return terms
