"""The rules of a queue as a caller writes them: `RulesFields` from keyword arguments, rates from text."""

from __future__ import annotations

from typing import Any, TypeAlias, TypedDict

from beaver_actors.client.arguments import duration, mistyped, whole
from beaver_actors.client.errors import refused
from beaver_actors.client.new_jobs import Duration
from beaver_actors.codec.wire_queue_objects import RateObject, RulesFields
from beaver_actors.core.limits import split_rate

RateLike: TypeAlias = str | RateObject
"""`"100/1m"`: at most 100 starts a minute; `"100/1m burst 20"`: no more than 20 of them at once."""


class QueueOptions(TypedDict, total=False):
    """What can be set for a queue; None takes a rule away."""

    jobs_max: int | None
    """Waiting jobs; None: the server's own limit."""
    concurrency: int | None
    """Jobs that run at the same time."""
    rate: RateLike | None
    """Starts in a time."""
    key_concurrency: int | None
    """Jobs of one concurrency key that run at the same time."""
    key_rate: RateLike | None
    """Starts in a time, for each concurrency key."""
    ageing: Duration | None
    """For each such time that a job has waited, its priority counts for one more."""


def rules_fields(options: QueueOptions) -> RulesFields:
    """What a request carries. What is left out stays as it is.

    Raises:
        BadRequest: a rate that nobody can read.
        TypeError: there is no such rule, or it has a value of another kind.
    """
    fields = RulesFields()
    if unknown := options.keys() - QueueOptions.__annotations__.keys():
        raise TypeError(f"{min(unknown)}: expected one of {', '.join(QueueOptions.__annotations__)}")
    for name in ("jobs_max", "concurrency", "key_concurrency"):
        if name in options:
            number: Any = options[name]
            setattr(fields, name, None if number is None else whole(name, number))
    if "rate" in options:
        fields.rate = _rate(options["rate"], "rate")
    if "key_rate" in options:
        fields.key_rate = _rate(options["key_rate"], "key_rate")
    if "ageing" in options:
        ageing = options["ageing"]
        fields.ageing = None if ageing is None else duration("ageing", ageing)
    return fields


def parse_rate(text: str) -> RateObject:
    """Read a rate such as `"100/1m"`, `"5/s"` or `"100/1m burst 20"`.

    Raises:
        ValueError: the text says what was expected and what came.
    """
    limit, period, burst = split_rate(text)
    return RateObject(limit=limit, period=period, burst=burst)


def _rate(rate: RateLike | None, name: str) -> RateObject | None:
    if rate is None or isinstance(rate, RateObject):
        return rate
    if not isinstance(rate, str):
        raise mistyped(name, 'text such as "100/1m", a RateObject, or None', rate)
    try:
        return parse_rate(rate)
    except ValueError as error:
        raise refused("bad_request", f"rules.{name}: {error}") from None
