"""Rules that settings must keep between them. Each value alone has been judged before.

Whether a listen address is too open is not judged here: that needs the token, which only the server reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from beaver_actors.config.address import parse_address
from beaver_actors.config.settings import Config
from beaver_actors.config.units import format_duration, format_size


class Conflict(NamedTuple):
    """Settings that do not go together."""

    settings: tuple[str, ...]
    """Those to change, the likeliest first."""
    message: str


def conflicts(config: Config) -> Iterator[Conflict]:
    """Yield everything in `config` that does not go together."""
    limits, wal = config.limits, config.wal
    sizes = (
        ("limits.message_bytes", limits.message_bytes, "limits.job_bytes", limits.job_bytes,
         "one job must fit into a message"),
        ("limits.message_bytes", limits.message_bytes, "limits.result_bytes", limits.result_bytes,
         "one result must fit into a message"),
        ("wal.reserve_size", wal.reserve_bytes, "wal.segment_size", wal.segment_bytes,
         "on a full disk a start needs room for a file of the log"),
        ("wal.reserve_size", wal.reserve_bytes, "limits.result_bytes", limits.result_bytes,
         "on a full disk there must be room for a result"),
    )  # fmt: skip
    for larger, larger_bytes, smaller, smaller_bytes, why in sizes:
        if larger_bytes < smaller_bytes:
            yield Conflict(
                (larger, smaller),
                f"{format_size(larger_bytes)} is less than {smaller}, {format_size(smaller_bytes)}: {why}",
            )
    if limits.queue_jobs > limits.pending_jobs:
        yield Conflict(
            ("limits.queue_jobs", "limits.pending_jobs"),
            f"{limits.queue_jobs} is more than limits.pending_jobs, {limits.pending_jobs}: "
            "that is the limit for all queues together",
        )
    fleet = config.fleet
    if fleet.lease_ms < 2 * fleet.heartbeat_ms:
        yield Conflict(
            ("fleet.heartbeat", "fleet.lease"),
            f"{format_duration(fleet.heartbeat_ms)} is more than half of fleet.lease, "
            f"{format_duration(fleet.lease_ms)}: one late heartbeat would cost a worker its jobs",
        )
    yield from _listening(config)


def _listening(config: Config) -> Iterator[Conflict]:
    listen = parse_address(config.server.listen)
    if config.metrics.enabled and listen.port and listen == parse_address(config.metrics.listen):
        yield Conflict(
            ("metrics.listen", "server.listen"),
            f"{listen} is the address of server.listen too; the main port serves /metrics anyway, "
            "so metrics.enabled may be false",
        )
