"""Disks that fail in the middle of the load: calls refused at random, a file system that turns read-only."""

from __future__ import annotations

import json
import random
import signal
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.crash.figures import figures
from tests.crash.harness import Client, Gone, serving
from tests.crash.places import image
from tests.crash.storm import SETTINGS, Storm, drawn_seed
from tests.crash.tracer import needs_strace, tampered

pytestmark = pytest.mark.process

LIVES = 15
STORAGE = 7
UNUSABLE = 2
KILLED = -signal.SIGKILL

READ_ONLY = "errors=remount-ro"
READ_ONLY_LIVES = 5

FATAL = {
    "fdatasync": 25,
    "pwrite64": 40,
    "fsync": 6,
    "rename": 3,
    "unlink": 3,
    "ftruncate": 4,
    "fallocate": 3,
}
"""Calls that fail with EIO, each once, and up to which one of its kind in a thread."""
FULL = {"pwrite64": 40, "fallocate": 4}
"""Calls that find no room, now and then."""


@needs_strace
def test_a_server_whose_disk_fails_at_some_call_ends_and_nothing_is_lost(tmp_path: Path) -> None:
    """P8, P3, P4, P7: the kernel refuses one call of a life, or finds no room for some, at random."""
    seed = drawn_seed()
    chance = random.Random(seed)
    with figures("refused call", seed) as told, serving(tmp_path, settings=SETTINGS) as server:
        storm = Storm(server, seed, may_refuse=True)
        codes: list[int] = []
        for _ in range(LIVES):
            full = chance.random() < 0.3
            call, most = chance.choice(sorted((FULL if full else FATAL).items()))
            first = chance.randint(1, most)
            injection = f"error=ENOSPC:when={first}+7" if full else f"error=EIO:when={first}"

            def start() -> None:
                server.fork(held=True)
                traced.enter_context(tampered(server, call, injection))  # noqa: B023  # called in this round
                server.signal(signal.SIGCONT)

            with ExitStack() as traced:
                codes.append(storm.life(start, strike_after=1.5))
            assert codes[-1] in (KILLED, STORAGE), f"{call} {injection}: {codes[-1]}\n{server.errors()}"
        storm.calm()
        told |= {"ended_by_itself": codes.count(STORAGE), **storm.report.figures(storm.ledger)}
    sys.stdout.write(f"{json.dumps(told)}\n")
    assert STORAGE in codes, "no refusal was noticed"


def test_a_disk_that_turns_read_only_ends_the_server_and_takes_nothing(tmp_path: Path) -> None:
    """P8, P3: the kernel does that by itself when it finds a fault in the file system."""
    seed = drawn_seed()
    with (
        image(tmp_path) as disk,
        serving(tmp_path, settings=SETTINGS, data_dir=disk.place / "data") as server,
    ):

        def turn_read_only() -> None:
            # Between two calls: a sync under way could end as if it had succeeded, which is a fault of ext4.
            server.stop_still(between_calls=True)
            disk.turn_read_only()
            server.signal(signal.SIGCONT)
            with suppress(Gone), Client(server.url) as client:  # a server without work would not notice
                reply = client.ask("enqueue", jobs=[{"kind": "demo.echo"}])
                raise AssertionError(f"P1: answered, and not written: {reply}")

        disk.format()
        disk.mount(READ_ONLY)
        with figures("read-only", seed) as told:
            storm = Storm(server, seed, strike=turn_read_only)
            for told["read_only"] in range(1, READ_ONLY_LIVES + 1):
                assert storm.life(server.fork) == STORAGE, server.errors()
                server.fork()
                assert not server.comes_up(), "it serves from a disk that it cannot write"
                assert server.end() == UNUSABLE
                disk.unmount()
                disk.mount(READ_ONLY)
            storm.calm()
            told |= storm.report.figures(storm.ledger)
        told_first, told_later = server.log_lines("the server ends")[:2]
        assert "the log could not be written" in told_first["event"]
        assert "exception" not in told_first, "it says what was wrong, and nothing of what failed after that"
        assert "it is on a read-only file system" in told_later["event"]
