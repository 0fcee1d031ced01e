"""Fuzz target for the client: a server that answers with anything, from the handshake on. Whatever comes, the
client sees a result, a `ClientError`, or goes on waiting; never another exception, and never more memory than
it allows for.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import cbor2
import msgspec
from wsproto.utilities import generate_accept_token

from beaver_actors.client.address import parse_url
from beaver_actors.client.core import MESSAGE_BYTES_MAX, SUBPROTOCOLS, Core
from beaver_actors.client.errors import ClientError, ConnectFailed, ConnectionLost, ProtocolError, Refused
from beaver_actors.client.finish import FinishWatcher, Wish
from beaver_actors.client.job_questions import changes, enqueue, get, page
from beaver_actors.client.new_jobs import new_job
from beaver_actors.client.pending import Pending
from beaver_actors.client.questions import Patience, Question, status
from beaver_actors.client.queue_questions import queue_change
from beaver_actors.client.subscriptions import EventSubscription, StatusSubscription
from beaver_actors.client.views import event_from_wire
from beaver_actors.client.websocket import WebSocket
from beaver_actors.codec.wire_job_messages import ListRequest
from tests.fuzz.choices import RAW, Choices
from tests.fuzz.messages import as_cbor, as_json
from tests.fuzz.mutations import ODD_NUMBERS, odd_tree, spoil
from tests.fuzz.serving import FORMS

ADDRESS = parse_url("ws://127.0.0.1:7440")
MESSAGES_MAX = 12
SENT_MAX = 400
"""Requests that a dozen messages of a server may bring about; each may set off a few."""

AT = "2026-09-01T08:00:00.000Z"
JOB: dict[str, Any] = {
    "id": "a", "kind": "work", "args": {"n": 1}, "queue": "default", "priority": 0, "state": "dead",
    "run_at": AT, "max_attempts": 25, "timeout": 1.5, "backoff": {"kind": "fixed", "delay": 1},
    "expires_at": None, "retention": None, "tags": ["t"], "meta": {}, "created_at": AT, "started_at": AT,
    "finished_at": AT, "attempt": 1, "rescues": 0, "fence": 2, "worker_id": "w", "cancel_requested": False,
    "reason": "poison", "waits_for": None, "progress": None, "result": [1], "lsn": 9,
    "errors": [{"at": AT, "attempt": 1, "type": "E", "message": "m", "traceback": "t"}],
}  # fmt: skip
STATUS: dict[str, Any] = {
    "at": AT, "lsn": 9, "states": {"pending": 1}, "totals": {"enqueued": 1}, "dead_reasons": {},
    "queues": {"default": {"paused": False, "states": {"dead": 1}, "oldest_pending_at": AT}},
    "unknown_kinds": {}, "storage_full": False, "draining": False, "version": "0", "started_at": AT,
    "workers": 1, "sessions": 1,
}  # fmt: skip
CHANGE = {"name": "a", "changed": True, "code": None, "state": "dead"}
EVENT: dict[str, Any] = {
    "lsn": 12, "event": "job_completed", "at": AT, "job_id": "a", "fence": 3, "result": {"deep": [1, None]},
}  # fmt: skip
OTHER_EVENT = {
    "lsn": 13,
    "event": "job_enqueued",
    "at": AT,
    "job_id": "b",
    "args": {},
    "run_at": AT,
    "kind": "k",
}
ANSWERS: tuple[dict[str, Any], ...] = (
    {"type": "ok", "job": JOB},
    {"type": "ok", "jobs": [JOB, JOB], "next": 3},
    {"type": "ok", "jobs": [{"id": "a", "duplicate": False}], "lsn": 9},
    {"type": "ok", "status": STATUS},
    {"type": "ok", "changes": [CHANGE], "lsn": 9},
    {"type": "ok", "subscription": "s1", "lsn": 10},
    {"type": "error", "code": "overloaded", "message": "busy", "retry_after": 1},
    {"type": "error", "code": "not_found", "message": "no such job"},
    {"type": "error", "re": None, "code": "bad_request", "message": "what?"},
    {"type": "error", "re": None, "code": "too_large", "message": "too much"},
)
FITTING = {"get": 0, "list": 1, "enqueue": 2, "status": 3, "subscribe": 5}
"""Which answer a request waits for; all others tell of changes."""
PUSHES: tuple[dict[str, Any], ...] = (
    {"type": "events", "subscription": "s1", "events": [EVENT, OTHER_EVENT]},
    {"type": "event", "subscription": "s1", **EVENT},
    {"type": "gap", "subscription": "s1", "from": 11, "to": 40},
    {"type": "status", "subscription": "s1", "status": STATUS},
)


def client(data: bytes) -> bool:
    """A hostile server, twice: what it says on one connection must not spoil the next. A raw input is what it
    sends behind a sound handshake."""
    choices = Choices(data)
    raw = choices.raw()
    user = _User(choices, raw)
    for _ in range(2):
        user.meet(choices)
    return user.answered > 0


def client_seeds() -> list[bytes]:
    """Every answer and every push in a frame, and all of them in a row."""
    trees = [{"re": str(number), **answer} for number, answer in enumerate(ANSWERS, start=1)]
    frames = [_frame(0x1, as_json(tree).encode()) for tree in (*trees, *PUSHES)]
    return [RAW + data for data in (*frames, b"".join(frames))]


class _User:
    """A client with everything there is to ask under way, and what came of it."""

    def __init__(self, choices: Choices, raw: bytes | None) -> None:
        self.raw = raw
        self.answered = 0
        self.asked: deque[tuple[str, str]] = deque()
        """Ids and types of the requests that wait for the server's answer."""
        self.form = choices.pick(FORMS)
        self.core = Core(self.form, lambda: None)
        self.events = EventSubscription(None, None, lambda: None)
        self.statuses = StatusSubscription(1, lambda: None)
        self.core.subscribe(self.events)
        self.core.subscribe(self.statuses)
        self.finishes = FinishWatcher(self.core)
        self.finishes.add([Wish("a", None, self._finished), Wish("b", 5, self._finished)])
        self.sent = 0
        questions: list[Question[Any]] = [
            get("a"), page(ListRequest(id="")), enqueue([new_job("work", {"n": 1})]), status(),
            *changes("cancel", ["a"]), queue_change("pause", "q"),
        ]  # fmt: skip
        for question in questions:
            self.core.ask(question.request, self._reader(question))

    def meet(self, choices: Choices) -> None:
        """One connection, from the handshake to its loss, as the transport goes through it."""
        websocket = WebSocket(ADDRESS, SUBPROTOCOLS[self.form], None)
        error: ClientError = ConnectionLost("gone")
        try:
            self._listen(choices, websocket)
            error = websocket.over or error
        except ConnectFailed:
            assert not websocket.opened
            return
        except UnicodeError:
            assert not websocket.opened, "the transport expects this of a handshake only"
            return
        except ProtocolError as found:
            error = found
        assert websocket._parts_bytes <= MESSAGE_BYTES_MAX
        self.core.lost(error)
        self.asked.clear()

    def _listen(self, choices: Choices, websocket: WebSocket) -> None:
        stream = _handshake(choices, websocket.opening(), SUBPROTOCOLS[self.form])
        while not websocket.opened:
            for message in websocket.receive(stream):
                self.core.received(message)
            stream = b""
        self.core.opened()
        for _ in range(1 + choices.number(MESSAGES_MAX)):
            self._send_all(websocket)
            if websocket.over is not None:
                return
            data = _server_frames(choices, self.form, self.asked) if self.raw is None else self.raw
            for message in websocket.receive(data or b"\x8a\x00"):
                self.core.received(message)
            self._take()
        websocket.close()

    def _send_all(self, websocket: WebSocket) -> None:
        websocket.control()
        while (message := self.core.next_message()) is not None:
            self.sent += 1
            request = json.loads(message) if isinstance(message, str) else cbor2.loads(message)
            self.asked.append((request["id"], request["type"]))
            assert self.sent <= SENT_MAX, "the server makes the client ask without end"
            websocket.frame(message)

    def _take(self) -> None:
        while items := self.events.take():
            for item in items:
                with suppress(ProtocolError):
                    event_from_wire(item)
        self.core.resume(self.events)
        self.statuses.take()

    def _reader(self, question: Question[Any]) -> Callable[[Pending], None]:
        def read(pending: Pending) -> None:
            try:
                msgspec.json.encode(question.read(pending.ok()))
                self.answered += 1
            except Refused as refusal:
                _wait(refusal)
            except ClientError:
                return

        return read

    def _finished(self, outcome: object) -> None:
        assert outcome is not None


def _wait(refusal: Refused) -> None:
    with suppress(Refused):
        assert 0 <= Patience(60).wait_seconds(refusal, 0.5) <= 60


def _handshake(choices: Choices, opening: bytes, subprotocol: str) -> bytes:
    """The answer to the opening request, perhaps a wrong one."""
    key = opening.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
    lines = [
        "HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {generate_accept_token(key).decode()}",
        f"Sec-WebSocket-Protocol: {subprotocol}", "", "",
    ]  # fmt: skip
    if choices.one_in(10):
        body = as_json(odd_tree(choices, {"error": {"code": "unauthorized", "message": "no"}})).encode()
        return b"HTTP/1.1 401 Unauthorized\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    answer = "\r\n".join(lines).encode()
    for _ in range(choices.number(12) // 10):
        answer = spoil(choices, answer)
    return answer


def _server_frames(choices: Choices, form: str, asked: deque[tuple[str, str]]) -> bytes:
    """A message of the server, right or wrong, in frames that are mostly sound."""
    if choices.one_in(20):
        return choices.content(60)
    tree: Any
    if choices.one_in(3):
        tree = {**choices.pick(PUSHES), "subscription": f"s{1 + choices.number(3)}"}
    elif asked and choices.number(4) < 3:
        number, kind = asked.popleft()
        tree = {"re": number, **ANSWERS[FITTING.get(kind, 4)]}
        if "subscription" in tree:
            tree["subscription"] = f"s{1 + choices.number(3)}"
    else:
        tree = {"re": str(1 + choices.number(12)), **choices.pick(ANSWERS)}
    if choices.one_in(3):
        counts = [key for key, value in tree.items() if type(value) is int] or ["retry_after"]
        tree[choices.pick(counts)] = choices.pick(ODD_NUMBERS)
    for _ in range(choices.number(5) // 3):
        tree = odd_tree(choices, tree, cbor=True)
    if choices.one_in(20):
        form = choices.pick(FORMS)
    opcode, payload = (0x1, _lenient(choices, tree)) if form == "json" else (0x2, as_cbor(tree))
    if choices.one_in(20):
        payload = spoil(choices, payload)
    head = 0x80
    if choices.one_in(12):
        opcode, head = choices.pick((0x8, 0x9, 0xA, 0x0, 0x3, opcode)), choices.pick((0x80, 0x00, 0xC0))
    return _frame(opcode, payload, head)


def _frame(opcode: int, payload: bytes, head: int = 0x80) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes([head | opcode, size]) + payload
    return bytes([head | opcode, 126]) + (size & 0xFFFF).to_bytes(2, "big") + payload


def _lenient(choices: Choices, tree: object) -> bytes:
    """JSON, perhaps with numbers that only JSON has."""
    text = json.dumps(tree, default=repr)
    if choices.one_in(6):
        text = text.replace("1", choices.pick(("1e999", "9" * 400, "-0", "1E-999", "0.1e1")), 1)
    return text.encode("utf-8", "surrogatepass")
