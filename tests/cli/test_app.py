"""The root command: help, errors, exit codes, and the book about them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from beaver_actors.cli import app, status as status_module
from beaver_actors.cli.exits import Exit
from beaver_actors.node import exits as node_exits
from tests.cli.command import command
from tests.cli.server import COMMAND

HEAVY = ("rich", "trio", "msgspec", "structlog", "prometheus_client", "trio_websocket", "cbor2", "yaml")


def commands(
    group: click.Group = app.beaver, before: tuple[str, ...] = ()
) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, by its full name."""
    for name, one in group.commands.items():
        if isinstance(one, click.Group):
            yield from commands(one, (*before, name))
        else:
            yield " ".join((*before, name)), one


COMMANDS = dict(commands())


def test_help_lists_every_command() -> None:
    """By exhaustion: each stands in a section, with a sentence about it."""
    ended = command("--help")
    assert ended.code == 0
    for name in app.beaver.commands:
        assert re.search(rf"^  {name} +[A-Z].*\.$", ended.out, re.MULTILINE), name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained(name: str) -> None:
    """By exhaustion: nobody has to guess what an option does."""
    one = COMMANDS[name]
    assert one.help
    for parameter in one.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts}"
    assert command(*name.split(), "--help").code == 0


def test_help_loads_nothing_heavy() -> None:
    """By looking at what was imported: so that help, completion and mistakes are answered at once."""
    code = (
        "import sys\nfrom beaver_actors.cli.app import beaver\n"
        "try:\n    beaver(['--help'])\nexcept SystemExit:\n"
        f"    print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "[]"


def test_the_module_can_be_run() -> None:
    """By example: as the installed command can."""
    ended = subprocess.run([*COMMAND, "--version"], capture_output=True, text=True, check=True)
    assert ended.stdout.startswith("beaver_actors, version ")


def test_a_mistyped_command_is_told() -> None:
    """By example: exit code 2."""
    ended = command("enqeue")
    assert ended.code == 2
    assert "enqeue" in ended.err


@pytest.mark.parametrize("group", [None, "jobs", "queues", "config"])
def test_a_group_alone_shows_its_help(group: str | None) -> None:
    """By example: with the exit code of a mistake, because nothing was done."""
    ended = command(*([] if group is None else [group]))
    assert ended.code == 2
    assert "Usage:" in ended.err


def test_a_fault_of_ours_is_told_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a seeded fault: exit code 1 and how to report it; --debug, before or after the command, shows it."""

    def fail(*_: object) -> None:
        raise ExceptionGroup("tasks", [LookupError("no such thing")])

    monkeypatch.setattr(status_module, "talk", fail)
    ended = command("status")
    assert ended.code == 1
    assert "LookupError: no such thing" in ended.err
    assert "--debug" in ended.err
    assert "Traceback" not in ended.err
    for debugged in (command("--debug", "status"), command("status", "--debug")):
        assert debugged.code == 1
        assert "Traceback" in debugged.err
        assert "no such thing" in debugged.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (KeyboardInterrupt(), 130),
        (BaseExceptionGroup("tasks", [KeyboardInterrupt(), ValueError("x")]), 130),
        (click.Abort(), 130),
        (PermissionError(13, "Permission denied", "/some/file"), 1),
        (MemoryError(), 1),
    ],
)
def test_other_ends_have_their_codes(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By seeded faults: Ctrl-C, alone and in a nursery's group; an error of the system, with its file."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(status_module, "talk", fail)
    ended = command("status")
    assert ended.code == code
    assert "Traceback" not in ended.err
    if isinstance(error, OSError):
        assert "/some/file: Permission denied" in ended.err


def test_server_and_command_line_agree_on_exit_codes() -> None:
    """By comparison: `run` ends with the node's codes, which the book explains once."""
    assert {code.name: int(code) for code in node_exits.Exit}.items() <= {
        code.name: int(code) for code in Exit
    }.items()


BOOK = Path("docs/cli.md").read_text() if Path("docs/cli.md").exists() else ""


def test_the_book_names_every_command_and_no_other() -> None:
    """By comparison of docs/cli.md with the commands there are."""
    assert set(re.findall(r"^### `beaver ([a-z ]+)`", BOOK, re.MULTILINE)) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_book_names_every_option(name: str) -> None:
    """By comparison: the section of each command in docs/cli.md, or the one on common options."""
    section = re.search(rf"^### `beaver {name}`\n(.*?)(?=^##|\Z)", BOOK, re.MULTILINE | re.DOTALL)
    common = re.search(r"^## Options that many commands have\n(.*?)(?=^## )", BOOK, re.MULTILINE | re.DOTALL)
    assert section
    assert common
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", section[1]))
    known = named | set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", common[1]))
    options = {name for option in COMMANDS[name].params for name in option.opts if name.startswith("--")}
    assert options <= known
    assert named <= options | {"--help"}


def test_the_book_names_every_exit_code() -> None:
    """By comparison of the table in docs/cli.md with the codes there are."""
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", BOOK, re.MULTILINE)] == sorted(Exit)
