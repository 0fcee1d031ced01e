"""The rules of a queue as they stand on disk: their fields in order, without the last ones that are not set,
so that rules can grow. A number that no rule can have was never written, and is refused."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

from msgspec import Meta

from beaver_actors.codec.ranges import LSN_MAX
from beaver_actors.core.durations import DURATION_MS_MAX
from beaver_actors.core.limits import LIMIT_MAX, PERIOD_MS_MAX, QueueRules, Rate

RuleName: TypeAlias = Literal["jobs_max", "concurrency", "rate", "key_concurrency", "key_rate", "ageing_ms"]
"""The fields of `QueueRules`."""
_Limit: TypeAlias = Annotated[int, Meta(ge=1, le=LIMIT_MAX)]


class RateRow(NamedTuple):
    """`Rate`, with its numbers in range."""

    limit: _Limit
    period_ms: Annotated[int, Meta(ge=1, le=PERIOD_MS_MAX)]
    burst: _Limit


class RulesRow(NamedTuple):
    """`QueueRules`, field by field."""

    jobs_max: Annotated[int, Meta(ge=0, le=LSN_MAX)] | None = None
    concurrency: _Limit | None = None
    rate: RateRow | None = None
    key_concurrency: _Limit | None = None
    key_rate: RateRow | None = None
    ageing_ms: Annotated[int, Meta(ge=1, le=DURATION_MS_MAX)] | None = None


def rules_values(rules: QueueRules) -> tuple[Any, ...]:
    """The values of a `RulesRow`, as plain tuples, without the last ones that are not set."""
    values = [tuple(value) if isinstance(value, tuple) else value for value in rules]
    while values and values[-1] is None:
        values.pop()
    return tuple(values)


def in_order(declared: tuple[RuleName, ...]) -> bool:
    """Whether rules are named in the order of their fields, each once."""
    return declared == tuple(name for name in QueueRules._fields if name in declared)


def rules_from(row: RulesRow) -> QueueRules:
    """What was written."""
    rate, key_rate = (None if one is None else Rate(*one) for one in (row.rate, row.key_rate))
    return QueueRules(row.jobs_max, row.concurrency, rate, row.key_concurrency, key_rate, row.ageing_ms)
