"""Tests of `load_app`: from `module:attr` to an app, or to an error that says what to do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from beaver_actors.execute.app import AppError
from beaver_actors.execute.loading import load_app, with_demo
from tests.execute.support import write_app

DEMO_KINDS = {"demo.echo", "demo.sleep", "demo.fail", "demo.crash"}


@pytest.fixture(autouse=True)
def clean_imports(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Modules loaded by a test are forgotten after it."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_an_app_is_found_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory is not on the import path before."""
    spec = write_app(tmp_path, monkeypatch, "found_tasks", "@app.job('mine')\ndef mine(): ...\n")
    assert set(load_app(spec).functions) == {"mine"}
    assert set(with_demo(load_app(spec)).functions) == {"mine"} | DEMO_KINDS


def test_an_app_may_be_inside_something(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The attribute may have dots."""
    write_app(tmp_path, monkeypatch, "nested_tasks", "class jobs:\n    inner = app\n")
    assert load_app("nested_tasks:jobs.inner").name == "app"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("tasks", "expected module:attribute, such as shop.jobs:app"),
        (":app", "expected module:attribute"),
        ("tasks:", "expected module:attribute"),
        ("no_such_module:app", "no module 'no_such_module' in "),
        ("json.no_such_part:app", "no module 'json.no_such_part' in "),
        ("json:app", "module 'json' has no attribute 'app'"),
        ("json:dumps", "expected a beaver_actors.App, got a function"),
    ],
)
def test_a_name_that_leads_nowhere_is_explained(spec: str, message: str) -> None:
    """Each way to mistype it has its own message."""
    with pytest.raises(AppError) as error:
        load_app(spec)
    assert f"app '{spec}': " in str(error.value)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("import no_such_dependency\n", "No module named 'no_such_dependency'"),
        ("1 / 0\n", "ZeroDivisionError: division by zero"),
        ("def broken(:\n", "SyntaxError"),
        ("sys.exit(3)\n", "SystemExit: 3"),
    ],
)
def test_an_app_whose_module_fails_is_shown_with_its_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, message: str
) -> None:
    """The traceback begins in the user's file, not in ours."""
    spec = write_app(tmp_path, monkeypatch, "failing_tasks", body)
    with pytest.raises(AppError) as error:
        load_app(spec)
    text = str(error.value)
    assert "importing module 'failing_tasks' failed" in text
    assert message in text
    assert "failing_tasks.py" in text
    assert "loading.py" not in text


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("@app.schedule('61 * * * *')\n@app.job('x')\ndef x(): ...\n", "cron: "),
        ("@app.job('x', timeout='soon')\ndef x(): ...\n", "timeout: "),
        ("@app.job('x')\ndef x(): ...\n@app.job('x')\ndef y(): ...\n", "'x'"),
    ],
)
def test_what_an_app_asks_for_in_vain_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, message: str
) -> None:
    """The file and line of the user, the sentence, and none of our frames."""
    spec = write_app(tmp_path, monkeypatch, "vain_tasks", body)
    with pytest.raises(AppError) as error:
        load_app(spec)
    text = str(error.value)
    assert message in text
    assert "vain_tasks.py, line " in text
    assert "\n" not in text
    assert "Traceback" not in text


def test_an_app_that_cannot_be_served_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong with a job shows when the server starts, not when the job runs."""
    body = "@app.job('bad')\ndef bad(lock: threading.Event): ...\n"
    spec = write_app(tmp_path, monkeypatch, "unservable_tasks", body)
    with pytest.raises(AppError, match="job 'bad': parameter 'lock': no JSON value becomes a Event"):
        load_app(spec)
