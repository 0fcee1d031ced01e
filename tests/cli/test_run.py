"""`run`: starting a server, and what it says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.command import command
from tests.cli.server import COMMAND, END_SECONDS, Server

pytestmark = pytest.mark.process


def run_to_its_end(*args: object, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    """Start a server that is expected to end by itself."""
    return subprocess.run(
        [*COMMAND, "run", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", *map(str, args)],
        capture_output=True, text=True, timeout=END_SECONDS, cwd=cwd, env={**os.environ, **env}, check=False,
    )  # fmt: skip


def test_a_server_says_where_it_is_and_ends_when_told(server: Server) -> None:
    """By example: both addresses answer, SIGTERM ends with 0, and a second start knows of the first."""
    server.start()
    assert server.ready["pid"] == server.pid
    assert server.ready["recovery"]["new"]
    assert "beaver_raft_worker_pool_size 8" in server.metrics()
    assert command("status", "--url", server.url, "--json").json()["lsn"] == 0
    assert command("enqueue", "demo.echo", "--wait", "--url", server.url).code == 0
    assert server.stop() == 0
    server.start()
    assert (server.ready["jobs"], server.ready["lsn"]) == (1, 3)
    assert not server.ready["recovery"]["new"]


def test_the_lines_for_people_name_the_addresses(tmp_path: Path) -> None:
    """By example: one line per address and one about recovery, at once although standard output is a pipe."""
    addresses = ["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"]
    process = subprocess.Popen(
        [*COMMAND, "run", *addresses, "--data-dir", str(tmp_path / "data")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline() for _ in range(3)]
        process.send_signal(signal.SIGINT)
        assert process.wait(END_SECONDS) == 0
    finally:
        process.kill()
        process.stdout.close()
    assert lines[0].startswith("listening on ws://127.0.0.1:")
    assert lines[1].startswith("metrics on http://127.0.0.1:")
    assert lines[1].endswith("/metrics\n")
    assert lines[2] == f"new data directory {tmp_path}/data\n"


def test_what_was_interrupted_is_told_at_the_next_start(server: Server) -> None:
    """P3, by example: killed with a job running, the server says that it goes back."""
    server.start()
    job_id = command("enqueue", "demo.sleep", "--args", '{"seconds": 600}', "--url", server.url).out.strip()
    tail = command("tail", "--from-lsn", 1, "--event", "job_started", "-n", 1, "--url", server.url)
    assert job_id in tail.out
    server.kill()
    server.start()
    recovery = server.ready["recovery"]
    assert recovery["rescued"] + recovery["released"] == 1
    assert server.ready["jobs"] == 1


def test_a_second_server_on_the_same_data_is_refused(server: Server) -> None:
    """P9, by example: exit code 6, and the first one goes on."""
    server.start()
    for options in ([], ["--listen", server.url.removeprefix("ws://")]):
        ended = run_to_its_end("--data-dir", server.data_dir, *options)
        assert ended.returncode == 6
        assert "in use by process" in ended.stderr
    assert command("status", "--url", server.url).code == 0


def test_a_port_in_use_is_told(server: Server, tmp_path: Path) -> None:
    """By example: exit code 1, and what to do."""
    server.start()
    ended = run_to_its_end("--data-dir", tmp_path / "other", "--listen", server.url.removeprefix("ws://"))
    assert ended.returncode == 1
    assert "already in use" in ended.stderr
    assert "--listen" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--workers", "1025"], "--workers: workers.count: expected"),
        (["--listen", "7440"], "--listen: server.listen: expected an address"),
        (["--log-level", "loud"], "--log-level: log.level: expected one of"),
        (["--listen", "0.0.0.0:0"], "--token-file"),
        (["--app", "no_such_module:app"], "no_such_module"),
        (["--app", "json:loads"], "App"),
        (["--token-file", "/no/such/file"], "/no/such/file"),
        (["--config", "/no/such/file"], "/no/such/file"),
        (["--workers", "many"], "--workers"),
    ],
)
def test_a_server_that_cannot_start_says_why(tmp_path: Path, options: list[str], message: str) -> None:
    """By example: exit code 2, the option and what was expected, no traceback; nothing is left behind."""
    ended = run_to_its_end("--data-dir", tmp_path / "data", *options, cwd=tmp_path)
    assert ended.returncode == 2
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "data").exists()


def test_a_damaged_log_stops_the_start(server: Server) -> None:
    """P6, by example: exit code 5, the file, and the command that looks closer."""
    server.start()
    command("enqueue", "demo.echo", "--id", "invoice-7", "--url", server.url, "--wait")
    command("enqueue", "demo.echo", "--id", "invoice-8", "--url", server.url, "--wait")
    server.kill()
    (segment,) = (server.data_dir / "wal").glob("*.wal")
    content = bytearray(segment.read_bytes())
    content[content.index(b"invoice-7")] ^= 1
    segment.write_bytes(content)
    ended = run_to_its_end("--data-dir", server.data_dir)
    assert ended.returncode == 5
    assert segment.name in ended.stderr
    assert f"verify --data-dir {server.data_dir}" in ended.stderr
    assert command("verify", "--data-dir", server.data_dir).code == 5


@pytest.mark.parametrize(
    ("data_dir", "reason"),
    [
        ("file", "it is not a directory"),
        ("file/data", "it is not a directory"),
        ("a" * 300, "its name is too long"),
        pytest.param(
            "/proc/data",
            "it is not there and cannot be made there",
            marks=pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a /proc"),
        ),
    ],
)
def test_a_data_directory_that_cannot_be_one_is_told(tmp_path: Path, data_dir: str, reason: str) -> None:
    """By example: exit code 2, the directory, the reason and what to do, no traceback."""
    (tmp_path / "file").write_text("")
    path = tmp_path / data_dir
    ended = run_to_its_end("--data-dir", path)
    assert ended.returncode == 2
    assert f"{path} cannot be the data directory: {reason}" in ended.stderr
    assert "--data-dir" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_token_is_asked_for(tmp_path: Path) -> None:
    """By example: none and a wrong one end with 4 and what to do; a file and the environment can hold it."""
    token_file = tmp_path / "token"
    token_file.write_text("sesame\n")
    server = Server(tmp_path, "--token-file", str(token_file))
    try:
        server.start()
        refused = command("status", "--url", server.url)
        assert refused.code == 4
        assert "--token-file" in refused.err
        assert command("status", "--url", server.url, env={"BEAVER_TOKEN": "wrong"}).code == 4
        assert command("status", "--url", server.url, env={"BEAVER_TOKEN": "sesame"}).code == 0
        assert command("status", "--url", server.url, "--token-file", token_file).code == 0
    finally:
        server.close()


def test_an_app_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By example: a module in the working directory, beside the demo kinds."""
    (tmp_path / "shop.py").write_text(
        "from beaver_actors import App\n"
        "app = App('shop')\n"
        "@app.job('shop.add')\n"
        "def add(a: int, b: int) -> int:\n"
        "    return a + b\n"
    )
    monkeypatch.chdir(tmp_path)
    server = Server(tmp_path, "--app", "shop:app")
    try:
        server.start()
        ended = command("enqueue", "shop.add", "--args", '{"a": 2, "b": 3}', "--wait", "--url", server.url)
        assert (ended.code, ended.out) == (0, "5\n")
        assert command("enqueue", "demo.echo", "--wait", "--url", server.url).code == 0
    finally:
        server.close()


def test_the_announcement_is_one_json_object(server: Server) -> None:
    """By example: scripts read one line and know everything."""
    server.start()
    assert set(server.ready) == {"listen", "metrics", "pid", "life", "jobs", "lsn", "recovery"}
    assert json.dumps(server.ready)
