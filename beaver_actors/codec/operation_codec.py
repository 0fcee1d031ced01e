"""Operations as they stand in a snapshot: one row each, and whether the rows make sense."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from beaver_actors.codec.ranges import Lsn, Time
from beaver_actors.core.job import JobState
from beaver_actors.core.operation import Operation, OperationState, OperationWord, Wanted


class WantedRow(NamedTuple):
    """`Wanted`, with its numbers in range."""

    state: JobState | None
    queue: str | None
    kind: str | None
    tag: str | None
    reason: str | None
    error_type: str | None
    created_after_ms: Time | None
    created_before_ms: Time | None
    finished_after_ms: Time | None
    finished_before_ms: Time | None


class OperationRow(NamedTuple):
    """`Operation`: its fields, in its order."""

    id: str
    word: OperationWord
    wanted: WantedRow
    started_ms: Time
    lsn: Lsn
    to_look_at: Lsn
    cursor: Lsn
    looked_at: Lsn
    changed: Lsn
    refused: Lsn
    state: OperationState
    ended_ms: Time | None


def operation_row(operation: Operation) -> tuple[Any, ...]:
    """The values of an `OperationRow`, as plain tuples."""
    values = (getattr(operation, name) for name in OperationRow._fields)
    return tuple(value[:] if isinstance(value, Wanted) else value for value in values)


def operation_from(row: OperationRow) -> Operation:
    """What was written."""
    values = row._asdict() | {"wanted": Wanted(*row.wanted)}
    return Operation(**values)


def odd_operations(rows: Sequence[OperationRow], last_lsn: int) -> str | None:
    """How these contradict themselves or the log; None if they do not."""
    if len({row.id for row in rows}) != len(rows):
        return "an operation stands there twice"
    for row in rows:
        if not row.cursor <= row.lsn <= last_lsn:
            return f"operation {row.id:.80} is from the future"
        if not row.changed + row.refused <= row.looked_at <= row.to_look_at:
            return f"operation {row.id:.80} has done more than it looked at"
        if (row.ended_ms is None) != (row.state == "running"):
            return f"operation {row.id:.80} has ended or not, against its state"
    return None
