"""The checksums example on the Python standard library's own files, with the server killed in the middle."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from examples.checksums.run import files
from tests.cli.command import command
from tests.cli.server import END_SECONDS, Server

pytestmark = pytest.mark.process

FILES = 300
LARGE_BYTES = 256 * 1024 * 1024
RUN = (sys.executable, "examples/checksums/run.py")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server with the example's app. One worker: what comes after a large file waits for it."""
    server = Server(tmp_path / "server", "--app", "examples.checksums.app:app", "--workers", "1")
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Some hundred files of the standard library, with names that make trouble among them."""
    source, tree = Path(sysconfig.get_path("stdlib")), tmp_path / "library"
    for path in sorted(source.rglob("*.py"))[:FILES]:
        copy = tree / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    (tree / "two words ‘é’.py").write_text("")
    return tree


@pytest.fixture
def large(library: Path) -> Path:
    """A file in the middle that takes a good part of a second, although it is nearly all hole."""
    middle = list(files(library, "*.py"))[FILES // 2]
    path = middle.with_name(f"{middle.name}.large")
    with path.open("wb") as file:
        file.truncate(LARGE_BYTES)
    return path


def expected(tree: Path) -> dict[str, str]:
    """What `sha256sum` says, or hashlib where there is none; by path."""
    paths = [str(path) for path in tree.resolve().rglob("*") if path.is_file()]
    if shutil.which("sha256sum") is None:
        return {path: hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in paths}
    return digests(subprocess.run(["sha256sum", *paths], capture_output=True, text=True, check=True).stdout)


def digests(text: str) -> dict[str, str]:
    """The lines of sha256sum as a mapping from path to digest."""
    return {path: digest for digest, path in (line.split("  ", 1) for line in text.splitlines())}


def test_every_checksum_is_right_although_the_server_is_killed(
    server: Server, library: Path, large: Path
) -> None:
    """P3 and P4, by a whole application: killed with SIGKILL while it works and started again, no file is
    lost, every digest is that of sha256sum, and each result is in the log once."""
    server.start()
    order = list(files(library, "*"))
    before = order.index(large)
    run = subprocess.Popen(
        [*RUN, str(library), "--url", server.url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        command("tail", "--from-lsn", 1, "--event", "job_completed", "-n", before, "--url", server.url)
        server.kill()  # while it computes the large one
        assert before <= len(completed(server)) < len(order)
        server.start()
        out, err = run.communicate(timeout=END_SECONDS)
    finally:
        run.kill()
        run.communicate()
    assert run.returncode == 0, err
    assert list(digests(out)) == [str(path) for path in order]
    assert digests(out) == expected(library)
    assert len(completed(server)) == len(set(completed(server))) == len(order)


def completed(server: Server) -> list[str]:
    """The jobs whose completion is in the log, as often as it is."""
    ended = command("log", "--data-dir", server.data_dir, "--event", "job_completed", "--json")
    return [event["job_id"] for event in ended.json_lines()]


def test_running_it_again_makes_no_new_jobs(server: Server, library: Path, tmp_path: Path) -> None:
    """P5, by example: the second run gets the results of the first, and a changed file is a new job."""
    server.start()
    few = library / "asyncio"
    sums = [tmp_path / name for name in ("first", "second", "third")]
    for file in sums[:2]:
        subprocess.run([*RUN, str(few), "--url", server.url, "--output", str(file)], check=True)
    assert sums[0].read_text() == sums[1].read_text() != ""
    enqueued = command("status", "--url", server.url, "--json").json()["totals"]["enqueued"]
    assert enqueued == len(sums[0].read_text().splitlines())
    with next(few.glob("*.py")).open("a") as changed:
        changed.write("# changed\n")
    subprocess.run([*RUN, str(few), "--url", server.url, "--output", str(sums[2])], check=True)
    assert command("status", "--url", server.url, "--json").json()["totals"]["enqueued"] == enqueued + 1
    assert digests(sums[2].read_text()) == expected(few)


def test_a_file_that_cannot_be_read_is_told(server: Server, tmp_path: Path) -> None:
    """By example: the path and the reason, exit code 1, and no second attempt at what would fail again."""
    server.start()
    args = json.dumps({"path": str(tmp_path / "gone")})
    ended = command("enqueue", "checksums.sha256", "--args", args, "--wait", "--json", "--url", server.url)
    assert ended.code == 1
    job = ended.json()
    assert (job["state"], job["reason"]) == ("dead", "rejected")
    assert "No such file" in job["errors"][0]["message"]


def test_the_server_and_its_token_come_from_the_environment(tmp_path: Path) -> None:
    """By example: as for the command line; without the token it is refused, and --url goes before."""
    tree, token_file = tmp_path / "tree", tmp_path / "token"
    tree.mkdir()
    (tree / "file").write_bytes(b"")
    token_file.write_text("sesame")
    options = ("--app", "examples.checksums.app:app", "--token-file", str(token_file))
    server = Server(tmp_path / "server", *options)
    run = partial(subprocess.run, capture_output=True, text=True, check=False, timeout=END_SECONDS)
    try:
        server.start()
        env = os.environ | {"BEAVER_URL": server.url, "BEAVER_TOKEN": ""}
        refused = run([*RUN, str(tree)], env=env)
        assert refused.returncode == 3
        assert "401" in refused.stderr
        env["BEAVER_TOKEN"] = "sesame"
        assert digests(run([*RUN, str(tree)], env=env).stdout) == expected(tree)
        env["BEAVER_URL"] = "ws://127.0.0.1:1"
        assert digests(run([*RUN, str(tree), "--url", server.url], env=env).stdout) == expected(tree)
    finally:
        server.close()


def test_no_server_is_told(library: Path) -> None:
    """By example: exit code 3, in one line."""
    ended = subprocess.run(
        [*RUN, str(library), "--url", "ws://127.0.0.1:1"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 3
    assert "no server" in ended.stderr
    assert "Traceback" not in ended.stderr
