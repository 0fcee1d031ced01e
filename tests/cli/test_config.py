"""`config check` and `config schema`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import command


def test_a_good_configuration_is_said_to_be(tmp_path: Path) -> None:
    """By example: with what it amounts to."""
    file = tmp_path / "beaver.yaml"
    file.write_text("workers:\n  count: 3\n")
    ended = command("config", "check", file)
    assert ended.code == 0
    assert f"{file}: good" in ended.out
    assert "3 workers" in ended.out


def test_every_problem_is_told_with_its_place(tmp_path: Path) -> None:
    """By example: file, line and column of each, and what was meant; exit code 2."""
    file = tmp_path / "beaver.yaml"
    file.write_text("workers:\n  cuont: 3\nwal:\n  batch_max: many\n")
    ended = command("config", "check", file, env={"BEAVER_WORKERS__COUNT": "2000"})
    assert ended.code == 2
    assert "3 problems" in ended.err
    assert f"{file}:2:3: workers.cuont: unknown setting" in ended.err
    assert "did you mean" in ended.err
    assert f"{file}:4:" in ended.err
    assert "environment BEAVER_WORKERS__COUNT: workers.count" in ended.err


def test_the_settings_are_printed_as_they_would_be(tmp_path: Path) -> None:
    """By example: the environment goes before the file, and values are written as in the file."""
    file = tmp_path / "beaver.yaml"
    file.write_text("workers:\n  count: 3\n  timeout: 90s\n")
    ended = command("config", "check", file, "--json", env={"BEAVER_WORKERS__COUNT": "5"})
    settings = ended.json()
    assert settings["workers.count"] == 5
    assert settings["workers.timeout"] == "90s"


def test_every_schedule_that_is_wrong_is_told_with_its_place(tmp_path: Path) -> None:
    """By example: its times, its job, a field that is none, its name, and what is no schedule at all."""
    file = tmp_path / "beaver.yaml"
    file.write_text(
        "schedules:\n  a: {cron: '61 * * * *', kind: x}\n  b: {every: 5m}\n"
        "  c: {every: 5m, cron: '* * * * *', kind: x, foo: 1}\n  a b: {every: 5m, kind: x}\n  d: 7\n"
        "  good: {every: 5m, kind: x}\nqueues:\n  q: {rate: 0/s}\n  r: {concurrency: many}\n"
    )
    ended = command("config", "check", file)
    assert ended.code == 2
    assert "8 problems" in ended.err
    for told in (
        "2:7: schedules: a.cron: ", "3:3: schedules: b.kind: required", "4:18: schedules: c.cron: ",
        "4:46: schedules: c.foo: unknown field", "5:3: schedules: a b", "6:3: schedules: d: expected",
        "9:7: queues: q.rate", "10:7: queues: r.concurrency: ",
    ):  # fmt: skip
        assert f"{file}:{told}" in ended.err, told
    assert "good" not in ended.err


def test_jobs_of_schedules_are_checked_too(tmp_path: Path) -> None:
    """By example: a field that a start would refuse is found before it."""
    file = tmp_path / "beaver.yaml"
    file.write_text("schedules:\n  poll: {every: 5m, kind: feed.poll, unique_until: started}\n")
    ended = command("config", "check", file)
    assert ended.code == 2
    assert "schedules: poll.unique_until: expected a unique_key with it, got none" in ended.err
    file.write_text("schedules:\n  poll: {every: 5m, kind: feed.poll, expires_in: 1h, unique_key: poll}\n")
    assert command("config", "check", file).code == 0


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "the first line is empty"),
        (b"  \nsesame\n", "the first line is empty"),
        (b"\xff\xfe", "cannot be read: it is not UTF-8 text"),
    ],
)
def test_a_token_that_cannot_be_read_is_found_before_the_start(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    """By example: exit code 2 with the setting, the file and the reason, wherever the setting stands."""
    token_file = tmp_path / "token"
    if content is not None:
        token_file.write_bytes(content)
    file = tmp_path / "beaver.yaml"
    file.write_text(f"server:\n  token_file: {token_file}\n")
    for options, env in (
        ([file], {}),
        ([file, "--json"], {}),
        ([], {"BEAVER_SERVER__TOKEN_FILE": str(token_file)}),
    ):
        ended = command("config", "check", *options, env=env)
        assert (ended.code, ended.out) == (2, "")
        assert f"server.token_file {token_file}: {reason}" in ended.err


def test_a_token_that_can_be_read_is_good_and_stays_secret(tmp_path: Path) -> None:
    """By example: nothing of it is printed."""
    (tmp_path / "token").write_text("sesame\n")
    ended = command("config", "check", env={"BEAVER_SERVER__TOKEN_FILE": str(tmp_path / "token")})
    assert ended.code == 0
    assert "sesame" not in ended.out + ended.err


def test_the_schema_is_printed() -> None:
    """By comparison with the file that editors are pointed to."""
    ended = command("config", "schema")
    assert ended.code == 0
    assert json.loads(ended.out) == json.loads(Path("configs/beaver.schema.json").read_text())


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    """By example."""
    ended = command("config", "check", tmp_path / "none.yaml")
    assert ended.code == 2
    assert "No such file" in ended.err
