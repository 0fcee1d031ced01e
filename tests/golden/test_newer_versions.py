"""A directory that a newer version wrote is refused by name: which file, the version found, the version that
is read. The server, `verify` and `log` say so, and nothing in the directory is changed (P6)."""

from __future__ import annotations

import shutil
from pathlib import Path
from zlib import crc32

import pytest

from beaver_actors.cli.exits import Exit
from tests.cli.command import command
from tests.crash.harness import serving
from tests.golden.test_golden import HERE, files

NEWER = 7
HEADER = {".wal": 36, ".snap": 44}
"""Sizes of the headers of version 1; a newer one keeps magic, checksum and version where they are."""


def as_newer(file: Path) -> None:
    """Put another version into the header of a segment or a snapshot, with a sound checksum."""
    data = file.read_bytes()
    size = HEADER[file.suffix]
    summed = NEWER.to_bytes(4, "little") + data[16:size]
    file.write_bytes(data[:8] + crc32(summed).to_bytes(4, "little") + summed + data[size:])


def newer(where: str, data: Path) -> str:
    """Make of the copied directory one of a newer version; returns the file that says so."""
    if where == "format":
        (data / "format").write_text(f"beaver-actors data directory, format {NEWER}\n")
        return "format"
    pattern = "snapshots/*.snap" if where == "snapshot" else "wal/*.wal"
    found = sorted(data.glob(pattern))
    file = found[0 if where == "first segment" else -1]
    as_newer(file)
    return str(file.relative_to(data))


WHERE = ("format", "last segment", "snapshot")


@pytest.fixture(params=["v1", "v1-killed"])
def data(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A sound directory of this version, with a lock file as every server leaves one."""
    shutil.copytree(HERE / request.param, tmp_path / "data")
    (tmp_path / "data" / "lock").write_bytes(b"")
    return tmp_path / "data"


@pytest.mark.process
@pytest.mark.parametrize("where", WHERE)
def test_a_server_refuses_what_a_newer_version_wrote(where: str, data: Path, tmp_path: Path) -> None:
    """P6, by a real server: exit code 5, the file and both versions in the log, and every byte as it was."""
    file = newer(where, data)
    before = files(data)
    with serving(tmp_path, data_dir=data) as server:
        server.spawn()
        assert not server.comes_up()
        assert server.end() == Exit.DAMAGED
        (line,) = server.log_lines("the server ends")
    told = line["event"]
    assert f"{data}/{file} has format version {NEWER}; this program reads version 1" in told
    assert files(data) == before


@pytest.mark.parametrize("where", [*WHERE, "first segment"])
def test_verify_tells_what_a_newer_version_wrote(where: str, data: Path) -> None:
    """P6, by example: with the file and both versions, and no repair proposed; a repair is refused too."""
    file = newer(where, data)
    before = files(data)
    report = command("verify", "--data-dir", data, "--json")
    assert report.code == Exit.DAMAGED
    assert not report.json()["starts"] or where == "first segment"
    assert file in [problem["file"] for problem in report.json()["problems"]]
    told = command("verify", "--data-dir", data)
    assert told.code == Exit.DAMAGED
    assert f"{file} has format version {NEWER}; this program reads version 1" in told.out
    assert "--accept-loss" not in told.out
    assert files(data) == before
    if where != "first segment":  # the snapshot stands in for it
        assert command("verify", "--data-dir", data, "--repair", "--accept-loss").code == Exit.DAMAGED
        assert {**files(data), "lock": b""} == {**before, "lock": b""}


@pytest.mark.parametrize("where", ["format", "first segment", "last segment"])
def test_log_refuses_what_a_newer_version_wrote(where: str, data: Path) -> None:
    """P6, by example: after the last fact that it can read. Snapshots are none of its business."""
    file = newer(where, data)
    before = files(data)
    told = command("log", "--data-dir", data)
    assert told.code == Exit.DAMAGED
    assert f"{data}/{file} has format version {NEWER}; this program reads version 1" in told.err
    assert (told.out == "") == (where != "last segment")
    assert files(data) == before
