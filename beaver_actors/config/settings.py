"""The settings: every section, every name, its default, its limits. Nothing here reads a file.

A field is called in Python what it is called in YAML, but that Python names the unit: `timeout: 30m` is
`timeout_ms == 1_800_000`, `segment_size: 16MiB` is `segment_bytes == 16_777_216`. What each is for stands
here; why its default is what it is stands in `configs/default.yaml`, which a test holds equal to this file.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from beaver_actors.config.kinds import (
    address,
    choice,
    duration,
    flag,
    listing,
    rules,
    share,
    size,
    table,
    text,
    whole,
)

SECOND_MS = 1000
HOUR_MS = 3600 * SECOND_MS
DAY_MS = 24 * HOUR_MS
KIB = 2**10
MIB = 2**20

AppName = Annotated[str, Meta(pattern=r"^[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*$")]
Path = Annotated[str, Meta(min_length=1)]
QueueName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:-]{1,128}$")]
Origin = Annotated[str, Meta(pattern=r"^https?://[^/\s]+$")]


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings that belong together."""


class Workers(Section, frozen=True, kw_only=True):
    """Running jobs."""

    count: Annotated[int, whole("Jobs that run at the same time in the server itself.", 0, 1024)] = 8
    queues: Annotated[
        tuple[QueueName, ...] | None,
        listing("Queues whose jobs run here; null for all.", "a list of queue names such as [mail, default]"),
    ] = None
    timeout_ms: Annotated[
        int | None,
        duration("The longest one attempt of a job may run that names no timeout; null for no limit.", "1ms"),
    ] = field(default=1800 * SECOND_MS, name="timeout")
    max_attempts: Annotated[int, whole("Runs in all of a job that names no number.", 1, 1000)] = 25
    grace_ms: Annotated[
        int, duration("How long running jobs may go on after the server was asked to stop.")
    ] = field(default=30 * SECOND_MS, name="grace")
    threads: Annotated[int, whole("Threads for jobs that are plain functions.", 1, 1000)] = 40
    ahead_max: Annotated[
        int, whole("Jobs leased ahead of a free worker, to hide the wait for the disk.", 0, 10_000)
    ] = 1000
    max_rescues: Annotated[
        int, whole("Deaths of its worker after which a job is taken for poison.", 1, 1000)
    ] = 3
    timeout_grace_ms: Annotated[
        int, duration("Time beyond its timeout after which a job is taken from a silent worker.")
    ] = field(default=10 * SECOND_MS, name="timeout_grace")


class Fleet(Section, frozen=True, kw_only=True):
    """Workers on other machines."""

    lease_ms: Annotated[
        int, duration("How long a worker may be silent before its jobs are given to others.", "1s")
    ] = field(default=60 * SECOND_MS, name="lease")
    heartbeat_ms: Annotated[int, duration("How often a worker shall say that it lives.", "100ms")] = field(
        default=15 * SECOND_MS, name="heartbeat"
    )
    workers_max: Annotated[int, whole("Workers on other machines at the same time.", 0, 100_000)] = 1000


class Wal(Section, frozen=True, kw_only=True):
    """The write-ahead log."""

    segment_bytes: Annotated[
        int, size("Size of one file of the log, reserved when it is created.", "64KiB", "4GiB")
    ] = field(default=16 * MIB, name="segment_size")
    reserve_bytes: Annotated[
        int, size("Disk room kept back for outcomes and for starting on a full disk.", "64KiB", "4GiB")
    ] = field(default=64 * MIB, name="reserve_size")
    mailbox: Annotated[int, whole("Appends that may wait for the disk before senders wait.", 1, 65_536)] = 4


class Snapshot(Section, frozen=True, kw_only=True):
    """Snapshots of the state, which shorten recovery and let old log files go."""

    interval_ms: Annotated[int, duration("Time between two snapshots at least.", "100ms")] = field(
        default=30 * SECOND_MS, name="interval"
    )
    min_growth: Annotated[
        float, share("Share of the last snapshot that the log must have grown by before the next one.", 100)
    ] = 0.5
    log_bytes: Annotated[
        int, size("Log since the last snapshot that calls for one in any case.", "64KiB", "1TiB")
    ] = field(default=256 * MIB, name="log_size")
    keep: Annotated[int, whole("Snapshots kept, with the log that the oldest needs.", 2, 100)] = 2


class Metrics(Section, frozen=True, kw_only=True):
    """Figures for Prometheus."""

    enabled: Annotated[bool, flag("Whether the metrics listener is opened.")] = True
    listen: Annotated[str, address("Where /metrics is served besides the main port.")] = ":9090"


class Server(Section, frozen=True, kw_only=True):
    """The port for clients: WebSocket and HTTP."""

    listen: Annotated[str, address("Where clients connect.")] = "127.0.0.1:7440"
    token_file: Annotated[
        Path | None, text("File whose first line clients must present; null for none.", "the path of a file")
    ] = None
    insecure: Annotated[bool, flag("Allow other machines to connect without a token.")] = False
    allowed_origins: Annotated[
        tuple[Origin, ...],
        listing(
            "Web sites whose pages may connect, besides the server's own.",
            'a list of origins such as ["https://jobs.example.org"]',
        ),
    ] = ()
    connections_max: Annotated[int, whole("Connections at the same time.", 1, 1_000_000)] = 1000
    handshake_timeout_ms: Annotated[int, duration("Time a connection has to say what it wants.", "100ms")] = (
        field(default=10 * SECOND_MS, name="handshake_timeout")
    )
    ping_interval_ms: Annotated[int, duration("Time between two pings to a client.", "100ms")] = field(
        default=20 * SECOND_MS, name="ping_interval"
    )
    ping_timeout_ms: Annotated[int, duration("Time a client has to answer a ping.", "100ms")] = field(
        default=20 * SECOND_MS, name="ping_timeout"
    )
    send_timeout_ms: Annotated[int, duration("Time a client has to take one message.", "100ms")] = field(
        default=30 * SECOND_MS, name="send_timeout"
    )


class Limits(Section, frozen=True, kw_only=True):
    """How much is accepted; more is refused with a reason."""

    job_bytes: Annotated[int, size("One job's arguments and fields.", "1KiB", "64MiB")] = 1 * MIB
    message_bytes: Annotated[int, size("One message or request.", "4KiB", "256MiB")] = 8 * MIB
    batch_jobs: Annotated[int, whole("Jobs in one message.", 1, 100_000)] = 1000
    result_bytes: Annotated[int, size("One job's result.", "1KiB", "64MiB")] = 1 * MIB
    pending_jobs: Annotated[int, whole("Jobs that wait, in all queues.", 1, 10**9)] = 5_000_000
    queue_jobs: Annotated[int, whole("Jobs that wait in one queue.", 1, 10**9)] = 1_000_000
    schedules: Annotated[int, whole("Schedules, those of code and configuration too.", 0, 100_000)] = 1000
    error_message_chars: Annotated[int, whole("Kept of an error's message.", 100, 1_000_000)] = 10_000
    traceback_chars: Annotated[int, whole("Kept of an error's traceback.", 0, 1_000_000)] = 20_000


class Retention(Section, frozen=True, kw_only=True):
    """How long finished jobs are kept: for a time, and no more than so many, whichever ends first."""

    completed_ms: Annotated[int, duration("How long completed jobs are kept.")] = field(
        default=24 * HOUR_MS, name="completed"
    )
    cancelled_ms: Annotated[int, duration("How long cancelled jobs are kept.")] = field(
        default=24 * HOUR_MS, name="cancelled"
    )
    dead_ms: Annotated[int, duration("How long dead jobs are kept.")] = field(
        default=30 * DAY_MS, name="dead"
    )
    completed_count: Annotated[int, whole("Completed jobs kept at most.", 0, 10**9)] = 100_000
    cancelled_count: Annotated[int, whole("Cancelled jobs kept at most.", 0, 10**9)] = 100_000
    dead_count: Annotated[int, whole("Dead jobs kept at most.", 0, 10**9)] = 1_000_000


class Log(Section, frozen=True, kw_only=True):
    """What the server tells about itself on standard error."""

    format: Annotated[
        Literal["auto", "console", "json"], choice("Form of the lines.", "auto", "console", "json")
    ] = "auto"
    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        choice("The least weighty line that is shown.", "debug", "info", "warning", "error"),
    ] = "info"


class Config(Section, frozen=True, kw_only=True):
    """Settings of a beaver_actors server. `Config()` is the default server."""

    app: Annotated[
        AppName | None,
        text(
            "Where the job functions are; null for the built-in demo kinds alone.",
            'a module and a name in it, such as "shop.jobs:app"',
        ),
    ] = None
    data_dir: Annotated[Path, text("Directory of the log and the snapshots.", "the path of a directory")] = (
        "data"
    )
    schedules: Annotated[
        dict[str, Any], table("Schedules by name: cron and tz, or every; kind and what else its jobs have.")
    ] = field(default_factory=dict)
    queues: Annotated[
        dict[str, Any], rules("Rules of queues by name: concurrency, rate, key_concurrency, key_rate, …")
    ] = field(default_factory=dict)
    workers: Workers = Workers()
    fleet: Fleet = Fleet()
    wal: Wal = Wal()
    snapshot: Snapshot = Snapshot()
    metrics: Metrics = Metrics()
    server: Server = Server()
    limits: Limits = Limits()
    retention: Retention = Retention()
    log: Log = Log()
