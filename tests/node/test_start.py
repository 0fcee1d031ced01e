"""Starts that must not succeed, each with its exit code and a message that says what to do."""

from __future__ import annotations

import errno
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from beaver_actors.client import ConnectFailed, connect
from beaver_actors.journal.board import Board
from beaver_actors.journal.segments import LOG
from beaver_actors.node.exits import Exit
from beaver_actors.node.life import Orders
from beaver_actors.node.serve import serve
from beaver_actors.server.auth import ExposureError
from beaver_actors.server.sockets import ListenError
from tests.node.home import config, end_of, get, node


async def fill(data_dir: Path, jobs: int) -> None:
    """A directory with a log of so many commits."""
    async with node(config(data_dir)) as home, connect(home.url) as client:
        for number in range(jobs):
            await client.enqueue("demo.echo", {"n": number}, id=f"j{number}", delay=3600)


async def test_a_damaged_log_stops_the_start_and_names_file_and_command(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """P6: one bit in the middle of what was acknowledged. Nothing is changed by the attempt."""
    data_dir = tmp_path / "data"
    await fill(data_dir, 20)
    (segment,) = (data_dir / LOG).glob("*.wal")
    content = bytearray(segment.read_bytes())
    content[content.index(b"j7")] ^= 1
    segment.write_bytes(content)
    assert await end_of(config(data_dir)) == Exit.DAMAGED
    told = caplog.messages[-1]
    assert f"{segment} at offset" in told
    assert f"verify --data-dir {data_dir}" in told
    assert segment.read_bytes() == content


async def test_a_torn_end_is_cut_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """P6: half a frame behind the last one, as a power cut leaves it."""
    data_dir = tmp_path / "data"
    await fill(data_dir, 3)
    (segment,) = (data_dir / LOG).glob("*.wal")
    content = segment.read_bytes()
    end = len(content.rstrip(b"\0"))
    segment.write_bytes(content[: end - 5] + bytes(len(content) - end + 5))
    async with node(config(data_dir)) as home, connect(home.url) as client:
        assert home.lives[0].recovered.torn_bytes > 0
        assert [job.id async for job in client.list()] == ["j1", "j0"]
    assert "an interrupted last write was cut" in caplog.messages


async def test_a_second_server_is_told_who_has_the_directory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """P9."""
    async with node(config(tmp_path / "data")):
        assert await end_of(config(tmp_path / "data")) == Exit.LOCKED
    assert any("is in use by process" in message for message in caplog.messages)


async def test_a_file_in_place_of_the_data_directory_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """P6: nothing is overwritten."""
    (tmp_path / "data").write_text("mine")
    assert await end_of(config(tmp_path / "data")) == Exit.USAGE
    assert "cannot be the data directory: it is not a directory" in caplog.messages[-1]
    assert (tmp_path / "data").read_text() == "mine"


async def test_a_file_that_belongs_to_another_user_is_no_failed_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """P8: no service manager should start it again and again. Root may do anything, so it is played."""

    def forbidden(path: Path) -> Board:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("beaver_actors.node.world.Board", forbidden)
    assert await end_of(config(tmp_path / "data")) == Exit.USAGE
    assert "data/running'. Let this user read and write" in caplog.messages[-1]


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A file system that takes nothing."""
    place = tmp_path / "read-only"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,ro", "beaver-test", str(place)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a read-only file system cannot be mounted here, which takes root: {error}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


async def test_a_read_only_disk_is_told(read_only: Path, caplog: pytest.LogCaptureFixture) -> None:
    """P6."""
    assert await end_of(config(read_only / "data")) == Exit.USAGE
    assert "it is on a read-only file system" in caplog.messages[-1]


async def test_a_log_of_another_version_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """P6."""
    await fill(tmp_path / "data", 1)
    (tmp_path / "data" / "format").write_text("beaver-actors data directory, format 2\n")
    assert await end_of(config(tmp_path / "data")) == Exit.DAMAGED
    assert "format version 2; this program reads version 1" in caplog.messages[-1]


@pytest.mark.parametrize("setting", ["server__listen", "metrics__listen"])
async def test_a_port_in_use_is_told_before_the_directory_is_touched(tmp_path: Path, setting: str) -> None:
    """P9: by either port; the directory is not even made."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = config(tmp_path / "data", **{setting: f"127.0.0.1:{taken.getsockname()[1]}"})
        with pytest.raises(ListenError, match="address already in use"):
            await serve(settings, orders=Orders())
    assert not (tmp_path / "data").exists()
    async with node(config(tmp_path / "data")):
        pass


async def test_a_server_without_a_token_is_not_shown_to_other_machines(tmp_path: Path) -> None:
    """Not even started: whoever can connect can run jobs."""
    for address in ("0.0.0.0:0", "[::]:0", ":0"):
        settings = config(tmp_path / "data", server__listen=address)
        if address == ":0":  # no host is this machine alone
            async with node(settings):
                continue
        with pytest.raises(ExposureError, match="without a token"):
            await serve(settings, orders=Orders())
    async with node(config(tmp_path / "data", server__listen="0.0.0.0:0", server__insecure=True)):
        pass


async def test_a_token_is_asked_for_over_websocket_and_http_but_not_for_health(tmp_path: Path) -> None:
    """The metrics port, which is for machines that only look, asks for none."""
    settings = config(tmp_path / "data", server__listen="0.0.0.0:0")
    async with node(settings, token="sesame") as home:
        port = home.lives[0].listen[0].rpartition(":")[2]
        here, http = f"ws://127.0.0.1:{port}", f"http://127.0.0.1:{port}"
        for token in (None, "open"):
            with pytest.raises(ConnectFailed, match="401"):
                async with connect(here, token=token):
                    raise AssertionError("let in")
            assert (await get(f"{http}/api/v1/status", token)).status == 401
            assert (await get(f"{http}/metrics", token)).status == 401
        async with connect(here, token="sesame") as client:
            await client.status()
        assert (await get(f"{http}/api/v1/status", "sesame")).status == 200
        assert (await get(f"{http}/healthz")).status == 200
        assert (await get(f"{http}/readyz")).status == 200
        assert (await get(f"{home.metrics}/metrics")).status == 200
