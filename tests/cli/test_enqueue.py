"""`enqueue`: one job from options, many from a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.command import Ended, command
from tests.cli.server import Server

pytestmark = pytest.mark.process

Beaver = Callable[..., Ended]


def test_one_job_is_handed_in(beaver: Beaver) -> None:
    """P1, by example: the id on standard output is that of a job that the server has."""
    ended = beaver("enqueue", "demo.echo", "--args", '{"a": 1}')
    assert ended.code == 0
    job = beaver("jobs", "show", ended.out.strip(), "--json").json()
    assert (job["kind"], job["args"]) == ("demo.echo", {"a": 1})


def test_the_result_of_a_job_can_be_waited_for(beaver: Beaver) -> None:
    """By example: the result, and nothing else, on standard output."""
    ended = beaver("enqueue", "demo.echo", "--args", '{"a": 1}', "--wait")
    assert ended.code == 0
    assert ended.json() == {"a": 1}
    assert "completed" in ended.err


def test_every_option_gets_to_the_job(beaver: Beaver) -> None:
    """By example: all of them at once, as the server shows them."""
    ended = beaver(
        "enqueue", "demo.echo", "--id", "all-options", "--queue", "options", "--priority", 7,
        "--run-at", "2100-01-01T00:00:00Z", "--expires-at", "2100-01-02T00:00:00Z", "--timeout", "5m",
        "--max-attempts", 3, "--backoff", "2.5", "--retention", "7d", "--tag", "a", "--tag", "b",
        "--meta", '{"x": 1}',
    )  # fmt: skip
    assert ended.out == "all-options\n"
    job = beaver("jobs", "show", "all-options", "--json").json()
    expected = {
        "queue": "options", "priority": 7, "run_at": "2100-01-01T00:00:00Z", "max_attempts": 3,
        "timeout": 300, "expires_at": "2100-01-02T00:00:00Z", "retention": 604800, "tags": ["a", "b"],
        "meta": {"x": 1}, "backoff": {"kind": "fixed", "delay": 2.5}, "state": "scheduled",
    }  # fmt: skip
    assert {name: job[name] for name in expected} == expected


def test_a_delay_and_no_timeout_and_a_rule_for_the_backoff(beaver: Beaver) -> None:
    """By example: the other forms of some options."""
    rule = '{"kind": "list", "delays": [1, "5s"]}'
    job_id = beaver(
        "enqueue", "demo.echo", "--delay", "1h", "--timeout", "none", "--backoff", rule
    ).out.strip()
    job = beaver("jobs", "show", job_id, "--json").json()
    assert job["state"] == "scheduled"
    assert job["timeout"] is None
    assert job["backoff"] == {"kind": "list", "delays": [1, 5]}


def test_handing_in_twice_is_harmless(beaver: Beaver) -> None:
    """P5, by example: the same job under the same id changes nothing, another is refused with exit code 4."""
    job = ("enqueue", "demo.echo", "--id", "twice", "--args", '{"a": 1}')
    assert beaver(*job).code == 0
    again = beaver(*job)
    assert again.code == 0
    assert "nothing has changed" in again.err
    other = beaver("enqueue", "demo.echo", "--id", "twice", "--args", '{"a": 2}')
    assert other.code == 4
    assert "conflict" in other.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["demo.echo", "--args", "{bad"], "--args: not valid JSON"),
        (["demo.echo", "--args", "[1]"], "--args: expected a JSON object"),
        (["demo.echo", "--delay", "-3"], 'delay: expected'),
        (["demo.echo", "--delay", "soon"], "delay: expected"),
        (["demo.echo", "--run-at", "tomorrow"], "--run-at: expected a time"),
        (["demo.echo", "--priority", "200"], "priority: expected"),
        (["demo.echo", "--priority", "high"], "--priority"),
        (["two words"], "KIND: expected"),
        ([], "KIND or --file"),
        (["demo.echo", "--file", "x.json"], "KIND or --file"),
        (["--file", "x.json", "--queue", "mail"], "--queue goes with KIND"),
        (["--file", "/no/such/file"], "/no/such/file: cannot be read: No such file"),
        (["--file", "/"], "/: cannot be read: Is a directory"),
        (["demo.echo", "--max-job-size", "big"], "--max-job-size: expected"),
        (["demo.echo", "--url", "http://127.0.0.1:1"], "--url: expected"),
        (["demo.echo", "--token-file", "/no/such/file"], "--token-file /no/such/file: cannot be read"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_before_anything_is_sent(options: list[str], message: str) -> None:
    """By example: exit code 2, and no connection is even tried."""
    ended = command("enqueue", *options, env={"BEAVER_URL": "ws://127.0.0.1:1"})
    assert ended.code == 2
    assert message in ended.err


def test_all_jobs_of_a_file_are_handed_in(beaver: Beaver, tmp_path: Path) -> None:
    """P1, by example: as an array, in messages of two jobs, with their ids in the order of the file."""
    file = tmp_path / "jobs.json"
    file.write_text(json.dumps([{"kind": "demo.echo", "args": {"n": n}, "queue": "array"} for n in range(5)]))
    ended = beaver("enqueue", "--file", file, "--batch", 2, "--ids", "--wait")
    assert ended.code == 0
    ids = ended.out.split()
    assert len(ids) == 5
    assert "5 jobs accepted" in ended.err
    assert "5 completed" in ended.err
    shown = [beaver("jobs", "show", job_id, "--json").json()["args"]["n"] for job_id in ids]
    assert shown == [0, 1, 2, 3, 4]


def test_jobs_are_read_from_standard_input(beaver: Beaver) -> None:
    """By example: lines, as another program would write them."""
    lines = "".join(json.dumps({"kind": "demo.echo", "args": {"n": n}}) + "\n" for n in range(3))
    ended = beaver("enqueue", "-f", "-", "--json", "--wait", stdin=lines)
    assert ended.code == 0
    shown = ended.json()
    assert shown["accepted"] == 3
    assert [job["result"] for job in shown["jobs"]] == [{"n": 0}, {"n": 1}, {"n": 2}]


def test_one_bad_line_keeps_all_jobs_back(beaver: Beaver, tmp_path: Path) -> None:
    """By example: each bad line is named, exit code 2, and the server has none of the good ones."""
    file = tmp_path / "jobs.jsonl"
    good = '{"kind": "demo.echo", "queue": "badfile"}'
    file.write_text(f'{good}\n{{"kind": "demo.echo", "delay": -1}}\n{good}\n{{"kind": 7}}\nnonsense\n')
    ended = beaver("enqueue", "--file", file)
    assert ended.code == 2
    assert "3 problems; nothing was handed in" in ended.err
    assert f"{file}:2: delay: expected" in ended.err
    assert f"{file}:4: kind: expected text" in ended.err
    assert f"{file}:5: " in ended.err
    assert beaver("jobs", "list", "--queue", "badfile", "--json").out == ""


def test_a_file_without_jobs_is_a_mistake(tmp_path: Path) -> None:
    """By example: more likely the wrong file than nothing to do; exit code 2, and no connection is tried."""
    file = tmp_path / "jobs.json"
    for content in ("", "[]", "\n \n", "\ufeff"):
        file.write_text(content)
        for options in ((), ("--wait",), ("--json",)):
            ended = command("enqueue", "--file", file, *options, env={"BEAVER_URL": "ws://127.0.0.1:1"})
            assert (ended.code, ended.out) == (2, "")
            assert f"no jobs in {file}" in ended.err
    assert "no jobs in standard input" in command("enqueue", "--file", "-", stdin="").err


def test_jobs_that_do_not_complete_are_told(beaver: Beaver) -> None:
    """By example: exit code 1, the numbers, and each with its reason; in both forms of the command."""
    fails = json.dumps({"kind": "demo.fail", "args": {"message": "no paper"}, "max_attempts": 1})
    ended = beaver("enqueue", "--file", "-", "--wait", stdin=f'{fails}\n{{"kind": "demo.echo"}}\n')
    assert ended.code == 1
    assert "1 completed, 1 dead" in ended.out
    assert "is dead (max_attempts): RuntimeError: no paper" in ended.out
    one = beaver("enqueue", "demo.fail", "--max-attempts", 1, "--wait")
    assert one.code == 1
    assert one.out == ""
    assert "is dead (max_attempts): RuntimeError" in one.err


def test_a_refusal_half_way_is_told(tmp_path: Path) -> None:
    """P11, by example: how many were accepted before the queue was full; patience waits for room instead."""
    server = Server(tmp_path)
    lines = "".join('{"kind": "nobody.serves"}\n' for _ in range(7))
    try:
        config = tmp_path / "beaver.yaml"
        config.write_text("limits:\n  pending_jobs: 5\n  queue_jobs: 5\n")
        server = Server(tmp_path, "--config", str(config))
        server.start()
        ended = command("enqueue", "--file", "-", "--batch", 2, "--url", server.url, stdin=lines)
        assert ended.code == 4
        assert "4 of 7 jobs accepted, then the server refused: queue_full" in ended.err
        full = command("enqueue", "nobody.serves", "--patience", 0.01, "--url", server.url)
        assert full.code == 0  # one still fits
        full = command("enqueue", "nobody.serves", "--patience", 0.01, "--url", server.url)
        assert full.code == 4
    finally:
        server.close()


def test_no_server_is_told() -> None:
    """By example: exit code 3, and how to start one or name another."""
    ended = command("enqueue", "demo.echo", "--url", "ws://127.0.0.1:1")
    assert ended.code == 3
    assert "no server at ws://127.0.0.1:1" in ended.err
    assert "run" in ended.err
    assert "--url" in ended.err
