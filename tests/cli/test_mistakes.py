"""Mistakes on the command line: exit code 2, the option that is meant, what was expected and what came."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.cli.command import Ended, command
from tests.cli.server import COMMAND, END_SECONDS, Server

pytestmark = pytest.mark.process

Beaver = Callable[..., Ended]
SET = ("schedules", "set", "mistake", "demo.echo")
QUEUE = ("queues", "set", "mistake")
ECHO = ("enqueue", "demo.echo")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ((*SET, "--every", "1h", "--args", "[]"), "--args: expected a JSON object such as {}, got []"),
        ((*SET, "--every", "1h", "--timeout", "0"), "--timeout: expected more than 0, or none for no"),
        ((*SET, "--every", "soon"), "--every: expected a number of seconds"),
        ((*SET, "--cron", "61 * * * *"), "--cron: "),
        ((*SET, "--every", "5m", "--queue", "two words"), "--queue: expected 1 to 128"),
        (SET, "Expected either --cron or --every."),
        ((*SET, "--every", "5m", "--cron", "@daily"), "Expected either --cron or --every."),
        ((*QUEUE, "--rate", "0/s"), "--rate: "),
        ((*QUEUE, "--concurrency", "0"), "--concurrency: expected a number from 1"),
        ((*QUEUE, "--ageing", "0"), "--ageing: expected more than 0, or none for no ageing, got 0"),
        (("queues", "pause", "two words"), "NAME: expected 1 to 128"),
        (("jobs", "show", "two words"), "ID: expected 1 to 200"),
        (("jobs", "list", "--kind", "two words"), "--kind: expected 1 to 200"),
        (("jobs", "list", "--queue", "\udcff"), "expected UTF-8 on the command line"),
        ((*ECHO, "--timeout", "0"), "--timeout: expected more than 0, or none for no limit, got 0"),
        ((*ECHO, "--timeout", "ever"), "or none for no limit, got"),
        ((*ECHO, "--tag", "good", "--tag", ""), "--tag: expected 1 to 100 characters, got 0"),
        ((*ECHO, "--backoff", '{"kind": "list", "delays": ["x"]}'), "--backoff: delays[0]: expected"),
        ((*ECHO, "--run-at", "2030-01-01T00:00:00"), "--run-at: expected a time with its zone, such as"),
        ((*ECHO, "--args", '{"a": NaN}'), "--args: NaN is not JSON"),
        ((*ECHO, "--args", '{"a": 1e999}'), "--args: expected numbers that fit a double, got 1e999"),
        ((*ECHO, "--args", '{"a": "\\ud800"}'), "--args: expected Unicode, got half a character"),
        ((*ECHO, "--args", '{"a": "\udcff"}'), "--args: expected Unicode, got half a character"),
        ((*ECHO, "--ids"), "--ids: goes with --file"),
        ((*ECHO, "--meta", "7"), "--meta: expected a JSON object"),
        (("status", "--url", "ws://u:secret@127.0.0.1:7440"), "--url: expected no user or password"),
        (("status", "--url", "http://127.0.0.1:7440"), "--url: expected something such as ws://127.0.0.1:7440"),
    ],
    ids=lambda value: None if isinstance(value, tuple) else value[:30],
)  # fmt: skip
def test_a_mistake_is_told_by_its_option(beaver: Beaver, line: Sequence[str], told: str) -> None:
    """By example: whether the command, the client or the server has found it."""
    ended = beaver(*line)
    assert told in ended.err
    assert ended.code == 2
    assert "fault of the program" not in ended.err
    assert "secret" not in ended.err


def test_output_that_cannot_be_written_is_told_with_what_was_lost(shared_server: Server) -> None:
    """By example: a device that is always full; the job is there, and its id is not lost."""
    with open("/dev/full", "w") as full:
        line = [*COMMAND, "enqueue", "demo.echo", "--id", "kept", "--url", shared_server.url]
        ended = subprocess.run(
            line, check=False, stdout=full, stderr=subprocess.PIPE, text=True, timeout=END_SECONDS
        )
    assert ended.returncode == 1
    assert ended.stderr == (
        "Error: standard output: No space left on device\n  Not written, though done: kept\n"
    )


def test_a_parent_that_does_not_exist_is_told_by_its_option(beaver: Beaver) -> None:
    """By example: no mistake of the line, so the code is that of a refusal."""
    ended = beaver(*ECHO, "--depends-on", "nobody")
    assert "not_found: --depends-on: job nobody does not exist" in ended.err
    assert ended.code == 4


def test_one_job_over_http_is_not_numbered(shared_server: Server) -> None:
    """By example: the place of a mistake is the same whoever finds it."""
    url = shared_server.url.replace("ws://", "http://") + "/api/v1/jobs"
    for body, told in (
        ({"kind": "x", "depends_on": ["nobody"]}, "depends_on[0]: "),
        ({"kind": "x", "timeout": "none"}, "timeout: expected a number of seconds"),
        (None, "the message: expected object, got null"),
    ):
        with pytest.raises(HTTPError) as raised:
            urlopen(Request(url, json.dumps(body).encode()), timeout=60)
        message = json.loads(raised.value.read())["error"]["message"]
        assert message.startswith(told)
        if "timeout" in told:
            assert message.endswith('or null for no limit, got "none"')


def test_the_status_over_http_knows_no_parameters(shared_server: Server) -> None:
    """By example: one that is ignored would be taken for one that works."""
    url = shared_server.url.replace("ws://", "http://") + "/api/v1/status"
    with pytest.raises(HTTPError) as raised:
        urlopen(f"{url}?x=1", timeout=END_SECONDS)
    assert raised.value.code == 400
    assert "x: unknown parameter" in raised.value.read().decode()


@pytest.mark.parametrize("token", ["a\nsecret", "secret\x1b", "secret\udcff"])
def test_a_token_that_no_header_can_carry_is_not_shown(token: str) -> None:
    """By example: the variable is named, the token is not."""
    ended = command("status", env={"BEAVER_TOKEN": token})
    assert ended.code == 2
    assert "BEAVER_TOKEN: expected printable characters without line breaks" in ended.err
    assert "secret" not in ended.err


@pytest.mark.parametrize(
    "line",
    [
        (*ECHO, "--unique-key", "\x1b[31mX\nY"),
        (*ECHO, "--id", "\x1b[31mX"),
        (*ECHO, "--\x1b[31m"),
        ("\x1b[31m",),
        ("status", "--url", "\x1b[31m"),
        ("jobs", "show", "\x1b[31m"),
        ("run", "--config", "\x1b[31m/none"),
    ],
)
def test_what_came_is_shown_and_not_obeyed(beaver: Beaver, line: Sequence[str]) -> None:
    """By example: an error's text moves and colours no terminal."""
    ended = beaver(*line)
    assert ended.code == 2
    assert "[31m" in ended.err.replace("\x1b[31m", "")  # as text, which its terminal would have swallowed
