"""What the facts about an operation change: one function for each, named like it. Part of `fold`: writes,
never decides."""

from __future__ import annotations

from beaver_actors.core.facts import (
    EVENT_NAMES,
    OperationAdvanced,
    OperationEnded,
    OperationFact,
    OperationStarted,
)
from beaver_actors.core.operation import Operation, Wanted
from beaver_actors.core.state import State

OPERATIONS_KEPT = 100
"""Ended operations whose result is kept, so that whoever waits for one learns of it."""


def started(state: State, fact: OperationStarted) -> None:
    operation_id, lsn, jobs = fact.operation, state.lsn, len(state.jobs)
    assert operation_id not in state.operations, f"operation {operation_id} started twice"
    wanted = Wanted(*fact[3:])
    fresh = Operation(operation_id, fact.word, wanted, fact.at_ms, lsn, jobs)
    state.operations[operation_id] = fresh


def advanced(state: State, fact: OperationAdvanced) -> None:
    operation = _running(state, fact)
    operation.cursor = fact.cursor
    operation.looked_at += fact.looked_at
    operation.changed += fact.changed
    operation.refused += fact.refused


def ended(state: State, fact: OperationEnded) -> None:
    operation = _running(state, fact)
    operation.state, operation.ended_ms = fact.how, fact.at_ms
    over = [kept.id for kept in state.operations.values() if kept.state != "running"]
    for operation_id in over[:-OPERATIONS_KEPT]:
        del state.operations[operation_id]


def _running(state: State, fact: OperationFact) -> Operation:
    operation = state.operations.get(fact.operation)
    name = EVENT_NAMES[type(fact)]
    assert operation is not None, f"{name} about operation {fact.operation}, which does not exist"
    assert operation.state == "running", f"{name} about operation {operation.id}, which is {operation.state}"
    return operation
