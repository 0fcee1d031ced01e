"""A disk that is full, really: a small file system, filled to the last byte (P7)."""

from __future__ import annotations

import json
import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Timer
from urllib.request import urlopen

import pytest

from tests.crash.figures import figures
from tests.crash.harness import WAIT_SECONDS, Client, Message, Server, serving
from tests.crash.places import small_disk
from tests.crash.storm import SETTINGS as STORM_SETTINGS, Storm, drawn_seed

pytestmark = pytest.mark.process
APP = ("--app", "tests.crash.jobs:app")
SETTINGS = {"BEAVER_WAL__SEGMENT_SIZE": "64KiB", "BEAVER_WAL__RESERVE_SIZE": "1MiB"}

LIVES = 20
LIVES_MAX = 60
"""It goes on until something was refused: now and then the disk is full only while nobody asks."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of eight megabytes."""
    with small_disk(tmp_path / "disk") as place:
        yield place


def fill(disk: Path) -> Path:
    """Take all the room there is; returns the file to delete."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65536, 4096):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return filler


def await_room(client: Client, full: bool) -> None:
    """Wait until the status says so."""
    client.done("subscribe", topic="status", interval=0.1)
    while (push := client.push())["type"] != "status" or push["status"]["storage_full"] is not full:
        pass


def await_events(client: Client, name: str, job_ids: set[str]) -> None:
    """Read pushes until this event was told of all of these jobs."""
    waiting = set(job_ids)
    while waiting:
        push = client.push()
        if push["type"] == "event" and push["event"] == name:
            waiting.discard(push["job_id"])


def held(flag: Path, count: int, size: int) -> list[Message]:
    """Jobs that run until the flag is there."""
    args = {"until": str(flag), "size": size}
    return [{"id": f"held{n}", "kind": "bad.held", "args": args} for n in range(count)]


def enqueue_until_refused(client: Client) -> set[str]:
    """Enqueue until the server has no room; the jobs that it has acknowledged."""
    taken: set[str] = set()
    for number in range(1000):
        job = {"id": f"big{number}", "kind": "demo.echo", "args": {"text": "x" * 20_000}}
        reply = client.ask("enqueue", jobs=[job])
        if reply["type"] == "error":
            assert reply["code"] == "storage_full", reply
            assert reply["retry_after"] is not None
            return taken
        taken.add(str(job["id"]))
    raise AssertionError("a full disk took everything")


def test_a_full_disk_refuses_new_jobs_records_outcomes_and_goes_on_when_there_is_room(
    tmp_path: Path, disk: Path
) -> None:
    """P7, P3: jobs under way end while the disk is full, the server is killed and starts on it; then there is
    room again."""
    flag = tmp_path / "flag"
    with serving(tmp_path, *APP, settings=SETTINGS, data_dir=disk / "data") as server:
        server.start()
        running = {f"held{n}" for n in range(4)}
        with Client(server.url) as client, Client(server.url) as watcher:
            watcher.done("subscribe", topic="events", from_lsn=1)
            client.done("enqueue", jobs=held(flag, 4, size=1000))
            await_events(watcher, "job_started", running)
            filler = fill(disk)
            taken = enqueue_until_refused(client)
            flag.touch()
            await_events(watcher, "job_completed", running)
            assert client.ask("enqueue", jobs=[{"id": "late", "kind": "demo.echo"}])["code"] == "storage_full"
            assert client.done("get", job_id="held0")["job"]["state"] == "completed"
        server.kill()
        server.start()
        with Client(server.url) as client:
            for job_id in running:
                assert client.done("get", job_id=job_id)["job"]["state"] == "completed"
            assert client.ask("enqueue", jobs=[{"id": "late", "kind": "demo.echo"}])["code"] == "storage_full"
            filler.unlink()
            await_room(client, full=False)
            client.done("enqueue", jobs=[{"id": "late", "kind": "demo.echo"}])
            with Client(server.url) as watcher:
                watcher.done("subscribe", topic="events", from_lsn=1)
                await_events(watcher, "job_completed", taken | running | {"late"})
        assert server.stop() == 0
        assert "Traceback" not in server.errors(), server.errors()


def test_outcomes_too_large_for_the_reserve_wait_for_room_and_nothing_is_run_again(
    tmp_path: Path, disk: Path
) -> None:
    """P7, P4: more is returned at once than was held back; nobody is answered until there is room."""
    flag = tmp_path / "flag"
    with serving(tmp_path, *APP, settings=SETTINGS, data_dir=disk / "data") as server:
        server.start()
        running = {f"held{n}" for n in range(8)}
        with Client(server.url) as client, Client(server.url) as watcher:
            watcher.done("subscribe", topic="events", from_lsn=1)
            client.done("enqueue", jobs=held(flag, 8, size=400_000))
            await_events(watcher, "job_started", running)
            filler = fill(disk)
            flag.touch()
            while not server.log_lines(NO_ROOM):
                assert alive(server)
            filler.unlink()
            await_events(watcher, "job_completed", running)
            jobs = client.done("list")["jobs"]
            assert {(job["attempt"], job["rescues"], len(job["result"])) for job in jobs} == {(1, 0, 400_000)}
        assert server.stop() == 0


NO_ROOM = "the disk is full beyond the reserve: nobody is answered until there is room"


def alive(server: Server) -> bool:
    """Whether it answers on its port."""
    with urlopen(server.http("/healthz"), timeout=WAIT_SECONDS) as response:
        return bool(response.status == 200)


def test_the_first_job_of_a_server_can_run_on_a_disk_that_has_become_full(tmp_path: Path, disk: Path) -> None:
    """P7: there is room in the log, and everything else that a job needs was made before."""
    with serving(tmp_path, settings=SETTINGS, data_dir=disk / "data") as server:
        server.start()
        fill(disk)
        with Client(server.url) as client:
            client.done("subscribe", topic="events")
            client.done("enqueue", jobs=[{"id": "first", "kind": "demo.echo"}])
            await_events(client, "job_completed", {"first"})
        assert server.stop() == 0


def test_a_server_cannot_begin_on_a_disk_without_room_and_says_so(tmp_path: Path, disk: Path) -> None:
    """P7: a new directory on a full disk: exit code 7, and what to do."""
    fill(disk)
    with serving(tmp_path, settings=SETTINGS, data_dir=disk / "data") as server:
        server.spawn()
        assert server.end() == 7
        (told,) = server.log_lines("the server ends")
        assert "no room for" in told["event"]


class Filler:
    """Somebody else on the same disk, who takes all the room there is and gives it back."""

    def __init__(self, disk: Path) -> None:
        self._disk = disk
        self._taken: Path | None = None

    def take_or_give(self) -> None:
        """Whichever it did not do the last time."""
        if self._taken is None:
            self._taken = fill(self._disk)
        else:
            self._taken.unlink()
            self._taken = None

    @property
    def is_full(self) -> bool:
        return self._taken is not None


def test_a_disk_that_is_full_now_and_then_loses_nothing_and_doubles_nothing(
    tmp_path: Path, disk: Path
) -> None:
    """P7, P3, P4, P5: under the load of everything, with kills while it is full and while it is not."""
    seed = drawn_seed()
    chance = random.Random(seed)
    data_dir = disk / "data"
    with (
        figures("full disk", seed) as told,
        serving(tmp_path, settings=STORM_SETTINGS, data_dir=data_dir) as server,
    ):
        server.start().kill()  # from here on, the room that a start needs is held back
        filler = Filler(disk)
        storm = Storm(server, seed, may_refuse=True)
        told["filled"] = 0
        for life in range(LIVES_MAX):
            if life >= LIVES and storm.report.refused:
                break
            change = Timer(0.4 * chance.random(), filler.take_or_give)
            change.start()
            code = storm.life()
            change.join()
            assert code == -signal.SIGKILL, f"it ended by itself, with {code}:\n{server.errors()}"
            told["filled"] += filler.is_full
        if filler.is_full:
            filler.take_or_give()
        storm.calm()
        told |= storm.report.figures(storm.ledger)
    sys.stdout.write(f"{json.dumps(told)}\n")
    assert told["refused"] > 0, "it was never full when it mattered"
