"""The demonstration, smaller; and that it can fail."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from beaver_actors.core.facts import Fact, JobCompleted, JobStarted
from beaver_actors.journal.disk import RealDisk
from beaver_actors.journal.recovery import open_journal
from beaver_actors.journal.settings import JournalSettings
from scripts.demo import Report, compare, show
from tests.cli.server import END_SECONDS

ENVIRONMENT = {**os.environ, "PYTHON": sys.executable}
DEMO = ("bash", "scripts/demo.sh")


@pytest.mark.process
def test_nothing_is_lost_when_the_server_is_killed_twice() -> None:
    """P3 and P4, by the demonstration that users are shown, with a tenth of its jobs."""
    ended = subprocess.run(
        [*DEMO, "--jobs", "200", "--kills", "2", "--json"],
        capture_output=True, text=True, timeout=END_SECONDS, env=ENVIRONMENT, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    assert report["acknowledged"] == report["completed"] == 200
    assert report["lost"] == report["recorded_twice"] == 0
    assert len(report["kills"]) == 2
    assert len(report["recoveries"]) == 3


@pytest.mark.process
def test_a_demonstration_that_takes_too_long_says_so() -> None:
    """By example: exit code 1, a sentence, and no server left behind."""
    ended = subprocess.run(
        [*DEMO, "--deadline", "0.01"],
        capture_output=True, text=True, timeout=END_SECONDS, env=ENVIRONMENT, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert "did not end within 0.01 s" in ended.stderr


def test_the_readme_shows_what_the_demonstration_prints(capsys: pytest.CaptureFixture[str]) -> None:
    """By comparison of the report, but for the figures."""
    report = Report(2000, 2000, 2000, 0, 0, 2100, ["early", "late"])
    report.recoveries = [{"seconds": 0.25, "facts": 1000}] * 3
    report.seconds = 8.0
    show(report)
    printed = re.sub(r"[0-9][0-9,.]*", "0", capsys.readouterr().out)
    (block,) = re.findall(r"\$ make demo\n.*?(\n\n.*?)```", Path("README.md").read_text(), re.DOTALL)
    assert re.sub(r"[0-9][0-9,.]*", "0", block).strip() == printed.strip()


@pytest.mark.parametrize(
    ("completed", "lost", "twice"),
    [(["a", "b"], 0, 0), (["a"], 1, 0), (["a", "b", "a"], 0, 1), ([], 2, 0)],
)
def test_a_broken_promise_would_be_seen(tmp_path: Path, completed: list[str], lost: int, twice: int) -> None:
    """P3 and P4, by seeded faults: a log that lacks a job, and one that has a job twice."""
    journal = open_journal(RealDisk(str(tmp_path)), JournalSettings(65_536, 65_536)).journal
    for job_id in completed:
        facts: list[Fact] = [JobStarted(job_id, 0, "w"), JobCompleted(job_id, 0, journal.head + 1)]
        journal.append(facts)
    journal.close()
    report = Report(jobs=2, acknowledged=2)
    compare(["a", "b"], tmp_path, report)
    assert (report.lost, report.recorded_twice) == (lost, twice)
    assert report.good == (completed == ["a", "b"])
