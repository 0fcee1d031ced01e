"""Subscriptions as asked for."""

from __future__ import annotations

from typing import Any

import pytest

from beaver_actors.codec.wire_decode import Limits, decode_request
from beaver_actors.codec.wire_errors import WireError
from beaver_actors.codec.wire_watch import Watch, WatchEvents, WatchStatus, to_watch
from beaver_actors.core.facts import JobCompleted, JobDied


def watch(fields: str) -> Watch:
    """The subscription that a request with these fields asks for."""
    request: Any = decode_request('{"type":"subscribe","id":"7",' + fields + "}", Limits())
    return to_watch(request)


@pytest.mark.parametrize(
    ("fields", "meant"),
    [
        ('"topic":"status"', WatchStatus(1_000)),
        ('"topic":"status","interval":"100ms"', WatchStatus(100)),
        ('"topic":"status","interval":3600', WatchStatus(3_600_000)),
        ('"topic":"events"', WatchEvents(None, None, None, None, None, None)),
        (
            '"topic":"events","from_lsn":0,"batch":1000,"filter":{}',
            WatchEvents(0, None, None, None, None, 1000),
        ),
        (
            '"topic":"events","filter":{"kind":"k","queue":"q","job_ids":["a","a"],'
            '"events":["job_completed","job_died"]}',
            WatchEvents(None, "k", "q", frozenset("a"), frozenset({JobCompleted, JobDied}), None),
        ),
    ],
)
def test_a_subscription_says_what_it_wants(fields: str, meant: Watch) -> None:
    """Both topics with all their fields."""
    assert watch(fields) == meant


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ('"topic":"status","interval":0.05', "interval: expected 0.1 s to 1 h, got 0.05"),
        ('"topic":"status","interval":"2h"', 'interval: expected 0.1 s to 1 h, got "2h"'),
        ('"topic":"status","from_lsn":1', "from_lsn: only for the topic events"),
        ('"topic":"status","filter":{}', "filter: only for the topic events"),
        ('"topic":"status","batch":1', "batch: only for the topic events"),
        ('"topic":"events","interval":1', "interval: only for the topic status"),
        (
            '"topic":"events","from_lsn":-1',
            "from_lsn: expected a number from 0 to 9223372036854775807, got -1",
        ),
        ('"topic":"events","batch":0', "batch: expected a number from 1 to 1000, got 0"),
        ('"topic":"events","filter":{"kind":"/"}', "filter.kind: expected 1 to 200"),
        ('"topic":"events","filter":{"queue":"/"}', "filter.queue: expected 1 to 128"),
        ('"topic":"events","filter":{"job_ids":[]}', "filter.job_ids: expected 1 to 1000 ids, got 0"),
        ('"topic":"events","filter":{"job_ids":["a",""]}', "filter.job_ids[1]: expected 1 to 200 printable"),
        ('"topic":"events","filter":{"events":[]}', "filter.events: expected at least 1 event, got none"),
        (
            '"topic":"events","filter":{"events":["job_complete"]}',
            'filter.events[0]: expected an event\'s name, got "job_complete"; did you mean "job_completed"?',
        ),
    ],
)
def test_what_cannot_be_subscribed_to_is_refused(fields: str, message: str) -> None:
    """The path, what was expected and what came; the reply will carry the request's id."""
    with pytest.raises(WireError) as caught:
        watch(fields)
    assert caught.value.message.startswith(message)
    assert (caught.value.code, caught.value.request_id) == ("bad_request", "7")
