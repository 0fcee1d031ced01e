"""What must always hold of a state. Called by tests after every step, and once after recovery.

Each check raises `AssertionError` naming the invariant and the job or queue; a state that fails one is the
work of a bug, and serving from it could lose jobs.
"""

from __future__ import annotations

from beaver_actors.core.job import FINISHED, Job, JobState
from beaver_actors.core.state import State


def check(state: State) -> None:
    """Check everything. Takes time in proportion to the number of jobs."""
    counts: dict[str, dict[JobState, int]] = {name: {} for name in state.queues}
    order = 0
    for job_id, job in state.jobs.items():
        assert job.id == job_id, f"job {job_id} is filed under another id"
        assert job.order > order, f"job {job_id} is out of the order of arrival"
        order = job.order
        assert job.terms.queue in state.queues, (
            f"job {job_id} is in queue {job.terms.queue}, which is unknown"
        )
        own = counts[job.terms.queue]
        own[job.state] = own.get(job.state, 0) + 1
        _check_job(state, job)
    for name, queue in state.queues.items():
        held = {job_state: count for job_state, count in queue.counts.items() if count}
        assert held == counts[name], f"queue {name} counts {held}, but holds {counts[name]}"
    pending = sum(job.state is JobState.PENDING for job in state.jobs.values())
    assert len(state.lanes) == pending, f"{len(state.lanes)} jobs in lanes, {pending} are pending"
    for key, lane in state.lanes.items():
        standing = {job.id for job in lane if state.jobs.get(job.id) is job}
        assert len(standing) == lane.waiting, f"lane {key} counts {lane.waiting}, {len(standing)} stand in it"


def _check_job(state: State, job: Job) -> None:
    assert job.order <= job.lsn <= state.lsn, f"job {job.id} is known from the future"
    assert job.rescues >= 0, f"job {job.id} has {job.rescues} rescues"
    assert job.attempt >= 0, f"job {job.id} has {job.attempt} attempts"
    assert job.fence <= job.lsn, f"job {job.id} has a fence from the future"
    held = state.in_flight.get(job.id)
    assert (held is job) == (job.state is JobState.IN_FLIGHT), f"job {job.id} is {job.state} but held: {held}"
    trail = job.trail
    if job.state is JobState.IN_FLIGHT:
        assert trail is not None, f"job {job.id} runs without a trail"
        assert trail.worker_id, f"job {job.id} runs without a worker"
        assert job.fence > 0, f"job {job.id} runs without a fence"
    else:
        assert trail is None or trail.deadline_ms is None, f"job {job.id} has a deadline but does not run"
    finished = trail is not None and trail.finished_ms is not None
    assert finished == (job.state in FINISHED), f"job {job.id} is {job.state}, finished: {finished}"
    dead = trail is not None and trail.reason is not None
    assert dead == (job.state is JobState.DEAD), f"job {job.id} is {job.state}, reason given: {dead}"
