"""`schedules`: set, shown, paused, triggered and deleted on a real server, which is killed meanwhile."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from tests.cli.command import Ended, command
from tests.cli.server import END_SECONDS, Server

pytestmark = pytest.mark.process

Beaver = Callable[..., Ended]


def test_a_schedule_is_set_shown_and_deleted(beaver: Beaver) -> None:
    """By example: what one reads, and that it says when it is due next."""
    ended = beaver(
        "schedules", "set", "nightly", "demo.echo", "--cron", "30 2 * * *", "--tz", "Europe/Berlin",
        "--overlap", "skip", "--args", '{"a": 1}',
    )  # fmt: skip
    assert ended.code == 0
    assert ended.out.startswith("nightly set\n  next     ")
    assert ended.out.count(" 02:30:00 CE") == 5
    assert "nightly  30 2 * * * Europe/Berlin" in beaver("schedules", "show", "nightly").out
    assert "nightly" in beaver("schedules", "list").out
    listed = beaver("schedules", "list", "--json").json_lines()
    assert "nightly" in [one["name"] for one in listed]
    assert beaver("schedules", "pause", "nightly").out == "nightly paused\n"
    assert beaver("schedules", "show", "nightly").out.endswith("  paused\n")
    job = beaver("schedules", "trigger", "nightly").out.strip()
    assert beaver("jobs", "show", job, "--json").json()["args"] == {"a": 1}
    assert beaver("schedules", "resume", "nightly").out == "nightly resumed\n"
    assert beaver("schedules", "delete", "nightly").out == "nightly deleted\n"
    assert beaver("schedules", "delete", "nightly").code == 4


def test_a_lifetime_and_keys_are_set_and_shown(beaver: Beaver) -> None:
    """By example: and a job out of turn is refused while the key is held."""
    beaver(
        "schedules", "set", "once", "demo.sleep", "--every", "7d", "--queue", "nobody", "--expires-in", "1h",
        "--unique-key", "once", "--unique-for", "2h", "--concurrency-key", "c", "--args", '{"seconds": 60}',
    )  # fmt: skip
    shown = beaver("schedules", "show", "once").out
    assert "expire after 1 h; unique once until finished for 2 h, else reject; concurrency key c" in shown
    assert beaver("schedules", "trigger", "once").code == 0
    refused = beaver("schedules", "trigger", "once")
    assert refused.code == 4
    assert "not_unique" in refused.err
    assert beaver("schedules", "set", "once", "demo.sleep", "--every", "7d", "--unique-for", "2h").code == 2
    beaver("schedules", "delete", "once")


def test_a_schedule_that_never_fires_is_refused(beaver: Beaver) -> None:
    """By example: the field, and what is wrong with it."""
    ended = beaver("schedules", "set", "never", "demo.echo", "--cron", "0 0 31 2 *")
    assert ended.code != 0
    assert '--cron: expected a time that comes, got "0 0 31 2 *", which never fires' in ended.err


def test_a_killed_server_goes_on_firing_and_repeats_nothing(server: Server) -> None:
    """P3, P5: kill -9 between fires; each time has one job, before and after."""
    server.start()
    run = {"BEAVER_URL": server.url}
    assert command("schedules", "set", "tick", "demo.echo", "--every", "1s", env=run).code == 0
    _until(run, fired=3)
    server.kill()
    server.start()
    run = {"BEAVER_URL": server.url}
    before = command("schedules", "show", "tick", "--json", env=run).json()
    after = _until(run, fired=before["fired"] + 2)
    assert command("schedules", "delete", "tick", env=run).code == 0
    listed = command("jobs", "list", "--kind", "demo.echo", "--json", env=run).out.splitlines()
    ids = [json.loads(job)["id"] for job in listed]
    assert len(set(ids)) == len(ids) >= after["fired"]


def _until(run: dict[str, str], fired: int) -> dict[str, int]:
    """Wait until the schedule has fired so often."""
    for _ in range(END_SECONDS * 5):
        shown: dict[str, int] = command("schedules", "show", "tick", "--json", env=run).json()
        if shown["fired"] >= fired:
            return shown
        time.sleep(0.2)
    raise AssertionError(f"it does not fire: {shown}")
