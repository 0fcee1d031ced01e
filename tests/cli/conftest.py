"""Servers for the tests of commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.command import Ended, command
from tests.cli.server import Server


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that many tests talk to, each about queues and jobs of its own."""
    server = Server(tmp_path_factory.mktemp("shared"))
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server that the test may kill; it is not started yet."""
    server = Server(tmp_path)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def beaver(shared_server: Server) -> Callable[..., Ended]:
    """Runs a command against the shared server."""

    def run(*args: object, stdin: str | bytes | None = None) -> Ended:
        return command(*args, stdin=stdin, env={"BEAVER_URL": shared_server.url})

    return run
