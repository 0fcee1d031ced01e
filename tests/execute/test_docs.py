"""Tests of `docs/jobs.md`: its code is loaded and run as it stands there."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import trio.testing

from beaver_actors.core.answers import Parent
from beaver_actors.core.job import JobState
from beaver_actors.core.outcome import Failed, Rejected, Snoozed, Succeeded
from beaver_actors.execute.loading import load_app
from tests.execute.support import attempt, run

JOBS = Path(__file__).parents[2] / "docs" / "jobs.md"


async def test_the_code_of_the_page_does_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """All blocks together are one app; each of its jobs but the one that needs another program is run."""
    blocks = re.findall(r"^```python\n(.*?)^```$", JOBS.read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "shop_jobs.py").write_text("\n\n".join(blocks))
    (tmp_path / "words.txt").write_text("a b a\nc\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with closing(sqlite3.connect("shop.db")) as database:
        database.execute("CREATE TABLE accounts (name TEXT, cents INTEGER, fence INTEGER)")
        database.execute("INSERT INTO accounts VALUES ('ada', 0, 1001)")
        database.commit()
    jobs = load_app("shop_jobs:app").functions

    assert jobs["greet"].call("Ada", language="de").args == b'{"name":"Ada","language":"de"}'
    assert await run(jobs["greet"], attempt(name="Ada", language="de")) == Succeeded(b'"hallo Ada"')
    assert await run(jobs["word_count"], attempt(path="words.txt")) == Succeeded(b'{"a":2,"b":1,"c":1}')
    parents = tuple(Parent(name, JobState.COMPLETED, name.encode()) for name in "23")
    assert await run(jobs["merge"], attempt()._replace(parents=parents)) == Succeeded(b"5")
    assert jobs["convert"].isolation == "process"
    # The fence of the first attempt is in the database already, that of the second is newer.
    assert await run(jobs["set_balance"], attempt("job", 1, account="ada", cents=5)) == Succeeded(b"false")
    assert await run(jobs["set_balance"], attempt("job", 2, account="ada", cents=7)) == Succeeded(b"true")
    assert await run(jobs["charge"], attempt(customer="c", cents=5)) == Succeeded(b'"charged 5 (j1)"')
    assert await run(jobs["charge"], attempt(customer="c", cents=500_000)) == Snoozed(3_600_000)
    assert isinstance(await run(jobs["charge"], attempt(customer="c")), Rejected)
    assert isinstance(await run(jobs["greet"], attempt(name="Ada", language="fr")), Failed)
