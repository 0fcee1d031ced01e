"""Answers as replies: every field, the units, the end of a page."""

from __future__ import annotations

import json

import msgspec
import pytest

from beaver_actors.codec.wire import Error, Ok
from beaver_actors.codec.wire_answers import PAGE_BYTES_MAX, NodeView, page, reply, status_reply
from beaver_actors.codec.wire_decode import decode_reply, encode, read
from beaver_actors.codec.wire_job_objects import ChangeObject, ErrorObject, Fixed, JobObject, Receipt
from beaver_actors.codec.wire_status_objects import QueueObject, StatusObject
from beaver_actors.core.answers import (
    Change,
    Changed,
    Enqueued,
    Found,
    JobView,
    Leased,
    Page,
    QueueStatus,
    Receipt as CoreReceipt,
    Refused,
    Status,
)
from beaver_actors.core.job import AttemptError, Backoff, Extras, JobState, Terms, Unique

AT_MS = 1_788_249_600_000
AT = "2026-09-01T08:00:00.000Z"

BARE = JobView(
    "j", Terms("k"), b'{"a":1.0}', JobState.PENDING, AT_MS, AT_MS, Extras(), 5, 5, 0, 0, 0,
    None, None, None, False, None, None, None, (), "turn",
)  # fmt: skip
FULL = BARE._replace(
    terms=Terms(
        "k", "q", -1, 3, None, Backoff("fixed", 1_500, 1.0, 1_500, False), 86_400_000, ("t",), b'{"u":1}'
    ),
    state=JobState.DEAD,
    run_at_ms=AT_MS + 1,
    extras=Extras(AT_MS + 2, Unique("u", "window", 1_500)),
    attempt=2,
    rescues=1,
    fence=8,
    started_ms=AT_MS + 3,
    finished_ms=AT_MS + 4,
    worker_id="w",
    cancel_requested=True,
    reason="poison",
    progress=b"[1]",
    result=b'"r"',
    errors=(AttemptError(AT_MS + 4, 2, "ValueError", "bad", "Traceback"),),
    waits_for=None,
)


def sent(message: Ok | Error) -> Ok:
    """The reply as the client reads it."""
    read_back = decode_reply(encode(message, "json"))
    assert isinstance(read_back, Ok)
    return read_back


def test_a_job_is_shown_with_every_field() -> None:
    """Times become RFC 3339, durations seconds, what is absent null."""
    found = json.loads(encode(reply("1", Found(BARE)), "json"))
    assert found == {
        "type": "ok",
        "re": "1",
        "job": {
            "id": "j", "kind": "k", "args": {"a": 1.0}, "queue": "default", "priority": 0, "state": "pending",
            "run_at": AT, "max_attempts": 25, "timeout": 1800, "retention": None, "tags": [], "meta": {},
            "backoff": {"kind": "polynomial", "exponent": 4.0, "base": 15, "cap": 604800, "jitter": True},
            "expires_at": None, "unique_key": None, "unique_until": None, "unique_for": None,
            "concurrency_key": None, "created_at": AT, "started_at": None, "finished_at": None, "attempt": 0,
            "rescues": 0, "fence": 0, "worker_id": None, "cancel_requested": False, "reason": None,
            "waits_for": "turn", "progress": None, "result": None, "errors": [], "lsn": 5,
        },
    }  # fmt: skip
    job = read(JobObject, sent(reply("1", Found(FULL))).job)  # type: ignore[arg-type]  # it is there
    assert (job.backoff, job.retention, job.timeout) == (Fixed(delay=1.5), 86400, None)
    assert (job.run_at, job.finished_at) == ("2026-09-01T08:00:00.001Z", "2026-09-01T08:00:00.004Z")
    assert (job.unique_key, job.unique_until, job.unique_for) == ("u", "window", 1.5)
    assert (job.progress, job.result, job.meta) == tuple(map(msgspec.Raw, (b"[1]", b'"r"', b'{"u":1}')))
    assert job.errors == [
        ErrorObject(
            at="2026-09-01T08:00:00.004Z", attempt=2, type="ValueError", message="bad", traceback="Traceback"
        )
    ]
    assert (job.reason, job.cancel_requested, job.fence, job.worker_id) == ("poison", True, 8, "w")


def test_receipts_and_changes_stand_in_the_order_asked() -> None:
    """The client matches them by position."""
    ok = sent(reply("1", Enqueued((CoreReceipt('"', True), CoreReceipt("b", False)), 7)))
    assert ok.lsn == 7
    assert read(list[Receipt], ok.jobs) == [  # type: ignore[arg-type]  # it is there
        Receipt(id='"', duplicate=True),
        Receipt(id="b", duplicate=False),
    ]
    changes = (Change("a", True, None, JobState.CANCELLED), Change("b", False, "not_found"))
    assert sent(reply("1", Changed(changes, 8))).changes == [
        ChangeObject(name="a", changed=True, code=None, state=JobState.CANCELLED),
        ChangeObject(name="b", changed=False, code="not_found", state=None),
    ]


def test_a_refusal_is_an_error_with_seconds() -> None:
    """Milliseconds stay inside."""
    error = reply("1", Refused("queue_full", "full", 1_500))
    assert error == Error(re="1", code="queue_full", message="full", retry_after=1.5)
    assert reply("1", Refused("not_found", "?")) == Error(re="1", code="not_found", message="?")


def test_a_page_that_grows_too_large_ends_early_with_its_own_cursor() -> None:
    """The next page begins where this one was cut; one job always fits."""
    big = BARE._replace(args=b'{"a":"%b"}' % (b"x" * (PAGE_BYTES_MAX // 2)))
    views = tuple(big._replace(order=order) for order in (9, 7, 4))
    jobs, after = page(Page(views, 2))
    assert (len(json.loads(bytes(jobs))), after) == (1, 9)
    huge = BARE._replace(args=b'{"a":"%b"}' % (b"x" * PAGE_BYTES_MAX))
    assert page(Page((huge,), None))[1] is None
    assert page(Page((), 3)) == (msgspec.Raw(b"[]"), 3)


def test_the_status_tells_of_queues_and_the_server() -> None:
    """Every field of it."""
    counts = dict.fromkeys(JobState, 0)
    status = Status(
        9, counts, (QueueStatus("q", True, counts, AT_MS),), {"started": 3}, {"poison": 1}, {"x": 2}, True
    )
    ok = sent(status_reply("1", status, NodeView("0.1", AT_MS, False, 8, 2), AT_MS + 1))
    shown = read(StatusObject, ok.status)  # type: ignore[arg-type]  # it is there
    assert shown == StatusObject(
        at="2026-09-01T08:00:00.001Z", lsn=9, states=counts,
        queues={"q": QueueObject(paused=True, states=counts, oldest_pending_at=AT)},
        totals={"started": 3}, dead_reasons={"poison": 1}, unknown_kinds={"x": 2}, storage_full=True,
        draining=False, version="0.1", started_at=AT, workers=8, sessions=2,
    )  # fmt: skip


def test_an_answer_that_no_client_asks_for_is_a_bug() -> None:
    """Leases are between the queue and its workers."""
    with pytest.raises(AssertionError, match="Leased answers no request"):
        reply("1", Leased(()))
