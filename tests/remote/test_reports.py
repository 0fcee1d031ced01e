"""Leases on their way to a worker on another machine: what its handlers need comes with them."""

from __future__ import annotations

import msgspec
import pytest

from beaver_actors.codec.wire_worker_objects import LeasedJobObject
from beaver_actors.codec.wire_workers import leased_object
from beaver_actors.core.answers import LeasedJob
from beaver_actors.core.job import Terms
from beaver_actors.remote.reports import leased_job


@pytest.mark.parametrize("meta", [b"", b'{"traceparent":"00-4bf9-00f0-01","own":1}'])
def test_a_lease_brings_all_that_the_context_shows(meta: bytes) -> None:
    """Meta too, and with it the trace. By round trip through the message; without meta nothing is sent."""
    lease = LeasedJob("a", 7, 2, Terms("work", queue="mail", timeout_ms=1_500, meta=meta), b'{"x":1}')
    text = msgspec.json.encode(leased_object(lease))
    assert (b'"meta"' in text) == bool(meta)
    assert leased_job(msgspec.json.decode(text, type=LeasedJobObject)) == lease
