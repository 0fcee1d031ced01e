"""Who is compared, each with its broker, its worker and how many jobs make a run of a few seconds."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

from benchmarks.peers import brokers
from benchmarks.peers.brokers import Broker

ROOT = Path(__file__).resolve().parent.parent.parent
PEERS_PYTHON = str(ROOT / ".venv-peers" / "bin" / "python")
APPS = "benchmarks.peers.apps"
SYNCED = "synced"
EVERY_SECOND = "up to 1 s lost"


class Peer(NamedTuple):
    """One line of the table."""

    name: str
    title: str
    acknowledged: str
    """What an answer means: `synced`, or what may be lost with the machine's power."""
    framework: bool
    """Whether it is a framework that users write jobs for, and not an engine with a loop written by hand."""
    jobs: int
    """In a run end to end."""
    app: str
    """Its module in `benchmarks/peers/apps`."""
    broker: Broker | None = None
    """None: a server of ours."""
    worker: tuple[str, ...] = ()
    """Arguments of Python: its recommended worker, made for two cores. `{url}` stands for the broker."""
    workers: int = 1
    """Processes of it to start."""
    prepare: tuple[str, ...] = ()
    """Arguments of Python, run once before."""
    batches: bool = False
    """Whether its client can hand in many at once."""
    ours: bool = False

    @property
    def module(self) -> str:
        """Where its `Producer` is."""
        return f"{APPS}.{self.app}"

    @property
    def python(self) -> str:
        """The interpreter of its environment."""
        return sys.executable if self.ours else PEERS_PYTHON


def _on_redis(name: str, title: str, app: str, jobs: int, *worker: str, batches: bool = False) -> list[Peer]:
    """With both durabilities."""
    return [
        Peer(f"{name}_always", f"{title}, Redis AOF always", SYNCED, True, jobs, app, brokers.redis_always,
             worker, batches=batches),
        Peer(f"{name}_everysec", f"{title}, Redis AOF everysec", EVERY_SECOND, True, jobs, app,
             brokers.redis_everysec, worker, batches=batches),
    ]  # fmt: skip


PEERS: list[Peer] = [
    Peer(
        "beaver", "**Beaver**, prepared messages", SYNCED, False, 40_000, "beaver_bare_app",
        batches=True, ours=True,
    ),
    Peer(
        "beaver_client", "**Beaver**, its Python client", SYNCED, True, 30_000, "beaver_app",
        batches=True, ours=True,
    ),
    Peer(
        "redis_stream_always", "bare Redis stream, AOF always", SYNCED, False, 60_000, "redis_stream_app",
        brokers.redis_always, ("-m", f"{APPS}.redis_stream_app"), batches=True,
    ),
    Peer(
        "redis_stream_everysec", "bare Redis stream, AOF everysec", EVERY_SECOND, False, 60_000,
        "redis_stream_app", brokers.redis_everysec, ("-m", f"{APPS}.redis_stream_app"), batches=True,
    ),
    Peer(
        "beanstalkd", "beanstalkd -b -f0", SYNCED, False, 8_000, "beanstalkd_app",
        brokers.beanstalkd, ("-m", f"{APPS}.beanstalkd_app"), batches=True,
    ),
    Peer(
        "nats", "NATS JetStream, file", "**not synced** (every 2 min)", False, 20_000, "nats_app",
        brokers.nats, ("-m", f"{APPS}.nats_app"), batches=True,
    ),
    *_on_redis(
        "dramatiq", "Dramatiq", "dramatiq_app", 4_000,
        "-m", "dramatiq", f"{APPS}.dramatiq_app", "--processes", "2", "--threads", "8",
    ),
    *_on_redis(
        "taskiq", "Taskiq", "taskiq_app", 6_000,
        "-m", "taskiq", "worker", f"{APPS}.taskiq_app:broker", "--workers", "2", "--log-level", "ERROR",
    ),
    *_on_redis(
        "saq", "SAQ", "saq_app", 3_000, "-m", "saq", f"{APPS}.saq_app.settings", "--workers", "2", "--quiet",
    ),
    *_on_redis(
        "celery", "Celery", "celery_app", 1_500, "-m", "celery", "-A", f"{APPS}.celery_app", "worker",
        "--pool", "prefork", "--concurrency", "2", "--loglevel", "CRITICAL",
        "--without-gossip", "--without-mingle", "--without-heartbeat",
    ),
    Peer(
        "rq_fork_always", "RQ, its default worker, Redis AOF always", SYNCED, True, 200, "rq_app",
        brokers.redis_always,
        ("-m", "rq.cli", "worker-pool", "default", "--num-workers", "2", "--quiet", "--url", "{url}"),
        batches=True,
    ),
    *_on_redis(
        "rq", "RQ, SimpleWorker", "rq_app", 400, "-m", "rq.cli", "worker-pool", "default",
        "--num-workers", "2", "--quiet", "--url", "{url}", "--worker-class", "rq.worker.SimpleWorker",
        batches=True,
    ),
    Peer(
        "huey", "Huey, SQLite synchronous=FULL", SYNCED, True, 3_000, "huey_app", brokers.sqlite,
        ("-m", "huey.bin.huey_consumer", f"{APPS}.huey_app.huey", "-w", "2", "-k", "process", "-q"),
    ),
    Peer(
        "procrastinate", "Procrastinate, PostgreSQL", SYNCED, True, 1_500, "procrastinate_app",
        brokers.postgres,
        ("-m", "procrastinate", "--app", f"{APPS}.procrastinate_app.app", "worker", "--concurrency", "10"),
        workers=2,
        prepare=("-m", "procrastinate", "--app", f"{APPS}.procrastinate_app.app", "schema", "--apply"),
        batches=True,
    ),
]  # fmt: skip
