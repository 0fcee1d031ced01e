"""The worker in JavaScript against a real server: all outcomes, a blocked thread, a restart, its end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.crash.harness import ROOT, WAIT_SECONDS, Client
from tests.remote.harness import House, house

pytestmark = pytest.mark.process
EXAMPLE = ROOT / "examples" / "node-worker"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example with its dependency, in a directory of its own."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            if os.environ.get("CI"):
                pytest.fail(f"{tool} is not installed")
            pytest.skip(f"{tool} is not installed")
    directory = tmp_path_factory.mktemp("node") / "worker"
    shutil.copytree(EXAMPLE, directory, ignore=shutil.ignore_patterns("node_modules"))
    npm = ("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
    done = subprocess.run(npm, cwd=directory, capture_output=True, check=False, timeout=110)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    return directory


@contextmanager
def node_worker(home: House, directory: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    log = home.directory / "node.log"
    with log.open("ab") as errors:
        process = subprocess.Popen(
            ["node", "main.js", home.server.url, *arguments],
            cwd=directory, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
        )  # fmt: skip
    try:
        home.await_workers(ready=1)
        yield process
    finally:
        process.kill()
        process.wait(WAIT_SECONDS)


def enqueue(home: House, name: str, kind: str, args: dict[str, Any], **options: Any) -> None:
    with Client(home.server.url) as client:
        client.done("enqueue", jobs=[{"id": name, "kind": kind, "args": args, **options}])


def test_a_worker_in_javascript_runs_jobs_to_every_end(installed: Path, tmp_path: Path) -> None:
    """P4: results, failures, retries, snoozes, rejections, timeouts, cancels; and goodbye on SIGTERM."""
    with house(tmp_path) as home, node_worker(home, installed, "default=2,mail") as process:
        (shown,) = home.shown()
        assert (shown["queues"], shown["version"]) == ({"default": 2, "mail": 1}, "node-worker/0.1.0")
        enqueue(home, "echo", "node.echo", {"text": "ü"}, queue="mail")
        enqueue(home, "error", "node.fail", {"how": "error"}, max_attempts=1)
        enqueue(home, "reject", "node.fail", {"how": "reject"})
        enqueue(home, "retry", "node.fail", {"how": "retry"})
        enqueue(home, "snooze", "node.fail", {"how": "snooze"})
        enqueue(home, "slow", "node.thumbnail", {"seconds": 60}, timeout=0.5, max_attempts=1)
        assert home.await_job("echo", "completed")["result"] == {"text": "ü"}
        error = home.await_job("error", "dead")["errors"][0]
        assert (error["type"], error["message"]) == ("TypeError", "no good")
        assert "main.js" in error["traceback"]
        assert home.await_job("reject", "dead")["reason"] == "rejected"
        assert home.await_job("retry", "completed")["result"] == {"attempt": 2}
        assert home.await_job("snooze", "completed")["result"] == {"attempt": 1}
        slow = home.await_job("slow", "dead")
        assert (slow["errors"][0]["type"], slow["progress"]) == (
            "Timeout",
            {"percent": slow["progress"]["percent"]},
        )
        enqueue(home, "long", "node.thumbnail", {"seconds": 60})
        home.await_job("long", "in_flight")
        with Client(home.server.url) as client:
            client.done("cancel", job_ids=["long"])
        home.await_job("long", "cancelled")
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_SECONDS) == 0
        assert home.shown() == []


def test_a_worker_in_javascript_that_is_blocked_loses_no_lease(installed: Path, tmp_path: Path) -> None:
    """P4: for two leases; its connection has a thread of its own."""
    with house(tmp_path) as home, node_worker(home, installed):
        enqueue(home, "block", "node.block", {"seconds": 8})
        job = home.await_job("block", "completed")
        assert (job["result"], job["attempt"], job["rescues"]) == ("unblocked", 1, 0)


def test_a_worker_in_javascript_resumes_after_a_kill_of_the_server(installed: Path, tmp_path: Path) -> None:
    """P4: what it runs is not run again."""
    with house(tmp_path) as home:
        url = home.server.url
        with node_worker(home, installed) as process:
            enqueue(home, "long", "node.thumbnail", {"seconds": 5})
            home.await_job("long", "in_flight")
            home.server.kill()
            home.server.listen_at(url)
            home.server.start()
            job = home.await_job("long", "completed")
            assert (job["attempt"], job["rescues"]) == (1, 0)
            enqueue(home, "more", "node.thumbnail", {"seconds": 60})
            home.await_job("more", "in_flight")
            process.send_signal(signal.SIGTERM)
            home.await_workers(draining=1)
            process.send_signal(signal.SIGTERM)
            assert process.wait(WAIT_SECONDS) == 0
            job = home.job("more")
            assert (job["state"], job["attempt"]) == ("pending", 0)
