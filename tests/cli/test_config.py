"""`config check` and `config schema`."""

from __future__ import annotations

import json
from pathlib import Path

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
    ended = command("config", "check", file, env={"BEAVER_WORKERS__COUNT": "0"})
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
