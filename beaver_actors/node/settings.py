"""From the configuration, which speaks YAML, to the settings of each room. Translates; decides nothing."""

from __future__ import annotations

from collections.abc import Iterable

from beaver_actors.actors import controller
from beaver_actors.actors.desk import ReadChildren
from beaver_actors.actors.roster import Timing
from beaver_actors.codec.wire_decode import Limits as WireLimits
from beaver_actors.codec.wire_errors import WireError
from beaver_actors.codec.wire_jobs import Defaults
from beaver_actors.codec.wire_schedule_objects import NewScheduleObject
from beaver_actors.codec.wire_schedules import new_schedule, read_schedule
from beaver_actors.config import Config
from beaver_actors.config.queues import read_queues
from beaver_actors.core.commands import DeclareQueues, DeclareSchedules, NewJob, Policy, Serving, SetSchedule
from beaver_actors.core.schedule import ScheduleSource
from beaver_actors.execute.app import App, AppError
from beaver_actors.execute.children import children_of
from beaver_actors.execute.outcomes import Limits as OutcomeLimits
from beaver_actors.journal.settings import JournalSettings
from beaver_actors.server.http_connection import HttpSettings
from beaver_actors.server.listener import ListenerSettings
from beaver_actors.server.websocket import WebSocketSettings


def policy(config: Config, kinds: frozenset[str], worker_id: str) -> Policy:
    """The rules that commands are judged by; the worker id is new for each start."""
    workers, limits, retention = config.workers, config.limits, config.retention
    queues = None if workers.queues is None else frozenset(workers.queues)
    return Policy(
        served_kinds=kinds if workers.count else frozenset(),
        crew=(Serving(worker_id, kinds, queues, workers.count),) if workers.count else (),
        pending_jobs_max=limits.pending_jobs,
        queue_jobs_max=limits.queue_jobs,
        schedules_max=limits.schedules,
        max_rescues=workers.max_rescues,
        timeout_grace_ms=workers.timeout_grace_ms,
        completed_kept_ms=retention.completed_ms,
        cancelled_kept_ms=retention.cancelled_ms,
        dead_kept_ms=retention.dead_ms,
        completed_kept=retention.completed_count,
        cancelled_kept=retention.cancelled_count,
        dead_kept=retention.dead_count,
    )


def control(config: Config, kinds: frozenset[str], worker_id: str) -> controller.Settings:
    """What the controller needs; the worker id is new for each start."""
    workers, snapshot = config.workers, config.snapshot
    return controller.Settings(
        worker_id=worker_id,
        kinds=kinds,
        queues=None if workers.queues is None else frozenset(workers.queues),
        workers=workers.count,
        ahead_max=workers.ahead_max,
        snapshot_interval=snapshot.interval_ms / 1000,
        snapshot_min_growth=snapshot.min_growth,
        snapshot_log_bytes=snapshot.log_bytes,
    )


def remote(config: Config) -> Timing:
    """How long is waited for workers on other machines."""
    fleet = config.fleet
    return Timing(fleet.lease_ms, fleet.heartbeat_ms, config.workers.timeout_grace_ms)


def journal(config: Config) -> JournalSettings:
    """Sizes and numbers of files."""
    return JournalSettings(config.wal.segment_bytes, config.wal.reserve_bytes, config.snapshot.keep)


def outcome_limits(config: Config) -> OutcomeLimits:
    """How much of an outcome is kept."""
    limits = config.limits
    return OutcomeLimits(
        result_bytes=limits.result_bytes,
        error_message_chars=limits.error_message_chars,
        traceback_chars=limits.traceback_chars,
    )


def wire_limits(config: Config) -> WireLimits:
    """How much one message may ask for."""
    limits = config.limits
    return WireLimits(
        limits.message_bytes,
        limits.job_bytes,
        limits.batch_jobs,
        limits.result_bytes,
        limits.error_message_chars,
        limits.traceback_chars,
    )


def job_defaults(config: Config, app: App) -> Defaults:
    """What a job gets that does not say: what its own definition names, then the server's settings."""
    workers = config.workers
    kinds = {kind: function.options for kind, function in app.functions.items()}
    return Defaults(workers.max_attempts, workers.timeout_ms, kinds=kinds)


def declared(config: Config, app: App, wall_ms: int) -> DeclareSchedules:
    """The schedules of the code and the configuration, for a start at this time of the wall clock.

    Raises:
        AppError: one makes no sense, or a name stands in both.
    """
    limits, defaults = wire_limits(config), job_defaults(config, app)
    found: dict[str, SetSchedule] = {}
    try:
        in_config = [read_schedule(name, fields) for name, fields in config.schedules.items()]
        sources: tuple[tuple[ScheduleSource, Iterable[NewScheduleObject]], ...] = (
            ("code", app.schedules.values()),
            ("config", in_config),
        )
        for source, wanted in sources:
            for one in wanted:
                if one.name in found:
                    raise ValueError(f"{one.name}: stands in the app's code and in the configuration")
                found[one.name] = new_schedule(one, wall_ms, limits, defaults, source, f"{one.name}.")
    except WireError as error:
        raise AppError(f"schedules: {error.message.replace('.job.', '.', 1)}") from None
    except ValueError as error:
        raise AppError(f"schedules: {error}") from None
    if len(found) > config.limits.schedules:
        raise AppError(f"schedules: {len(found)} are declared; limits.schedules is {config.limits.schedules}")
    return DeclareSchedules(tuple(found.values()))


def declared_queues(config: Config) -> DeclareQueues:
    """The rules of queues in the configuration, for a start. They were checked when it was loaded."""
    return DeclareQueues(read_queues(config.queues))


def children(config: Config, app: App) -> ReadChildren:
    """How jobs that a handler asks for are read."""
    limits, defaults = wire_limits(config), job_defaults(config, app)

    def read(texts: tuple[bytes, ...]) -> tuple[NewJob, ...]:
        try:
            return children_of(texts, limits, defaults)
        except WireError as error:
            raise ValueError(error.message) from None

    return read


def listener(config: Config) -> ListenerSettings:
    """Limits of the connections."""
    server, limits = config.server, config.limits
    return ListenerSettings(
        connections_max=server.connections_max,
        http=HttpSettings(
            handshake_timeout=server.handshake_timeout_ms / 1000, body_bytes_max=limits.message_bytes
        ),
        websocket=WebSocketSettings(
            message_bytes_max=limits.message_bytes,
            inbox_bytes_max=limits.message_bytes,
            send_timeout=server.send_timeout_ms / 1000,
            ping_interval=server.ping_interval_ms / 1000,
            ping_timeout=server.ping_timeout_ms / 1000,
        ),
    )
