"""The pytest plugin, in a pytest of its own: its fixtures work, and who does not ask for them does not
pay."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

JOBS = """
from beaver_actors import App

app = App()
seen = []

@app.job("note")
def note(text: str) -> str:
    seen.append(text)
    return text
"""


def pytest_in(directory: Path, tests: str, *options: str, ini: str = "") -> subprocess.CompletedProcess[str]:
    (directory / "shop_jobs.py").write_text(JOBS)
    (directory / "test_it.py").write_text(tests)
    (directory / "pytest.ini").write_text(f"[pytest]\npythonpath = .\naddopts = --strict-markers\n{ini}")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


@pytest.mark.process
def test_the_fixtures_serve_the_app_that_is_named(tmp_path: Path) -> None:
    """By the setting, by a fixture of the same name, inline by the marker, and as a real server that
    crashes."""
    tests = """
import pytest
from shop_jobs import app, note, seen

def test_manual(beaver):
    job = beaver.client.enqueue(note.call("a"))
    beaver.assert_enqueued(note)
    assert seen == []
    beaver.drain_queue()
    assert job.result() == "a"

@pytest.mark.beaver(inline=True)
def test_inline(beaver):
    assert beaver.client.enqueue(note.call("b")).result() == "b"

def test_real(beaver_server):
    job = beaver_server.client.enqueue(note.call("c"))
    beaver_server.crash()
    assert job.result(timeout=60) == "c"

class TestAnother:
    @pytest.fixture
    def beaver_app(self):
        return app

    def test_object(self, beaver):
        beaver.client.enqueue(note.call("d"))

    def test_no_server_for_an_object(self, beaver_server):
        pass
"""
    done = pytest_in(tmp_path, tests, ini="beaver_app = shop_jobs:app\n")
    assert "4 passed, 1 error" in done.stdout, done.stdout + done.stderr
    assert (
        "beaver_server: expected beaver_app as text, module:attr, got <beaver_actors.execute.app.App"
        in done.stdout
    )


def test_without_a_setting_there_are_the_demo_jobs(tmp_path: Path) -> None:
    """The first try works with no code at all."""
    tests = """
def test_demo(beaver):
    job = beaver.client.enqueue("demo.echo", {"x": 1})
    beaver.drain_queue()
    assert job.result() == {"x": 1}
"""
    done = pytest_in(tmp_path, tests)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_tests_that_do_not_ask_for_it_load_nothing_of_it(tmp_path: Path) -> None:
    """The plugin is part of every pytest on the machine. By looking at what was imported."""
    tests = """
import sys

def test_nothing_is_loaded():
    ours = {name for name in sys.modules if name.startswith("beaver_actors")}
    assert ours == {"beaver_actors", "beaver_actors.testing", "beaver_actors.testing.pytest_plugin"}
    assert "msgspec" not in sys.modules
"""
    done = pytest_in(tmp_path, tests, "-p", "no:trio", "-p", "no:hypothesispytest")
    assert "1 passed" in done.stdout, done.stdout + done.stderr
