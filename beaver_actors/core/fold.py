"""`fold`: a fact changes the state. It writes and never decides, refuses or looks at a clock.

Live running, recovery, snapshots and time travel all call this one function, so a state depends on nothing
but the facts behind it. A fact that the transition table does not know at this point is a bug, and an
assertion that names the job ends the actor that brought it. What each fact changes is in the `fold_*` of its
subject.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from beaver_actors.core import (
    fold_jobs as jobs,
    fold_operations as operations,
    fold_queues as queues,
    fold_schedules as schedules,
)
from beaver_actors.core.facts import (
    Fact,
    JobCancelled,
    JobCancelRequested,
    JobCompleted,
    JobDeleted,
    JobDied,
    JobEnqueued,
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
    QueueDeleted,
    QueueDrainStarted,
    QueuePaused,
    QueueResumed,
    ScheduleFired,
    ScheduleRemoved,
    ScheduleSet,
)
from beaver_actors.core.job import Terms
from beaver_actors.core.state import State


def fold(state: State, fact: Fact) -> None:
    """Apply the next fact. Its LSN is `state.lsn` after the call.

    Raises:
        AssertionError: this cannot have happened to a job in this state. The state is as it was.
    """
    state.lsn += 1
    try:
        _FOLDS[type(fact)](state, fact)
    except AssertionError:
        state.lsn -= 1
        raise
    at_ms = fact[1]
    if at_ms > state.time_ms:
        state.time_ms = at_ms


def fold_all(state: State, facts: Sequence[Fact]) -> None:
    """Apply facts in their order: the same as `fold` for each. Jobs that are enqueued together are mostly
    alike, and then what holds for all of them is looked up once.

    Raises:
        AssertionError: as `fold`; the facts before the impossible one are applied.
    """
    place, count = 0, len(facts)
    while place < count:
        fact = facts[place]
        end = place
        if type(fact) is JobEnqueued:
            while end < count and _is_plain(facts[end], fact.terms):
                end += 1
        if end > place:
            jobs.enqueued_alike(state, facts[place:end])
            place = end
        else:
            fold(state, fact)
            place += 1


def _is_plain(fact: Fact, terms: Terms) -> bool:
    """Whether it is a job of these terms, enqueued to run at once."""
    return (
        type(fact) is JobEnqueued
        and fact.terms is terms
        and fact.run_at_ms == fact.at_ms
        and fact.extras is None
    )


_FOLDS: dict[type[Fact], Callable[[State, Any], None]] = {
    JobEnqueued: jobs.enqueued,
    JobStarted: jobs.started,
    JobProgressed: jobs.progressed,
    JobCompleted: jobs.completed,
    JobFailed: jobs.failed,
    JobSnoozed: jobs.snoozed,
    JobReleased: jobs.released,
    JobRescued: jobs.rescued,
    JobDied: jobs.died,
    JobCancelRequested: jobs.cancel_requested,
    JobCancelled: jobs.cancelled,
    JobRetried: jobs.retried,
    JobDeleted: jobs.deleted,
    JobUnblocked: jobs.unblocked,
    JobMoved: jobs.moved,
    QueueConfigured: queues.configured,
    QueueDrainStarted: queues.drain_started,
    QueueDeleted: queues.deleted,
    QueuePaused: queues.paused,
    QueueResumed: queues.resumed,
    OperationStarted: operations.started,
    OperationAdvanced: operations.advanced,
    OperationEnded: operations.ended,
    ScheduleSet: schedules.was_set,
    ScheduleRemoved: schedules.removed,
    ScheduleFired: schedules.fired,
}
