"""The real server of the kit: killed, started again, and used through its client."""

from __future__ import annotations

from pathlib import Path

import pytest

from beaver_actors.testing.kit import RealServer

pytestmark = pytest.mark.process


def test_jobs_survive_a_crash(tmp_path: Path) -> None:
    """P3: the server is killed with jobs running and waiting; the client goes on by itself, at the same
    address."""
    server = RealServer(tmp_path)
    server.start()
    try:
        url = server.url
        slow = server.client.enqueue("demo.sleep", {"seconds": 0.3})
        jobs = [server.client.enqueue("demo.echo", {"x": x}) for x in range(20)]
        server.crash()
        assert server.url == url
        assert [job.result(timeout=60)["x"] for job in jobs] == list(range(20))
        slow.result(timeout=60)
        assert server.stop() == 0
    finally:
        server.close()


def test_what_cannot_be_is_told(tmp_path: Path) -> None:
    """An app that is not there, with the server's own words; a server that does not run."""
    server = RealServer(tmp_path, "no_such_module:app")
    with pytest.raises(RuntimeError, match="has not been started"):
        _ = server.url
    with pytest.raises(RuntimeError, match="does not run"):
        server.kill()
    with pytest.raises(RuntimeError, match=r"did not start:\n(.|\n)*no module 'no_such_module'"):
        server.start()
    server.close()
