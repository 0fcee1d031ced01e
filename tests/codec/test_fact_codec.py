"""Facts as bytes: every fact comes back as it was, and nothing that is not one is believed."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from random import Random
from typing import Any, NamedTuple, get_args

import cbor2
import pytest
from hypothesis import given, settings, strategies as st

from beaver_actors.codec import fact_codec, packing
from beaver_actors.codec.extras_codec import MoreRow, UniqueRow
from beaver_actors.codec.fact_codec import (
    FACT_CODES,
    CodecError,
    decode_facts,
    encode_facts,
)
from beaver_actors.codec.packing import pack_terms, unpack_terms
from beaver_actors.codec.schedule_codec import PackedScheduleFired, PackedScheduleSet, PlanRow, ScheduleRow
from beaver_actors.core.facts import (
    FACTS,
    Fact,
    JobCancelled,
    JobCancelRequested,
    JobCompleted,
    JobDeleted,
    JobDied,
    JobEnqueued,
    JobFailed,
    JobMoved,
    JobProgressed,
    JobReleased,
    JobRescued,
    JobRetried,
    JobSnoozed,
    JobStarted,
    JobUnblocked,
    OperationAdvanced,
    OperationEnded,
    OperationStarted,
    QueueConfigured,
    QueueDeleted,
    QueueDrainStarted,
    QueuePaused,
    QueueResumed,
    ScheduleFired,
    ScheduleRemoved,
    ScheduleSet,
)
from beaver_actors.core.job import Backoff, Extras, JobError, JobState, Terms, Unique
from beaver_actors.core.limits import QueueRules, Rate
from beaver_actors.core.schedule import Plan, Schedule
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
        16: "JobUnblocked",
        24: "OperationStarted",
        25: "OperationAdvanced",
        26: "OperationEnded",
        17: "ScheduleSet",
        18: "ScheduleRemoved",
        19: "ScheduleFired",
        20: "QueueConfigured",
        21: "QueueDrainStarted",
        22: "QueueDeleted",
        23: "JobMoved",
    }
    assert set(FACT_CODES.values()) == set(FACTS) == set(get_args(Fact))


def test_a_packed_job_enqueued_has_the_fields_of_the_fact() -> None:
    """P6, by table: the two classes are kept alike by hand."""
    packed = fact_codec._PackedEnqueued
    first, *more = Extras._fields
    assert packed._fields == (*JobEnqueued._fields[:-1], first, "more")
    assert set(packed._field_defaults.values()) == {None}
    assert MoreRow._fields == tuple(more)
    assert MoreRow._field_defaults == {name: Extras._field_defaults[name] for name in more}
    assert (UniqueRow._fields, UniqueRow._field_defaults) == (Unique._fields, Unique._field_defaults)


def test_packed_schedules_have_the_fields_of_what_they_are() -> None:
    """P6, by table: these classes are kept alike by hand too."""
    for packed, kept in (
        (PackedScheduleSet, ScheduleSet),
        (PackedScheduleFired, ScheduleFired),
        (PlanRow, Plan),
    ):
        assert (packed._fields, packed._field_defaults) == (kept._fields, kept._field_defaults)
    assert ScheduleRow._fields == tuple(field.name for field in dataclasses.fields(Schedule))


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
    monkeypatch.setattr(packing, "_TERMS_KEPT", 3)
    for number in range(10):
        terms = Terms(f"kind-{number}")
        assert unpack_terms(pack_terms(terms)) == terms
    assert len(packing._packed) <= 3
    assert len(packing._unpacked) <= 3


def test_trailing_fields_with_a_default_may_be_absent() -> None:
    """P6, by example: a fact that has grown a field reads what was written before it had it."""
    assert decode_facts(cbor2.dumps([[2, "job", 1, "worker"]])) == [JobStarted("job", 1, "worker", None)]


def test_a_field_that_came_later_leaves_no_bytes_while_it_says_nothing() -> None:
    """P6, by example: what an earlier version could write is still written as it wrote it."""
    assert encode_facts([JobStarted("job", 1, "worker", 9)]) == cbor2.dumps([[2, "job", 1, "worker", 9]])
    remote = [JobStarted("job", 1, "worker", None, 60_000)]
    assert encode_facts(remote) == cbor2.dumps([[2, "job", 1, "worker", None, 60_000]])


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([[2, "job", "x", "w"]], "facts[0] (job_started).at_ms: Expected int, got str"),
        ([[2, "job", True, "w"]], "facts[0] (job_started).at_ms: Expected int, got bool"),
        ([[2, "job", 1.0, "w"]], "facts[0] (job_started).at_ms: Expected int, got float"),
        ([[2, b"job", 1, "w"]], "facts[0] (job_started).job_id: Expected str, got bytes"),
        ([[2, "job"]], "facts[0] (job_started): Expected array of length 3 to 5, got 1"),
        ([[2, "job", 1, "w", *[None] * 3]], "facts[0] (job_started): Expected array of length 3 to 5, got 6"),
        ([[2, "job", 1, "w", None, -1]], "facts[0] (job_started).lease_ms: out of range"),
        ([[2, "a", 1, "w"], [2, "b", 1, 3]], "facts[1] (job_started).worker_id: Expected str, got int"),
        ([[5, "job", 1, 2, ["E", "m", 3], 4]], "facts[0] (job_failed).error[2]: Expected str, got int"),
        ([[9, "job", 1, "bored"]], "facts[0] (job_died).reason: Invalid enum value 'bored'"),
        ([[1, "job", 1, "terms", b"", 3]], "facts[0] (job_enqueued).terms: Expected bytes, got str"),
        ([[1, "job", 1, b"\x81\x01", b"", 3]], "terms.kind: Expected str, got int"),
        ([[1, "job", 1, b"\x80", b"", 3]], "terms: Expected array of length 1 to 9, got 0"),
        ([[4, "job", 1, 2, "text"]], "facts[0] (job_completed).result: Expected bytes | null, got str"),
        ([[2, "a", 1, "w"], [2, "b", 10**15, "w"]], "facts[1] (job_started).at_ms: out of range"),
        ([[2, "job", -1, "w"]], "facts[0] (job_started).at_ms: out of range"),
        ([[2, "job", 1, "w", 10**15]], "facts[0] (job_started).deadline_ms: out of range"),
        ([[4, "job", 1, 2**63]], "facts[0] (job_completed).fence: out of range"),
        (
            [[1, "job", 10**15, b"\x81\x61k", b"{}", 3]],
            "facts[0] (job_enqueued).at_ms: Expected int <= 253402300799999",
        ),
        ([[1, "job", 1, cbor2.dumps(["k", "q", 101]), b"{}", 3]], "terms.priority: out of range"),
        ([[1, "job", 1, cbor2.dumps(["k", "q", 0, 0]), b"{}", 3]], "terms.max_attempts: out of range"),
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


def test_no_tag_is_acted_on() -> None:
    """P6, by every tag that the library may know: shared values and times are not what was written."""
    for tag in (*range(1100), 43000, 55799):
        with pytest.raises(CodecError):
            decode_facts(cbor2.dumps(cbor2.CBORTag(tag, [])))


@given(st.binary(max_size=80))
@settings(deadline=None)
def test_any_bytes_are_facts_or_refused(data: bytes) -> None:
    """P6, by random bytes: never another exception."""
    with suppress(CodecError):
        decode_facts(data)


SAMPLES: list[Any] = [
    JobEnqueued("a", 1, Terms("k"), b"{}", 1),
    JobStarted("a", 1, "w", 2),
    JobProgressed("a", 1, 1, b"1"),
    JobCompleted("a", 1, 1, b"1"),
    JobFailed("a", 1, 1, JobError("E", "m"), 2),
    JobSnoozed("a", 1, 1, 2),
    JobReleased("a", 1, 1),
    JobRescued("a", 1, 1, JobError("E", "m")),
    JobDied("a", 1, "poison", JobError("E", "m")),
    JobCancelRequested("a", 1),
    JobCancelled("a", 1),
    JobRetried("a", 1, 2),
    JobDeleted("a", 1, "request"),
    QueuePaused("q", 1),
    QueueResumed("q", 1),
    JobUnblocked("a", 1, 2),
    OperationStarted("o", 1, "retry", JobState.DEAD, "q", "k", "t", "poison", "E", 1, 2, 3, 4),
    OperationAdvanced("o", 1, 5, 4, 3, 1),
    OperationEnded("o", 1, "stopped"),
    ScheduleSet("s", 1, Plan(Terms("k"), every_ms=1000), 1),
    ScheduleRemoved("s", 1, "undeclared"),
    ScheduleFired("s", 1, 5, "j"),
    QueueConfigured("q", 1, QueueRules(1, 2, Rate(3, 4, 5), 6, Rate(7, 8, 9), 10)),
    QueueDrainStarted("q", 1),
    QueueDeleted("q", 1),
    JobMoved("a", 1, "q"),
]


@pytest.mark.parametrize(
    "fact",
    [
        JobStarted("\ud800", 1, "w"),
        JobStarted("job", 2**64, "w"),
        JobStarted("job", 1.5, "w"),  # type: ignore[arg-type]
        JobStarted("job", True, "w"),
        JobStarted("job", 253_402_300_800_000, "w"),
        JobEnqueued("job", 1, Terms("k", timeout_ms=-1), b"", 1),
        JobEnqueued("job", 1, Terms("k", backoff=Backoff("odd")), b"", 1),  # type: ignore[arg-type]
        JobFailed("job", 1, 1, JobError("E", None), 2),  # type: ignore[arg-type]
        ScheduleSet("s", 1, Plan(Terms("k")), 1),
        ScheduleSet("s", 1, Plan(Terms("k"), cron="* * * * *", every_ms=5), 1),
        ScheduleSet("s", 1, Plan(Terms("k"), every_ms=0), 1),
        ScheduleSet("s", 1, Plan(Terms("k"), every_ms=5, overlap="perhaps"), 1),  # type: ignore[arg-type]
        ScheduleSet("s", 1, Plan(Terms("k"), every_ms=5), -1),
        ScheduleSet("s", 1, Plan(Terms("k"), every_ms=5, expires_in_ms=0), 1),
        ScheduleSet("s", 1, Plan(Terms("k"), every_ms=5, unique=Unique("u", "window")), 1),
        ScheduleSet("s", 1, Plan(Terms("k"), every_ms=5, on_conflict="replace"), 1),
        ScheduleSet("s", 1, Plan(Terms("k"), every_ms=5, concurrency_key=""), 1),
        ScheduleFired("s", 1, -1, "j"),
        ScheduleFired("s", 1, 1, None, "missed", 0),
        QueueConfigured("q", 1, QueueRules(concurrency=0)),
        QueueConfigured("q", 1, QueueRules(rate=Rate(1, 0, 1))),
        QueueConfigured("q", 1, QueueRules(key_rate=Rate(1, 1, 1_000_001))),
        QueueConfigured("q", 1, QueueRules(jobs_max=-1)),
        QueueConfigured("q", 1, (1,)),  # type: ignore[arg-type]
        QueueConfigured("q", 1, QueueRules(), ("colour",)),
        QueueConfigured("q", 1, QueueRules(), ("rate", "concurrency")),
        QueueConfigured("q", 1, QueueRules(), ("rate", "rate")),
        JobEnqueued("job", 1, Terms("k"), b"{}", 1, Extras(concurrency_key=5)),  # type: ignore[arg-type]
    ],
)
def test_a_fact_that_could_not_be_read_back_is_not_written(fact: Fact) -> None:
    """P3, by example: better refused now than a log that cannot be read after it was acknowledged."""
    with pytest.raises(CodecError):
        encode_facts([fact])


class Text(str):
    """Text, and not quite."""


class Fields(NamedTuple):
    """Nothing that is stored, with fields of any kind."""

    one: object
    two: object = "m"
    three: object = ""


ERRORS: Any = JobError
TERMS_OF: Any = Terms
ODD_TERMS = [
    TERMS_OF(Text("k")), TERMS_OF("k", priority=1.0), TERMS_OF("k", tags=["t"]), TERMS_OF("k", tags=(1,)),
    TERMS_OF("k", backoff=Backoff(factor=2)), TERMS_OF("k", backoff=Backoff(factor=float("nan"))),
    TERMS_OF("k", meta="{}"), TERMS_OF("k", meta=bytearray(b"{}")), ("k",),
]  # fmt: skip
ODD = st.sampled_from(
    [
        None, True, 0, -1, 1, 2**63, 2**64, 1.0, 1.5, float("nan"), "", "a", "max_attempts", "request",
        "\ud800", Text("a"), JobState.DEAD, b"", b"{}", bytearray(b"{}"), memoryview(b"{}"), (),
        ("E", "m", ""), ["E", "m", ""], ERRORS("E", "m"), ERRORS("E", None), ERRORS("E", Text("m")),
        ERRORS(b"E", "m"), Fields("E"), Fields(b"E"), *ODD_TERMS,
    ]
)  # fmt: skip


@given(st.data(), st.sampled_from(FACTS))
@settings(deadline=None, max_examples=500)
def test_what_is_written_can_be_read_back_whatever_it_is(data: st.DataObject, fact_type: type[Fact]) -> None:
    """P3, by odd values in every field: refused, or equal when it is decoded, and never another exception."""
    good: Any = next(fact for fact in SAMPLES if type(fact) is fact_type)
    places = data.draw(st.sets(st.sampled_from(range(len(good))), max_size=2))
    fact: Any = good._replace(**{good._fields[place]: data.draw(ODD) for place in places})
    try:
        body = encode_facts([fact, good, fact])
    except CodecError:
        return
    decoded: list[Any] = decode_facts(body)
    assert decoded == [fact, good, fact]
    assert [type(found) for found in decoded] == [fact_type] * 3


def test_facts_are_tuples_and_not_dataclasses() -> None:
    """P3, by table: the codec relies on the order of their fields."""
    assert all(issubclass(fact, tuple) and not dataclasses.is_dataclass(fact) for fact in FACTS)
