"""Fuzz targets for files that people write: the configuration and files of jobs. Anything in them is taken
for what it says, or refused in lines that name the place; what was taken is written back the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import yaml

from beaver_actors.cli.jobs_file import PROBLEMS_SHOWN, JobsFileError, read_jobs
from beaver_actors.cli.new_job import JobReader, refuse_repeated_ids
from beaver_actors.config import Config, ConfigError, load
from beaver_actors.config.catalogue import CATALOGUE, value_of
from tests.fuzz.choices import RAW, Choices
from tests.fuzz.messages import RICH_JOB
from tests.fuzz.mutations import odd_tree, spoil

DEFAULTS = Path(__file__).parents[2] / "configs" / "default.yaml"
LINE_CHARS_MAX = 1000
"""A problem repeats what came, but cut."""
JOBS: tuple[dict[str, Any], ...] = ({"kind": "work", "id": "a"}, RICH_JOB, {"kind": "x", "delay": "5m"})
ODD_YAML = (
    "1_000", "0x1F", "0o17", "1:30", "~", "yes", ".inf", ".nan", "!!binary aGk=", "!!python/object:os.x y",
    "&a [*a]", "*a", "<<: *a", "2026-09-01", "!!set {a}", "!!timestamp x", "'", '"\\0"', "|\n  x", "? a\n: b",
    "[" * 40, "{a: " * 20, "\t", "---\n---", "...", "%YAML 9.9\n---", "\ufeff", "\x85", "!<tag:x> y", "- - -",
)  # fmt: skip


def config(data: bytes) -> bool:
    """A configuration file and a few variables: settings, or problems that say where."""
    choices = Choices(data)
    raw = choices.raw()
    path = _file(_config_bytes(choices) if raw is None else raw)
    environ = {_variable(choices): choices.pick(ODD_YAML) for _ in choices.some(2)}
    try:
        found = load(path, environ)
    except ConfigError as error:
        _expect_lines([str(problem) for problem in error.problems])
        return False
    assert _written_back(found) == found
    return True


def jobs_file(data: bytes) -> bool:
    """A file of jobs: all of them, or the lines that are wrong."""
    choices = Choices(data)
    raw = choices.raw()
    content = _jobs_bytes(choices) if raw is None else raw
    reader = JobReader(1024)
    try:
        read = read_jobs("jobs.json", content, reader)
        refuse_repeated_ids("jobs.json", read)
    except JobsFileError as error:
        _expect_places(content, error)
        return False
    text = content.decode("utf-8-sig")
    if text.lstrip(" \t\r\n").startswith("["):
        assert len(read) == len(json.loads(text))
    else:
        assert len(read) == sum(bool(line.strip(" \t\r\n")) for line in text.split("\n"))
    for _, job in read:
        assert reader(msgspec.json.encode(job).decode()) == job
    return True


def config_seeds() -> list[bytes]:
    """The configuration that is shipped."""
    return [RAW + DEFAULTS.read_bytes()]


def jobs_seeds() -> list[bytes]:
    """Files of jobs as an array and as lines."""
    lines = "\n".join(json.dumps(job) for job in JOBS)
    return [RAW + text.encode() for text in (json.dumps(JOBS), json.dumps(JOBS, indent=1), lines)]


def _expect_places(content: bytes, error: JobsFileError) -> None:
    lines = content.count(b"\n") + 1
    assert all(1 <= problem.line <= lines for problem in error.problems)
    shown = str(error).split("\n")
    assert len(shown) <= PROBLEMS_SHOWN + 1
    _expect_lines(shown)


def _config_bytes(choices: Choices) -> bytes:
    content = DEFAULTS.read_bytes()
    match choices.number(4):
        case 0:
            tree = _plain_settings()
            for _ in range(1 + choices.number(4)):
                tree = odd_tree(choices, tree)
            content = json.dumps(tree, default=repr).encode("utf-8", "surrogatepass")
        case 1:
            lines = content.splitlines(keepends=True)
            for _ in range(1 + choices.number(4)):
                place = choices.number(len(lines))
                name, colon, _ = lines[place].partition(b":")
                lines[place] = name + colon + b" " + choices.pick(ODD_YAML).encode() + b"\n"
            content = b"".join(lines)
        case 2:
            return choices.content(200)
        case _:
            for _ in range(1 + choices.number(4)):
                content = spoil(choices, content)
    return spoil(choices, content) if choices.one_in(6) else content


@lru_cache(maxsize=1)
def _plain_settings() -> Any:
    return yaml.safe_load(DEFAULTS.read_text(encoding="utf-8"))


def _variable(choices: Choices) -> str:
    name = choices.pick(list(CATALOGUE))
    return "BEAVER_" + name.upper().replace(".", choices.pick(("__", "__", "_")))


def _written_back(found: Config) -> Config:
    """The settings as one would write them, read again."""
    tree: dict[str, Any] = {}
    for setting in CATALOGUE.values():
        section = tree.setdefault(setting.section, {}) if setting.section else tree
        section[setting.key] = setting.write(value_of(found, setting))
    return load(_file(json.dumps(tree).encode()))


def _jobs_bytes(choices: Choices) -> bytes:
    trees: list[Any] = [choices.pick(JOBS) for _ in range(1 + choices.number(4))]
    for _ in choices.some(3):
        trees = odd_tree(choices, trees) or trees
    dump: Callable[[object], str] = lambda tree: json.dumps(  # noqa: E731  # one place for how it is written
        tree, default=repr, indent=choices.pick((None, 1)) if choices.one_in(3) else None, ensure_ascii=False
    )
    if choices.one_in(2) or not isinstance(trees, list):
        content = dump(trees)
    else:
        content = choices.pick(("\n", "\r\n", "\n\n", " ")).join(
            json.dumps(tree, default=repr) for tree in trees
        )
    data = choices.pick(("", "", "", "\ufeff", "\n \t")).encode() + content.encode("utf-8", "surrogatepass")
    for _ in range(choices.number(8) // 5):
        data = spoil(choices, data)
    return data


@lru_cache(maxsize=1)
def _directory() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="fuzz-")


def _file(content: bytes) -> str:
    path = Path(_directory().name) / "beaver.yaml"
    path.write_bytes(content)
    return str(path)


def _expect_lines(lines: list[str]) -> None:
    assert lines
    for line in lines:
        assert line.strip(), "a problem without words"
        assert len(line) <= LINE_CHARS_MAX, f"a line of {len(line)} characters"
        assert not re.search("[\x00-\x1f\x7f-\x9f]", line), f"control characters in {line!r}"
