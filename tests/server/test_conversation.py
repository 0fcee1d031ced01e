"""The conversation in docs/protocol.md, held with a real session; and every reply against the types behind
the machine-readable document."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
from trio.testing import MockClock, wait_all_tasks_blocked

from beaver_actors.codec.wire import Error, Request
from beaver_actors.codec.wire_oks import OKS
from beaver_actors.codec.wire_watch_messages import EventPush, EventsPush, GapPush, StatusPush
from beaver_actors.codec.wire_worker_messages import LeasePush, NoticePush
from beaver_actors.core.answers import LeasedJob
from beaver_actors.core.outcome import Outcome, Succeeded
from tests.server.house import open_house

PROSE = Path(__file__).parent.parent.parent / "docs" / "protocol.md"
PUSHES: dict[str, type[msgspec.Struct]] = {
    "status": StatusPush,
    "event": EventPush,
    "events": EventsPush,
    "gap": GapPush,
    "lease": LeasePush,
    "notice": NoticePush,
}


async def echo(job: LeasedJob) -> Outcome:
    """What demo.echo does."""
    return Succeeded(job.args)


class Names:
    """Makes what differs from run to run alike: times, ids that the server makes, and the worker's name."""

    def __init__(self) -> None:
        self.ids: dict[str, str] = {}

    def plain(self, text: str) -> str:
        text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "TIME", text)
        text = re.sub(r'"worker_id":"[^"]*"', '"worker_id":"WORKER"', text)
        for found in re.findall(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", text):
            text = text.replace(found, self.ids.setdefault(found, f"ID{len(self.ids)}"))
        return text.replace("demo.echo", "work")  # the kind that the tests' workers run


def conversation() -> list[tuple[str, str]]:
    """The lines of the example, as (arrow, message)."""
    block = re.search(r"```text\n(→.*?)```", PROSE.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    lines = [(line[0], line[1:].strip()) for line in block[1].splitlines()]
    assert {arrow for arrow, _ in lines} == {"→", "←"}
    return lines


async def test_the_example_in_the_documentation_is_what_happens(autojump_clock: MockClock) -> None:
    """Replay: what is sent there is sent here, and what comes back is what stands there."""
    written, met = Names(), Names()
    async with open_house(script=echo) as house:
        client = house.connect()
        expected: list[Any] = []
        heard: list[Any] = []
        for arrow, message in [*conversation(), ("→", "")]:
            if arrow == "←":
                expected.append(json.loads(written.plain(message)))
                continue
            await wait_all_tasks_blocked()
            while client.outbox:
                text = await client.hear_raw()
                assert isinstance(text, str)
                heard.append(json.loads(met.plain(text)))
            # A reply and the pushes that follow from the same request may come in either order.
            assert sorted(map(str, heard)) == sorted(map(str, expected))
            real_ids = {name: found for found, name in met.ids.items()}
            message = written.plain(message)
            for name, found in real_ids.items():
                message = message.replace(name, found)
            if message:
                client.tell(message)


async def test_every_reply_has_exactly_the_documented_fields(autojump_clock: MockClock) -> None:
    """Each message of the server is read by the strict type that the document is made of."""
    seen: set[type[msgspec.Struct]] = set()
    async with open_house(script=echo) as house:
        client = house.connect()
        requests: list[dict[str, Any]] = [
            {"type": "subscribe", "topic": "events"},
            {"type": "subscribe", "topic": "events", "batch": 10},
            {"type": "subscribe", "topic": "status"},
            {"type": "pause", "queue": "default"},
            {"type": "enqueue", "jobs": [{"kind": "work", "id": "a"}, {"kind": "work", "id": "b"}]},
            {"type": "cancel", "job_ids": ["b", "?"]},
            {"type": "retry", "job_ids": ["b"]},
            {"type": "delete", "job_ids": ["b"]},
            {"type": "resume", "queue": "default"},
            {"type": "get", "job_id": "a"},
            {"type": "get", "job_id": "?"},
            {"type": "explain", "job_id": "a"},
            {"type": "operate", "word": "retry", "operation_id": "o", "kind": "work"},
            {"type": "operations"},
            {"type": "move", "queue": "default", "to": "elsewhere"},
            {"type": "history", "job_id": "a"},
            {"type": "past", "lsn": 1},
            {"type": "past", "at": "1970-01-01T00:16:40Z", "job_id": "a"},
            {"type": "stop", "operation_id": "o"},
            {"type": "list"},
            {"type": "status"},
            {"type": "unsubscribe", "subscription": "s1"},
            {"type": "register", "worker_id": "far", "kinds": ["other"], "queues": {"default": 1}},
            {"type": "enqueue", "jobs": [{"kind": "other", "id": "c"}]},
            {"type": "ready", "slots": 1},
            {"type": "cancel", "job_ids": ["c"]},
            {"type": "heartbeat", "fences": [1]},
            {"type": "report", "reports": [{"job_id": "c", "fence": 1, "outcome": "released"}]},
            {"type": "workers"},
            {
                "type": "set_schedule",
                "schedule": {
                    "name": "s",
                    "cron": "30 2 * * *",
                    "tz": "Europe/Berlin",
                    "job": {"kind": "work"},
                },
            },
            {"type": "trigger_schedule", "name": "s"},
            {"type": "schedules", "name": "s", "next": 3},
            {"type": "pause_schedule", "name": "s"},
            {"type": "resume_schedule", "name": "s"},
            {"type": "delete_schedule", "name": "s"},
            {"type": "deregister"},
        ]
        sent: dict[str, Any] = {}
        for number, request in enumerate(requests):
            request["id"] = str(number)
            sent[request["id"]] = msgspec.convert(request, Request)
            client.tell(request)
            await wait_all_tasks_blocked()
            while client.outbox:
                seen.add(type(read_strictly(await client.hear(), sent)))
    assert seen == {ok for oks in OKS.values() for ok in oks} | set(PUSHES.values()) - {GapPush} | {Error}


def read_strictly(message: dict[str, Any], sent: dict[str, Any]) -> msgspec.Struct:
    """Read a server's message as what the document says it is; every field must be known."""
    types: tuple[type[msgspec.Struct], ...]
    if message["type"] == "ok":
        types = OKS[type(sent[message["re"]])]
    else:
        types = (PUSHES.get(message["type"], Error),)
    for candidate in types:
        try:
            found = msgspec.json.decode(json.dumps(message), type=candidate)
        except msgspec.ValidationError:
            continue
        assert fields_of(json.loads(msgspec.json.encode(found))) == fields_of(message)
        return found
    raise AssertionError(f"{message} is none of {types}")


def fields_of(value: Any) -> Any:
    """All names of fields, with their nesting."""
    if isinstance(value, dict):
        return {name: fields_of(item) for name, item in value.items()}
    return [fields_of(item) for item in value] if isinstance(value, list) else None
