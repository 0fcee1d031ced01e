"""A schedule as it stands on disk, in facts and in snapshots. Its plan is CBOR bytes of their own, as terms
are; trailing fields that have their default are left out, so it can grow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

from msgspec import Meta

from beaver_actors.codec.extras_codec import MoreRow, UniqueRow, contradiction
from beaver_actors.codec.packing import CodecError, convert, dump, load, pack_terms, unpack_terms
from beaver_actors.codec.ranges import Lsn, Time
from beaver_actors.core.durations import DURATION_MS_MAX
from beaver_actors.core.facts import SkipReason
from beaver_actors.core.job import OnConflict, Unique
from beaver_actors.core.schedule import CatchUp, Overlap, Plan, Schedule, ScheduleSource
from beaver_actors.core.schedules import is_plan


class PlanRow(NamedTuple):
    """`Plan`, field by field, its terms packed."""

    terms: bytes
    args: bytes = b"{}"
    cron: str | None = None
    every_ms: Annotated[int, Meta(ge=1, le=DURATION_MS_MAX)] | None = None
    tz: str = "UTC"
    catch_up: CatchUp = "one"
    overlap: Overlap = "allow"
    expires_in_ms: Annotated[int, Meta(ge=1, le=DURATION_MS_MAX)] | None = None
    unique: UniqueRow | None = None
    on_conflict: OnConflict = "reject"
    concurrency_key: Annotated[str, Meta(min_length=1)] | None = None


class PackedScheduleSet(NamedTuple):
    """`ScheduleSet` with its plan packed."""

    schedule: str
    at_ms: Time
    plan: bytes
    from_ms: Time
    paused: bool = False
    source: ScheduleSource = "request"


class PackedScheduleFired(NamedTuple):
    """`ScheduleFired`, with its numbers in range."""

    schedule: str
    at_ms: Time
    nominal_ms: Time | None
    job_id: str | None
    reason: SkipReason | None = None
    times: Annotated[int, Meta(ge=1, le=2**31)] = 1


class ScheduleRow(NamedTuple):
    """`Schedule` as a snapshot has it: its fields, in its order, its plan packed."""

    name: str
    plan: bytes
    paused: bool
    source: ScheduleSource
    created_ms: Time
    revision: Lsn
    through_ms: Time
    fired: Lsn
    skipped: Lsn
    last_ms: Time | None = None
    last_job_id: str | None = None


def pack_plan(plan: Plan) -> bytes:
    """A plan as bytes.

    Raises:
        CodecError: not a plan that a schedule can have.
    """
    if type(plan) is not Plan:
        raise CodecError(f"plan: expected a plan, got {type(plan).__name__}")
    values = [tuple(value) if type(value) is Unique else value for value in plan]
    values[0] = pack_terms(plan.terms)
    names, defaults = PlanRow._fields, PlanRow._field_defaults
    while len(values) > 1 and values[-1] == defaults[names[len(values) - 1]]:
        values.pop()
    packed = dump(values)
    if unpack_plan(packed) != plan:
        raise CodecError("this plan would not come back as it is")
    return packed


def unpack_plan(packed: object) -> Plan:
    """The plan in these bytes.

    Raises:
        CodecError: not bytes, or not a plan that a schedule can have.
    """
    if type(packed) is not bytes:
        raise CodecError(f"plan: expected bytes, got {type(packed).__name__}")
    row = convert(load(packed), PlanRow, "plan", PlanRow._fields)
    unique = None if row.unique is None else Unique(*row.unique)
    plan = Plan(unpack_terms(row.terms), *row[1:8], unique, *row[9:])
    if not is_plan(plan):
        raise CodecError("plan: expected either cron or an interval")
    found = contradiction(MoreRow(row.unique))
    if found is not None or (plan.unique is None and plan.on_conflict != "reject"):
        raise CodecError(f"plan: {found or 'a conflict without a unique key'}")
    return plan


def schedule_row(schedule: Schedule) -> tuple[Any, ...]:
    """A schedule as a snapshot has it."""
    return ScheduleRow(
        schedule.name, pack_plan(schedule.plan), schedule.paused, schedule.source, schedule.created_ms,
        schedule.revision, schedule.through_ms, schedule.fired, schedule.skipped, schedule.last_ms,
        schedule.last_job_id,
    )[:]  # fmt: skip


def schedules_from(rows: Sequence[ScheduleRow], last_lsn: int) -> dict[str, Schedule]:
    """Schedules as a snapshot has them.

    Raises:
        CodecError: one makes no sense, or is there twice.
    """
    found: dict[str, Schedule] = {}
    for row in rows:
        if row.name in found:
            raise CodecError(f"schedule {row.name:.80} stands there twice")
        if not 0 < row.revision <= last_lsn:
            raise CodecError(f"schedule {row.name:.80} was set before the first fact, or in the future")
        if (row.last_job_id is None) != (row.last_ms is None) or (row.last_job_id and not row.fired):
            raise CodecError(f"schedule {row.name:.80} has a last job of no fire")
        found[row.name] = Schedule(row.name, unpack_plan(row.plan), *row[2:])
    return found
