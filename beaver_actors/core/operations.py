"""Operations on many jobs, a bounded step at a time. Part of `decide`: reads, never writes.

An operation walks through the jobs that arrived before it, oldest first, so that parents come before their
children, and does with each job that is meant what a request for it would do. So each job is looked at once,
one that has changed since is left alone, and where it stands is one number in the state: after a crash it
goes on there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from typing import Any, NamedTuple

from beaver_actors.core.answers import Changed, Operated, Operations
from beaver_actors.core.commands import Delete, ListOperations, Policy, Retry, StartOperation, StopOperation
from beaver_actors.core.decision import Decision, refuse
from beaver_actors.core.facts import Fact, OperationAdvanced, OperationEnded, OperationStarted
from beaver_actors.core.operation import Operation, OperationWord, fits
from beaver_actors.core.state import State

RUNNING_MAX = 16
STEP_JOBS_MAX = 500
"""Jobs that one step changes, so that it does not hold up the commands behind it."""
STEP_LOOKED_AT_MAX = 10_000
"""Jobs that one step looks at, as for a page of a listing."""

Judges = Mapping[OperationWord, Callable[[State, Any, int, Policy], Decision]]


def start(state: State, command: StartOperation, now_ms: int, policy: Policy) -> Decision:
    operation_id, word, wanted = command.operation_id, command.word, command.wanted
    known = state.operations.get(operation_id)
    if known is not None:
        if (known.word, known.wanted) != (word, wanted):
            text = f"operation {operation_id} exists with other content; use another id"
            return refuse("conflict", text)
        return _shown(state, known)
    running = sum(operation.state == "running" for operation in state.operations.values())
    if running >= RUNNING_MAX:
        return refuse("overloaded", f"{running} operations are running already", 1_000)
    fact = OperationStarted(operation_id, now_ms, word, *wanted)
    lsn, jobs = state.lsn + 1, len(state.jobs)
    fresh = Operation(operation_id, word, wanted, now_ms, lsn, jobs)
    return Decision([fact], Operated(fresh, lsn))


def stop(state: State, command: StopOperation, now_ms: int, policy: Policy) -> Decision:
    known = state.operations.get(command.operation_id)
    if known is None:
        return _unknown(command.operation_id)
    if known.state != "running":
        return _shown(state, known)
    shown = copy(known)
    shown.state, shown.ended_ms = "stopped", now_ms
    return Decision([OperationEnded(known.id, now_ms, "stopped")], Operated(shown, state.lsn + 1))


def listed(state: State, command: ListOperations, now_ms: int, policy: Policy) -> Decision:
    if command.operation_id is not None:
        known = state.operations.get(command.operation_id)
        return _unknown(command.operation_id) if known is None else Decision([], Operations((copy(known),)))
    newest_first = tuple(copy(operation) for operation in reversed(state.operations.values()))
    return Decision([], Operations(newest_first))


def _shown(state: State, operation: Operation) -> Decision:
    return Decision([], Operated(copy(operation), state.lsn))


def _unknown(operation_id: str) -> Decision:
    return refuse("not_found", f"operation {operation_id} does not exist, or ended long ago")


class Step(NamedTuple):
    """What one step of an operation brings."""

    facts: list[Fact]
    more: bool
    """There is something left to do that need not wait."""


def step(state: State, now_ms: int, policy: Policy, judges: Judges) -> Step:
    """Go on with one of the operations; they take turns.

    Args:
        judges: decide what a request for these jobs would bring.
    """
    able = _able(state, policy)
    if not able:
        return Step([], False)
    # The one that is farthest back, so that which is next follows from the state.
    operation = min(able, key=lambda one: (one.looked_at, one.lsn))
    look = _look(state, operation)
    facts, answer = _judged(state, operation, look, now_ms, policy, judges)
    late = next((at for at, change in enumerate(answer.changes) if change.code == "overloaded"), None)
    if late is not None:  # too much follows from all of them at once
        look = _Look(look.found[:late], look.found[late].order - 1, look.found[late].looked_at, False)
        facts, answer = _judged(state, operation, look, now_ms, policy, judges)
    changed = sum(change.changed for change in answer.changes)
    if look.looked_at or not look.ended:
        told = (look.cursor, look.looked_at, changed, len(look.found) - changed)
        facts = [*facts, OperationAdvanced(operation.id, now_ms, *told)]
    if look.ended:
        facts = [*facts, OperationEnded(operation.id, now_ms, "completed")]
    return Step(facts, not (look.ended and len(able) == 1))


def _judged(
    state: State, operation: Operation, look: _Look, now_ms: int, policy: Policy, judges: Judges
) -> tuple[list[Fact], Changed]:
    """What a request for these jobs would bring."""
    job_ids = tuple(found.job_id for found in look.found)
    command = Retry(job_ids) if operation.word == "retry" else Delete(job_ids)
    facts, answer = judges[operation.word](state, command, now_ms, policy)
    assert isinstance(answer, Changed), f"operation {operation.id} was answered with {answer}"
    return facts, answer


def can_step(state: State, policy: Policy) -> bool:
    """Whether `step` has anything to do."""
    return bool(state.operations) and bool(_able(state, policy))


def _able(state: State, policy: Policy) -> list[Operation]:
    """Those that can go on now. On a full disk nothing is put back (P7)."""
    return [
        operation
        for operation in state.operations.values()
        if operation.state == "running" and not (policy.storage_full and operation.word == "retry")
    ]


class _Found(NamedTuple):
    """A job that is meant."""

    job_id: str
    order: int
    looked_at: int
    """Jobs that were looked at before it, in this step."""


class _Look(NamedTuple):
    """What one step has in view."""

    found: list[_Found]
    cursor: int
    looked_at: int
    ended: bool


def _look(state: State, operation: Operation) -> _Look:
    """The next jobs that are meant, and where that leads."""
    found: list[_Found] = []
    cursor = passed = operation.cursor
    looked_at = 0
    for seen, job in enumerate(state.roll.after(operation.cursor, state.jobs)):
        if job.order > operation.lsn:
            break
        if seen == STEP_LOOKED_AT_MAX:
            return _Look(found, passed, looked_at, False)
        passed = job.order
        if state.jobs.get(job.id) is not job:
            continue  # deleted; whether such a job still stands in the roll must not show
        if len(found) == STEP_JOBS_MAX:
            return _Look(found, cursor, looked_at, False)
        if job.lsn <= operation.lsn and fits(job, operation.wanted):
            found.append(_Found(job.id, job.order, looked_at))
        cursor = job.order
        looked_at += 1
    return _Look(found, cursor, looked_at, True)
