"""Log lines."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest
import structlog

from beaver_actors.observe.log import LEVELS, Level, Style, configure, get_logger

log = get_logger("beaver_actors.test")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(style: Style = "json", level: Level = "info", stream: io.StringIO | None = None) -> io.StringIO:
    stream = stream or io.StringIO()
    configure(style, level, stream)
    return stream


def test_a_line_is_one_json_object_with_the_fields_by_name() -> None:
    """By example: time, level and logger are ours, whatever the fields are called."""
    stream = lines()
    log.info("recovered", jobs=500, level="loud", file="a\nb")
    (line,) = stream.getvalue().splitlines()
    content = json.loads(line)
    assert content.pop("timestamp").endswith("Z")
    assert content == {
        "event": "recovered",
        "level": "info",
        "logger": "beaver_actors.test",
        "jobs": 500,
        "file": "a\nb",
    }


def test_auto_writes_for_people_on_a_terminal_and_for_machines_elsewhere() -> None:
    """By example."""
    terminal, elsewhere = lines("auto", stream=Terminal()), io.StringIO()
    log.info("recovered", jobs=500)
    configure("auto", "info", elsewhere)
    log.info("recovered", jobs=500)
    assert "\x1b[" in terminal.getvalue()
    assert json.loads(elsewhere.getvalue())["jobs"] == 500


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    """By example: with NO_COLOR set, a terminal gets plain text."""
    monkeypatch.setenv("NO_COLOR", "1")
    stream = lines("console", stream=Terminal())
    log.warning("disk is slow", seconds=0.5)
    assert "disk is slow" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_a_value_cannot_forge_a_line_or_move_the_cursor() -> None:
    """By example: what a client sent stays inside its field, in both forms."""
    for style in ("console", "json"):
        stream = lines(style)
        log.warning("job refused", kind="x\n2026-01-01T00:00:00Z [error] forged \x1b[2J")
        assert stream.getvalue().count("\n") == 1
        assert "\x1b" not in stream.getvalue()


def test_an_error_comes_with_its_traceback_and_without_local_variables() -> None:
    """By example: a token that a function held when it failed is not written."""

    def fail() -> None:
        token = "top" + "secret"
        raise ValueError(len(token))

    for style in ("console", "json"):
        stream = lines(style)
        try:
            fail()
        except ValueError as error:
            log.error("actor failed", error=error, actor="publisher")
        assert "Traceback" in stream.getvalue()
        assert "ValueError: 9" in stream.getvalue()
        assert "topsecret" not in stream.getvalue()


@pytest.mark.parametrize("level", LEVELS)
def test_lines_below_the_level_are_not_written(level: Level) -> None:
    """Every level in turn."""
    stream = lines("json", level)
    for name in LEVELS:
        getattr(log, name)("told")
    written = [json.loads(line)["level"] for line in stream.getvalue().splitlines()]
    assert written == [name for name in LEVELS if LEVELS[name] >= LEVELS[level]]


def test_lines_of_libraries_look_like_ours() -> None:
    """By example: a standard logger, with its arguments filled in, and a bound context."""
    stream = lines()
    with structlog.contextvars.bound_contextvars(session="s1"):
        logging.getLogger("trio-websocket").warning("closed by %s", "peer")
    content = json.loads(stream.getvalue())
    assert content["event"] == "closed by peer"
    assert (content["logger"], content["session"]) == ("trio-websocket", "s1")


def test_a_second_set_up_replaces_the_first() -> None:
    """By example: each line is written once."""
    first, second = lines(), lines()
    log.info("told")
    assert first.getvalue() == ""
    assert len(second.getvalue().splitlines()) == 1


def test_without_a_set_up_lines_go_to_the_embedding_programs_logging(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """By example: nothing is configured behind the back of a program that embeds the server."""
    with caplog.at_level(logging.INFO):
        log.info("recovered", jobs=500)
    assert caplog.messages == ["recovered"]
    assert caplog.records[0].__dict__["fields"] == {"jobs": 500}


def test_importing_the_log_does_not_import_structlog() -> None:
    """In a fresh interpreter: `--help` stays quick."""
    program = "import beaver_actors.observe.log, sys; sys.exit('structlog' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
