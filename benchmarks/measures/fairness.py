"""How long the jobs of small tenants wait while one large tenant has the queue full."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from benchmarks.bench import Bench
from benchmarks.figures import Figure, ratios
from benchmarks.load import PAD
from benchmarks.measures.throughput import E2E_SECONDS_MAX
from benchmarks.server import NO_SNAPSHOTS, ROOMY, Server

TENANTS = 100
"""Small ones, with a job each."""
BATCH = 1000


def fairness(bench: Bench) -> Iterator[Figure]:
    """From enqueue to start of the last small tenant's job: with a `concurrency_key` each, and without."""
    backlog = bench.jobs(60_000)
    last_ms: dict[str, list[float]] = {"keys": [], "none": []}
    for round_number in range(bench.rounds):
        for how, waits in last_ms.items():
            bench.say(f"small tenants behind {backlog:,} jobs of another ({how}), round {round_number + 1}")
            with bench.fresh(ROOMY | NO_SNAPSHOTS) as server:
                waits.append(_last_start_ms(server, backlog, keyed=how == "keys"))
    share = ratios(last_ms["none"], last_ms["keys"])
    note = (
        f"the last of {TENANTS} tenants with one job each; {min(share):.0f} × sooner than in order of arrival"
    )
    title = f"a small tenant's job starts, behind {backlog:,} jobs of another tenant, with keys"
    yield Figure("fair_keys", title, "ms", tuple(last_ms["keys"]), note=note)
    yield Figure("fair_none", "… without keys, in order of arrival", "ms", tuple(last_ms["none"]))


def _last_start_ms(server: Server, backlog: int, *, keyed: bool) -> float:
    """Fill the queue for one tenant, let it run, and send a job of each of the others."""
    server.ask({"type": "pause", "queue": "default"})
    for _ in range(backlog // BATCH):
        server.ask({"type": "enqueue", "jobs": [_job("bench.noop", "large", keyed)] * BATCH})
    server.ask({"type": "resume", "queue": "default"})
    jobs = [_job("bench.stamp", f"small-{number}", keyed) for number in range(TENANTS)]
    sent = time.monotonic_ns()
    receipts = server.ask({"type": "enqueue", "jobs": jobs})["jobs"]
    server.wait_completed(backlog + TENANTS, E2E_SECONDS_MAX)
    shown = [server.ask({"type": "get", "job_id": receipt["id"]})["job"] for receipt in receipts]
    return float(max(job["result"] for job in shown) - sent) / 1e6


def _job(kind: str, tenant: str, keyed: bool) -> dict[str, Any]:
    job: dict[str, Any] = {"kind": kind, "args": {"pad": PAD}}
    return job | {"concurrency_key": tenant} if keyed else job
