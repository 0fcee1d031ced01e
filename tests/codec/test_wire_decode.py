"""Messages: what is read, and what a client is told about every sort of mistake."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple, cast

import cbor2
import msgspec
import pytest
from hypothesis import given, strategies as st

from beaver_actors.codec.wire import REQUESTS, Error, Ok, Request
from beaver_actors.codec.wire_decode import (
    Limits,
    decode_jobs,
    decode_reply,
    decode_request,
    encode,
    encode_request,
    list_request,
    read,
)
from beaver_actors.codec.wire_errors import WireError
from beaver_actors.codec.wire_event_objects import EventFilter
from beaver_actors.codec.wire_job_messages import CancelRequest, EnqueueRequest, GetRequest, ListRequest
from beaver_actors.codec.wire_job_objects import Listed, NewJobObject, Receipt
from beaver_actors.codec.wire_watch_messages import EventPush, GapPush, SubscribeRequest
from beaver_actors.core.job import JobState

LIMITS = Limits()
KNOWN = (
    "enqueue, get, explain, list, status, subscribe, unsubscribe, cancel, retry, delete, pause, resume, "
    "operate, operations, stop, history, past, configure, drain, delete_queue, move, "
    "register, ready, heartbeat, report, deregister, workers, set_schedule, delete_schedule, pause_schedule, "
    "resume_schedule, trigger_schedule, schedules"
)


def job(**fields: Any) -> str:
    """An enqueue of one job with these fields."""
    return json.dumps({"type": "enqueue", "id": "7", "jobs": [fields]})


def cbor(value: Any) -> bytes:
    return cbor2.dumps({"type": "get", "id": "7", "job_id": value})


DEEP = "[" * 100_000


class Bad(NamedTuple):
    """A message, what the client is told (… for the library's own words), and the id that could be read."""

    data: str | bytes
    message: str
    request_id: str | None = None
    code: str = "bad_request"


def of(fields: str) -> str:
    """A message with these fields."""
    return '{"id":"7",' + fields + "}"


NO_JSON = "the message: expected JSON; "
NO_CBOR = "the message: expected CBOR; "
NO_TAG = " is not allowed, only what JSON can say"
BAD_MESSAGES = [
    Bad("", NO_JSON + "it ends too early"),
    Bad("{", NO_JSON + "it ends too early"),
    Bad("hello", NO_JSON + "invalid character (byte 0)"),
    Bad('{"type":"status","id":"7"} x', NO_JSON + "trailing characters (byte 28)"),
    Bad("[]", "the message: expected object, got list"),
    Bad("7", "the message: expected object, got number"),
    Bad("null", "the message: expected object, got null"),
    Bad("\ud800", "the message: expected UTF-8, got other bytes"),
    Bad(of('"type":"enqueue","jobs":[{"kind":"a","args":' + DEEP), "the message: nested too deeply"),
    Bad('{"jobs":' + DEEP, "the message: nested too deeply"),
    Bad(of('"type":"x","z":' + DEEP), f'type: expected one of {KNOWN}; got "x"', None, "unsupported"),
    Bad('{"id":"7"}', "type: required, but missing", "7"),
    Bad(of('"type":7'), "type: expected text", "7"),
    Bad(of('"type":"enqeue"'), f'type: expected one of {KNOWN}; got "enqeue"', "7", "unsupported"),
    Bad('{"type":"x","id":7}', f'type: expected one of {KNOWN}; got "x"', None, "unsupported"),
    Bad('{"type":"status"}', "id: required, but missing"),
    Bad('{"type":"status","id":7}', "id: expected text, got number"),
    Bad(json.dumps({"type": "status", "id": "x" * 201}), "id: expected at most 200 characters, got 201"),
    Bad(of('"type":"status","x":1'), "x: unknown field", "7"),
    Bad(of('"type":"list","que":"a"'), 'que: unknown field; did you mean "queue"?', "7"),
    Bad(
        of('"type":"list","state":"ded"'),
        "state: expected one of scheduled, pending, blocked, in_flight, completed, dead, cancelled; "
        'got "ded"',
        "7",
    ),
    Bad(
        of('"type":"list","reason":""'),
        'reason: expected one of max_attempts, poison, expired, rejected; got ""',
        "7",
    ),
    Bad(of('"type":"subscribe","topic":"x"'), 'topic: expected status or events; got "x"', "7"),
    Bad(of('"type":"operate","word":"cancel"'), 'word: expected retry or delete; got "cancel"', "7"),
    Bad(of('"type":"cancel","job_ids":[1]'), "job_ids[0]: expected text, got number", "7"),
    Bad(of('"type":"cancel","job_ids":"a"'), "job_ids: expected list, got text", "7"),
    Bad(of('"type":"enqueue"'), "jobs: required, but missing", "7"),
    Bad(of('"type":"enqueue","jobs":{}'), "jobs: expected list, got object", "7"),
    Bad(job(), "jobs[0].kind: required, but missing", "7"),
    Bad(job(kind=7), "jobs[0].kind: expected text, got number", "7"),
    Bad(job(kind=None), "jobs[0].kind: expected text, got null", "7"),
    Bad(job(kind="a", state="dead"), "jobs[0].state: unknown field", "7"),  # a field of other messages
    Bad(job(kind="a", prioriti=1), 'jobs[0].prioriti: unknown field; did you mean "priority"?', "7"),
    Bad(
        job(kind="a", priority=1.5),
        "jobs[0].priority: expected whole number or null, got number with a fraction",
        "7",
    ),
    Bad(
        job(kind="a", priority=True),
        "jobs[0].priority: expected whole number or null, got true or false",
        "7",
    ),
    Bad(job(kind="a", delay=[]), "jobs[0].delay: expected number or text or null, got list", "7"),
    Bad(
        job(kind="a", backoff={"kind": "cubic"}),
        'jobs[0].backoff.kind: expected one of polynomial, exponential, fixed, list; got "cubic"',
        "7",
    ),
    Bad(job(kind="a", backoff={"kind": "fixed"}), "jobs[0].backoff.delay: required, but missing", "7"),
    Bad(
        of('"type":"enqueue","jobs":[{"kind":"a","priority":' + "9" * 6000 + "}]"),
        "jobs[0].priority: integer value out of range",
        "7",
    ),
    Bad(of('"type":"enqueue","jobs":[{"kind":"a","delay":NaN}]'), NO_JSON + "invalid character (byte 55)"),
    Bad(
        of('"type":"enqueue","jobs":[{"kind":"a","args":{"x":NaN}}]'),
        NO_JSON + "invalid character (byte 59)",
    ),
    Bad(
        of('"type":"enqueue","jobs":[{"kind":"a","delay":1e999}]'), "jobs[0].delay: number out of range", "7"
    ),
    Bad(of('"type":"enqueue","jobs":[{"kind":"a","args":{"x":"\\ud800"}}]'), NO_JSON + "…"),
    Bad(b"", NO_CBOR + "…"),
    Bad(bytes.fromhex("a161"), NO_CBOR + "…"),
    Bad(cbor2.dumps([]), "the message: expected object, got list"),
    Bad(
        cbor2.dumps({"type": "status", "id": "7"}) + b"\x00",
        "the message: expected one CBOR item, got 1 bytes more",
    ),
    Bad(cbor(b"x"), "job_id: expected what JSON can say, got a byte string", "7"),
    Bad(cbor({"a": [1, float("nan")]}), "job_id.a[1]: expected a finite number, got nan", "7"),
    Bad(cbor(-(2**64)), "job_id: expected a number of at most 64 bits, got a larger one", "7"),
    Bad(cbor(2**64), NO_CBOR + "tag 2" + NO_TAG),
    Bad(cbor(cbor2.undefined), "job_id: expected what JSON can say, got undefined", "7"),
    Bad(cbor(cbor2.CBORSimpleValue(99)), "job_id: expected what JSON can say, got a CBORSimpleValue", "7"),
    Bad(cbor(datetime(2026, 1, 1, tzinfo=UTC)), NO_CBOR + "tag 0" + NO_TAG),
    Bad(cbor(Decimal("1E+1000000000")), NO_CBOR + "tag 4" + NO_TAG),
    Bad(bytes.fromhex("d81c81d81d00"), NO_CBOR + "tag 29" + NO_TAG),  # a list that holds itself
    Bad(bytes.fromhex("a2616101616102"), NO_CBOR + "error decoding map: Duplicate map key: 'a'"),
    Bad(bytes.fromhex("9f01ff"), NO_CBOR + "…"),  # a list of indefinite length
    Bad(b"\x81" * 73 + b"\x01", NO_CBOR + "maximum container nesting depth (72) exceeded"),
    Bad(cbor2.dumps({1: 2}), NO_CBOR + "…"),
    Bad(cbor2.dumps({b"a": 2}), "the message: expected text as key, got a byte string"),
]


@pytest.mark.parametrize("bad", BAD_MESSAGES, ids=range(len(BAD_MESSAGES)))
def test_a_bad_message_is_told_what_is_wrong_with_it(bad: Bad) -> None:
    """Every sort of mistake with the exact text, and the request's id where it could be read."""
    with pytest.raises(WireError) as caught:
        decode_request(bad.data, LIMITS)
    error = caught.value
    assert (error.code, error.request_id) == (bad.code, bad.request_id)
    known = bad.message.removesuffix("…")
    assert error.message[: len(known)] == known
    assert error.message == bad.message or bad.message.endswith("…")


@pytest.mark.parametrize("data", ['{"type":"status","id":"ä"}', b"\xa2\x64type\x66status\x62id\x61a"])
def test_a_message_over_the_limit_is_too_large(data: str | bytes) -> None:
    """The limit counts bytes, not characters; one byte less is enough to refuse."""
    size = len(data if isinstance(data, bytes) else data.encode())
    decode_request(data, Limits(message_bytes=size))
    with pytest.raises(WireError) as caught:
        decode_request(data, Limits(message_bytes=size - 1))
    assert caught.value.code == "too_large"
    assert caught.value.message == f"the message: expected at most {size - 1} bytes, got {size}"


GOOD_REQUESTS: list[Request] = [
    EnqueueRequest(
        id="1",
        jobs=[
            NewJobObject(kind="a"),
            NewJobObject(kind="b", timeout=None, tags=("x",), backoff=Listed(delays=(1, "2s"))),
        ],
    ),
    GetRequest(id="", job_id="x"),
    ListRequest(id="1", state=JobState.DEAD, after=3),
    SubscribeRequest(id="ü", topic="events", from_lsn=0, filter=EventFilter(events=("job_died",)), batch=5),
    CancelRequest(id="1", job_ids=["a", "b"]),
    *(cast(Request, request(id="9")) for request in REQUESTS if request.__struct_fields__ == ("id",)),
]


@pytest.mark.parametrize("form", ["json", "cbor"])
@pytest.mark.parametrize("request_", GOOD_REQUESTS)
def test_a_request_is_read_as_it_was_written(request_: Any, form: Any) -> None:
    """Round trip in both forms."""
    assert decode_request(encode_request(request_, form), LIMITS) == request_


@pytest.mark.parametrize("form", ["json", "cbor"])
@pytest.mark.parametrize(
    "reply",
    [
        Ok(re="1", lsn=3),
        Ok(re="1", next=None),
        Error(re=None, code="queue_full", message="…", retry_after=0.5),
        GapPush(subscription="s1", from_lsn=1, to_lsn=2),
        EventPush(subscription="s1", lsn=1, event="queue_paused", at="2026-01-01T00:00:00.000Z", queue="q"),
    ],
)
def test_a_reply_is_read_as_it_was_written(reply: Any, form: Any) -> None:
    """Round trip in both forms; absent and null stay apart."""
    assert decode_reply(encode(reply, form)) == reply


def test_a_reply_with_fields_of_a_newer_server_is_read() -> None:
    """A client leaves aside what it does not know."""
    ok = decode_reply('{"type":"ok","re":"1","jobs":[{"id":"a","duplicate":true,"new":1}],"newer":2}')
    assert isinstance(ok, Ok)
    assert isinstance(ok.jobs, msgspec.Raw)
    assert read(list[Receipt], ok.jobs) == [Receipt(id="a", duplicate=True)]


def test_a_body_holds_one_job_or_a_list() -> None:
    """HTTP: the path in an error is that of the form that was used."""
    assert decode_jobs(b'{"kind":"a"}', LIMITS) == ([NewJobObject(kind="a")], False)
    assert decode_jobs(b'{"jobs":[{"kind":"a"}]}', LIMITS) == ([NewJobObject(kind="a")], True)
    for body, message in [
        (b'{"kind":1}', "kind: expected text, got number"),
        (b'{"jobs":[{"kind":1}]}', "jobs[0].kind: expected text, got number"),
        (b'{"jobs":[],"kind":"a"}', "kind: unknown field"),
        (b"[]", "the message: expected object, got list"),
        (b'{"kind":"\xff"}', "the message: expected UTF-8, got other bytes"),
    ]:
        with pytest.raises(WireError) as caught:
            decode_jobs(body, LIMITS)
        assert caught.value.message.startswith(message)


def test_a_listing_is_asked_for_by_query() -> None:
    """HTTP: text becomes numbers; unknown parameters and wrong types are refused."""
    found = list_request({"state": "dead", "limit": "7", "after": "5", "kind": "null"})
    assert found == ListRequest(id="", state=JobState.DEAD, limit=7, after=5, kind="null")
    for query, message in [
        ({"limit": "x"}, "limit: expected whole number, got text"),
        ({"id": "x"}, "id: unknown parameter; there are state, queue, kind, tag, reason, limit, after"),
        ({"state": "x"}, "state: expected one of"),
    ]:
        with pytest.raises(WireError) as caught:
            list_request(query)
        assert caught.value.message.startswith(message)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
field_names = st.sampled_from(sorted({name for request in REQUESTS for name in request.__struct_fields__}))
messages = st.fixed_dictionaries(
    {"type": st.sampled_from([str(request.__struct_config__.tag) for request in REQUESTS]) | json_values},
    optional={"id": st.text() | json_values},
).flatmap(
    lambda head: st.dictionaries(field_names | st.text(), json_values, max_size=4).map(
        lambda rest: {**rest, **head}
    )
)


def check_total(data: str | bytes) -> None:
    """A message or a WireError with a text that can be shown; nothing else is raised."""
    error = None
    try:
        decode_request(data, LIMITS)
    except WireError as raised:
        error = raised
    if error is not None:
        assert 0 < len(error.message) < 400
        assert error.request_id is None or len(error.request_id) <= 200


@given(st.text() | st.binary())
def test_any_bytes_are_a_message_or_a_clear_error(data: str | bytes) -> None:
    """Fuzz: raw text and bytes."""
    check_total(data)


@given(messages | json_values)
def test_anything_in_json_or_cbor_is_a_message_or_a_clear_error(value: Any) -> None:
    """Fuzz: near-messages in both forms, NaN and huge numbers among them."""
    check_total(json.dumps(value))
    check_total(json.dumps(value, ensure_ascii=False))
    try:
        data = cbor2.dumps(value)
    except UnicodeEncodeError:  # a lone surrogate cannot be written at all
        return
    check_total(data)


@given(st.data())
def test_a_message_cut_short_or_changed_in_a_byte_is_a_message_or_a_clear_error(data: st.DataObject) -> None:
    """Fuzz: damage to valid messages."""
    message = encode_request(
        data.draw(st.sampled_from(GOOD_REQUESTS)), data.draw(st.sampled_from(["json", "cbor"]))
    )
    raw = bytearray(message if isinstance(message, bytes) else message.encode())
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] = data.draw(st.integers(0, 255))
    changed = bytes(raw[: data.draw(st.integers(place, len(raw)))])
    check_total(changed)
    check_total(changed.decode("utf-8", "surrogateescape"))
