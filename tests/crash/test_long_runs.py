"""What only shows after many repetitions: words that cross, memory and descriptors that do not come back."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.crash.harness import Client, Message, Server, serving

pytestmark = pytest.mark.process


def test_a_cancel_sent_right_behind_its_jobs_stops_every_one_of_them(tmp_path: Path) -> None:
    """P4: enqueue and cancel in one breath, so that lease and cancel often leave with one commit; each job
    would sleep for an hour."""
    with serving(tmp_path) as server:
        server.start()
        with Client(server.url) as client, Client(server.url) as watcher:
            watcher.done("subscribe", topic="events", from_lsn=1)
            waiting: set[str] = set()
            for number in range(200):
                jobs: list[Message] = [
                    {"id": f"j{number}-{place}", "kind": "demo.sleep", "args": {"seconds": 3600}}
                    for place in range(3)
                ]
                job_ids = [str(job["id"]) for job in jobs]
                client.post("enqueue", jobs=jobs)
                client.post("cancel", job_ids=job_ids)
                waiting.update(job_ids)
                assert (client.receive()["type"], client.receive()["type"]) == ("ok", "ok")
            while waiting:
                event = watcher.push()
                if event["event"] == "job_cancelled":
                    waiting.discard(event["job_id"])
        assert server.stop() == 0


def memory_bytes(server: Server) -> int:
    """What the process holds in memory."""
    pages = Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def descriptors(server: Server) -> int:
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def come_and_go(server: Server) -> None:
    """Watchers that leave with and without a goodbye, on a server where nothing happens; and strangers."""
    for _ in range(100):
        with Client(server.url) as client:
            client.done("subscribe", topic="events", from_lsn=1)
            client.done("subscribe", topic="status", interval=0.1)
    host, _, port = server.url.removeprefix("ws://").rpartition(":")
    for number in range(200):
        with socket.create_connection((host, int(port))) as stranger:
            if number % 2:
                stranger.sendall(b"GET /ws HTTP/1.1\r\nUpgr")
    with Client(server.url) as client:
        for _ in range(1000):
            subscription = client.done("subscribe", topic="events")["subscription"]
            client.done("unsubscribe", subscription=subscription)
            client.ask("get", job_id="nobody")


@pytest.mark.slow
def test_watchers_who_come_and_go_leave_no_memory_and_no_descriptors_behind(tmp_path: Path) -> None:
    """P11: after a first round, in which everything is made that stays."""
    with serving(tmp_path) as server:
        server.start()
        with Client(server.url) as client:
            client.done("enqueue", jobs=[{"kind": "demo.echo", "args": {"n": n}} for n in range(1000)])
        come_and_go(server)
        before_bytes, before = memory_bytes(server), descriptors(server)
        for _ in range(3):
            come_and_go(server)
        with Client(server.url) as client:
            client.done("status")
        assert memory_bytes(server) - before_bytes < 4 * 1024 * 1024
        assert descriptors(server) - before < 50  # strangers who left without a word may not be noticed yet
        assert server.stop() == 0
