"""The state to a stream of bytes and back: what stands in a snapshot file.

Everything that is not derived is stored: LSN, time, totals, queues and every job. The stream is a header,
chunks and an end mark, each with a checksum that continues the one before, so a stream that is cut short,
damaged or put together from two is told. This file opens nothing and builds no index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, fields
from operator import attrgetter, lt
from struct import Struct
from typing import Any, NamedTuple
from zlib import crc32

from beaver_actors.codec.extras_codec import MoreRow, contradiction, extras_from, more_values, trimmed
from beaver_actors.codec.operation_codec import (
    OperationRow,
    odd_operations,
    operation_from,
    operation_row,
)
from beaver_actors.codec.packing import CodecError, convert, dump, load, pack_terms, unpack_terms
from beaver_actors.codec.queue_codec import QueueRow, odd_queues, queue_from, queue_values
from beaver_actors.codec.ranges import EPOCH_MAX, LSN_MAX, Lsn, Time
from beaver_actors.codec.schedule_codec import ScheduleRow, schedule_row, schedules_from
from beaver_actors.codec.segment import BadHeader, UnknownVersion
from beaver_actors.codec.snapshot_checks import misfit
from beaver_actors.core.job import (
    WAITING,
    AttemptError,
    EndReason,
    Job,
    JobState,
    Trail,
)
from beaver_actors.core.state import State, Totals
from beaver_actors.core.transitions import TRANSITIONS

FORMAT_VERSION = 1

_MAGIC = b"BEAVRSNP"
_HEADER = Struct("<8sIIQQIQ")
_HEADER_SUMMED = 12  # the checksum covers what follows the magic and the checksum itself
_CHUNK = Struct("<II")  # size and checksum; the end mark is a chunk of size 0

CHUNK_JOBS = 1000  # a bigger chunk costs memory and saves no time
CHUNK_BYTES = 4 << 20  # of the jobs' own data, so that large jobs come in small chunks

STATE_CODES: dict[int, JobState] = {
    1: JobState.SCHEDULED,
    2: JobState.PENDING,
    3: JobState.BLOCKED,
    4: JobState.IN_FLIGHT,
    5: JobState.COMPLETED,
    6: JobState.DEAD,
    7: JobState.CANCELLED,
}
"""Numbers on disk. Never change or reuse one."""
_CODE_OF = {state: code for code, state in STATE_CODES.items()}
_KNOWN = frozenset(_CODE_OF[state] for state, _ in TRANSITIONS if state is not None)
_WAITING = frozenset(code for code, state in STATE_CODES.items() if state in WAITING)
_IN_FLIGHT, _DEAD = _CODE_OF[JobState.IN_FLIGHT], _CODE_OF[JobState.DEAD]
_CANCELLED, _BLOCKED = _CODE_OF[JobState.CANCELLED], _CODE_OF[JobState.BLOCKED]


class SnapshotHeader(NamedTuple):
    """The start of a snapshot file."""

    lsn: int
    """The state is the one after this fact, the last of a frame."""
    epoch: int
    """The highest epoch among the facts behind it."""
    chain: int
    """The header checksum of the frame that ends with `lsn`; 0 if `lsn` is 0."""
    job_count: int


class RootRow(NamedTuple):
    """What stands in the first chunk. Fields with a default may be absent."""

    time_ms: Time
    totals: dict[str, Lsn]
    died: dict[str, Lsn]
    queues: list[QueueRow]
    operations: tuple[OperationRow, ...] = ()
    schedules: tuple[ScheduleRow, ...] = ()


class TrailRow(NamedTuple):
    """A `Trail` as it is stored: its fields, in its order, without the counts, which are columns. Fields with
    a default may be absent."""

    started_ms: Time | None
    finished_ms: Time | None
    worker_id: str | None
    deadline_ms: Time | None
    cancel_requested: bool
    reason: EndReason | None
    progress: bytes | None
    result: bytes | None
    errors: tuple[AttemptError, ...]
    lease_ms: Time | None = None


JOB_COLUMNS: dict[str, Any] = {
    "id": list[str],
    "terms": list[int],  # a place among the chunk's terms
    "args": list[bytes],
    "state": list[int],
    "created_ms": list[Time],
    "run_at_ms": list[Time],
    "expires_at_ms": list[Time | None],
    "order": list[Lsn],
    "lsn": list[Lsn],
    "attempt": list[Lsn],
    "rescues": list[Lsn],
    "fence": list[Lsn],
    "trail": list[TrailRow | None],
    "more": list[MoreRow | None],
}
"""What is stored of a job, by column: one type check for a thousand values. Where a `Job` keeps a value is
its own affair: `expires_at_ms` and `more` are its extras, the counts of attempts stand in its trail. The last
column came later, and is left out where no job of the chunk has anything there."""
_KEPT = ("id", "terms", "args", "state", "created_ms", "run_at_ms", "extras", "order", "lsn", "trail")
_job_values = attrgetter(*_KEPT)
_trail_values = attrgetter(*TrailRow._fields)
_counts = attrgetter("attempt", "rescues", "fence")


def encode_snapshot(state: State, *, epoch: int, chain: int) -> Iterator[bytes]:
    """Yield the stream for this state, in pieces.

    Args:
        epoch, chain: of the frame that ends with `state.lsn`.
    """
    packed = _HEADER.pack(_MAGIC, 0, FORMAT_VERSION, state.lsn, epoch, chain, len(state.jobs))
    crc = crc32(packed[_HEADER_SUMMED:])
    yield _HEADER.pack(_MAGIC, crc, FORMAT_VERSION, state.lsn, epoch, chain, len(state.jobs))
    for chunk in _chunks(state):
        crc = crc32(chunk, crc)
        yield _CHUNK.pack(len(chunk), crc)
        yield chunk
    yield _CHUNK.pack(0, crc)


def decode_snapshot(read: Callable[[int], bytes]) -> tuple[SnapshotHeader, State]:
    """Read a stream.

    Args:
        read: returns the next so many bytes, fewer only at the end of the stream.

    Returns:
        The header, and the state without its indexes: `core.state.reindex` builds them.

    Raises:
        BadHeader: not a snapshot, cut short, or its header does not match its checksum.
        UnknownVersion: sound, but of another version.
        CodecError: a chunk is damaged, missing, not understood or makes no sense; the text says where.
    """
    header, crc = _read_header(read(_HEADER.size))
    chunks = _read_chunks(read, crc)
    try:
        state = _decode_root(next(chunks, b""), header)
        for number, chunk in enumerate(chunks, start=1):
            _decode_jobs(state, chunk, f"chunk {number}")
    except KeyError as error:
        raise CodecError(f"unknown number or name {error}") from None
    if len(state.jobs) != header.job_count:
        raise CodecError(f"expected {header.job_count} jobs, found {len(state.jobs)} different ones")
    came, went = state.totals.enqueued, state.totals.deleted
    if came - went != header.job_count:
        raise CodecError(f"chunk 0: {came} jobs came and {went} were deleted; there are {header.job_count}")
    return header, state


def _chunks(state: State) -> Iterator[bytes]:
    totals = asdict(state.totals)
    died = totals.pop("died")
    queues = [queue_values(queue, state.time_ms) for queue in state.queues.values()]
    root: list[Any] = [state.time_ms, totals, died, queues]
    root.append([operation_row(operation) for operation in state.operations.values()])
    root.append([schedule_row(schedule) for schedule in state.schedules.values()])
    while not root[-1] and len(root) > 4:
        root.pop()  # what came later is left out while there is none of it
    yield dump(root)
    jobs: list[Job] = []
    size = 0
    for job in state.jobs.values():
        jobs.append(job)
        size += len(job.args) + (_trail_size(job.trail) if job.trail else 0)
        if len(jobs) == CHUNK_JOBS or size >= CHUNK_BYTES:
            yield _encode_jobs(jobs)
            jobs, size = [], 0
    if jobs:
        yield _encode_jobs(jobs)


def _trail_size(trail: Trail) -> int:
    size = len(trail.progress or b"") + len(trail.result or b"")
    return size + sum(len(error.message) + len(error.traceback) for error in trail.errors)


def _encode_jobs(jobs: Iterable[Job]) -> bytes:
    terms: dict[bytes, int] = {}
    columns: dict[str, Any] = dict(zip(_KEPT, zip(*map(_job_values, jobs), strict=True), strict=True))
    columns["terms"] = [terms.setdefault(pack_terms(value), len(terms)) for value in columns["terms"]]
    columns["state"] = [_CODE_OF[state] for state in columns["state"]]
    columns["expires_at_ms"] = [extras and extras.expires_at_ms for extras in columns["extras"]]
    trails = columns["trail"]
    counts = zip(*[(0, 0, 0) if trail is None else _counts(trail) for trail in trails], strict=True)
    columns["attempt"], columns["rescues"], columns["fence"] = counts
    columns["trail"] = [trail and _trail_row(trail) for trail in trails]
    more = [extras and more_values(extras) for extras in columns["extras"]]
    columns["more"] = [values and trimmed(values) for values in more]
    last = None if any(more) else -1
    return dump([list(terms), [columns[name] for name in JOB_COLUMNS][:last]])


def _trail_row(trail: Trail) -> tuple[Any, ...]:
    """What is stored of a trail. A field that came later is left out while it says nothing."""
    row: tuple[Any, ...] = _trail_values(trail)
    return row[:-1] if trail.lease_ms is None else row


def _read_header(data: bytes) -> tuple[SnapshotHeader, int]:
    if len(data) < _HEADER.size:
        raise BadHeader(f"snapshot header cut short: {len(data)} of {_HEADER.size} bytes")
    magic, crc, version, *values = _HEADER.unpack(data)
    if magic != _MAGIC:
        raise BadHeader(f"snapshot header begins with {magic!r} instead of {_MAGIC!r}")
    if crc != crc32(data[_HEADER_SUMMED:]):
        raise BadHeader("snapshot header does not match its checksum")
    if version != FORMAT_VERSION:
        raise UnknownVersion(version, FORMAT_VERSION)
    header = SnapshotHeader(*values)
    if header.lsn > LSN_MAX or header.epoch > EPOCH_MAX:
        raise BadHeader("snapshot header with numbers that are never written")
    return header, crc


def _read_chunks(read: Callable[[int], bytes], crc: int) -> Iterator[bytes]:
    """The chunks, each proven to follow the one before, up to and with the end mark."""
    number = 0
    while True:
        head = read(_CHUNK.size)
        if len(head) < _CHUNK.size:
            raise CodecError(f"cut short before chunk {number} or the end mark")
        size, expected = _CHUNK.unpack(head)
        if size == 0:
            break
        chunk = read(size)
        if len(chunk) < size:
            raise CodecError(f"chunk {number} cut short: {len(chunk)} of {size} bytes")
        crc = crc32(chunk, crc)
        if crc != expected:
            raise CodecError(f"chunk {number} does not match its checksum")
        yield chunk
        number += 1
    if crc != expected:
        raise CodecError("the end mark does not match its checksum")
    if read(1):
        raise CodecError("bytes follow the end mark")


def _decode_root(chunk: bytes, header: SnapshotHeader) -> State:
    time_ms, totals, died, queues, operations, schedules = convert(
        load(chunk), RootRow, "chunk 0", RootRow._fields
    )
    unknown = totals.keys() - {field.name for field in fields(Totals)}
    if unknown:
        raise CodecError(f"chunk 0: unknown totals {sorted(unknown)}")
    if found := odd_queues(queues) or odd_operations(operations, header.lsn):
        raise CodecError(f"chunk 0: {found}")
    return State(
        lsn=header.lsn,
        time_ms=time_ms,
        queues={row.name: queue_from(row) for row in queues},
        totals=Totals(**totals, died=died),
        operations={row.id: operation_from(row) for row in operations},
        schedules=schedules_from(schedules, header.lsn),
    )


def _decode_jobs(state: State, chunk: bytes, where: str) -> None:
    packed, values = convert(load(chunk), tuple[list[bytes], list[list[Any]]], where)
    if len(values) == len(JOB_COLUMNS) - 1 and values:
        values.append([None] * len(values[0]))
    if len(values) != len(JOB_COLUMNS):
        raise CodecError(f"{where}: expected {len(JOB_COLUMNS)} columns, got {len(values)}")
    columns: dict[str, Any] = {
        name: convert(value, target, f"{where}: {name}")
        for (name, target), value in zip(JOB_COLUMNS.items(), values, strict=True)
    }
    if len({len(column) for column in columns.values()}) != 1:
        raise CodecError(f"{where}: columns of different lengths")
    arrived = next(reversed(state.jobs.values())).order if state.jobs else 0
    orders = [arrived, *columns["order"]]
    if orders[-1] > state.lsn or not all(map(lt, orders, orders[1:])):
        raise CodecError(f"{where}: jobs are not in the order of arrival, or from the future")
    if orders[1:] and (
        found := misfit(
            columns,
            state.lsn,
            known=_KNOWN,
            waiting=_WAITING,
            blocked=_BLOCKED,
            in_flight=_IN_FLIGHT,
            dead=_DEAD,
            cancelled=_CANCELLED,
        )
    ):
        raise CodecError(f"{where}: {found}")
    if found := next(filter(None, map(contradiction, columns["more"])), None):
        raise CodecError(f"{where}: more: {found}")
    terms = {place: unpack_terms(value) for place, value in enumerate(packed)}
    for value in terms.values():
        if value.queue not in state.queues:
            raise CodecError(f"{where}: there is no queue {value.queue}")
    columns["terms"] = [terms[place] for place in columns["terms"]]
    columns["state"] = [STATE_CODES[code] for code in columns["state"]]
    expiries, more = columns["expires_at_ms"], columns["more"]
    counts = columns["attempt"], columns["rescues"], columns["fence"]
    nothing = [None] * len(expiries)  # what a column mostly is, so that is not asked job by job
    columns["extras"] = nothing if expiries == nothing == more else list(map(extras_from, expiries, more))
    if columns["trail"] != nothing:
        columns["trail"] = list(map(_trail, *counts, columns["trail"]))
    _share_numbers(columns)
    jobs = map(Job, *(columns[name] for name in _KEPT))
    state.jobs.update(zip(columns["id"], jobs, strict=True))


def _trail(attempt: int, rescues: int, fence: int, row: TrailRow | None) -> Trail | None:
    return None if row is None else Trail(attempt, rescues, fence, *row)


def _share_numbers(columns: dict[str, Any]) -> None:
    """Let equal numbers be one object, as they are in a state that came to be fact by fact: each would cost
    every job another 32 bytes."""
    for name, other in (("lsn", "order"), ("run_at_ms", "created_ms")):
        if columns[name] == columns[other]:
            columns[name] = columns[other]
    created, run_at = columns["created_ms"], columns["run_at_ms"]
    known = dict(zip(created, created, strict=True))
    if len(known) < len(created):
        columns["created_ms"] = shared = list(map(known.__getitem__, created))
        columns["run_at_ms"] = shared if run_at is created else list(map(known.get, run_at, run_at))
