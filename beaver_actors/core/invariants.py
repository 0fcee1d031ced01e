"""What must always hold of a state. Called by tests after every step, and once after recovery.

Each check raises `AssertionError` naming the invariant and the job or queue; a state that fails one is the
work of a bug, and serving from it could lose jobs.
"""

from __future__ import annotations

from collections import Counter
from functools import partial

from beaver_actors.core.families import Families
from beaver_actors.core.index import lane_key, place
from beaver_actors.core.job import DEAD_REASONS, FINISHED, WAITING, Job, JobState
from beaver_actors.core.operation import Operation
from beaver_actors.core.queues import Queue
from beaver_actors.core.schedules import is_plan
from beaver_actors.core.state import State, is_needed
from beaver_actors.core.unique import holds


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
        _check_tenants(queue, [job for job in state.jobs.values() if job.terms.queue == name])
    totals = state.totals
    assert totals.enqueued - totals.deleted == len(state.jobs), (
        f"{totals.enqueued} jobs came and {totals.deleted} were deleted, but {len(state.jobs)} are here"
    )
    for operation_id, operation in state.operations.items():
        _check_operation(state, operation_id, operation)
    _check_indexes(state)
    _check_families(state)
    _check_schedules(state)


def _check_schedules(state: State) -> None:
    for name, schedule in state.schedules.items():
        assert schedule.name == name, f"schedule {name} is filed under another name"
        assert 0 < schedule.revision <= state.lsn, f"schedule {name} is known from the future"
        assert is_plan(schedule.plan), f"schedule {name} has {schedule.plan.timing} for a timing"
        assert schedule.fired >= (schedule.last_job_id is not None), f"schedule {name} has a job of no fire"
        last = schedule.last_job_id, schedule.last_ms
        assert (last[0] is None) == (last[1] is None), f"schedule {name} last brought {last}"


def _check_tenants(queue: Queue, jobs: list[Job]) -> None:
    """What a queue knows of its concurrency keys is what the jobs say, and it knows of no others."""
    waiting = Counter(job.concurrency_key for job in jobs if job.state in WAITING)
    running = Counter(job.concurrency_key for job in jobs if job.state is JobState.IN_FLIGHT)
    keys = {key for key in {*waiting, *running} if key is not None}
    assert keys <= set(queue.tenants), f"queue {queue.name} does not know of {keys - set(queue.tenants)}"
    for key, tenant in queue.tenants.items():
        counts, held = (tenant.waiting, tenant.running), (waiting[key], running[key])
        assert counts == held, f"queue {queue.name} counts {counts} jobs of {key!r} and holds {held}"
        assert (tenant.turn > 0) == (tenant.waiting > 0), f"key {key!r}: turn {tenant.turn}, {held} jobs"
    active = sum(tenant.waiting > 0 for tenant in queue.tenants.values())
    assert queue.tenants_waiting == active, (
        f"queue {queue.name}: {queue.tenants_waiting} keys wait, not {active}"
    )
    assert active or not queue.keyless_turn, f"queue {queue.name} remembers a turn that nobody asks for"


def _check_job(state: State, job: Job) -> None:
    assert job.order <= job.lsn <= state.lsn, f"job {job.id} is known from the future"
    assert job.rescues >= 0, f"job {job.id} has {job.rescues} rescues"
    assert job.attempt >= job.rescues, f"job {job.id} has {job.rescues} rescues in {job.attempt} attempts"
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
        assert trail is None or trail.lease_ms is None, f"job {job.id} is leased but does not run"
    finished = trail is not None and trail.finished_ms is not None
    assert finished == (job.state in FINISHED), f"job {job.id} is {job.state}, finished: {finished}"
    reason = None if trail is None else trail.reason
    dead = reason in DEAD_REASONS
    assert dead == (job.state is JobState.DEAD), f"job {job.id} is {job.state}, its reason is {reason}"
    assert reason is None or dead or job.state is JobState.CANCELLED, f"job {job.id}: {job.state}, {reason}"
    if job.state is JobState.BLOCKED:
        assert job.depends_on, f"job {job.id} is blocked, but has no parents"
    if holds(job, state.time_ms):
        assert job.unique is not None
        other = state.unique.get(job.unique.key)
        assert other is job, f"job {job.id} holds {job.unique.key!r}, and so does {other and other.id}"


def _check_families(state: State) -> None:
    """The index of parents and children is what the jobs say."""
    families, anew = state.families or Families(), Families()
    parents: set[str] = set()
    for job in state.jobs.values():
        if job.depends_on:
            anew.join(job, state.jobs)
            parents.update(job.depends_on)
    assert families.open_parents() == anew.open_parents(), "a blocked job waits for a wrong number of parents"
    assert families.ripe == anew.ripe, f"ripe are {list(families.ripe)}, should be {list(anew.ripe)}"
    assert families.parents() == parents, "there are families without children, or the other way round"
    for parent_id in parents:
        own, wanted = families.of(parent_id), anew.of(parent_id)
        assert own is not None, f"job {parent_id} has lost its children"
        assert wanted is not None, f"job {parent_id} has children that do not name it"
        assert own.children == wanted.children, f"job {parent_id} has other children than it should"
        assert own.unfinished == wanted.unfinished, f"{own.unfinished} unfinished children of {parent_id}"


def _check_operation(state: State, operation_id: str, operation: Operation) -> None:
    assert operation.id == operation_id, f"operation {operation_id} is filed under another id"
    assert operation.cursor <= operation.lsn <= state.lsn, f"operation {operation_id} is from the future"
    done = operation.changed + operation.refused
    assert done <= operation.looked_at <= operation.to_look_at, (
        f"operation {operation_id} is done with {done} of {operation.looked_at} jobs that it looked at, "
        f"of {operation.to_look_at}"
    )
    ended = operation.ended_ms is not None
    assert ended == (operation.state != "running"), f"operation {operation_id} is {operation.state}"


def _check_indexes(state: State) -> None:
    """Every index holds the jobs it is for, each once, and no others."""
    jobs = list(state.jobs.values())

    def check_index(name: str, held: list[Job], wanted: list[Job]) -> None:
        missing = {job.id for job in wanted} ^ {job.id for job in held}
        assert not missing, f"{name} and the jobs differ about {missing}"
        assert len(held) == len(wanted), f"{name} holds a job twice"
        assert all(state.jobs.get(job.id) is job for job in held), f"{name} holds a job of the past"

    in_lanes = [job for _, lane in state.lanes.items() for job in lane]
    in_lanes += [job for _, _, lane in state.rings.items() for job in lane]
    check_index("lanes", in_lanes, [job for job in jobs if job.state is JobState.PENDING])
    for key, lane in state.lanes.items():
        standing = list(lane)
        assert len(lane) == len(standing) > 0, f"lane {key} counts {len(lane)}, {len(standing)} stand in it"
        assert all(lane_key(job) == key for job in standing), f"lane {key} holds a job of another lane"
        assert standing == sorted(standing, key=place), f"lane {key} is out of order"
    for key, tenant_key, lane in state.rings.items():
        standing = list(lane)
        assert len(lane) == len(standing) > 0, f"lane {key} counts {len(lane)}, {len(standing)} stand in it"
        own = {(lane_key(job), job.concurrency_key) for job in standing}
        assert own == {(key, tenant_key)}, f"lane {key} of {tenant_key!r} holds jobs of {own}"
        assert standing == sorted(standing, key=place), f"lane {key} is out of order"
    for name, rings in state.rings.queues():
        queue = state.queues[name]
        for ring in rings.values():
            open_keys = {key for key in ring.lanes if not queue.is_full(queue.tenants[key])}
            offered = {key for _, key in ring.in_turn(queue.tenants)}
            assert offered - set(queue.tenants) == set(), f"queue {name} offers keys that it does not know"
            assert open_keys <= offered, f"queue {name} forgets the turns of {open_keys - offered}"
    running = list(state.in_flight.values())
    check_index("in_flight", running, [job for job in jobs if job.state is JobState.IN_FLIGHT])
    scheduled = [job for _, job in state.schedule]
    check_index("schedule", scheduled, [job for job in jobs if job.state is JobState.SCHEDULED])
    for final, line in state.finished.items():
        finished = [job for job in jobs if job.state is final]
        assert len(line) == len(finished), f"{len(line)} jobs in line as {final}, {len(finished)} are"
        check_index(f"finished[{final}]", list(line), finished)
    needed = partial(is_needed, state)
    set_aside = set(map(id, state.overdue))
    expiring = [job for job in jobs if job.state in WAITING and job.expires_at_ms is not None]
    kept = [job for job in jobs if job.state in FINISHED and job.terms.retention_ms is not None]
    for name, table, wanted in (("expiries", state.expiries, expiring), ("keepsakes", state.keepsakes, kept)):
        held = [job for _, job in table]
        at_hand = {id(job) for job in held}
        # One that is needed was perhaps found and left alone; it comes back when it is let go.
        spared = set_aside if name == "expiries" else set_aside | set(map(id, filter(needed, wanted)))
        check_index(name, held, [job for job in wanted if id(job) in at_hand or id(job) not in spared])
    listed = [job for job in state.roll.before(state.lsn + 1, state.jobs) if state.jobs.get(job.id) is job]
    assert listed == jobs[::-1], "the roll is not the jobs in order of arrival"
