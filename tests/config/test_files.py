"""The files that are shipped: the commented defaults and the schema for editors."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from beaver_actors.codec.wire_fields import ATTEMPTS_MAX, QUEUE_PATTERN
from beaver_actors.config import Config, load, schema_text
from beaver_actors.config.catalogue import CATALOGUE, SECTIONS
from beaver_actors.config.schema import schema

CONFIGS = Path(__file__).parents[2] / "configs"


def test_the_default_file_says_what_the_program_does_without_one() -> None:
    """By comparison: parsed, the file is `Config()`, whatever the environment of the test."""
    assert load(CONFIGS / "default.yaml") == Config()


def test_the_default_file_lists_every_setting_with_a_comment() -> None:
    """By comparison with the catalogue: each stands there, in order, below a comment."""
    text = (CONFIGS / "default.yaml").read_text(encoding="utf-8")
    content = yaml.safe_load(text)
    listed = []
    for name, value in content.items():
        listed += [f"{name}.{key}" for key in value] if name in SECTIONS else [name]
    assert listed == list(CATALOGUE)
    for block in re.split(r"\n\n|\n(?=\w+:\n)", text):
        settings = [line for line in block.splitlines() if re.match(r" *\w+: .", line)]
        assert not settings or block.lstrip().startswith(
            ("#", *(f"{section}:\n  #" for section in SECTIONS))
        ), f"no comment above {settings}"


def test_the_schema_file_is_the_one_the_settings_give() -> None:
    """By comparison. If it fails: `python -m beaver_actors config schema > configs/beaver.schema.json`."""
    assert (CONFIGS / "beaver.schema.json").read_text(encoding="utf-8") == schema_text()
    first_line = (CONFIGS / "default.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert first_line == "# yaml-language-server: $schema=./beaver.schema.json"


def test_the_schema_describes_every_setting_as_it_is_written() -> None:
    """By comparison with the catalogue: name, description, and a default that reads back as the default."""
    described = schema()
    for setting in CATALOGUE.values():
        part = described["$defs"][setting.section.capitalize()] if setting.section else described
        entry = part["properties"][setting.key]
        assert entry["description"] == setting.meta.description
        default = entry["default"]
        assert setting.read(list(default) if isinstance(default, tuple) else default) == setting.default


def test_settings_and_messages_agree_on_what_they_share() -> None:
    """By comparison with the wire: a queue that can be sent can be served, and a default is allowed there."""
    described = schema()["$defs"]["Workers"]["properties"]
    assert described["queues"]["anyOf"][0]["items"]["pattern"] == QUEUE_PATTERN
    assert described["max_attempts"]["maximum"] == ATTEMPTS_MAX
