"""Golden messages: what clients and servers of each released version of the protocol say is still understood,
and what is said in return keeps its shape (P5)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cbor2
import pytest
from msgspec import UNSET

from beaver_actors.client.views import Change, JobInfo, event_from_wire, read_part
from beaver_actors.codec.wire import REQUESTS, Error, Ok, Push
from beaver_actors.codec.wire_decode import decode_reply
from beaver_actors.codec.wire_job_objects import Receipt
from beaver_actors.codec.wire_status_objects import StatusObject
from beaver_actors.codec.wire_watch_messages import EventPush, EventsPush, GapPush, StatusPush
from beaver_actors.codec.wire_worker_messages import LeasePush, WorkerPush
from beaver_actors.codec.wire_worker_objects import WorkerObject
from tests.golden.wire import exchanges, hold
from tests.golden.wire_later import Message

FILES = sorted(Path(__file__).parent.glob("wire-v*.json"))
versions = pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])


def golden(file: Path) -> list[Message]:
    found: list[Message] = json.loads(file.read_text(encoding="utf-8"))
    return found


def shape(value: Any) -> Any:
    """What a program relies on: which fields there are, of which type; not which values."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return "number" if is_number else type(value).__name__


def missing(old: Any, new: Any, path: str = "") -> list[str]:
    """Where `new` does not fit the shape `old`. New fields are no breach: clients leave them aside."""
    if isinstance(old, dict) and isinstance(new, dict):
        both = {key: missing(old[key], new[key], f"{path}.{key}") for key in old.keys() & new.keys()}
        gone = [f"{path}.{key}" for key in old.keys() - new.keys()]
        return gone + [found for breaches in both.values() for found in breaches]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return [found for place, pair in pairs for found in missing(*pair, f"{path}[{place}]")]
    return [] if old == new else [f"{path}: was {old}, is {new}"]


@versions
@pytest.mark.parametrize("form", ["json", "cbor"])
def test_requests_of_an_earlier_version_get_replies_of_the_same_shape(file: Path, form: str) -> None:
    """P5, by files: the recorded requests, said to the real session of today."""
    recorded = golden(file)
    if form == "json":
        said = hold([exchange["request"] for exchange in recorded])
        now = [[json.loads(data) for data in heard] for heard in said]
        before = [[json.loads(data) for data in exchange["replies"]] for exchange in recorded]
    else:
        said = hold([bytes.fromhex(exchange["request_cbor"]) for exchange in recorded])
        now = [[cbor2.loads(bytes(data)) for data in heard if isinstance(data, bytes)] for heard in said]
        before = [
            [cbor2.loads(bytes.fromhex(data)) for data in exchange["replies_cbor"]] for exchange in recorded
        ]
    for exchange, old, new in zip(recorded, before, now, strict=True):
        assert [message["type"] for message in new] == [message["type"] for message in old], exchange[
            "request"
        ]
        assert [message.get("code") for message in new] == [message.get("code") for message in old]
        assert missing(shape(old), shape(new)) == [], exchange["request"]


@versions
def test_replies_of_an_earlier_server_are_understood_to_the_last_field(file: Path) -> None:
    """P5, by files: the recorded replies, read by the client of today, in both forms."""
    kinds: set[type] = set()
    for exchange in golden(file):
        for text, item in zip(exchange["replies"], exchange["replies_cbor"], strict=True):
            reply = decode_reply(text)
            assert json.loads(text) == cbor2.loads(bytes.fromhex(item))
            assert type(decode_reply(bytes.fromhex(item))) is type(reply)
            kinds.add(type(reply))
            if isinstance(reply, Ok):
                _read(reply)
            elif not isinstance(reply, Error):
                _show(reply)
    assert kinds >= {Ok, Error, StatusPush, EventPush, EventsPush}


def test_the_recorded_conversation_says_all_that_can_be_said() -> None:
    """P5, by files: a request that is new in the conversation needs a file of its own version."""
    newest = golden(FILES[-1])
    assert [exchange["request"] for exchange in newest] == [exchange["request"] for exchange in exchanges()]
    said = {json.loads(exchange["request"])["type"] for exchange in newest}
    assert said == {request.__struct_config__.tag for request in REQUESTS} | {"invented"}


@pytest.mark.parametrize(
    ("old", "new", "breaches"),
    [
        ({"a": 1}, {"a": 2.5, "b": None}, []),
        ({"a": 1, "b": 2}, {"a": 1}, [".b"]),
        ({"a": [{"b": "x"}]}, {"a": [{"b": None}]}, [".a[0].b: was str, is NoneType"]),
        ([1], [1, 2], [": was ['number'], is ['number', 'number']"]),
        ({"a": True}, {"a": 1}, [".a: was bool, is number"]),
    ],
)
def test_a_breach_of_the_shape_is_found(old: Any, new: Any, breaches: list[str]) -> None:
    """By example: the comparison above can fail."""
    assert missing(shape(old), shape(new)) == breaches


def _read(reply: Ok) -> None:
    """Read the parts that are left unread at first, as the client does."""
    if reply.job is not UNSET:
        read_part(JobInfo, reply.job)
    if reply.status is not UNSET:
        read_part(StatusObject, reply.status)
    if reply.jobs is not UNSET:
        shown = b'"kind"' in bytes(reply.jobs)
        read_part(list[JobInfo] if shown else list[Receipt], reply.jobs)
    if reply.workers is not UNSET:
        read_part(list[WorkerObject], reply.workers)
    if reply.changes is not UNSET:
        assert all(isinstance(change, Change) for change in reply.changes)


def _show(push: Push | WorkerPush) -> None:
    if isinstance(push, EventPush | GapPush):
        event_from_wire(push)
    elif isinstance(push, EventsPush):
        for event in push.events:
            event_from_wire(event)
    elif isinstance(push, StatusPush):
        assert push.status.states
    elif isinstance(push, LeasePush):
        assert all(job.fence > 0 for job in push.jobs)
    else:
        assert push.lost or push.cancel or push.overdue
