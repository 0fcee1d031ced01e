"""The conformance script: our server passes it, and a server that is wrong in one thing fails at that."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import websockets.trio.client
import websockets.trio.server
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from beaver_actors.testing import conformance, conformance_clients as clients, conformance_workers as workers
from beaver_actors.testing.conformance import Check, examine
from tests.node.home import config, node
from tests.remote.harness import house

Message = dict[str, Any]
Lie = Callable[[Message], Message | None]


@pytest.mark.process
async def test_our_server_does_all_that_the_protocol_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """P1 to P12, as far as the protocol tells them: every check holds, none is left out, and it says so."""
    with house(tmp_path, BEAVER_FLEET__LEASE="2s") as home:
        code = await trio.to_thread.run_sync(lambda: conformance.main([home.server.url, "--patience", "60"]))
    said = capsys.readouterr().out
    assert code == 0, said
    assert "FAIL" not in said
    assert "skip" not in said
    assert f"{len(conformance.CHECKS)} checks, all hold" in said


def test_without_a_server_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """By example: exit code 3."""
    assert conformance.main(["ws://127.0.0.1:9"]) == 3
    assert "no server" in capsys.readouterr().err


@asynccontextmanager
async def wrong_server(url: str, lie: Lie) -> AsyncIterator[str]:
    """A server that says what the real one says, but for what `lie` makes of it."""

    async def handle(client: Any) -> None:
        try:
            async with (
                websockets.trio.client.connect(
                    url, subprotocols=[client.subprotocol], proxy=None, max_size=None
                ) as server,
                trio.open_nursery() as nursery,
            ):
                nursery.start_soon(_pump, client, server, lambda message: message, nursery.cancel_scope)
                nursery.start_soon(_pump, server, client, lie, nursery.cancel_scope)
        except* ConnectionClosed:
            pass

    async with trio.open_nursery() as nursery:
        protocols = [Subprotocol("beaver.v1+json"), Subprotocol("beaver.v1+cbor")]
        serving: Any = await nursery.start(
            lambda task_status: websockets.trio.server.serve(
                handle,
                port=0,
                host="127.0.0.1",
                subprotocols=protocols,
                max_size=None,
                task_status=task_status,
            )
        )
        port = serving.listeners[0].socket.getsockname()[1]
        yield f"ws://127.0.0.1:{port}"
        nursery.cancel_scope.cancel()


async def _pump(source: Any, target: Any, lie: Lie, scope: trio.CancelScope) -> None:
    try:
        while True:
            data = await source.recv()
            try:
                message = json.loads(data) if isinstance(data, str) else None
            except json.JSONDecodeError:
                message = None
            if not isinstance(message, dict):
                await target.send(data)
            elif (told := lie(message)) is not None:
                await target.send(json.dumps(told))
    except ConnectionClosed:
        scope.cancel()


def _change(message: Message, kind: str, /, **fields: Any) -> Message:
    return {**message, **fields} if message.get("type") == kind else message


def forgets_duplicates(message: Message) -> Message:
    if isinstance(jobs := message.get("jobs"), list) and jobs and "duplicate" in jobs[0]:
        return {**message, "jobs": [{**job, "duplicate": False} for job in jobs]}
    return message


def believes_everybody(message: Message) -> Message:
    if "reports" in message:
        believed = [{**one, "recorded": True, "code": None} for one in message["reports"]]
        return {**message, "reports": believed}
    return message


def hides_fences(message: Message) -> Message:
    if "reports" in message:
        return {**message, "reports": [{**one, "current_fence": 1} for one in message["reports"]]}
    return message


def ends_every_page(message: Message) -> Message:
    return {**message, "next": None} if "next" in message else message


def loses_an_event(message: Message) -> Message | None:
    return None if message.get("event") == "job_enqueued" and message["job_id"].endswith("-3") else message


def names_no_field(message: Message) -> Message:
    return _change(message, "error", message="no")


LIES: list[tuple[Lie, Check]] = [
    (forgets_duplicates, clients.repeating_is_harmless),
    (ends_every_page, clients.listing),
    (loses_an_event, clients.events),
    (names_no_field, clients.refusals),
    (names_no_field, workers.refused_words),
    (lambda message: _change(message, "error", re=None), clients.garbage),
    (lambda message: _change(message, "ok", changes=[]), clients.changing),
    (believes_everybody, workers.outcomes_once),
    (believes_everybody, workers.liars_change_nothing),
    (hides_fences, workers.liars_change_nothing),
    (lambda message: None if message["type"] == "notice" else message, workers.cancels_are_pushed),
    (lambda message: _change(message, "ok", lost=[]), workers.heartbeats_and_progress),
    (lambda message: {**message, "lost": [1]} if "lost" in message else message, workers.reconnecting),
    (lambda message: None if message["type"] == "lease" else message, workers.leases_come_as_asked),
    (lambda message: {**message, "workers": []} if "workers" in message else message, workers.registering),
]


async def test_a_server_that_is_wrong_in_one_thing_fails_at_that(tmp_path: Path) -> None:
    """By fault: each check notices at least one, and passes through the same proxy where nothing is wrong."""
    settings = config(tmp_path / "data", workers__count=0)
    async with node(settings) as home:
        async with wrong_server(home.url, lambda message: message) as url:
            checks = list(dict.fromkeys(check for _, check in LIES))
            findings = await examine(url, checks=checks, patience=30)
            assert [finding.problem for finding in findings] == [None] * len(checks)
        for lie, check in LIES:
            async with wrong_server(home.url, lie) as url:
                (finding,) = await examine(url, checks=[check], patience=1)
                assert finding.problem is not None, f"{check} did not notice {lie}"
