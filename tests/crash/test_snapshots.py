"""Snapshots beside the work: the process that folds one, what it leaves when killed, what it takes away."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Self

import pytest

from tests.crash.figures import figures
from tests.crash.harness import Client, Message, Server, serving
from tests.crash.ledger import Ledger, all_jobs, follow, watch
from tests.crash.storm import drawn_seed

pytestmark = pytest.mark.process

BACKLOG = 3000
FOLD_KILLS = 15

SETTINGS = {
    "BEAVER_WAL__SEGMENT_SIZE": "64KiB",
    "BEAVER_WAL__RESERVE_SIZE": "1MiB",
    "BEAVER_SNAPSHOT__INTERVAL": "200ms",
    "BEAVER_SNAPSHOT__MIN_GROWTH": "0",
    "BEAVER_SNAPSHOT__LOG_SIZE": "64KiB",
}


def echoes(first: int, count: int, size: int = 10) -> list[Message]:
    return [
        {"id": f"echo-{n}", "kind": "demo.echo", "args": {"text": "x" * size}}
        for n in range(first, first + count)
    ]


def await_completed(client: Client, ledger: Ledger, count: int) -> None:
    """Follow the events until so many jobs have ended."""
    while len(ledger.ended) < count:
        follow(client, ledger)


def snapshots(server: Server) -> list[Path]:
    return sorted((server.data_dir / "snapshots").glob("*.snap"))


def folding(server: Server) -> list[int]:
    """The processes that fold a snapshot now."""
    return [pid for pid in server.family() if b"fold_child" in command_line(pid)]


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def work_until_folding(server: Server, client: Client) -> int:
    """Enqueue, and look after each answer, until a snapshot is being made; how many jobs it took."""
    count = 0
    while not folding(server):
        client.done("enqueue", jobs=echoes(count, 10))
        count += 10
    return count


def test_a_server_killed_while_a_snapshot_is_made_takes_the_other_process_with_it(tmp_path: Path) -> None:
    """P3, P9: nobody is left to write into the directory, and the half of a snapshot counts for nothing."""
    with serving(tmp_path, settings=SETTINGS) as server:
        ledger, count = Ledger(), 0
        for _ in range(3):
            server.start()
            with Client(server.url) as client:
                count = max(count, work_until_folding(server, client))
            server.kill()
            server.await_no_family()
        server.start()
        with Client(server.url) as client:
            client.done("enqueue", jobs=echoes(0, 10))
            watch(client, ledger)
            await_completed(client, ledger, count)
            listed = {job["id"] for job in all_jobs(client)}
            assert {job["id"] for job in echoes(0, count)} <= listed
        assert server.stop() == 0
        assert not halves(server)
        assert "Traceback" not in server.errors(), server.errors()


class Killer:
    """Kills, once, a process that folds a snapshot, at a moment of chance; until it is told to stop."""

    def __init__(self, server: Server, chance: random.Random) -> None:
        self.done = Event()
        self._server = server
        self._chance = chance
        self._enough = Event()
        self._thread = Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._enough.set()
        self._thread.join()

    def _run(self) -> None:
        # Most of its time goes into its start. So half of the kills wait until it writes.
        writing = self._chance.random() < 0.5
        seconds = 0.001 if writing else 0.3 * self._chance.random()
        while not self.done.is_set() and not self._enough.wait(seconds):
            for pid in folding(self._server) if halves(self._server) or not writing else ():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    self.done.set()


def test_whatever_becomes_of_the_process_that_folds_nothing_is_lost(tmp_path: Path) -> None:
    """P3, P4: it is killed at random under load, with a backlog that takes a while to fold; so is the server,
    each time after that, and in the end no half of a snapshot is left."""
    seed = drawn_seed()
    chance = random.Random(seed)
    ledger = Ledger()
    with figures("fold kill", seed) as told, serving(tmp_path, settings=SETTINGS) as server:
        told["halves"] = 0
        server.fork()
        server.await_ready()
        with Client(server.url) as client:
            client.done("pause", queue="parked")
            for place in range(0, BACKLOG, 1000):
                hand_in(client, ledger, [{**job, "queue": "parked"} for job in echoes(place, 1000, size=500)])
        parked = set(ledger.acknowledged)
        for told["kills"] in range(1, FOLD_KILLS + 1):
            killer = Killer(server, chance)
            with Client(server.url) as client, Client(server.url) as watcher, killer:
                watch(watcher, ledger)
                count = 0
                while not killer.done.is_set():
                    jobs = [{**job, "id": f"{told['kills']}-{job['id']}"} for job in echoes(count, 20)]
                    hand_in(client, ledger, jobs)
                    count += 20
                    while ledger.unfinished - parked:
                        follow(watcher, ledger)
            server.kill()  # by itself, it would wait half a minute before it tries again
            server.await_no_family()
            told["halves"] += len(halves(server))
            server.fork()
            server.await_ready()
        with Client(server.url) as client, Client(server.url) as watcher:
            client.done("resume", queue="parked")
            watch(watcher, ledger)
            while ledger.unfinished:
                follow(watcher, ledger)
            ledger.reconcile(all_jobs(client))
        assert server.stop() == 0
        assert not halves(server)
        told |= {
            "snapshots": len(server.log_lines("snapshot taken")),
            "acknowledged": len(ledger.acknowledged),
            "lost": 0,
        }
    sys.stdout.write(f"{json.dumps(told)}\n")
    assert told["halves"] > 0, "none was killed while it wrote"


def halves(server: Server) -> list[Path]:
    """Snapshots that were being written."""
    return list((server.data_dir / "snapshots").glob("*.tmp"))


def hand_in(client: Client, ledger: Ledger, batch: list[Message]) -> None:
    ledger.send(batch)
    ledger.answer(batch, client.done("enqueue", jobs=batch))


def test_a_drain_does_not_wait_for_a_snapshot(tmp_path: Path) -> None:
    """It is given up: an old snapshot and a longer log lose nothing."""
    with serving(tmp_path, settings=SETTINGS) as server:
        server.start()
        with Client(server.url) as client:
            work_until_folding(server, client)
            assert server.stop() == 0
        server.await_no_family()
        assert "Traceback" not in server.errors(), server.errors()


def test_ctrl_c_while_a_snapshot_is_made_is_an_ordinary_end(tmp_path: Path) -> None:
    """P3: a terminal interrupts every process of its group; only the server is to heed it."""
    with serving(tmp_path, settings={**SETTINGS, "BEAVER_WORKERS__GRACE": "1s"}) as server:
        server.start()
        with Client(server.url) as client:
            client.done("enqueue", jobs=[{"kind": "demo.sleep", "args": {"seconds": 3600}}])
            work_until_folding(server, client)
            server.press_ctrl_c()
            assert server.end() == 0
        server.await_no_family()
        assert '"level": "error"' not in server.errors(), server.errors()


def test_a_watcher_that_asks_for_what_was_trimmed_gets_one_gap_and_then_every_event(tmp_path: Path) -> None:
    """P10: after a kill, which clears the memory, by one who wants all and one who was there before."""
    with serving(tmp_path, settings=SETTINGS) as server:
        server.start()
        staying, late = Ledger(), Ledger()
        count = 0
        with Client(server.url) as client, Client(server.url) as watcher:
            watch(watcher, staying)
            while not is_trimmed(server):
                client.done("enqueue", jobs=echoes(count, 50, size=500))
                count += 50
                await_completed(watcher, staying, count)
        server.kill()
        oldest = int(segments(server)[0].stem)
        server.start()
        with (
            Client(server.url) as client,
            Client(server.url) as stayer,
            Client(server.url) as latecomer,
        ):
            watch(stayer, staying)
            watch(latecomer, late)
            gap = latecomer.push()
            assert (gap["type"], gap["from"]) == ("gap", 1)
            assert gap["to"] >= oldest - 1, "what is in the log is no gap"
            late.next_lsn = gap["to"] + 1
            client.done("enqueue", jobs=echoes(count, 1))
            await_completed(stayer, staying, count + 1)
            while late.next_lsn < staying.next_lsn:
                follow(latecomer, late)
        for job_id, events in late.history.items():
            assert staying.history[job_id][-len(events) :] == events, "both saw the same"
        assert server.stop() == 0


def segments(server: Server) -> list[Path]:
    return sorted((server.data_dir / "wal").glob("*.wal"))


def is_trimmed(server: Server) -> bool:
    """Whether the first segment is gone."""
    return int(segments(server)[0].stem) > 1


def test_the_newest_snapshot_may_rot_and_nothing_is_lost(tmp_path: Path) -> None:
    """P3, P6: the one before it and the log that was kept for it stand in, and the operator is told."""
    with serving(tmp_path, settings=SETTINGS) as server:
        server.start()
        ledger = Ledger()
        with Client(server.url) as client, Client(server.url) as watcher:
            watch(watcher, ledger)
            count = 0
            while len(snapshots(server)) < 2 or not is_trimmed(server):
                client.done("enqueue", jobs=echoes(count, 50, size=500))
                count += 50
                await_completed(watcher, ledger, count)
            assert server.stop() == 0
        newest = snapshots(server)[-1]
        content = bytearray(newest.read_bytes())
        content[len(content) // 2] ^= 1
        newest.write_bytes(content)
        assert server.start().ready["jobs"] == count
        told = server.log_lines("a snapshot could not be read, an older one or the log stood in")
        assert newest.name in told[0]["reason"]
        assert server.stop() == 0


def test_a_snapshot_never_hides_damage_and_the_server_goes_on_without_it(tmp_path: Path) -> None:
    """P6: one bit of a sealed segment flips under a running server. The snapshot fails and says where,
    nothing is deleted, and jobs are taken and run as before."""
    settings = {**SETTINGS, "BEAVER_SNAPSHOT__INTERVAL": "1h"}
    with serving(tmp_path, settings=settings) as server:
        server.start()
        ledger = Ledger()
        with Client(server.url) as client, Client(server.url) as watcher:
            watch(watcher, ledger)
            count = 0
            while len(segments(server)) < 2:
                client.done("enqueue", jobs=echoes(count, 50, size=200))
                count += 50
                await_completed(watcher, ledger, count)
            first = segments(server)[0]
            content = bytearray(first.read_bytes())
            content[content.index(b"echo-30")] ^= 1
            first.write_bytes(content)
            # By now the log is past what calls for a snapshot in any case.
            while not server.log_lines("an actor failed and is run again"):
                client.done("enqueue", jobs=echoes(count, 50, size=200))
                count += 50
                await_completed(watcher, ledger, count)
        (told, *_) = server.log_lines("an actor failed and is run again")
        assert told["actor"] == "snapshotter"
        assert f"{first} at offset" in told["exception"]
        assert not snapshots(server)
        assert segments(server)[0] == first
        assert server.stop() == 0
