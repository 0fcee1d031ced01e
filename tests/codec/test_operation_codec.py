"""Operations on disk: their facts byte by byte, their rows in a snapshot, and rows that make no sense."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import cbor2
import pytest

from beaver_actors.codec.fact_codec import CodecError, decode_facts, encode_facts
from beaver_actors.codec.operation_codec import OperationRow, odd_operations, operation_row
from beaver_actors.codec.snapshot_codec import decode_snapshot, encode_snapshot
from beaver_actors.core.facts import Fact, OperationAdvanced, OperationEnded, OperationStarted
from beaver_actors.core.fold import fold_all
from beaver_actors.core.job import JobState
from beaver_actors.core.operation import Operation, Wanted
from beaver_actors.core.state import State

FACTS: list[Fact] = [
    OperationStarted("o", 1, "retry", JobState.DEAD, "q", "k", "t", "poison", "E", 1, 2, 3, 4),
    OperationStarted("p", 2, "delete"),
    OperationAdvanced("o", 3, 0, 0, 0, 0),
    OperationEnded("o", 4, "stopped"),
]


def test_the_bytes_of_these_facts_are_for_ever() -> None:
    """P6, by example: what a log of this version holds; newer versions must read it."""
    written = "848e1818616f0165726574727964646561646171616b617466706f69736f6e6145010203048e181861700266"
    body = encode_facts(FACTS)
    assert body.hex().startswith(written)
    assert cbor2.loads(body) == [
        [24, "o", 1, "retry", "dead", "q", "k", "t", "poison", "E", 1, 2, 3, 4],
        [24, "p", 2, "delete", *[None] * 10],
        [25, "o", 3, 0, 0, 0, 0],
        [26, "o", 4, "stopped"],
    ]
    decoded = decode_facts(body)
    assert decoded == FACTS
    assert type(decoded[0][3]) is JobState  # type: ignore[misc]  # the fourth field is the state
    short = cbor2.dumps([[24, "p", 2, "delete"]])
    assert decode_facts(short) == FACTS[1:2]


@pytest.mark.parametrize(
    "row",
    [
        [24, "p", 2, "explode"], [24, "p", 2, "delete", "odd"], [24, "p", 2, "delete", *[None] * 6, -1],
        [25, "p", 2, -1, 0, 0, 0], [25, "p", 2, 1, 2**63, 0, 0], [25, "p", 2, 1], [26, "p", 2, "odd"],
        [27, "p", 2],
    ],
)  # fmt: skip
def test_a_fact_that_was_never_written_is_refused(row: list[Any]) -> None:
    """P6, by example: words, numbers and lengths."""
    with pytest.raises(CodecError):
        decode_facts(cbor2.dumps([row]))


def snapshot(state: State) -> bytes:
    return b"".join(encode_snapshot(state, epoch=1, chain=2))


def test_operations_are_in_a_snapshot_and_only_while_there_are_some() -> None:
    """P3, P6: they come back as they were; without any the bytes are what they always were."""
    state = State()
    fold_all(state, FACTS)
    _, again = decode_snapshot(BytesIO(snapshot(state)).read)
    assert again.operations == state.operations
    assert [type(one.wanted) for one in again.operations.values()] == [Wanted, Wanted]
    state.operations.clear()
    plain = snapshot(state)
    assert plain == snapshot(State(state.lsn, state.time_ms))


GOOD = Operation("o", "retry", Wanted(), 1, 5, 4, 3, looked_at=2, changed=1, refused=1)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda row: [row, row], "twice"),
        (lambda row: [row._replace(lsn=11)], "future"),
        (lambda row: [row._replace(cursor=6)], "future"),
        (lambda row: [row._replace(changed=2)], "more than"),
        (lambda row: [row._replace(looked_at=5)], "more than"),
        (lambda row: [row._replace(ended_ms=1)], "ended or not"),
        (lambda row: [row._replace(state="stopped")], "ended or not"),
    ],
)
def test_rows_that_make_no_sense_are_told(
    change: Callable[[OperationRow], list[OperationRow]], reason: str
) -> None:
    """P6, by table: every contradiction."""
    row = OperationRow(*operation_row(GOOD))
    assert odd_operations([row], 10) is None
    assert reason in (odd_operations(change(row), 10) or "")
