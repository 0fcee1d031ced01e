"""The rules of a queue as text, for tables and event lines."""

from __future__ import annotations

from beaver_actors.cli.text import duration
from beaver_actors.codec.wire_queue_objects import RateObject, RulesObject
from beaver_actors.core.durations import parse_duration_ms


def rules_text(rules: RulesObject) -> str:
    """What is set, in the words of `queues set`; empty if nothing is."""
    parts = [
        f"{name}={value}"
        for name, value in (
            ("jobs-max", rules.jobs_max),
            ("concurrency", rules.concurrency),
            ("rate", rate_text(rules.rate)),
            ("key-concurrency", rules.key_concurrency),
            ("key-rate", rate_text(rules.key_rate)),
            ("ageing", None if rules.ageing is None else duration(round(rules.ageing * 1000))),
        )
        if value is not None
    ]
    return " ".join(parts)


def rate_text(rate: RateObject | None) -> str | None:
    """A rate as one writes it; None if there is none."""
    if rate is None:
        return None
    burst = "" if rate.burst in (None, rate.limit) else f" burst {rate.burst}"
    return f"{rate.limit}/{duration(parse_duration_ms(rate.period))}{burst}"
