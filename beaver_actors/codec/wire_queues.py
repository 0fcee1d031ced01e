"""The rules of a queue on the wire: what may be set, checked, and what is shown."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, UnsetType

from beaver_actors.codec.wire_checks import check_duration, check_limit, check_range, refuse
from beaver_actors.codec.wire_fields import JOBS_MAX
from beaver_actors.codec.wire_queue_objects import RateObject, RulesFields, RulesObject
from beaver_actors.core.commands import Configure
from beaver_actors.core.durations import seconds, shown
from beaver_actors.core.limits import LIMIT_MAX, PERIOD_MS_MAX, QueueRules, Rate


def configure(queue: str, fields: RulesFields) -> Configure:
    """Check what is to be set.

    Raises:
        WireError: a value is not allowed, or there is none.
    """
    given: dict[str, Any] = {}
    for name, most in _COUNTS.items():
        value = getattr(fields, name)
        if value is not UNSET:
            low = 0 if name == "jobs_max" else 1
            given[name] = None if value is None else check_range(value, f"rules.{name}", low, most)
    for name in ("rate", "key_rate"):
        value = getattr(fields, name)
        if value is not UNSET:
            given[name] = None if value is None else _rate(value, f"rules.{name}")
    if fields.ageing is not UNSET:
        given["ageing_ms"] = (
            None if fields.ageing is None else check_limit(fields.ageing, "rules.ageing", "no ageing")
        )
    if not given:
        rules = ", ".join(RulesFields.__struct_fields__)
        refuse(f"rules: expected at least one to set, got none; there are {rules}")
    return Configure(queue, QueueRules(**given), frozenset(given))


_COUNTS = {"jobs_max": JOBS_MAX, "concurrency": LIMIT_MAX, "key_concurrency": LIMIT_MAX}


def _rate(rate: RateObject, path: str) -> Rate:
    limit = check_range(rate.limit, f"{path}.limit", 1, LIMIT_MAX)
    period_ms = check_duration(rate.period, f"{path}.period")
    if not 1 <= period_ms <= PERIOD_MS_MAX:
        refuse(f"{path}.period: expected more than 0 and at most 30 days, got {shown(rate.period)}")
    burst = limit if rate.burst is None else check_range(rate.burst, f"{path}.burst", 1, LIMIT_MAX)
    return Rate(limit, period_ms, burst)


def rules_object(rules: QueueRules) -> RulesObject:
    """The rules as they are shown."""
    return RulesObject(
        jobs_max=rules.jobs_max,
        concurrency=rules.concurrency,
        rate=_rate_object(rules.rate),
        key_concurrency=rules.key_concurrency,
        key_rate=_rate_object(rules.key_rate),
        ageing=None if rules.ageing_ms is None else seconds(rules.ageing_ms),
    )


def declared_names(declared: tuple[str, ...]) -> tuple[str, ...] | UnsetType:
    """The rules that the configuration names, as they are called here; unset for none."""
    return tuple(name.removesuffix("_ms") for name in declared) or UNSET


def _rate_object(rate: Rate | None) -> RateObject | None:
    if rate is None:
        return None
    return RateObject(limit=rate.limit, period=seconds(rate.period_ms), burst=rate.burst)
