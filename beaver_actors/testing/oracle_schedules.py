"""Schedules, as the oracle sees them: jobs that nobody sends, and the count of times that must come out even.

For an interval it is known which times there are. Each is told once, as a job or as one that was skipped, so
the number of times up to the last one on record, less those told, never changes: not by a crash, nor by what
was missed while no server was there.
"""

from __future__ import annotations

import json
from typing import Any

from beaver_actors.codec.wire_times import parse_time_ms
from beaver_actors.core.job import WAITING, Job
from beaver_actors.core.schedule import Plan, Schedule
from beaver_actors.core.state import State
from beaver_actors.testing.oracle_notes import Broken, Notes

LATE_MS = 60_000
"""In the end nothing is due for longer: a server that drains brings nothing new."""
AGAIN_MS = 5_000
"""A schedule that found no room tries again every second, behind those that are due for longer."""


def sent_job(plan: Plan) -> dict[str, Any]:
    """The same, in the words of the wire, as far as they tell jobs apart."""
    job = {"kind": plan.terms.kind, "args": json.loads(plan.args), "queue": plan.terms.queue}
    if plan.unique is not None:
        job["unique_key"] = plan.unique.key
    if plan.expires_in_ms is not None:
        job["expires_at"] = "some time after it came"
    return job


def check_schedules(notes: Notes, state: State) -> None:
    """Every time was told once, and with its job or not at all.

    Raises:
        Broken: the first that was not.
    """
    for name, schedule in state.schedules.items():
        plan = notes.schedules.get(name)
        if plan is None or schedule.plan != plan:
            raise Broken(
                "P3", None, f"schedule {name} is there as {schedule.plan}, and nobody asked for that"
            )
        _check_count(notes, schedule)
        _check_jobs(notes, schedule, state)


def _check_count(notes: Notes, schedule: Schedule) -> None:
    every_ms = schedule.plan.every_ms
    assert every_ms is not None, "simulations know intervals"
    begin = schedule.through_ms // every_ms - schedule.fired - schedule.skipped
    known = notes.begins.setdefault(schedule.name, begin)
    if begin != known:
        what = "twice" if begin < known else "never"
        text = f"schedule {schedule.name} told of {abs(begin - known)} times {what}: {schedule}"
        raise Broken("P5" if begin < known else "P3", None, text)


def _check_jobs(notes: Notes, schedule: Schedule, state: State) -> None:
    own = [job_id for job_id in state.jobs if job_id.startswith(f"{schedule.name}@")]
    late = [job_id for job_id in own if parse_time_ms(job_id.partition("@")[2]) > schedule.through_ms]
    if late:
        raise Broken("P3", late[0], "is there, and its schedule has not fired for it")
    kind = schedule.plan.terms.kind
    swept = any(one.word == "delete" and one.wanted.kind in (None, kind) for one in notes.sweeps.values())
    if len(own) > schedule.fired or not (notes.retention or swept or len(own) == schedule.fired):
        text = f"schedule {schedule.name} fired {schedule.fired} times, and {len(own)} of its jobs are there"
        raise Broken("P3", None, text)


def check_schedules_finished(notes: Notes, state: State, now_ms: int) -> None:
    """In the end nothing is due that there is room for.

    Raises:
        Broken: something is, for long.
    """
    for name in notes.declared:
        schedule = state.schedules.get(name)
        if schedule is None:
            raise Broken("P3", None, f"schedule {name} is declared, and is not there")
        every_ms = schedule.plan.every_ms or 1
        due_ms = (schedule.through_ms // every_ms + 1) * every_ms
        queue = schedule.plan.terms.queue
        if due_ms < now_ms - LATE_MS and _had_room(notes, state, queue, now_ms - AGAIN_MS):
            raise Broken("P3", None, f"schedule {name} is due since {due_ms}, and it is {now_ms}")


def _had_room(notes: Notes, state: State, name: str, since_ms: int) -> bool:
    """Whether a job more has fitted into the queue since then; jobs that nobody runs may fill it for good.
    Those that have begun or ended since are counted as if they still waited."""
    queue = state.queues.get(name)
    left = sum(_moved_ms(job) >= since_ms for job in state.jobs.values() if job.state not in WAITING)
    waiting = left + (0 if queue is None else queue.waiting)
    return state.waiting + left < notes.policy.pending_jobs_max and waiting < notes.policy.queue_jobs_max


def _moved_ms(job: Job) -> int:
    trail = job.trail
    return 0 if trail is None else max(trail.started_ms or 0, trail.finished_ms or 0)
