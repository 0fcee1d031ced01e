"""Jobs that are killed at every line: the kit finds those that may not run twice, and lets those be that
may."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio

from beaver_actors.execute.app import App
from beaver_actors.execute.context import Context, Reject
from beaver_actors.execute.hooks import Failure
from beaver_actors.testing.kit import Kit

app = App()
mails: list[str] = []
ledger = Path("unset")
told: list[Failure] = []


@app.job("careless")
def careless(order: str) -> None:
    subject = f"receipt {order}"
    mails.append(subject)


@app.job("careful")
def careful(order: str) -> None:
    subject = f"receipt {order}"
    if subject not in mails:
        mails.append(subject)


@app.job("careful.async")
async def careful_async(order: str) -> None:
    await trio.sleep(5)
    remember(f"receipt {order}")


def remember(subject: str) -> None:
    if subject in mails:
        return
    mails.append(subject)


@app.job("book")
def book(context: Context, cents: int) -> int:
    with closing(sqlite3.connect(ledger)) as database, database:
        database.execute("INSERT INTO entries VALUES (?, ?) ON CONFLICT DO NOTHING", (context.job_id, cents))
        (total,) = database.execute("SELECT sum(cents) FROM entries").fetchone()
    return int(total)


@app.job("append")
def append(line: str) -> None:
    with ledger.open("a") as file:
        file.write(line)
        del line


@app.job("tidy")
def tidy() -> None:
    try:
        mails.append("work")
    finally:
        mails.append("tidied")


@app.job("hopeless", max_attempts=1)
def hopeless() -> None:
    raise Reject("never")


@app.job("parent")
def parent(kits: int) -> None:
    kit = KITS[kits]
    kit.client.enqueue(careful.call("child"), id="child")
    mails.append("parent")


@app.on_failure
def tell(context: Context, failure: Failure) -> None:
    told.append(failure)


KITS: list[Kit] = []


@pytest.fixture
def kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kit:
    monkeypatch.setattr(sys.modules[__name__], "ledger", tmp_path / "ledger")
    mails.clear()
    told.clear()
    KITS[:] = [Kit(app)]
    return KITS[0]


def test_a_job_that_may_not_run_twice_is_found(kit: Kit) -> None:
    """By one that sends a mail and says nothing of it: killed after its last line, it sends another."""
    seen = []
    for crash in kit.crash_at_every_step(careless.call("7")):
        seen.append((crash.step, len(mails)))
        assert crash.job_id in str(crash)
        mails.clear()
    assert seen == [(1, 1), (2, 1), (3, 2)]


@pytest.mark.parametrize("function", [careful, careful_async])
def test_a_job_that_may_run_twice_passes(kit: Kit, function: Any) -> None:
    """Plain and async; each line of the handler and of what it calls in its file is a step, the last one
    last."""
    places = []
    for crash in kit.crash_at_every_step(function.call("7")):
        assert mails == ["receipt 7"], crash
        places.append(crash.where)
        mails.clear()
    assert places[-1] == "after its last line, before its end was recorded"
    assert any("`mails.append(subject)`" in place for place in places)
    assert [ran.attempt for ran in kit.ran] == [2] * len(places)
    assert told == []


def test_each_crash_is_the_end_of_a_server(kit: Kit) -> None:
    """P3, P12: the job comes back by recovery from the log, at the price of a rescue."""
    for crash in kit.crash_at_every_step(careful.call("7")):
        info = kit.client.get(crash.job_id)
        assert (info.attempt, info.rescues, info.state) == (2, 1, "completed")
        assert [error.type for error in info.errors] == ["WorkerDied"]


@pytest.mark.parametrize("fork", [False, True])
def test_what_a_database_holds_counts(kit: Kit, fork: bool) -> None:
    """By a job whose effect bears its id, in a transaction: killed by an exception, and really."""
    with closing(sqlite3.connect(ledger)) as database, database:
        database.execute("CREATE TABLE entries (job TEXT PRIMARY KEY, cents INTEGER)")
    runs = 0
    for crash in kit.crash_at_every_step(book.call(5), fork=fork):
        runs += 1
        with closing(sqlite3.connect(ledger)) as database:
            assert database.execute("SELECT count(*), sum(cents) FROM entries").fetchone() == (
                runs,
                5 * runs,
            ), crash
    assert runs > 3


def test_a_real_kill_unwinds_nothing(kit: Kit) -> None:
    """What stood in a buffer is gone with the process; an exception would have let it be flushed."""
    kept: dict[bool, list[str]] = {}
    for fork in (False, True):
        kept[fork] = []
        for _ in kit.crash_at_every_step(append.call("x"), fork=fork):
            kept[fork].append(ledger.read_text())
            ledger.unlink()
    assert kept[False][2] == "xx"  # before the end of the block, which closes the file all the same
    assert kept[True][2] == "x"
    assert kept[False][-1] == kept[True][-1] == "xx"


def test_an_exception_unwinds(kit: Kit) -> None:
    """As the page says: without a fork, `finally` still happens."""
    crashes = kit.crash_at_every_step(tidy.call())
    next(crashes)
    mails.clear()
    next(crashes)
    assert mails == ["tidied", "work", "tidied"]


def test_a_job_that_does_not_come_to_a_good_end_is_told(kit: Kit) -> None:
    """The crash and the job's own error are in the message."""
    with pytest.raises(
        AssertionError, match=r"crash 1, before line \d+, `raise Reject.* made it dead: Reject: never"
    ):
        next(kit.crash_at_every_step(hopeless.call()))


def test_jobs_that_it_enqueues_count_as_on_a_server(kit: Kit) -> None:
    """What was acknowledged before the crash is there after it (P1), and its id makes repeating harmless
    (P5)."""
    for crash in kit.crash_at_every_step(parent.call(0)):
        assert len(kit.jobs(careful, state="completed")) == 1, crash
        kit.client.delete(["child"])


def test_too_many_lines_are_told(kit: Kit) -> None:
    """There is an end to it."""
    with pytest.raises(AssertionError, match="careful comes to more than 2 lines"):
        list(kit.crash_at_every_step(careful.call("7"), steps_max=2))


def test_tracing_is_put_back(kit: Kit) -> None:
    """A debugger or a coverage measurement goes on afterwards."""

    def tracer(*arguments: object) -> Callable[..., Any] | None:
        return None

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        list(kit.crash_at_every_step(careful.call("7")))
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(before)


async def test_within_an_event_loop(kit: Kit) -> None:
    """The handler has a thread of its own there; it is killed in it all the same."""
    places = [crash.where for crash in kit.crash_at_every_step(careful_async.call("7"))]
    assert "before line" in places[0]
    assert len(places) > 3
