"""Numbers that no job can have are refused, whatever checksum is around them (P6)."""

from __future__ import annotations

import pytest

from beaver_actors.codec.packing import CodecError, pack_terms, unpack_terms
from beaver_actors.codec.ranges import beyond_in_terms
from beaver_actors.core.durations import DURATION_MS_MAX
from beaver_actors.core.job import Backoff, Terms

TERMS = Terms("k")


@pytest.mark.parametrize(
    ("terms", "name"),
    [
        (TERMS._replace(priority=-101), "priority"),
        (TERMS._replace(max_attempts=0), "max_attempts"),
        (TERMS._replace(max_attempts=1001), "max_attempts"),
        (TERMS._replace(timeout_ms=-1), "timeout_ms"),
        (TERMS._replace(retention_ms=DURATION_MS_MAX + 1), "retention_ms"),
        (TERMS._replace(backoff=Backoff(base_ms=-1)), "backoff.base_ms"),
        (TERMS._replace(backoff=Backoff(cap_ms=-1)), "backoff.cap_ms"),
        (TERMS._replace(backoff=Backoff(factor=float("nan"))), "backoff.factor"),
        (TERMS._replace(backoff=Backoff(factor=-1.0)), "backoff.factor"),
        (TERMS._replace(backoff=Backoff("list", delays_ms=(1, -1))), "backoff.delays_ms"),
    ],
)
def test_terms_that_no_job_can_have_are_refused_by_name(terms: Terms, name: str) -> None:
    """P6, by example: each field that has a range."""
    assert beyond_in_terms(terms) == name
    with pytest.raises(CodecError, match=f"terms.{name}: out of range"):
        unpack_terms(pack_terms(terms))


@pytest.mark.parametrize(
    "terms",
    [
        TERMS,
        TERMS._replace(priority=-100, max_attempts=1, timeout_ms=None, retention_ms=0),
        TERMS._replace(priority=100, max_attempts=1000, timeout_ms=DURATION_MS_MAX),
        TERMS._replace(backoff=Backoff("list", 0, 0.0, 0, False, (0, DURATION_MS_MAX))),
    ],
)
def test_terms_at_the_edge_are_kept(terms: Terms) -> None:
    """P3, by example: nothing that could be asked for is refused when it is read back."""
    assert unpack_terms(pack_terms(terms)) == terms
