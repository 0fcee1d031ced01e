"""The rules of queues in the configuration: YAML in, the rules of the core out. `queues set` speaks of the
same rules in the same words; these stand in the file, and are set at every start.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from beaver_actors.config.units import DURATION_PATTERN, Several, show
from beaver_actors.core.commands import Configure
from beaver_actors.core.durations import parse_duration_ms
from beaver_actors.core.limits import LIMIT_MAX, PERIOD_MS_MAX, QueueRules, Rate, split_rate

JOBS_MAX = 10**9
"""Of `jobs_max`, as of `limits.queue_jobs`."""

_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,128}", re.ASCII)
_NUMBER = {"jobs_max": (0, JOBS_MAX), "concurrency": (1, LIMIT_MAX), "key_concurrency": (1, LIMIT_MAX)}
_RULES = ("concurrency", "key_concurrency", "rate", "key_rate", "jobs_max", "ageing")


def read_queues(value: object) -> tuple[Configure, ...]:
    """Read the setting `queues`.

    Args:
        value: as YAML gave it: for each queue its rules; null for "no such limit", which then nobody else
            can set either.

    Returns:
        For each queue, the rules that it names.

    Raises:
        Several: names for each queue that is wrong the rule, what was expected and what came.
        ValueError: it is no mapping.
    """
    if not isinstance(value, Mapping):
        raise ValueError(
            f"expected queues, each as `name: {{concurrency: 4, rate: 100/1m}}`, got {show(value)}"
        )
    found: list[Configure] = []
    problems: list[str] = []
    for name, rules in value.items():
        try:
            found.append(_queue(name, rules))
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise Several(problems)
    return tuple(found)


def _queue(name: object, rules: object) -> Configure:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"expected the name of a queue, 1 to 128 of letters, digits and _ . : -, got {show(name)}"
        )
    if not isinstance(rules, Mapping):
        raise ValueError(f"{name}: expected the rules of a queue, got {show(rules)}")
    given: dict[str, Any] = {}
    for rule, value in rules.items():
        if rule not in _RULES:
            raise ValueError(f"{name}: expected rules out of {', '.join(_RULES)}, got {show(rule)}")
        try:
            given["ageing_ms" if rule == "ageing" else rule] = None if value is None else _rule(rule, value)
        except ValueError as error:
            raise ValueError(f"{name}.{rule}{'' if str(error).startswith('.') else ': '}{error}") from None
    if not given:
        raise ValueError(f"{name}: expected at least one of {', '.join(_RULES)}, got none")
    return Configure(name, QueueRules(**given), frozenset(given))


def _rule(rule: str, value: object) -> object:
    if rule in _NUMBER:
        return _whole(value, *_NUMBER[rule])
    if rule != "ageing":
        return _rate(value)
    ageing_ms = parse_duration_ms(value)
    if not ageing_ms:
        raise ValueError(f"expected more than 0, or null for none, got {show(value)}")
    return ageing_ms


def _rate(value: object) -> Rate:
    """A rate as text, or as a mapping with its three parts."""
    if isinstance(value, str):
        limit, period, burst = split_rate(value)
        parts: Mapping[Any, Any] = {"limit": limit, "period": period, "burst": burst}
    elif isinstance(value, Mapping):
        parts = value
    else:
        raise ValueError(f'expected a rate such as "100/1m" or "100/1m burst 20", got {show(value)}')
    for name in parts:
        if name not in ("limit", "period", "burst"):
            raise ValueError(f"expected limit, period and burst, got {show(name)}")
    limit = _whole(parts.get("limit"), 1, LIMIT_MAX, ".limit: ")
    try:
        period_ms = parse_duration_ms(parts.get("period", 1))
    except ValueError as error:
        raise ValueError(f".period: {error}") from None
    if not 1 <= period_ms <= PERIOD_MS_MAX:
        raise ValueError(f".period: expected more than 0 and at most 30 days, got {show(parts['period'])}")
    burst = parts.get("burst")
    return Rate(limit, period_ms, limit if burst is None else _whole(burst, 1, LIMIT_MAX, ".burst: "))


def _whole(value: object, least: int, most: int, where: str = "") -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{where}expected a whole number from {least} to {most}, got {show(value)}")
    return value


def _shape(least: int, most: int) -> dict[str, Any]:
    return {"type": ["integer", "null"], "minimum": least, "maximum": most}


_LENGTH = {"type": ["number", "string"], "minimum": 0, "pattern": DURATION_PATTERN}
_RATE_SHAPE = {
    "anyOf": [
        {
            "type": ["string", "null"],
            "pattern": r"^ *[0-9]{1,9} */ *[0-9.]* *(ms|s|m|h|d)( +burst +[0-9]{1,9})? *$",
        },
        {
            "type": "object",
            "properties": {
                "limit": {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX},
                "period": _LENGTH,
                "burst": _shape(1, LIMIT_MAX),
            },
            "required": ["limit"],
            "additionalProperties": False,
        },
    ]
}
QUEUES_SHAPE: dict[str, Any] = {
    "type": ["object"],
    "propertyNames": {"pattern": r"^[A-Za-z0-9_.:-]{1,128}$"},
    "additionalProperties": {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": False,
        "properties": {
            **{rule: _shape(*limits) for rule, limits in _NUMBER.items()},
            "rate": _RATE_SHAPE,
            "key_rate": _RATE_SHAPE,
            "ageing": {"type": ["number", "string", "null"], "minimum": 0, "pattern": DURATION_PATTERN},
        },
    },
}
"""The JSON Schema of the setting."""
