"""Fuzz targets for connections: bytes that should be HTTP, and frames that should be a WebSocket's, against
the real listener with the real routes, session, actors and core behind it, over a stream in memory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress

import structlog
import trio
from trio.testing import MemoryReceiveStream, MemorySendStream, memory_stream_pair

from beaver_actors.server.api import add_health_routes, add_job_routes
from beaver_actors.server.auth import Auth
from beaver_actors.server.http import Routes
from beaver_actors.server.http_connection import HttpSettings
from beaver_actors.server.listener import Listener, ListenerSettings
from beaver_actors.server.session import Session
from beaver_actors.server.websocket import WebSocket, WebSocketSettings
from tests.fuzz.choices import RAW, Choices
from tests.fuzz.messages import REQUESTS, TEXTS, as_json, message, request
from tests.fuzz.mutations import spoil
from tests.fuzz.sessions import LIMITS, expect_sound, run_bounded, understood
from tests.server.house import House, open_house
from tests.server.support import OPENING

SETTINGS = ListenerSettings(
    http=HttpSettings(head_bytes_max=2048, body_bytes_max=4096),
    websocket=WebSocketSettings(message_bytes_max=4096, inbox_bytes_max=4096, outbox_bytes_max=4096),
)
ANSWER_BYTES_MAX = 4 << 20
"""More than all the answers to one short input can be."""
TOKEN = "hush"
PIECES_MAX = 12

METHODS = ("GET", "POST", "HEAD", "PUT", "OPTIONS", "get", "GET\t", "")
TARGETS = (
    "/healthz", "/api/v1/jobs", "/api/v1/status", "/api/v1/jobs/a", "/readyz", "/metrics", "/ws", "/", "*",
    "/api/v1/jobs?state=dead&limit=2", "/api/v1/jobs?limit=x&limit=2", "/api/v1/jobs/%41%00%ff", "//", "/%",
    "http://localhost/healthz", "http://", "/api/v1/jobs?%F0%9F%98%80", "/../etc/passwd", "/a b", "/\xff",
    "/api/v1/jobs?after=99999999999999999999999", "/api/v1/jobs?reason=poison&tag=&kind=%0d%0a",
)  # fmt: skip
HEADERS = (
    "Connection: close", "Connection: keep-alive", "Expect: 100-continue", "Content-Type: text/plain",
    "Content-Type: application/json; charset=utf-8", "Accept: application/openmetrics-text", "Host: other",
    "If-None-Match: *", "Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked", "X: \xff\xfe",
    "Content-Length: 0", "Content-Length: 99999999999999999999", "Content-Length: 3", " folded: line",
    "Authorization: Bearer hush", "Authorization: Bearer h\xfcsh", "Authorization: Basic aHVzaA==", "NoColon",
    ":", "X:\x00", "Upgrade: websocket", "Connection: Upgrade", "Upgrade: h2c", "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Key: short", "Sec-WebSocket-Version: 8",
    "Sec-WebSocket-Protocol: beaver.v1+cbor", "Sec-WebSocket-Protocol: beaver.bearer.aHVzaA, beaver.v1+json",
    "Sec-WebSocket-Extensions: permessage-deflate", "X-Long: " + "a" * 3000,
)  # fmt: skip


def http(data: bytes) -> bool:
    """Some requests, right or wrong, in pieces; each answer is HTTP, and JSON where it says so."""
    choices = Choices(data)
    raw = choices.raw()
    if raw is not None:
        return run_bounded(_talk, [raw], None)
    stream = b"".join(_http_request(choices) for _ in range(1 + choices.number(4)))
    for _ in choices.some(2):
        stream = spoil(choices, stream, OPENING)
    return run_bounded(_talk, _pieces(choices, stream), choices.pick((None, TOKEN)))


def websocket(data: bytes) -> bool:
    """An opening and some frames; what the server says are whole frames, and messages that can be read."""
    choices = Choices(data)
    raw = choices.raw()
    if raw is not None:
        return run_bounded(_talk, [OPENING, raw], None)
    stream = b"".join(_frames(choices, number) for number in range(1 + choices.number(8)))
    for _ in choices.some(2):
        stream = spoil(choices, stream)
    return run_bounded(_talk, [OPENING, *_pieces(choices, stream)], None)


def http_seeds() -> list[bytes]:
    """Some requests as clients make them."""
    body = TEXTS[1].encode()
    post = b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )
    gets = [f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode("latin-1") for target in TARGETS]
    return [RAW + data for data in (*gets, post, post + gets[0], OPENING)]


def websocket_seeds() -> list[bytes]:
    """Every request in a frame, and all of them in a row."""
    frames = [_frame(Choices(b""), 0x1, text.encode()) for text in TEXTS]
    return [RAW + data for data in (*frames, b"".join(frames))]


async def _talk(pieces: list[bytes], token: str | None) -> bool:
    failures: list[Exception] = []
    with structlog.testing.capture_logs() as logs:
        async with open_house(limits=LIMITS) as house:
            listener = _listener(house, token, failures)
            client, server = memory_stream_pair()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(listener._guard, server)
                with suppress(trio.BrokenResourceError):
                    for piece in pieces:
                        await client.send_all(piece)
                        await trio.testing.wait_all_tasks_blocked()
                    await client.send_eof()
                said = await _all_of(client)
            await expect_sound(house.world)
            assert house.service.waiting_bytes == house.service.subscriptions == 0
            assert listener.websockets == 0
    assert not failures, failures
    assert not [entry for entry in logs if entry["log_level"] in ("error", "critical")], logs
    _judge(said, heads_only=b"HEAD" in b"".join(pieces))
    return b'"type":"ok"' in said or b"HTTP/1.1 20" in said


def _listener(house: House, token: str | None, failures: list[Exception]) -> Listener:
    async def metrics(accept: str | None) -> tuple[bytes, str]:
        return b"jobs 1\n", "text/plain"

    async def talk(opened: WebSocket) -> None:
        await Session(opened, house.service).run()

    routes = Routes()
    add_job_routes(routes, house.service)
    add_health_routes(routes, house.node, metrics, metrics_guarded=True)
    listener = Listener(
        routes, auth=Auth(token), websocket_handler=talk, settings=SETTINGS, on_failure=failures.append
    )
    listener.connections = 1
    return listener


async def _all_of(client: trio.StapledStream[MemorySendStream, MemoryReceiveStream]) -> bytes:
    said = bytearray()
    with suppress(trio.BrokenResourceError):
        async for part in client:
            said += part
            assert len(said) <= ANSWER_BYTES_MAX, f"more than {ANSWER_BYTES_MAX} bytes of answers"
    return bytes(said)


def _judge(said: bytes, *, heads_only: bool) -> None:
    """What the server said: whole HTTP answers, and behind a 101 the frames of a WebSocket.

    Args:
        heads_only: whether there may be answers to HEAD among them, which have no body.
    """
    while said:
        head, _, rest = said.partition(b"\r\n\r\n")
        status_line, *lines = head.decode("ascii").split("\r\n")
        found = re.fullmatch(r"HTTP/1\.1 ([1-5][0-9]{2}) [A-Za-z -]*", status_line)
        assert found, f"no answer: {said[:200]!r}"
        headers: dict[str, str] = {}
        for name, value in (line.split(": ", 1) for line in lines):
            assert name == "Connection" or name.lower() not in headers, f"a header twice: {lines}"
            headers[name.lower()] = headers.get(name.lower(), "") + value
        status = int(found[1])
        if status == 101:
            _judge_frames(rest)
            return
        size = int(headers.get("content-length", "0"))
        if heads_only and (not rest or rest.startswith(b"HTTP/1.1 ")):
            size = 0
        body, said = rest[:size], rest[size:]
        assert len(body) == size, f"half an answer: {body!r}"
        if body and headers["content-type"] == "application/json":
            json.loads(body)
        assert not said or "close" not in headers.get("connection", ""), "something follows the last answer"


def _judge_frames(data: bytes) -> None:
    for opcode, payload in _frames_in(data):
        if opcode == 0x1:
            understood(payload.decode())
        elif opcode == 0x2:
            understood(payload)
        elif opcode == 0x8:
            assert len(payload) != 1
            payload[2:].decode()
        else:
            assert opcode in (0x9, 0xA)


def _frames_in(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The server's frames: whole, unmasked, in one piece each."""
    while data:
        head, size, start = data[0], data[1], 2
        assert head & 0xF0 == 0x80, f"a frame in parts, or with reserved bits: {head:#x}"
        if size >= 126:
            start = 4 if size == 126 else 10
            size = int.from_bytes(data[2:start], "big")
        assert len(data) >= start + size, "half a frame"
        yield head & 0xF, data[start : start + size]
        data = data[start + size :]


def _http_request(choices: Choices) -> bytes:
    body = b""
    if choices.one_in(2):
        tree = request(choices, 0)
        jobs = tree.get("jobs", choices.pick(REQUESTS[1:3])["jobs"])
        one = jobs[0] if isinstance(jobs, list) and jobs else jobs
        body = as_json(choices.pick((one, {"jobs": jobs}, tree))).encode("utf-8", "surrogatepass")
    plain = ("POST", "/api/v1/jobs") if body else ("GET", "/healthz")
    method = choices.pick((plain[0], plain[0], *METHODS))
    target = choices.pick((plain[1], plain[1], *TARGETS))
    version = choices.pick(("HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/1.1 "))
    lines = [f"{method} {target} {version}", *(() if choices.one_in(20) else ("Host: localhost",))]
    lines += [choices.pick(HEADERS) for _ in choices.some(3)]
    if body and not choices.one_in(4):
        lines.append(f"Content-Length: {len(body)}")
    elif body:
        lines.append("Transfer-Encoding: chunked")
        cut = choices.number(len(body))
        parts = [part for part in (body[:cut], body[cut:]) if part]
        body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    ending = choices.pick(("\r\n", "\r\n", "\r\n", "\n"))
    return ending.join([*lines, "", ""]).encode("latin-1") + body


def _frames(choices: Choices, number: int) -> bytes:
    """A message in one frame or several, or a frame of another kind, masked as it has to be, or not."""
    what = message(choices, number)
    opcode, payload = (0x1, what.encode("utf-8", "surrogateescape")) if isinstance(what, str) else (0x2, what)
    match choices.number(8):
        case 5:
            return _frame(choices, choices.pick((0x8, 0x9, 0xA)), choices.content(130))
        case 6:
            return _frame(choices, choices.number(16), choices.content(20), head=choices.number(16) << 4)
        case 7:
            cut = choices.number(len(payload) + 1)
            between = _frame(choices, 0x9, b"?") if choices.one_in(2) else b""
            first = _frame(choices, opcode, payload[:cut], head=0)
            return first + between + _frame(choices, 0x0, payload[cut:])
        case _:
            return _frame(choices, opcode, payload)


def _frame(choices: Choices, opcode: int, payload: bytes, *, head: int = 0x80) -> bytes:
    mask = choices.pick((b"\0\0\0\0", b"\x01\x80\xff\x00"))
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    if choices.one_in(30):
        length = choices.pick(
            (b"\xff" + b"\x7f" + b"\xff" * 7, b"\xff" + b"\xff" * 8, b"\xfe\x00\x01", b"\x05")
        )
    return bytes([head | opcode]) + length + mask + masked


def _pieces(choices: Choices, stream: bytes) -> list[bytes]:
    """The stream as the network might cut it."""
    cuts = sorted(choices.number(len(stream) + 1) for _ in choices.some(PIECES_MAX))
    return [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
