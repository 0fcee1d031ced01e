"""Requests and the commands they mean."""

from __future__ import annotations

import random
from typing import Any

import pytest

from beaver_actors.codec.ids import JobIds
from beaver_actors.codec.wire_commands import to_command
from beaver_actors.codec.wire_decode import Limits, decode_request
from beaver_actors.codec.wire_errors import WireError
from beaver_actors.codec.wire_jobs import Defaults
from beaver_actors.core.commands import (
    Cancel,
    Command,
    Count,
    Delete,
    Explain,
    Get,
    List,
    ListOperations,
    Pause,
    Resume,
    Retry,
    StartOperation,
    StopOperation,
)
from beaver_actors.core.job import JobState
from beaver_actors.core.operation import Wanted

LIMITS = Limits()


def command(fields: str) -> Command:
    """The command of a request with these fields."""
    request: Any = decode_request('{"id":"7",' + fields + "}", LIMITS)
    return to_command(request, JobIds(lambda: 0, random.Random(1).getrandbits), LIMITS, Defaults())


@pytest.mark.parametrize(
    ("fields", "meant"),
    [
        ('"type":"get","job_id":"a"', Get("a")),
        ('"type":"explain","job_id":"a"', Explain("a")),
        ('"type":"status"', Count()),
        ('"type":"list"', List(limit=50)),
        (
            '"type":"list","state":"dead","queue":"q","kind":"k","tag":"t","reason":"poison","limit":1,"after":9',
            List(JobState.DEAD, "q", "k", "t", "poison", 1, 9),
        ),
        (
            '"type":"list","error_type":"E","created_after":"1970-01-01T00:00:01Z",'
            '"finished_before":"1970-01-01T00:00:02Z"',
            List(error_type="E", created_after_ms=1000, finished_before_ms=2000),
        ),
        (
            '"type":"operate","word":"delete","operation_id":"o","kind":"k"',
            StartOperation("o", "delete", Wanted(JobState.DEAD, kind="k")),
        ),
        (
            '"type":"operate","word":"retry","operation_id":"o","state":"cancelled"',
            StartOperation("o", "retry", Wanted(JobState.CANCELLED)),
        ),
        ('"type":"operations"', ListOperations()),
        ('"type":"operations","operation_id":"o"', ListOperations("o")),
        ('"type":"stop","operation_id":"o"', StopOperation("o")),
        ('"type":"cancel","job_ids":["a","b"]', Cancel(("a", "b"))),
        ('"type":"retry","job_ids":["a"]', Retry(("a",))),
        ('"type":"delete","job_ids":["a"]', Delete(("a",))),
        ('"type":"pause","queue":"q"', Pause("q")),
        ('"type":"resume","queue":"q"', Resume("q")),
    ],
)
def test_a_request_has_one_command(fields: str, meant: Command) -> None:
    """Every request but enqueue, which has tests of its own."""
    assert command(fields) == meant


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ('"type":"explain","job_id":"a b"', "job_id: expected 1 to 200 printable"),
        ('"type":"get","job_id":"a b"', "job_id: expected 1 to 200 printable"),
        ('"type":"list","limit":0', "limit: expected a number from 1 to 1000, got 0"),
        ('"type":"list","limit":1001', "limit: expected a number from 1 to 1000, got 1001"),
        ('"type":"list","after":-1', "after: expected a number from 0 to"),
        ('"type":"list","queue":"/"', "queue: expected 1 to 128"),
        ('"type":"list","kind":"/"', "kind: expected 1 to 200"),
        ('"type":"list","tag":""', "tag: expected 1 to 100"),
        ('"type":"cancel","job_ids":[]', "job_ids: expected 1 to 1000 ids, got 0"),
        ('"type":"retry","job_ids":["a",""]', "job_ids[1]: expected 1 to 200 printable"),
        ('"type":"pause","queue":""', "queue: expected 1 to 128"),
    ],
)
def test_a_value_that_cannot_be_is_refused(fields: str, message: str) -> None:
    """The path, what was expected and what came; the reply will carry the request's id."""
    with pytest.raises(WireError) as caught:
        command(fields)
    assert caught.value.message.startswith(message)
    assert (caught.value.code, caught.value.request_id) == ("bad_request", "7")
