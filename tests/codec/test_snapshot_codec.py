"""The state as bytes: complete, in order, and refused unless all of it is there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from io import BytesIO
from random import Random
from struct import pack
from zlib import crc32

import pytest
from hypothesis import given, settings, strategies as st

from beaver_actors.codec import snapshot_codec
from beaver_actors.codec.packing import CodecError, dump, load
from beaver_actors.codec.queue_codec import BucketRow, QueueRow, TenantRow
from beaver_actors.codec.segment import BadHeader, UnknownVersion
from beaver_actors.codec.snapshot_codec import (
    JOB_COLUMNS,
    STATE_CODES,
    SnapshotHeader,
    TrailRow,
    decode_snapshot,
    encode_snapshot,
)
from beaver_actors.core.fold import fold
from beaver_actors.core.invariants import check
from beaver_actors.core.job import AttemptError, Extras, Job, JobState, Trail
from beaver_actors.core.limits import Bucket
from beaver_actors.core.queues import Queue, Tenant
from beaver_actors.core.state import State, reindex
from tests.journal.happenings import essence, happen


def encoded(state: State) -> bytes:
    return b"".join(encode_snapshot(state, epoch=4, chain=5))


def decoded(data: bytes) -> State:
    return decode_snapshot(BytesIO(data).read)[1]


def state_of(seed: int, count: int) -> State:
    state = State()
    happen(Random(seed), count, state)
    return state


@given(seed=st.integers(0, 2**32), count=st.integers(0, 300))
@settings(deadline=None)
def test_a_state_comes_back_complete(seed: int, count: int) -> None:
    """P3, by random histories: jobs in their order, queues, totals, LSN."""
    state = state_of(seed, count)
    header, copy = decode_snapshot(BytesIO(encoded(state)).read)
    assert header == SnapshotHeader(lsn=count, epoch=4, chain=5, job_count=len(state.jobs))
    assert essence(copy) == essence(state)


@given(seed=st.integers(0, 2**32), before=st.integers(0, 150), after=st.integers(0, 150))
@settings(deadline=None)
def test_a_state_that_came_back_goes_on_as_the_original(seed: int, before: int, after: int) -> None:
    """P3, by random histories: snapshot and the facts after it give what all the facts give."""
    random = Random(seed)
    state = State()
    happen(random, before, state)
    copy = decoded(encoded(state))
    reindex(copy)
    for fact in happen(random, after, state):
        fold(copy, fact)
    assert essence(copy) == essence(state)
    assert counts(copy) == counts(state)
    check(copy)


def counts(state: State) -> dict[str, dict[JobState, int]]:
    return {
        name: {key: count for key, count in queue.counts.items() if count}
        for name, queue in state.queues.items()
    }


@pytest.mark.parametrize("jobs_per_chunk", [1, 7])
def test_many_chunks_make_one_state(monkeypatch: pytest.MonkeyPatch, jobs_per_chunk: int) -> None:
    """P3, by example: the order of arrival holds across chunks."""
    monkeypatch.setattr(snapshot_codec, "CHUNK_JOBS", jobs_per_chunk)
    state = state_of(1, 400)
    assert len(state.jobs) > 2 * jobs_per_chunk
    assert essence(decoded(encoded(state))) == essence(state)


def test_large_jobs_come_in_small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """P11, by example: the memory a chunk takes is bounded by bytes too."""
    state = state_of(2, 400)
    few = len(list(encode_snapshot(state, epoch=1, chain=0)))
    monkeypatch.setattr(snapshot_codec, "CHUNK_BYTES", 1000)
    assert len(list(encode_snapshot(state, epoch=1, chain=0))) > few


def test_columns_are_the_fields_of_the_classes() -> None:
    """P6, by table: a field added to a job must be stored, and that changes the format."""
    own, trail = ([field.name for field in fields(of)] for of in (Job, Trail))
    assert sorted({*own, Extras._fields[0], "more", *trail} - {"extras"}) == sorted(
        {*JOB_COLUMNS, *TrailRow._fields}
    )
    assert list(TrailRow._fields) == [name for name in trail if name not in JOB_COLUMNS]
    derived = ["tenants_waiting", "sweep_at", "counts"]
    assert [*QueueRow._fields, *derived] == [field.name for field in fields(Queue)]
    assert TenantRow._fields == ("key", *[field.name for field in fields(Tenant)][:2])
    assert list(BucketRow._fields) == [field.name for field in fields(Bucket)]
    assert [field.name for field in fields(State)][:5] == ["lsn", "time_ms", "jobs", "queues", "totals"]


def test_every_state_has_a_code_for_ever() -> None:
    """P6, by table: these numbers never change."""
    assert {code: state.value for code, state in STATE_CODES.items()} == {
        1: "scheduled",
        2: "pending",
        3: "blocked",
        4: "in_flight",
        5: "completed",
        6: "dead",
        7: "cancelled",
    }
    assert set(STATE_CODES.values()) == set(JobState)


def small() -> bytes:
    return encoded(state_of(3, 12))


def test_every_cut_is_told() -> None:
    """P6, exhaustive: the stream ends at each byte."""
    data = small()
    for size in range(len(data)):
        with pytest.raises((BadHeader, CodecError)):
            decoded(data[:size])


def test_every_flipped_bit_is_told() -> None:
    """P6, exhaustive: each bit flipped alone."""
    data = small()
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises((BadHeader, CodecError)):
            decoded(bytes(flipped))


def test_bytes_behind_the_end_are_told() -> None:
    """P6, by example."""
    with pytest.raises(CodecError, match="bytes follow the end mark"):
        decoded(small() + b"\0")


def test_chunks_of_two_snapshots_do_not_mix(monkeypatch: pytest.MonkeyPatch) -> None:
    """P6, by example: each chunk's checksum continues the one before, so none can stand in for another."""
    monkeypatch.setattr(snapshot_codec, "CHUNK_JOBS", 1)
    pieces = list(encode_snapshot(state_of(4, 40), epoch=1, chain=0))
    assert len(pieces) > 8
    swapped = [*pieces[:3], *pieces[5:7], *pieces[3:5], *pieces[7:]]
    with pytest.raises(CodecError, match="checksum"):
        decoded(b"".join(swapped))


def test_an_unknown_version_is_told_from_damage() -> None:
    """P6, by example: a sound header of version 2."""
    summed = pack("<IQQIQ", 2, 0, 1, 0, 0)
    with pytest.raises(UnknownVersion):
        decoded(b"BEAVRSNP" + crc32(summed).to_bytes(4, "little") + summed)


def changed(state: State, chunks: Iterable[bytes]) -> bytes:
    """A stream with these chunks and sound checksums."""
    summed = pack("<IQQIQ", 1, state.lsn, 1, 0, len(state.jobs))
    crc = crc32(summed)
    data = b"BEAVRSNP" + crc.to_bytes(4, "little") + summed
    for chunk in chunks:
        crc = crc32(chunk, crc)
        data += pack("<II", len(chunk), crc) + chunk
    return data + pack("<II", 0, crc)


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("state", 9, "state: not one that this program knows"),
        ("terms", 99, "unknown number or name 99"),
        ("terms", -1, "unknown number or name -1"),
        ("attempt", "x", "chunk 1: attempt[0]: Expected int, got str"),
        ("trail", [1], "chunk 1: trail[0]: Expected array of length 9 to 10, got 1"),
        ("order", 10**9, "jobs are not in the order of arrival, or from the future"),
        ("state", 3, "chunk 1: state: blocked, but without parents"),
        ("created_ms", -1, "chunk 1: created_ms[0]: Expected int >= 0"),
        ("run_at_ms", 10**15, "chunk 1: run_at_ms[0]: Expected int <= 253402300799999"),
        ("lsn", 13, "chunk 1: lsn: before the job's arrival, or from the future"),
        ("lsn", 0, "chunk 1: lsn: before the job's arrival, or from the future"),
        ("fence", 13, "chunk 1: fence: from the future"),
        ("rescues", 99, "chunk 1: rescues: more than attempts"),
    ],
)
def test_what_is_no_job_is_refused(column: str, value: object, told: str) -> None:
    """P6, by example: sound checksums around values that make no sense."""
    state = state_of(3, 12)
    root, jobs = snapshot_codec._chunks(state)
    assert decoded(changed(state, [root, jobs])).jobs == state.jobs
    terms, columns = load(jobs)
    columns[list(JOB_COLUMNS).index(column)][0] = value
    with pytest.raises(CodecError) as caught:
        decoded(changed(state, [root, dump([terms, columns])]))
    assert told in str(caught.value)


ERROR = AttemptError(-1, 1, "E", "m", "t")


@pytest.mark.parametrize(
    ("state", "trail", "told"),
    [
        (JobState.PENDING, Trail(started_ms=1, deadline_ms=2), "a deadline, but it does not run"),
        (JobState.PENDING, Trail(started_ms=1, lease_ms=2), "a lease, but it does not run"),
        (JobState.PENDING, Trail(started_ms=1, finished_ms=2), "finished or not, against its state"),
        (JobState.PENDING, Trail(started_ms=1, reason="poison"), "dead or not, against its state"),
        (JobState.PENDING, Trail(errors=(ERROR,)), "a time out of range"),
        (JobState.IN_FLIGHT, Trail(started_ms=1), "it runs without a lease"),
        (JobState.IN_FLIGHT, None, "trail: missing"),
        (JobState.COMPLETED, None, "trail: missing"),
        (JobState.COMPLETED, Trail(started_ms=1), "finished or not, against its state"),
        (JobState.DEAD, Trail(finished_ms=1), "dead or not, against its state"),
    ],
)
def test_a_job_that_contradicts_itself_is_refused(state: JobState, trail: Trail | None, told: str) -> None:
    """P6, by example: sound checksums around a job that no history leads to; `core/invariants.py` agrees."""
    whole = state_of(3, 12)
    job = next(iter(whole.jobs.values()))
    job.state, job.trail = state, trail
    with pytest.raises(CodecError, match=told):
        decoded(encoded(whole))
    if trail is None or not trail.errors:
        reindex(whole)
        with pytest.raises(AssertionError):
            check(whole)


def test_counts_that_do_not_add_up_are_refused() -> None:
    """P6, by example: sound checksums around totals that are not those of the jobs, or a queue twice."""
    state = state_of(3, 12)
    state.totals.enqueued += 1
    with pytest.raises(CodecError, match="jobs came and"):
        decoded(encoded(state))
    state.totals.enqueued -= 1
    state.queues["again"] = next(iter(state.queues.values()))
    with pytest.raises(CodecError, match="a queue stands there twice"):
        decoded(encoded(state))


def test_a_header_with_numbers_that_are_never_written_is_refused() -> None:
    """P6, by example: an LSN or an epoch that leaves no room for the next."""
    for lsn, epoch in ((2**63, 1), (1, 2**63)):
        state = State(lsn=lsn)
        with pytest.raises(BadHeader, match="numbers that are never written"):
            decoded(b"".join(encode_snapshot(state, epoch=epoch, chain=0)))


def test_a_missing_or_doubled_chunk_is_refused() -> None:
    """P6, by example: sound checksums, and not all jobs, or some twice."""
    state = state_of(3, 12)
    root, jobs = snapshot_codec._chunks(state)
    with pytest.raises(CodecError, match="jobs, found 0"):
        decoded(changed(state, [root]))
    with pytest.raises(CodecError, match="order of arrival"):
        decoded(changed(state, [root, jobs, jobs]))
    with pytest.raises(CodecError, match="not sound CBOR"):
        decoded(changed(state, []))


def test_columns_of_different_lengths_are_refused() -> None:
    """P6, by example."""
    state = state_of(3, 12)
    root, jobs = snapshot_codec._chunks(state)
    terms, columns = load(jobs)
    columns[3].pop()
    with pytest.raises(CodecError, match="different lengths"):
        decoded(changed(state, [root, dump([terms, columns])]))
    with pytest.raises(CodecError, match="14 columns, got 12"):
        decoded(changed(state, [root, dump([terms, columns[:-1]])]))
