"""Facts as bytes: every fact comes back as it was, and nothing that is not one is believed."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from random import Random
from typing import Any, get_args

import cbor2
import pytest
from hypothesis import given, settings, strategies as st

from beaver_actors.codec import fact_codec
from beaver_actors.codec.fact_codec import (
    FACT_CODES,
    CodecError,
    decode_facts,
    encode_facts,
    pack_terms,
    unpack_terms,
)
from beaver_actors.core.facts import FACTS, Fact, JobEnqueued, JobFailed, JobStarted
from beaver_actors.core.job import Backoff, JobError, Terms
from tests.journal.happenings import TERMS, happen


@given(seed=st.integers(0, 2**32), count=st.integers(1, 60))
@settings(deadline=None)
def test_facts_come_back_as_they_were(seed: int, count: int) -> None:
    """P3, by random histories: same classes, same fields, same order."""
    facts = happen(Random(seed), count)
    decoded = decode_facts(encode_facts(facts))
    assert decoded == facts
    assert [type(fact) for fact in decoded] == [type(fact) for fact in facts]
    assert [list(map(type, fact)) for fact in decoded] == [list(map(type, fact)) for fact in facts]


def test_every_fact_has_a_code_for_ever() -> None:
    """P6, by table: a new fact gets the next number; these never change."""
    assert {code: fact.__name__ for code, fact in FACT_CODES.items()} == {
        1: "JobEnqueued",
        2: "JobStarted",
        3: "JobProgressed",
        4: "JobCompleted",
        5: "JobFailed",
        6: "JobSnoozed",
        7: "JobReleased",
        8: "JobRescued",
        9: "JobDied",
        10: "JobCancelRequested",
        11: "JobCancelled",
        12: "JobRetried",
        13: "JobDeleted",
        14: "QueuePaused",
        15: "QueueResumed",
    }
    assert set(FACT_CODES.values()) == set(FACTS) == set(get_args(Fact))


def test_a_packed_job_enqueued_has_the_fields_of_the_fact() -> None:
    """P6, by table: the two classes are kept alike by hand."""
    packed = fact_codec._PackedEnqueued
    assert packed._fields == JobEnqueued._fields
    assert packed._field_defaults == JobEnqueued._field_defaults


def test_equal_terms_become_one_value() -> None:
    """P3, by example: a long backlog shares its terms in memory."""
    one, other = (JobEnqueued(name, 1, Terms("k", tags=("t",)), b"{}", 1) for name in ("a", "b"))
    decoded = decode_facts(encode_facts([one, other]))
    assert isinstance(decoded[0], JobEnqueued)
    assert isinstance(decoded[1], JobEnqueued)
    assert decoded[0].terms is decoded[1].terms


@pytest.mark.parametrize("terms", TERMS)
def test_terms_are_packed_without_their_defaults(terms: Terms) -> None:
    """P3, by example: what is left out comes back as the default it was."""
    packed = pack_terms(terms)
    assert unpack_terms(packed) == terms
    if terms == Terms("demo.echo"):
        assert cbor2.loads(packed) == ["demo.echo"]


def test_many_different_terms_are_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """P11, by example: what is remembered is bounded, and forgetting changes nothing."""
    monkeypatch.setattr(fact_codec, "_TERMS_KEPT", 3)
    for number in range(10):
        terms = Terms(f"kind-{number}")
        assert unpack_terms(pack_terms(terms)) == terms
    assert len(fact_codec._packed) <= 3
    assert len(fact_codec._unpacked) <= 3


def test_trailing_fields_with_a_default_may_be_absent() -> None:
    """P6, by example: a fact that has grown a field reads what was written before it had it."""
    assert decode_facts(cbor2.dumps([[2, "job", 1, "worker"]])) == [JobStarted("job", 1, "worker", None)]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([[2, "job", "x", "w"]], "facts[0] (job_started).at_ms: Expected int, got str"),
        ([[2, "job", True, "w"]], "facts[0] (job_started).at_ms: Expected int, got bool"),
        ([[2, "job", 1.0, "w"]], "facts[0] (job_started).at_ms: Expected int, got float"),
        ([[2, b"job", 1, "w"]], "facts[0] (job_started).job_id: Expected str, got bytes"),
        ([[2, "job"]], "facts[0] (job_started): Expected array of length 3 to 4, got 1"),
        ([[2, "job", 1, "w", None, None]], "facts[0] (job_started): Expected array of length 3 to 4, got 5"),
        ([[2, "a", 1, "w"], [2, "b", 1, 3]], "facts[1] (job_started).worker_id: Expected str, got int"),
        ([[5, "job", 1, 2, ["E", "m", 3], 4]], "facts[0] (job_failed).error[2]: Expected str, got int"),
        ([[9, "job", 1, "bored"]], "facts[0] (job_died).reason: Invalid enum value 'bored'"),
        ([[1, "job", 1, "terms", b"", 3]], "facts[0] (job_enqueued).terms: Expected bytes, got str"),
        ([[1, "job", 1, b"\x81\x01", b"", 3]], "terms.kind: Expected str, got int"),
        ([[1, "job", 1, b"\x80", b"", 3]], "terms: Expected array of length 1 to 9, got 0"),
        ([[4, "job", 1, 2, "text"]], "facts[0] (job_completed).result: Expected bytes | null, got str"),
        ([[99, "job"]], "facts[0]: unknown fact code 99"),
        ([[True, "job"]], "facts[0]: unknown fact code True"),
        ([["2", "job"]], "facts[0]: unknown fact code '2'"),
        ([[]], "facts[0]: expected an array that begins with a code, got []"),
        ([7], "facts[0]: expected an array that begins with a code, got 7"),
        ({"a": 1}, "expected an array of facts, got dict"),
    ],
)
def test_what_is_no_fact_is_refused_by_fact_and_field(rows: Any, told: str) -> None:
    """P6, by example: wrong codes, wrong lengths, wrong types; each is named, none is skipped."""
    with pytest.raises(CodecError) as caught:
        decode_facts(cbor2.dumps(rows))
    assert str(caught.value) == told


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x83\x01",
        b"\x9f\x01\xff",
        b"\x80\x80",
        b"\x81" * 1000 + b"\x01",
        b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\x61\xff",
        b"\xa2\x61a\x01\x61a\x02",
        b"\xd8\x1c\x81\xd8\x1d\x00",
        b"\xc2\x49" + bytes(9),
        b"\xc0\x74" + b"2020-01-01T00:00:00Z",
        b"\xd9\x03\xe8\x01",
        b"\xff",
    ],
    ids=[
        "nothing", "cut short", "indefinite", "trailing bytes", "deep nesting", "endless array",
        "endless bytes", "not utf-8", "duplicate key", "cyclic", "big number", "date", "unknown tag",
        "stray break",
    ],
)  # fmt: skip
def test_hostile_bytes_are_refused(data: bytes) -> None:
    """P6, by example: a checksum proves that bytes are as written, not that they were written well."""
    with pytest.raises(CodecError):
        decode_facts(data)


@given(st.binary(max_size=80))
@settings(deadline=None)
def test_any_bytes_are_facts_or_refused(data: bytes) -> None:
    """P6, by random bytes: never another exception."""
    with suppress(CodecError):
        decode_facts(data)


@pytest.mark.parametrize(
    "fact",
    [
        JobStarted("\ud800", 1, "w"),
        JobStarted("job", 2**64, "w"),
        JobStarted("job", 1.5, "w"),  # type: ignore[arg-type]
        JobStarted("job", True, "w"),
        JobEnqueued("job", 1, Terms("k", backoff=Backoff("odd")), b"", 1),  # type: ignore[arg-type]
        JobFailed("job", 1, 1, JobError("E", None), 2),  # type: ignore[arg-type]
    ],
)
def test_a_fact_that_could_not_be_read_back_is_not_written(fact: Fact) -> None:
    """P3, by example: better refused now than a log that cannot be read after it was acknowledged."""
    with pytest.raises(CodecError):
        encode_facts([fact])


def test_facts_are_tuples_and_not_dataclasses() -> None:
    """P3, by table: the codec relies on the order of their fields."""
    assert all(issubclass(fact, tuple) and not dataclasses.is_dataclass(fact) for fact in FACTS)
