"""What a server does with a state that it has accepted: shows all of it, in every form, and lets it live on.

Used where bytes became a state. If any of this raises, the state should have been refused at the door.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import deepcopy

import msgspec

from beaver_actors.codec.fact_codec import encode_facts
from beaver_actors.codec.wire_answers import NodeView, reply, status_reply
from beaver_actors.codec.wire_cbor import json_from_cbor
from beaver_actors.codec.wire_decode import Form, decode_reply, encode
from beaver_actors.codec.wire_events import event_json, event_push, events_push
from beaver_actors.codec.wire_oks import GetOk, ListOk, StatusOk
from beaver_actors.codec.wire_times import TIME_MS_MAX
from beaver_actors.core.answers import Status
from beaver_actors.core.commands import Cancel, Command, Count, Get, Lease, List, Policy, Recover, Tick
from beaver_actors.core.decide import decide
from beaver_actors.core.facts import Fact
from beaver_actors.core.state import State
from beaver_actors.testing.playbook import Playbook

POLICY = Policy(served_kinds=frozenset({"demo.echo"}))
NODE = NodeView("0", 0, False, 1, 1)
FORMS: tuple[Form, ...] = ("json", "cbor")
PAGE = 100
LATE_MS = TIME_MS_MAX - 200 * 365 * 86_400_000


def is_payload_sound(payloads: Iterable[bytes | None]) -> bool:
    """Whether all of this is JSON. The log carries payload unread: it was checked when it came in, and a
    checksum has stood for it since."""
    try:
        for payload in filter(None, payloads):
            msgspec.json.decode(payload.decode())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def payloads_of(state: State) -> Iterator[bytes | None]:
    """What jobs carry for their users."""
    for job in state.jobs.values():
        yield from (job.args or b"-", job.terms.meta)
        if job.trail is not None:
            yield from (job.trail.progress, job.trail.result)


def _payloads_of_facts(facts: Iterable[Fact]) -> Iterator[bytes | None]:
    for fact in facts:
        for name in ("args", "progress", "result"):
            payload = getattr(fact, name, None)
            yield b"-" if payload == b"" else payload


def show_everything(state: State) -> None:
    """Ask for the status, a page and each job on it; every reply is of the documented shape in both forms."""
    if not is_payload_sound(payloads_of(state)):
        return
    answer = decide(state, Count(), state.time_ms, POLICY).answer
    assert isinstance(answer, Status)
    expect_shape(status_reply("q", answer, NODE, state.time_ms), StatusOk)
    _show(state, List(limit=PAGE), ListOk)
    for job_id in list(state.jobs)[:PAGE]:
        _show(state, Get(job_id), GetOk)


def show_events(first_lsn: int, facts: list[Fact]) -> None:
    """Push these facts to a subscriber, one by one and together; each push is understood."""
    if not is_payload_sound(_payloads_of_facts(facts)):
        return
    events = [event_json(lsn, fact) for lsn, fact in enumerate(facts, start=first_lsn)]
    for event in events:
        decode_reply(event_push("s1", event).decode())
    decode_reply(events_push("s1", events).decode())


def live_on(state: State) -> None:
    """Recover, run, cancel and let a year pass: what a server does of its own accord and on request. `state`
    is left as it is."""
    if state.time_ms > LATE_MS:
        return  # the calendar ends before the year is over
    book = Playbook(POLICY, now_ms=state.time_ms)
    book.state = deepcopy(state)
    kinds = frozenset(job.terms.kind for job in state.jobs.values())
    commands: list[Command] = [
        Recover(None), Tick(), Lease("worker", 10, kinds), Cancel(tuple(list(state.jobs)[:10]))
    ]  # fmt: skip
    for command in commands:
        book.do(command)
        book.pass_time(1)
    book.pass_time(365 * 86_400_000)
    book.do(Tick())
    if book.log:
        encode_facts(book.log)
        show_events(state.lsn + 1, book.log)


def expect_shape(message: msgspec.Struct, shape: type[msgspec.Struct]) -> None:
    """The message can be written in both forms, and read by the strict type behind the documentation."""
    for form in FORMS:
        data = encode(message, form)
        decode_reply(data)
        msgspec.json.decode(json_from_cbor(data) if isinstance(data, bytes) else data, type=shape)


def _show(state: State, command: Command, shape: type[msgspec.Struct]) -> None:
    answer = decide(state, command, state.time_ms, POLICY).answer
    expect_shape(reply("q", answer), shape)
