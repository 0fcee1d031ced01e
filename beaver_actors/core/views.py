"""What is shown of the state: one job, a page of jobs, the counts. Reads only, and copies what it shows."""

from __future__ import annotations

from dataclasses import asdict
from itertools import islice

from beaver_actors.core.answers import (
    Found,
    JobView,
    Page,
    Parent,
    QueueStatus,
    Relative,
    Relatives,
    Status,
)
from beaver_actors.core.commands import List, Policy
from beaver_actors.core.explain import waits_for
from beaver_actors.core.job import Extras, Job, JobState, Trail
from beaver_actors.core.operation import fits
from beaver_actors.core.state import State

LOOKED_AT_MAX = 10_000
"""Jobs that one listing looks at, so that a rare filter over a million jobs does not hold up the others."""

RELATIVES_MAX = 1000
"""Parents, and children, that are shown of one job."""

PARENT_RESULTS_BYTES_MAX = 1024 * 1024
"""Results of parents that go with a lease: as much as one job may carry in other ways."""

_NO_TRAIL = Trail()
_NO_EXTRAS = Extras()


def found(state: State, job: Job, now_ms: int, policy: Policy) -> Found:
    """Show one job."""
    return Found(_view(state, job, now_ms, policy), _relatives(state, job))


def shown_parents(state: State, job: Job) -> tuple[Parent, ...]:
    """The parents of a leased job, with their results as far as all of these together are not too large."""
    shown: list[Parent] = []
    size = 0
    for parent_id in job.depends_on:
        parent = state.jobs.get(parent_id)
        if parent is None:
            shown.append(Parent(parent_id, None))
            continue
        result = None if parent.trail is None else parent.trail.result
        if result is not None and size + len(result) > PARENT_RESULTS_BYTES_MAX:
            shown.append(Parent(parent_id, parent.state, None, True))
            continue
        size += 0 if result is None else len(result)
        shown.append(Parent(parent_id, parent.state, result))
    return tuple(shown)


def _relatives(state: State, job: Job) -> Relatives:
    named = job.depends_on[:RELATIVES_MAX]
    parents = [_relative(parent_id, state.jobs.get(parent_id)) for parent_id in named]
    family = None if state.families is None else state.families.of(job.id)
    own = {} if family is None else family.children
    children = [_relative(child.id, child) for child in islice(own.values(), RELATIVES_MAX)]
    return Relatives(tuple(parents), tuple(children), len(own))


def _relative(job_id: str, job: Job | None) -> Relative:
    return Relative(job_id, None, None) if job is None else Relative(job_id, job.terms.kind, job.state)


def page(state: State, command: List, now_ms: int, policy: Policy) -> Page:
    """Show the jobs that match, newest first, at most `command.limit` of them."""
    shown: list[JobView] = []
    wanted = command.wanted
    for looked_at, job in enumerate(state.roll.before(command.after, state.jobs)):
        if len(shown) == command.limit or looked_at == LOOKED_AT_MAX:
            return Page(tuple(shown), job.order + 1)
        if state.jobs.get(job.id) is job and fits(job, wanted):
            shown.append(_view(state, job, now_ms, policy))
    return Page(tuple(shown), None)


def status(state: State, policy: Policy) -> Status:
    """Show the counts of the whole queue."""
    counts = dict.fromkeys(JobState, 0)
    oldest: dict[str, int] = {}
    unknown: dict[str, int] = {}
    for key, lane in state.lanes.items():
        first = next(iter(lane), None)
        if first is not None:
            oldest[key.queue] = min(first.run_at_ms, oldest.get(key.queue, first.run_at_ms))
        if key.kind not in policy.served_kinds:
            unknown[key.kind] = unknown.get(key.kind, 0) + len(lane)
    for lane_key, _, lane in state.rings.items():
        first = next(iter(lane))
        oldest[lane_key.queue] = min(first.run_at_ms, oldest.get(lane_key.queue, first.run_at_ms))
        if lane_key.kind not in policy.served_kinds:
            unknown[lane_key.kind] = unknown.get(lane_key.kind, 0) + len(lane)
    queues = []
    for name in sorted(state.queues):
        queue = state.queues[name]
        own = {job_state: queue.count(job_state) for job_state in JobState}
        for job_state, count in own.items():
            counts[job_state] += count
        waits_since = oldest.get(name)
        queues.append(
            QueueStatus(name, queue.paused, own, waits_since, queue.draining, queue.rules, queue.declared)
        )
    totals = asdict(state.totals)
    died = totals.pop("died")
    return Status(
        state.lsn, counts, tuple(queues), totals, died, unknown, policy.storage_full, len(state.schedules)
    )


def _view(state: State, job: Job, now_ms: int, policy: Policy) -> JobView:
    trail = job.trail or _NO_TRAIL
    return JobView(
        job.id, job.terms, job.args, job.state, job.created_ms, job.run_at_ms, job.extras or _NO_EXTRAS,
        job.order, job.lsn, job.attempt, job.rescues, job.fence, trail.started_ms,
        trail.finished_ms, trail.worker_id, trail.cancel_requested, trail.reason, trail.progress,
        trail.result, tuple(trail.errors),
        waits_for(state, job, now_ms, policy),
    )  # fmt: skip
