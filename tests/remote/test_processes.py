"""Real workers against a real server: frozen, killed, partitioned, slow, told to stop; and the server killed
under them. What is proven is what the files of the jobs and the server's answers say."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.crash.harness import Client
from tests.remote.harness import LEASE_SECONDS, house, proxy_to

pytestmark = pytest.mark.process
KINDS = ("hold", "hold-in-thread", "hold-in-process")


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_runs_jobs_of_every_isolation(kind: str, tmp_path: Path) -> None:
    """P2, P4: once each, with their results; a second worker takes its share."""
    with house(tmp_path) as home:
        home.worker("--concurrency", "2")
        home.worker("--concurrency", "2")
        home.await_workers(ready=2)
        names = [f"job-{number}" for number in range(4)]
        home.enqueue(*names, kind=kind)
        starts = home.await_starts(4)
        assert len({worker["worker_id"] for worker in home.shown() if worker["in_flight"] == 2}) == 2
        home.open_gate()
        for name in names:
            job = home.await_job(name, "completed")
            assert (job["result"], job["attempt"]) == (name, 1)
        assert sorted(start[0] for start in starts) == sorted(names)
        assert [worker.stop() for worker in home.workers] == [0, 0]
        assert home.shown() == []


def test_a_frozen_worker_loses_its_lease_and_its_late_result(tmp_path: Path) -> None:
    """P4: SIGSTOP for longer than the lease; another worker does the job, and after SIGCONT the first one's
    result is refused with lease_lost."""
    with house(tmp_path) as home:
        frozen = home.worker()
        home.await_workers(ready=1)
        home.enqueue("a")
        home.await_starts(1)
        frozen.signal(signal.SIGSTOP)
        home.worker()
        home.await_workers(ready=1, suspect=1)
        (first, second) = home.await_starts(2)
        assert int(second[2]) > int(first[2])
        home.open_gate()
        assert home.await_job("a", "completed")["attempt"] == 2
        before = home.job("a")
        frozen.signal(signal.SIGCONT)
        home.await_workers(ready=2)
        after = home.job("a")
        assert (after["lsn"], after["rescues"], after["fence"]) == (before["lsn"], 1, int(second[2]))
        assert [worker.stop() for worker in home.workers] == [0, 0]
        assert "lost" in frozen.errors()


def test_a_frozen_worker_that_wakes_in_time_goes_on(tmp_path: Path) -> None:
    """P4: for less than a lease, nothing is lost."""
    with house(tmp_path, BEAVER_FLEET__LEASE="60s") as home:
        worker = home.worker()
        home.await_workers(ready=1)
        home.enqueue("a")
        home.await_starts(1)
        worker.signal(signal.SIGSTOP)
        home.await_workers(suspect=1)
        worker.signal(signal.SIGCONT)
        home.await_workers(ready=1)
        home.open_gate()
        job = home.await_job("a", "completed")
        assert (job["attempt"], job["rescues"]) == (1, 0)


def test_the_jobs_of_a_killed_worker_return_when_the_lease_ends(tmp_path: Path) -> None:
    """P3, P12: suspect at once, and its job runs again with a rescue used."""
    with house(tmp_path) as home:
        worker = home.worker()
        home.await_workers(ready=1)
        home.enqueue("a")
        home.await_starts(1)
        worker.signal(signal.SIGKILL)
        home.await_workers(suspect=1)
        assert home.job("a")["state"] == "in_flight"
        home.open_gate()
        home.worker()
        job = home.await_job("a", "completed")
        assert (job["attempt"], job["rescues"]) == (2, 1)
        assert job["errors"][0]["type"] == "WorkerDied"


def test_a_worker_behind_a_broken_network_gives_up_and_resumes(tmp_path: Path) -> None:
    """P4: silent in both directions, without an end of the connection; it comes back within its lease and
    finishes what it began."""
    with house(tmp_path, BEAVER_FLEET__LEASE="60s") as home, proxy_to(home.server.url) as proxy:
        worker = home.worker(url=proxy.url)
        home.await_workers(ready=1)
        home.enqueue("a")
        home.await_starts(1)
        proxy.fall_silent()
        home.await_workers(suspect=1)
        home.open_gate()
        proxy.recover()
        job = home.await_job("a", "completed")
        assert (job["attempt"], job["rescues"]) == (1, 0)
        assert len(home.starts()) == 1
        assert worker.stop() == 0


def test_a_worker_cut_off_for_longer_than_its_lease_changes_nothing_afterwards(tmp_path: Path) -> None:
    """P4: the job was done elsewhere meanwhile."""
    with house(tmp_path) as home, proxy_to(home.server.url) as proxy:
        worker = home.worker(url=proxy.url)
        home.await_workers(ready=1)
        home.enqueue("a")
        (first,) = home.await_starts(1)
        proxy.fall_silent()
        home.worker()
        second = home.await_starts(2)[1]
        home.open_gate()
        done = home.await_job("a", "completed")
        proxy.recover()
        home.await_workers(ready=2)
        assert home.job("a") == done
        assert (done["fence"], done["rescues"]) == (int(second[2]), 1)
        assert int(second[2]) > int(first[2])
        assert worker.stop() == 0


def test_a_slow_network_loses_no_lease(tmp_path: Path) -> None:
    """P4: connections that are cut again and again, and the job takes longer than three leases."""
    with house(tmp_path) as home, proxy_to(home.server.url) as proxy:
        home.worker(url=proxy.url)
        home.await_workers(ready=1)
        home.enqueue("a")
        home.await_starts(1)
        until = time.monotonic() + 3 * LEASE_SECONDS
        while time.monotonic() < until:
            proxy.cut()
            time.sleep(LEASE_SECONDS / 4)
        home.open_gate()
        job = home.await_job("a", "completed")
        assert (job["attempt"], job["rescues"]) == (1, 0)


def test_a_handler_that_blocks_its_loop_loses_no_lease(tmp_path: Path) -> None:
    """P4: heartbeats do not share the loop of user code; it stands still for three leases."""
    with house(tmp_path) as home:
        home.worker()
        home.await_workers(ready=1)
        args = {"path": str(home.trace), "seconds": 3 * LEASE_SECONDS}
        with Client(home.server.url) as client:
            client.done("enqueue", jobs=[{"id": "a", "kind": "block", "args": args}])
        home.await_starts(1)
        job = home.await_job("a", "completed")
        assert (job["result"], job["attempt"], job["rescues"]) == ("unblocked", 1, 0)


def test_a_killed_server_does_not_run_remote_jobs_again(tmp_path: Path) -> None:
    """P3, P4: kill -9 in the middle, twice; the worker reconnects, its attempts go on, and are reported
    once."""
    with house(tmp_path, BEAVER_FLEET__LEASE="60s") as home:
        url = home.server.url
        worker = home.worker("--concurrency", "6")
        home.await_workers(ready=1)
        names = [f"job-{number}" for number in range(6)]
        home.enqueue(*names[:3])
        home.enqueue(*names[3:], kind="hold-in-thread")
        home.await_starts(6)
        for _ in range(2):
            home.server.kill()
            home.server.listen_at(url)
            home.server.start()
            home.await_workers(ready=1)
        home.server.kill()
        home.open_gate()  # they end while there is no server
        home.server.start()
        for name in names:
            job = home.await_job(name, "completed")
            assert (job["attempt"], job["rescues"], job["result"]) == (1, 0, name)
        assert len(home.starts()) == 6
        assert worker.stop() == 0


def test_a_worker_told_to_stop_lets_jobs_finish(tmp_path: Path) -> None:
    """P4: SIGTERM; what runs may end, what has not begun goes back without using an attempt."""
    with house(tmp_path) as home:
        worker = home.worker("--concurrency", "1", "--buffer", "1")
        home.await_workers(ready=1)
        home.enqueue("a", "b")
        home.await_starts(1)
        worker.signal(signal.SIGTERM)
        job = home.await_job("b", "pending")
        assert (job["attempt"], job["rescues"]) == (0, 0)
        home.open_gate()
        assert worker.end() == 0
        assert home.job("a")["state"] == "completed"
        assert home.shown() == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_told_to_stop_twice_gives_back_what_it_runs(kind: str, tmp_path: Path) -> None:
    """P4: unfinished, without using an attempt or a rescue."""
    with house(tmp_path) as home:
        worker = home.worker()
        home.await_workers(ready=1)
        home.enqueue("a", kind=kind)
        home.await_starts(1)
        worker.signal(signal.SIGTERM)
        home.await_workers(draining=1)
        worker.signal(signal.SIGTERM)
        assert worker.end() == 0
        job = home.job("a")
        assert (job["state"], job["attempt"], job["rescues"]) == ("pending", 0, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_job_that_is_cancelled_stops_on_its_worker(kind: str, tmp_path: Path) -> None:
    """P3: the request is pushed."""
    with house(tmp_path, BEAVER_FLEET__LEASE="60s") as home:
        home.worker()
        home.await_workers(ready=1)
        home.enqueue("a", kind=kind)
        home.await_starts(1)
        with Client(home.server.url) as client:
            client.done("cancel", job_ids=["a"])
        assert home.await_job("a", "cancelled")["attempt"] == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_timeout_is_kept_by_the_worker(kind: str, tmp_path: Path) -> None:
    """P4: and counts as a failure."""
    with house(tmp_path, BEAVER_FLEET__LEASE="60s") as home:
        home.worker()
        home.await_workers(ready=1)
        home.enqueue("a", kind=kind, timeout=0.5, max_attempts=1)
        job = home.await_job("a", "dead")
        assert (job["reason"], job["errors"][0]["type"]) == ("max_attempts", "Timeout")


def test_results_may_be_as_large_as_the_server_takes(tmp_path: Path) -> None:
    """P4: the worker learns the limit when it registers; a larger result is rejected with a reason."""
    with house(tmp_path, BEAVER_LIMITS__RESULT_BYTES="1000000") as home:
        home.worker("--concurrency", "8")
        home.await_workers(ready=1)
        with Client(home.server.url) as client:
            large = [{"id": f"large-{n}", "kind": "large", "args": {"size": 900_000}} for n in range(8)]
            client.done("enqueue", jobs=[*large, {"id": "too", "kind": "large", "args": {"size": 1_000_000}}])
        for number in range(8):
            assert len(home.await_job(f"large-{number}", "completed")["result"]) == 900_000
        job = home.await_job("too", "dead")
        assert (job["reason"], job["errors"][0]["type"]) == ("rejected", "BadResult")


def test_a_worker_waits_for_a_server_that_is_not_there_yet(tmp_path: Path) -> None:
    """P3: and goes on when it comes."""
    with house(tmp_path) as home:
        url = home.server.url
        assert home.server.stop() == 0
        worker = home.worker(url=url)
        home.server.listen_at(url)
        home.server.start()
        home.await_workers(ready=1)
        assert worker.stop() == 0


def test_a_worker_with_a_wrong_token_says_so(tmp_path: Path) -> None:
    """By example: trying again would end the same way."""
    token = tmp_path / "token"
    token.write_text("right\n")
    with house(tmp_path, BEAVER_SERVER__TOKEN_FILE=str(token)) as home:
        worker = home.worker()
        assert worker.end() == 4
        assert "token" in worker.errors()
