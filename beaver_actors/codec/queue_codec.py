"""Queues as they stand in a snapshot: one row each, and whether the rows make sense."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from beaver_actors.codec.ranges import Lsn, Time
from beaver_actors.codec.rules_codec import RuleName, RulesRow, in_order, rules_from, rules_values
from beaver_actors.core.limits import Bucket
from beaver_actors.core.queues import Queue, Tenant


class BucketRow(NamedTuple):
    """A `Bucket` as it is stored."""

    owed: Lsn = 0
    at_ms: Time = 0


class TenantRow(NamedTuple):
    """A `Tenant` as it is stored, with its key."""

    key: str
    turn: Lsn
    bucket: BucketRow = BucketRow()


class QueueRow(NamedTuple):
    """A `Queue` as it is stored: its fields, in its order, without the counts, which are derived. Fields at
    the end that have their default are left out."""

    name: str
    paused: bool
    turn: Lsn
    draining: bool = False
    rules: RulesRow = RulesRow()
    bucket: BucketRow = BucketRow()
    keyless_turn: Lsn = 0
    tenants: tuple[TenantRow, ...] = ()
    declared: tuple[RuleName, ...] = ()


def queue_values(queue: Queue, time_ms: int) -> tuple[Any, ...]:
    """The values of a `QueueRow`, as plain tuples, without the last ones that say nothing. What tenants owe
    is left out if it is paid off by `time_ms`, the time of the state in milliseconds UTC."""
    bucket = (queue.bucket.owed, queue.bucket.at_ms) if queue.bucket.owed else ()
    tenants = [_tenant_values(key, tenant) for key, tenant in queue.stored(time_ms).items()]
    values = [queue.name, queue.paused, queue.turn, queue.draining, rules_values(queue.rules), bucket]
    values += [queue.keyless_turn, tenants, queue.declared]
    while len(values) > 3 and not values[-1]:
        values.pop()
    return tuple(values)


def queue_from(row: QueueRow) -> Queue:
    """What was written."""
    return Queue(
        row.name,
        row.paused,
        row.turn,
        row.draining,
        rules_from(row.rules),
        Bucket(*row.bucket),
        row.keyless_turn,
        {tenant.key: Tenant(tenant.turn, Bucket(*tenant.bucket)) for tenant in row.tenants},
        declared=row.declared,
    )


def odd_queues(rows: Sequence[QueueRow]) -> str | None:
    """How these contradict themselves; None if they do not."""
    if len({row.name for row in rows}) != len(rows):
        return "a queue stands there twice"
    if not all(in_order(row.declared) for row in rows):
        return "the declared rules of a queue are out of order"
    if any(len({tenant.key for tenant in row.tenants}) != len(row.tenants) for row in rows):
        return "a concurrency key stands twice in a queue"
    return None


def _tenant_values(key: str, tenant: Tenant) -> tuple[Any, ...]:
    bucket = tenant.bucket
    return (key, tenant.turn, (bucket.owed, bucket.at_ms)) if bucket.owed else (key, tenant.turn)
