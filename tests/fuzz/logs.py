"""Fuzz targets for what lies on disk: the files of a data directory, a snapshot's bytes, a frame's body.

Each target is a function of bytes that raises if the code under it misbehaved; else it returns whether the
code accepted what it was given. Where checksums are made good again, the decoders behind them are reached.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO
from zlib import crc32

from beaver_actors.codec.fact_codec import CodecError, decode_facts, encode_facts
from beaver_actors.codec.frame import encode_frame
from beaver_actors.codec.packing import dump, load
from beaver_actors.codec.segment import (
    BadHeader,
    SegmentHeader,
    UnknownVersion,
    encode_segment_header,
    scan_segment,
)
from beaver_actors.codec.snapshot_codec import decode_snapshot, encode_snapshot
from beaver_actors.core.invariants import check
from beaver_actors.core.state import reindex
from tests.fuzz.choices import RAW, Choices
from tests.fuzz.directories import Files, judge, originals, shown
from tests.fuzz.mutations import odd_tree, spoil
from tests.fuzz.serving import live_on, show_events, show_everything

LOG_NAMES = (
    "wal/00000000000000000001.wal", "wal/00000000000000000000.wal", "wal/00000000000000000031.wal",
    "wal/99999999999999999999.wal", "wal/1.wal", "wal/00000000000000000001.wal.tmp", "wal/spare.tmp",
    "wal/٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٢.wal", "snapshots/00000000000000000000.snap",
    "snapshots/00000000000000000020.snap", "snapshots/18446744073709551615.snap",
    "snapshots/00000000000000000020.snap.9.tmp", "snapshots/٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٢٠.snap",
    "format", "format.tmp", "running", "reserve", "lock",
)  # fmt: skip

ODD_LSN = 2**64 - 1000


def directory(data: bytes) -> bool:
    """A data directory with something done to its files by someone who cannot make checksums."""
    choices = Choices(data)
    raw = choices.raw()
    original = choices.pick(originals())
    files = dict(original.files)
    if raw is not None:
        files[LOG_NAMES[0]] = raw
        return judge(files) is not None
    for _ in range(1 + choices.number(3)):
        _spoil_a_file(choices, files)
    return judge(files, original) is not None


def forged_log(data: bytes) -> bool:
    """A log in which one frame was changed and all checksums were made good again."""
    choices = Choices(data)
    raw = choices.raw()
    files = dict(choices.pick(originals()).files)
    name = choices.pick(sorted((name for name in files if name.startswith("wal/")), reverse=True))
    scan = scan_segment(files[name], last=True)
    header = scan.header
    if choices.one_in(8):
        header = SegmentHeader(choices.pick((header.first_lsn, ODD_LSN, 0)), 2**63, choices.number(2))
    chain, lsn = header.chain, header.first_lsn
    data = encode_segment_header(header)
    target = choices.number(max(len(scan.frames), 1))
    for place, frame in enumerate(scan.frames):
        body, count, epoch = frame.body, frame.fact_count, frame.epoch
        if place == target:
            body = _forged_body(choices, [body]) if raw is None else raw
            count = choices.pick((_count(body), _count(body), _count(body), 1, 0xFFFF))
            epoch = choices.pick((epoch, 0, 2**63))
            lsn = min(lsn + choices.pick((0, 0, 0, 0, 0, 1, 2**40)), ODD_LSN)
            chain ^= choices.pick((0, 0, 0, 0, 0, 1))
        packed, chain = encode_frame(body, lsn, count, chain=chain, epoch=epoch, durable=max(lsn - 1, 0))
        data += packed
        lsn = min(lsn + count, ODD_LSN)
    files[name] = data + choices.content(64)
    return judge(files) is not None


def facts(data: bytes) -> bool:
    """The body of a frame: facts or a refusal; what is accepted can be shown and is written again alike."""
    choices = Choices(data)
    raw = choices.raw()
    body = _forged_body(choices, _bodies()) if raw is None else raw
    try:
        found = decode_facts(body)
    except CodecError:
        return False
    assert decode_facts(encode_facts(found)) == found
    show_events(1, found)
    return True


def snapshot(data: bytes) -> bool:
    """A snapshot's bytes, spoiled as they are or below their checksums: a sound state or a refusal."""
    choices = Choices(data)
    original = originals()[1]
    stream = original.files[max(name for name in original.files if name.endswith(".snap"))]
    raw = choices.raw()
    if raw is not None:
        stream, forged = raw, True
    elif forged := not choices.one_in(3):
        stream = _forged_snapshot(choices, stream)
    else:
        for _ in range(1 + choices.number(3)):
            stream = spoil(choices, stream)
    try:
        header, state = decode_snapshot(BytesIO(stream).read)
    except (BadHeader, UnknownVersion, CodecError):
        return False
    reindex(state)
    if not forged:
        assert shown(state) in original.commits, "a state that never was"
    check(state)
    again = b"".join(encode_snapshot(state, epoch=header.epoch, chain=header.chain))
    assert shown(decode_snapshot(BytesIO(again).read)[1]) == shown(state)
    show_everything(state)
    live_on(state)
    return True


def segment_seeds() -> list[bytes]:
    """Segments as the journal wrote them."""
    return [RAW + data.rstrip(b"\0") for data in _files("wal/")]


def snapshot_seeds() -> list[bytes]:
    """Snapshots as the journal wrote them."""
    return [RAW + data for data in _files("snapshots/")]


def body_seeds() -> list[bytes]:
    """Bodies of frames as the journal wrote them."""
    return [RAW + body for body in _bodies()]


def _files(directory: str) -> list[bytes]:
    return [
        data
        for original in originals()
        for name, data in original.files.items()
        if name.startswith(directory)
    ]


def _spoil_a_file(choices: Choices, files: Files) -> None:
    names = sorted(files)
    name = choices.pick(names)
    other = choices.pick(names)
    match choices.number(8):
        case 5:
            del files[name]
            files.setdefault("format", b"")
        case 6:
            files[choices.pick(LOG_NAMES)] = choices.pick(
                (files[name], b"", choices.content(128), bytes(4096))
            )
        case 7:
            files[name], files[other] = files[other], files[name]
        case _:
            files[name] = spoil(choices, files[name], files[other])


@lru_cache(maxsize=1)
def _bodies() -> list[bytes]:
    """The bodies of all frames there are."""
    return [frame.body for log in _files("wal/") for frame in scan_segment(log, last=True).frames]


def _forged_body(choices: Choices, bodies: Sequence[bytes]) -> bytes:
    """One of these, with its values changed."""
    value = load(choices.pick(bodies))
    for _ in range(1 + choices.number(3)):
        value = odd_tree(choices, value, cbor=True)
    try:
        return dump(value)
    except CodecError:
        return dump(None)


def _count(body: bytes) -> int:
    try:
        value = load(body)
    except CodecError:
        return 1
    return len(value) if isinstance(value, list) else 1


def _forged_snapshot(choices: Choices, stream: bytes) -> bytes:
    """The snapshot with values changed in one of its chunks, and all checksums made good."""
    header_size = 44
    header = bytearray(stream[12:header_size])
    if choices.one_in(5):
        place = choices.number(len(header))
        header[place] ^= 1 << choices.number(8)
    chunks = _chunks(stream[header_size:])
    place = choices.number(len(chunks))
    value = load(chunks[place])
    for _ in range(1 + choices.number(3)):
        value = odd_tree(choices, value, cbor=True)
    try:
        chunks[place] = dump(value)
    except CodecError:
        chunks[place] = dump(None)
    if choices.one_in(8):
        chunks.insert(choices.number(len(chunks) + 1), choices.pick(chunks))
    crc = crc32(header)
    parts = [stream[:8], crc.to_bytes(4, "little"), bytes(header)]
    for chunk in chunks:
        crc = crc32(chunk, crc)
        parts += [len(chunk).to_bytes(4, "little"), crc.to_bytes(4, "little"), chunk]
    return b"".join([*parts, bytes(4), crc.to_bytes(4, "little")])


def _chunks(data: bytes) -> list[bytes]:
    chunks: list[bytes] = []
    offset = 0
    while size := int.from_bytes(data[offset : offset + 4], "little"):
        chunks.append(data[offset + 8 : offset + 8 + size])
        offset += 8 + size
    return chunks
