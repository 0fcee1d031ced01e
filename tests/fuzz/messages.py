"""Messages to be spoiled: one of every request, and how a message becomes bytes in either form, rightly or
not. It sends nothing and judges nothing.
"""

from __future__ import annotations

import json
from typing import Any

import cbor2

from tests.fuzz.choices import Choices
from tests.fuzz.mutations import odd_tree, spoil

RICH_JOB: dict[str, Any] = {
    "kind": "work", "args": {"n": 1, "deep": {"list": [1, 2.5, None, "ü", {}]}}, "id": "b", "queue": "mail",
    "priority": 7, "run_at": "2026-09-01T08:00:00.250+02:00", "max_attempts": 3, "timeout": "30s",
    "backoff": {"kind": "list", "delays": [1, "2s"]}, "expires_at": "2999-01-01T00:00:00Z", "retention": 60,
    "tags": ["red", "blue"], "meta": {"trace": "00-ab"},
}  # fmt: skip
DEEP_JOB: dict[str, Any] = {"kind": "work", "id": "deep", "args": json.loads('{"a":' * 64 + "1" + "}" * 64)}
"""As many levels as a job may have."""
REQUESTS: tuple[dict[str, Any], ...] = (
    {"type": "status"},
    {"type": "enqueue", "jobs": [{"kind": "work", "id": "a", "args": {"n": 1}}]},
    {"type": "enqueue", "jobs": [{"kind": "work"}, RICH_JOB, {"kind": "unknown", "id": "c", "delay": 0.5}]},
    {"type": "enqueue", "jobs": [{"kind": "work", "id": "d", "delay": "1h", "timeout": None}] * 2},
    {"type": "enqueue", "jobs": [DEEP_JOB]},
    {"type": "get", "job_id": "a"},
    {"type": "explain", "job_id": "a"},
    {
        "type": "operate", "word": "retry", "operation_id": "o", "state": "dead", "kind": "k", "queue": "q",
        "tag": "t", "reason": "poison", "error_type": "E", "created_after": "2026-09-01T08:00:00Z",
        "finished_before": "2026-09-01T08:00:00Z",
    },
    {"type": "operations", "operation_id": "o"},
    {"type": "stop", "operation_id": "o"},
    {"type": "history", "job_id": "a"},
    {"type": "past", "lsn": 7, "job_id": "a"},
    {"type": "past", "at": "2026-09-01T08:00:00Z"},
    {"type": "get", "job_id": "deep"},
    {"type": "list"},
    {"type": "list", "state": "pending", "queue": "default", "kind": "work", "limit": 2, "after": 9},
    {"type": "list", "tag": "red", "reason": "expired"},
    {"type": "cancel", "job_ids": ["a", "b", "nobody"]},
    {"type": "retry", "job_ids": ["a", "d"]},
    {"type": "delete", "job_ids": ["c", "d", "d"]},
    {"type": "pause", "queue": "default"},
    {"type": "resume", "queue": "default"},
    {"type": "subscribe", "topic": "status", "interval": "250ms"},
    {"type": "subscribe", "topic": "events"},
    {"type": "subscribe", "topic": "events", "from_lsn": 1, "batch": 2},
    {"type": "subscribe", "topic": "events", "from_lsn": 0, "filter": {"kind": "work", "queue": "mail"}},
    {
        "type": "subscribe", "topic": "events", "batch": 1000,
        "filter": {"job_ids": ["a"], "events": ["job_enqueued", "job_completed"]},
    },
    {"type": "unsubscribe", "subscription": "s1"},
    {
        "type": "register", "worker_id": "far", "kinds": ["work", "unknown"],
        "queues": {"default": 2, "mail": 1}, "slots": 2, "fences": [3], "host": "h", "pid": 7, "version": "1",
    },
    {"type": "ready", "slots": 3},
    {"type": "heartbeat", "fences": [1, 2, 3, 4, 5]},
    {"type": "report", "progress": [{"job_id": "c", "fence": 5, "progress": {"percent": 1.5}}]},
    {
        "type": "report",
        "reports": [
            {"job_id": "c", "fence": 5, "outcome": "succeeded", "result": [1, "x"]},
            {"job_id": "c", "fence": 6, "outcome": "failed", "error": {"type": "E"}, "delay": "1s"},
            {"job_id": "a", "fence": 2, "outcome": "snoozed", "delay": 2},
        ],
    },
    {"type": "workers"},
    {"type": "deregister"},
)  # fmt: skip
TEXTS = tuple(json.dumps({"id": "0", **request}, ensure_ascii=False) for request in REQUESTS)


def request(choices: Choices, number: int) -> dict[str, Any]:
    """A request, with this number as its id, spoiled or not."""
    tree: Any = {"id": str(number), **choices.pick(REQUESTS)}
    for _ in choices.some(3):
        tree = odd_tree(choices, tree, cbor=True)
    return tree if isinstance(tree, dict) else {"id": str(number), "type": tree}


def message(choices: Choices, number: int) -> str | bytes:
    """A request as it would arrive: text for JSON, bytes for CBOR, perhaps broken on the way."""
    if choices.one_in(8):
        raw = choices.content(200)
        return raw.decode("utf-8", "surrogateescape") if choices.one_in(2) else raw
    tree = request(choices, number)
    if choices.one_in(2):
        data = as_cbor(tree)
        return spoil(choices, data, as_cbor(choices.pick(REQUESTS))) if choices.one_in(4) else data
    text = as_json(tree)
    if choices.one_in(4):
        text = spoil(choices, text.encode("utf-8", "surrogatepass"), choices.pick(TEXTS).encode()).decode(
            "utf-8", "surrogateescape"
        )
    return text


def as_it_is(raw: bytes) -> str | bytes:
    """Text if it begins as JSON does, else CBOR."""
    return raw.decode("utf-8", "surrogateescape") if raw[:1] in (b"{", b"[", b" ", b'"') else raw


def as_json(tree: object) -> str:
    """Text that says NaN and the like as Python does."""
    return json.dumps(tree, default=repr)


def as_cbor(tree: object) -> bytes:
    try:
        return cbor2.dumps(tree)
    except (UnicodeEncodeError, cbor2.CBOREncodeError):
        return cbor2.dumps(json.loads(json.dumps(tree, default=repr).replace("\\ud", "\\uff")))
