"""One data directory, one server (P9)."""

from __future__ import annotations

import selectors
from pathlib import Path

import pytest

from tests.crash.figures import figures
from tests.crash.harness import WAIT_SECONDS, Client, Server, serving

pytestmark = pytest.mark.process
LOCKED = 6
ROUNDS = 25


def first_word(servers: list[Server]) -> Server:
    """Wait until one of these has written something to its standard output, or ended."""
    with selectors.DefaultSelector() as selector:
        for server in servers:
            assert server.process.stdout is not None
            selector.register(server.process.stdout, selectors.EVENT_READ, server)
        ready = selector.select(WAIT_SECONDS)
        assert ready, "neither server has come up"
        found: Server = ready[0][0].data
        return found


def test_of_two_servers_that_start_together_on_one_directory_exactly_one_serves(tmp_path: Path) -> None:
    """P9: a race, many times; the loser names the winner, and the winner's work is untouched."""
    with figures("race") as told, serving(tmp_path) as one, serving(tmp_path) as other:
        for round_number in range(ROUNDS):
            for server in (one, other):
                server.fork()
            first = first_word([one, other])
            second = other if first is one else one
            # Who is heard of first may be the loser, whose output ends without a word.
            winner, loser = (first, second) if first.comes_up() else (second, first)
            if winner is second:
                winner.await_ready()
            assert loser.end() == LOCKED, loser.errors()
            event = loser.log_lines("the server ends")[-1]["event"]
            # Between taking the lock and writing its name into it, the winner is but "another process".
            assert f"is in use by process {winner.process.pid}." in event or "by another process." in event
            with Client(winner.url) as client:
                client.done("enqueue", jobs=[{"id": f"round{round_number}", "kind": "demo.echo"}])
                listed = {job["id"] for job in client.done("list")["jobs"]}
            assert listed == {f"round{number}" for number in range(round_number + 1)}
            winner.kill()
        told["races"] = ROUNDS
    losses = [line for line in one.log_lines("the server ends") if line["exit_code"] == LOCKED]
    assert len(losses) == ROUNDS


def test_a_directory_is_free_again_as_soon_as_its_server_was_killed(tmp_path: Path) -> None:
    """P9: the lock is the process's own and dies with it, although the file stays."""
    with serving(tmp_path) as one, serving(tmp_path) as other:
        one.start()
        one.kill()
        assert (one.data_dir / "lock").exists()
        other.start()
        assert other.stop() == 0
