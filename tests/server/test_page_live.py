"""The live page in a real browser, against a real server that is killed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.cli.server import Server
from tests.server.browser import CHROMIUM, Browser

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(CHROMIUM is None and "CI" not in os.environ, reason="there is no Chromium here"),
]

LIVE = "document.getElementById('connection').className === 'live'"
LOST = "document.getElementById('connection').className === 'lost'"
TOKEN_HIDDEN = "document.getElementById('token').hidden"


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[Server]]:
    """Those that the test has made are ended with it."""
    made: list[Server] = []
    yield made
    for server in made:
        server.close()


@pytest.fixture
def browsers() -> Iterator[list[Browser]]:
    opened: list[Browser] = []
    yield opened
    for browser in opened:
        browser.close()


def enqueue(server: Server, *jobs: Mapping[str, object]) -> None:
    body = json.dumps({"jobs": jobs}).encode()
    headers = {"Content-Type": "application/json"}
    urlopen(Request(f"{server.url.replace('ws:', 'http:')}/api/v1/jobs", body, headers)).close()


def shows(state: str, count: int) -> str:
    """Whether the page shows so many jobs in the state."""
    return f"document.querySelector('#states .{state} b')?.textContent === '{count}'"


def test_the_page_goes_on_counting_when_the_server_is_killed(
    tmp_path: Path, servers: list[Server], browsers: list[Browser]
) -> None:
    """P3, P10, as a viewer sees them: the page says that the connection is lost, asks for no token, and
    follows the next server from where it was."""
    server = Server(tmp_path / "server")
    servers.append(server)
    server.start()
    page = Browser(tmp_path, server.url.replace("ws:", "http:"))
    browsers.append(page)
    page.until(LIVE)
    enqueue(server, *[{"kind": "demo.echo"}] * 3)
    page.until(shows("completed", 3))
    server.kill()
    page.until(LOST)
    assert page.run(TOKEN_HIDDEN)
    server.start()
    enqueue(server, *[{"kind": "demo.echo"}] * 2, {"kind": "demo.fail", "max_attempts": 1})
    page.until(f"{LIVE} && {shows('completed', 5)} && {shows('dead', 1)}")
    events = "[...document.querySelectorAll('#events tr')].map(row => Number(row.firstChild.textContent))"
    page.until(f"{events}[0] === 18")  # enqueued, started, ended: six jobs
    lsns = page.run(events)
    assert lsns == list(range(18, 18 - len(lsns), -1))


def test_the_page_asks_for_the_token_of_a_server_that_has_one(
    tmp_path: Path, servers: list[Server], browsers: list[Browser]
) -> None:
    """A wrong one is told, the right one lets in."""
    (tmp_path / "token").write_text("open sesame\n")
    server = Server(tmp_path / "server", "--token-file", str(tmp_path / "token"))
    servers.append(server)
    server.start()
    page = Browser(tmp_path, server.url.replace("ws:", "http:"))
    browsers.append(page)
    for token, then in (("open wheat", LOST), ("open sesame", f"{LIVE} && {TOKEN_HIDDEN}")):
        page.until(f"{LOST} && !{TOKEN_HIDDEN}")
        page.run(f"document.getElementById('secret').value = '{token}'; 0")
        page.run("document.getElementById('token').requestSubmit()")
        page.until(then)


def test_what_a_job_says_is_shown_as_text(
    tmp_path: Path, servers: list[Server], browsers: list[Browser]
) -> None:
    """Markup in arguments stays what it is, in the table and in the details of the job."""
    server = Server(tmp_path / "server")
    servers.append(server)
    server.start()
    page = Browser(tmp_path, server.url.replace("ws:", "http:"))
    browsers.append(page)
    page.until(LIVE)
    page.until("document.querySelector('#states b')")
    enqueue(server, {"kind": "demo.echo", "id": "sly", "args": {"x": "<img src=x>"}, "delay": 3600})
    page.until("document.querySelector('#events td:last-child')?.textContent.includes('<img src=x>')")
    page.run("document.querySelector('#events button').click()")
    page.until("document.getElementById('job').open")
    assert json.loads(page.run("document.getElementById('job-text').textContent"))["args"] == {
        "x": "<img src=x>"
    }
    assert page.run("document.querySelectorAll('main img, dialog img').length") == 0


def ask(server: Server, method: str, path: str, body: Mapping[str, object]) -> None:
    url = f"{server.url.replace('ws:', 'http:')}/api/v1/{path}"
    urlopen(Request(url, json.dumps(body).encode(), method=method)).close()


def test_schedules_and_operations_are_shown_while_there_are_any(
    tmp_path: Path, servers: list[Server], browsers: list[Browser]
) -> None:
    """As a viewer sees them: the next time, a pause, the latest job; an operation to its end. A server
    that has neither shows no empty tables."""
    server = Server(tmp_path / "server")
    servers.append(server)
    server.start()
    page = Browser(tmp_path, server.url.replace("ws:", "http:"))
    browsers.append(page)
    page.until(f"{LIVE} && document.querySelector('#states b')")
    hidden = "['schedules', 'operations'].map(name => document.getElementById(`${name}-section`).hidden)"
    assert page.run(hidden) == [True, True]
    for number in range(9):
        schedule = {"every": f"{number + 2}h", "job": {"kind": "demo.echo"}}
        ask(server, "PUT", f"schedules/s{number}", schedule)
    rows = "[...document.querySelectorAll('#schedules tr')]"
    cells = f"{rows}.map(row => [...row.children].map(td => td.textContent))"
    page.until(
        f"{cells}.length === 8 && document.getElementById('schedules-more').textContent.startsWith('1 more')"
    )
    assert {row[0] for row in page.run(cells)} < {f"s{number}" for number in range(9)}
    for number in range(8):
        ask(server, "DELETE", f"schedules/s{number}", {})
    ask(server, "POST", "schedules/s8/pause", {})
    ask(server, "POST", "schedules/s8/trigger", {})
    page.until(
        f"{cells}.length === 1 && {cells}[0][3] === 'paused' && {cells}[0][4].startsWith('completed, ')"
    )
    assert page.run(cells)[0][:3] == ["s8", "every 10 h", "demo.echo"]
    ask(server, "POST", "operations", {"word": "delete", "operation_id": "sweep", "state": "completed"})
    state = "document.querySelector('#operations td:last-child')?.textContent"
    page.until(f"{state} === 'completed'")
    done = page.run("[...document.querySelectorAll('#operations td')].map(td => td.textContent)")
    assert done == ["delete sweep", "completed", "1 of 1", "1", "0", "completed"]
    assert page.run("(bar => bar.value === bar.max)(document.querySelector('#operations progress'))")
    assert page.run(hidden) == [False, False]
    ask(server, "DELETE", "schedules/s8", {})
    page.until("document.getElementById('schedules-section').hidden")
