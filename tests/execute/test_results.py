"""Results read back: from JSON to what the function is said to return."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec
import pytest

from beaver_actors.codec.json_text import write_json
from beaver_actors.execute.app import App
from beaver_actors.execute.context import Reject, Snooze

if TYPE_CHECKING:
    from fractions import Fraction


@dataclasses.dataclass
class Invoice:
    number: int
    total: Decimal
    at: datetime


INVOICE = Invoice(7, Decimal("12.50"), datetime(2026, 12, 1, tzinfo=UTC))


def invoice() -> Invoice:
    return INVOICE


async def invoices() -> list[Invoice] | Snooze:
    return [INVOICE]


def by_number() -> dict[int, Invoice]:
    return {7: INVOICE}


def nothing() -> None:
    pass


def ratio() -> float:
    return 1


def put_off() -> Snooze:
    return Snooze(5)


def never() -> NoReturn:
    raise Reject


def of_anything():  # type: ignore[no-untyped-def]  # as users write them
    return {"x": 1}


def of_a_name_that_is_not_there() -> Fraction:
    raise NotImplementedError


def of_what_json_cannot_be() -> Iterable[int]:
    return [1]


def read_back(function: Any, returned: object) -> object:
    """The value as a client of a call gets it."""
    call = App().job("job")(function).call()
    return call.read_result(msgspec.json.decode(write_json(returned)))


@pytest.mark.parametrize(
    ("function", "value"),
    [
        (invoice, INVOICE),
        (invoices, [INVOICE]),
        (by_number, {7: INVOICE}),
        (nothing, None),
        (ratio, 1.0),
        (of_anything, {"x": 1}),
        (put_off, "put back"),
        (never, None),
        (of_a_name_that_is_not_there, {"numerator": 1}),
        (of_what_json_cannot_be, [1, 2]),
    ],
)
def test_a_result_is_what_the_function_returned(function: Any, value: object) -> None:
    """By round trip through JSON; where the annotation says nothing that JSON could become, plain values."""
    assert read_back(function, value) == value
    assert type(read_back(function, value)) is type(value)


def test_a_result_that_does_not_fit_is_told() -> None:
    """Another version of the code ran it: better told than passed on."""
    with pytest.raises(ValueError, match=r"Expected int, got str - at .*number"):
        read_back(invoice, {"number": "7", "total": "1", "at": "2026-12-01T00:00:00Z"})
