"""The invariants can fail: each damage done to a sound state is named."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from beaver_actors.core import invariants
from beaver_actors.core.commands import Cancel
from beaver_actors.core.job import Extras, Job, JobError, JobState, Trail
from beaver_actors.core.outcome import Failed, Rejected, Succeeded
from beaver_actors.core.state import State
from beaver_actors.testing.playbook import NOON_MS, Playbook


def sound_state() -> State:
    """One job in each state that facts lead to."""
    book = Playbook()
    book.enqueue("done", "dead", "running", "retry", retention_ms=1_000)
    book.enqueue("pending-1", "pending-2", extras=Extras(NOON_MS + 1_000))
    book.enqueue("cancelled", delay_ms=1)
    done, dead, _, retry = book.lease(4)
    book.finish(done, Succeeded())
    book.finish(dead, Rejected(JobError("KeyError", "'x'")))
    book.finish(retry, Failed(JobError("KeyError", "'x'")))
    book.do(Cancel(("cancelled",)))
    invariants.check(book.state)
    return book.state


def trail(state: State, job_id: str) -> Trail:
    found = state.jobs[job_id].trail
    assert found is not None
    return found


def set_job(job_id: str, **fields: object) -> Callable[[State], None]:
    def damage(state: State) -> None:
        for name, value in fields.items():
            setattr(state.jobs[job_id], name, value)

    return damage


def set_trail(job_id: str, **fields: object) -> Callable[[State], None]:
    def damage(state: State) -> None:
        for name, value in fields.items():
            setattr(trail(state, job_id), name, value)

    return damage


def swap_ids(state: State) -> None:
    state.jobs["done"], state.jobs["dead"] = state.jobs["dead"], state.jobs["done"]


def lose_queue(state: State) -> None:
    del state.queues["default"]


def miscount(state: State) -> None:
    state.queues["default"].counts[JobState.PENDING] += 1


def negative(state: State) -> None:
    state.queues["default"].counts[JobState.BLOCKED] = -1


def lose_a_job(state: State) -> None:
    job = state.jobs.pop("cancelled")
    state.queues["default"].counts[job.state] -= 1


def forget_lane(state: State) -> None:
    ((_, lane),) = state.lanes.items()
    for job in list(lane):
        job.lsn += 1
        state.lanes.drop(job)
        job.lsn -= 1


def stand_twice(state: State) -> None:
    state.lanes.add(state.jobs["pending-1"])


def jump_the_line(state: State) -> None:
    ((_, lane),) = state.lanes.items()
    lane._jobs.rotate(1)
    lane._lsns.rotate(1)


def forget_running(state: State) -> None:
    state.in_flight.clear()


def hold_a_ghost(state: State) -> None:
    state.in_flight["ghost"] = Job(
        "ghost", state.jobs["done"].terms, b"", JobState.IN_FLIGHT, 0, 0, None, 1, 1
    )


def forget_schedule(state: State) -> None:
    list(state.schedule.pop_due(NOON_MS * 2))


def forget_expiries(state: State) -> None:
    list(state.expiries.pop_due(NOON_MS * 2))


def forget_keepsakes(state: State) -> None:
    list(state.keepsakes.pop_due(NOON_MS * 2))


def finish_twice(state: State) -> None:
    state.finished[JobState.COMPLETED].add(state.jobs["done"])


def lose_from_the_roll(state: State) -> None:
    assert state.roll._jobs is not None
    state.roll._jobs.pop()


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (swap_ids, "filed under another id"),
        (set_job("dead", order=1), "out of the order of arrival"),
        (lose_queue, "which is unknown"),
        (miscount, "queue default counts"),
        (negative, "queue default counts"),
        (lose_a_job, "were deleted, but"),
        (set_job("done", lsn=10**6), "known from the future"),
        (set_trail("done", rescues=-1), "-1 rescues"),
        (set_trail("done", rescues=2), "2 rescues in 1 attempts"),
        (set_trail("done", fence=10**6), "fence from the future"),
        (forget_running, "but held: None"),
        (hold_a_ghost, "in_flight and the jobs differ"),
        (set_job("running", trail=None), "runs without a trail"),
        (set_trail("running", worker_id=None), "runs without a worker"),
        (set_trail("running", fence=0), "runs without a fence"),
        (set_trail("retry", deadline_ms=5), "has a deadline but does not run"),
        (set_trail("done", finished_ms=None), "is completed, finished: False"),
        (set_trail("retry", finished_ms=5), "is scheduled, finished: True"),
        (set_trail("dead", reason=None), "is dead, its reason is None"),
        (set_trail("done", reason="poison"), "is completed, its reason is poison"),
        (forget_lane, "lanes and the jobs differ|lane .* counts"),
        (stand_twice, "lanes holds a job twice"),
        (jump_the_line, "out of order"),
        (forget_schedule, "schedule and the jobs differ"),
        (forget_expiries, "expiries and the jobs differ"),
        (forget_keepsakes, "keepsakes and the jobs differ"),
        (finish_twice, "jobs in line as completed"),
        (lose_from_the_roll, "the roll is not the jobs"),
    ],
    ids=lambda value: getattr(value, "__name__", None) if callable(value) else None,
)
def test_a_damaged_state_is_noticed(damage: Callable[[State], None], complaint: str) -> None:
    """P3: serving from such a state could lose a job, so the check names what is wrong with it."""
    state = sound_state()
    damage(state)
    with pytest.raises(AssertionError, match=complaint):
        invariants.check(state)
