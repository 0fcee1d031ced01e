"""The rules of a queue as messages carry them. Structs only; `wire_queues` checks their values."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Struct, UnsetType

from beaver_actors.codec.wire_fields import DURATION, JOBS_MAX, Seconds, about
from beaver_actors.core.limits import LIMIT_MAX


class RateObject(Struct, kw_only=True, forbid_unknown_fields=True):
    """At most `limit` starts in each `period`, evenly spread, and up to `burst` of them at once after a
    pause."""

    limit: Annotated[int, about("Starts.", minimum=1, maximum=LIMIT_MAX)]
    period: Annotated[Seconds, about(f"Up to 30 days; 1 s if not given. {DURATION}")] = 1
    burst: Annotated[int | None, about("As many as `limit` if not given.", minimum=1, maximum=LIMIT_MAX)] = (
        None
    )


class RulesObject(Struct, kw_only=True):
    """What is set for a queue; null where nothing is."""

    jobs_max: Annotated[int | None, about("Waiting jobs; null: the server's own limit.")] = None
    concurrency: Annotated[int | None, about("Jobs that run at the same time.")] = None
    rate: RateObject | None = None
    key_concurrency: Annotated[
        int | None, about("Jobs of one concurrency key that run at the same time.")
    ] = None
    key_rate: Annotated[RateObject | None, about("For each concurrency key.")] = None
    ageing: Annotated[
        int | float | None,
        about("Seconds: for each such time that a job has waited, its priority counts for one more."),
    ] = None


class RulesFields(Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a request may set: null takes a rule away, what is left out stays as it is."""

    jobs_max: Annotated[
        int | UnsetType | None,
        about("Waiting jobs; null: the server's own limit.", minimum=0, maximum=JOBS_MAX),
    ] = UNSET
    concurrency: Annotated[
        int | UnsetType | None,
        about("Jobs that run at the same time.", minimum=1, maximum=LIMIT_MAX),
    ] = UNSET
    rate: Annotated[RateObject | UnsetType | None, about("Starts in a time.")] = UNSET
    key_concurrency: Annotated[
        int | UnsetType | None,
        about("Jobs of one concurrency key that run at the same time.", minimum=1, maximum=LIMIT_MAX),
    ] = UNSET
    key_rate: Annotated[RateObject | UnsetType | None, about("Starts in a time, for each key.")] = UNSET
    ageing: Annotated[
        Seconds | UnsetType | None,
        about(f"For each such time that a job has waited, its priority counts for one more. {DURATION}"),
    ] = UNSET
