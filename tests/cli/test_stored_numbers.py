"""Jobs with numbers that nobody can read back: refused when they are handed in, but in logs that were written
before that they are there for good."""

from __future__ import annotations

from functools import partial
from typing import Literal

import pytest
import trio

from beaver_actors.client import connect
from beaver_actors.core.facts import Fact, JobCompleted, JobEnqueued, JobProgressed, JobStarted
from beaver_actors.core.job import Terms
from beaver_actors.journal.disk import RealDisk
from beaver_actors.journal.recovery import open_journal
from beaver_actors.journal.settings import JournalSettings
from tests.cli.command import command
from tests.cli.server import Server

pytestmark = pytest.mark.process

AT_MS = 1_795_470_720_000
KEPT_MS = 100 * 365 * 86_400_000
"""For as long as this test may be run."""
TERMS = Terms("nobody.serves", meta=b'{"m":-1e999}', retention_ms=KEPT_MS)
FACTS: list[Fact] = [
    JobEnqueued("big", AT_MS, TERMS, b'{"n":[1e999,1e3]}', AT_MS),
    JobStarted("big", AT_MS, "w1"),
    JobProgressed("big", AT_MS, 2, b"2e999"),
    JobCompleted("big", AT_MS, 2, b"3e999"),
]


@pytest.fixture
def stored(server: Server) -> Server:
    """A server on a log that holds such a job."""
    journal = open_journal(RealDisk(str(server.data_dir)), JournalSettings()).journal
    journal.append(FACTS)
    journal.close()
    return server


def test_a_log_with_such_a_number_is_printed(stored: Server) -> None:
    """P3, by example: the number as text, for people and for programs."""
    shown = command("log", "--data-dir", stored.data_dir)
    assert shown.code == 0
    assert '{"n": ["1e999", 1000.0]}' in shown.out
    events = command("log", "--data-dir", stored.data_dir, "--json").json_lines()
    assert [event.get("args") for event in events] == [{"n": ["1e999", 1000.0]}, None, None, None]
    assert (events[2]["progress"], events[3]["result"]) == ("2e999", "3e999")


def test_a_job_with_such_a_number_is_shown(stored: Server) -> None:
    """P3, by example: by jobs list and show and tail, and it does not hide the jobs beside it."""
    stored.start()
    ask = partial(command, env={"BEAVER_URL": stored.url})
    assert ask("enqueue", "nobody.serves", "--id", "beside").code == 0
    assert [job["id"] for job in ask("jobs", "list", "--json").json_lines()] == ["beside", "big"]
    assert '{"n": ["1e999", 1000.0]}' in ask("jobs", "list").out
    assert '"3e999"' in ask("jobs", "show", "big").out
    job = ask("jobs", "show", "big", "--json").json()
    assert (job["args"], job["meta"]) == ({"n": ["1e999", 1000.0]}, {"m": "-1e999"})
    assert (job["progress"], job["result"]) == ("2e999", "3e999")
    events = ask("tail", "--from-lsn", 1, "-n", 4, "--json").json_lines()
    assert events == command("log", "--data-dir", stored.data_dir, "--json", "--limit", 4).json_lines()


@pytest.mark.parametrize("form", ["json", "cbor"])
def test_a_client_gets_such_a_number_as_text(stored: Server, form: Literal["json", "cbor"]) -> None:
    """P3, by example: in both forms of the protocol, the job as it is and its end as it is waited for."""
    stored.start()

    async def look() -> None:
        async with connect(stored.url, form=form, reconnect=False) as client:
            assert (await client.get("big")).args == {"n": ["1e999", 1000.0]}
            assert await client.job("big").result() == "3e999"

    trio.run(look)
