"""Fuzz targets for messages: one through the decoders, and whole conversations with the real session, the
real actors and the real core behind it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import cbor2
import msgspec
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from beaver_actors.codec.fact_codec import decode_facts, encode_facts
from beaver_actors.codec.ids import JobIds
from beaver_actors.codec.wire import Request
from beaver_actors.codec.wire_commands import to_command
from beaver_actors.codec.wire_decode import (
    Limits,
    decode_jobs,
    decode_reply,
    decode_request,
    encode_request,
    read,
)
from beaver_actors.codec.wire_errors import WireError
from beaver_actors.codec.wire_jobs import Defaults
from beaver_actors.codec.wire_past import to_wish
from beaver_actors.codec.wire_schedule_messages import ScheduleRequest, SchedulesRequest
from beaver_actors.codec.wire_schedule_objects import ScheduleObject
from beaver_actors.codec.wire_schedules import NextTimes, schedules_ok, to_schedule_command
from beaver_actors.codec.wire_watch import to_watch
from beaver_actors.codec.wire_watch_messages import (
    HistoryRequest,
    PastRequest,
    SubscribeRequest,
    UnsubscribeRequest,
)
from beaver_actors.codec.wire_worker_messages import (
    DeregisterRequest,
    HeartbeatRequest,
    ReadyRequest,
    RegisterRequest,
    ReportRequest,
    WorkersRequest,
)
from beaver_actors.codec.wire_workers import fences, outcomes, registration, slots
from beaver_actors.core.answers import Schedules
from beaver_actors.core.commands import Enqueue, ListSchedules
from beaver_actors.core.fold import fold
from beaver_actors.core.invariants import check
from beaver_actors.core.state import State
from beaver_actors.server.session import SessionSettings
from beaver_actors.testing.playbook import NOON_MS, Playbook
from tests.actors.world import World
from tests.fuzz.choices import RAW, Choices
from tests.fuzz.directories import shown
from tests.fuzz.messages import TEXTS, as_cbor, as_it_is, as_json, message, request
from tests.fuzz.serving import FORMS, show_events, show_everything
from tests.server.house import Client, open_house

T = TypeVar("T")

BETWEEN = b"\n\n"
"""Between the messages of a raw conversation."""
MESSAGES_MAX = 12
STEPS_MAX = 200_000
"""Task steps of one conversation; a few thousand are usual. More would be a loop that never rests."""
SECONDS_MAX = 3600.0
"""On a clock that jumps."""
ERROR_CHARS_MAX = 700
"""An error message repeats what came, but cut: a stranger must not choose how long our answers are."""

LIMITS = Limits(message_bytes=4096, job_bytes=1024, batch_jobs=20)
SMALL = SessionSettings(requests_max=3, request_bytes_max=2048, subscriptions_max=3)


def one_message(data: bytes) -> bool:
    """A message is a request, or refused in a few words; a request means the same in both forms, and what it
    asks for can be shown in both."""
    choices = Choices(data)
    raw = choices.raw()
    if raw is None and choices.one_in(6):
        return _body(choices)
    try:
        found = decode_request(message(choices, 0) if raw is None else as_it_is(raw), LIMITS)
    except WireError as error:
        _expect_clear(error)
        return False
    try:
        _understand(found)
    except WireError as error:
        _expect_clear(error, found.id)
        return False
    for form in FORMS:
        try:
            again = encode_request(found, form)
        except WireError:
            # Only JSON has numbers of more than 64 bits.
            assert form == "cbor"
            assert re.search(r"[0-9]{19}|[eE]\+?[0-9]{3}", str(_plain(found)))
            return True
        assert _plain(decode_request(again, Limits())) == _plain(found)
    return True


def conversation(data: bytes) -> bool:
    """Each message gets one reply, in order, whatever it was; the queue stays sound; nothing is left over."""
    choices = Choices(data)
    raw = choices.raw()
    if raw is None:
        messages = [message(choices, number) for number in range(1 + choices.number(MESSAGES_MAX))]
    else:
        messages = list(map(as_it_is, raw.split(BETWEEN)[:MESSAGES_MAX]))
    settings = choices.pick((SessionSettings(), SMALL))
    return run_bounded(_converse, messages, settings)


async def _converse(messages: list[str | bytes], settings: SessionSettings) -> bool:
    async with open_house(limits=LIMITS) as house:
        client = house.connect(settings, outbox_max=4)
        for data in messages:
            client.tell(data)
        client.tell({"id": "the last one", "type": "status"})
        replies = granted = 0
        while True:
            heard = understood(await client.hear_raw())
            replies += "re" in heard
            granted += int(heard["type"] == "ok")
            if heard.get("re") == "the last one" and replies > len(messages):
                break
        assert replies == len(messages) + 1, f"{replies} replies to {len(messages) + 1} messages"
        await expect_sound(house.world)
        assert house.service.waiting_bytes == 0
        await _leave(client)
        assert house.service.subscriptions == 0
        return granted > 1


async def _leave(client: Client) -> None:
    client.leave()
    await wait_all_tasks_blocked()


async def expect_sound(world: World) -> None:
    """The state holds its invariants, and it is what its log makes of nothing; the log can be written."""
    await wait_all_tasks_blocked()  # the state runs ahead of the log
    check(world.state)
    state = State()
    for fact in world.log.facts:
        fold(state, fact)
    folded, live = shown(state), shown(world.state)
    # What waits for its time is pending in the one and scheduled in the other.
    assert folded.replace("scheduled", "pending") == live.replace("scheduled", "pending")
    if world.log.facts:
        encode_facts(world.log.facts)


def understood(data: str | bytes) -> dict[str, Any]:
    """A message of the server, after it was read by the client's decoder."""
    decode_reply(data)
    heard: dict[str, Any] = cbor2.loads(data) if isinstance(data, bytes) else msgspec.json.decode(data)
    assert len(heard.get("message", "")) <= ERROR_CHARS_MAX, f"an error of {len(heard['message'])} characters"
    return heard


class _Steps(trio.abc.Instrument):
    """Counts task steps, and ends the run when there are too many."""

    def __init__(self, scope: trio.CancelScope) -> None:
        self.count = 0
        self._scope = scope

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += 1
        if self.count == STEPS_MAX:
            self._scope.cancel()


def run_bounded(main: Callable[..., Awaitable[T]], *arguments: object) -> T:
    """Run a Trio program on a clock that jumps; fail if it does not come to its end within all reason."""

    async def bounded() -> T:
        with trio.move_on_after(SECONDS_MAX) as scope:
            steps = _Steps(scope)
            trio.lowlevel.add_instrument(steps)
            return await main(*arguments)
        assert steps.count < STEPS_MAX, "it never rests"
        raise AssertionError(f"it hangs for {SECONDS_MAX:g} s and more")

    return trio.run(bounded, clock=MockClock(autojump_threshold=0))


def _schedule(found: ScheduleRequest) -> None:
    """A schedule that is taken is set, written and shown."""
    ids = JobIds(lambda: 0, lambda bits: 0)
    command = to_schedule_command(found, NOON_MS, ids, LIMITS, Defaults())
    book = Playbook()
    book.do(command)
    assert decode_facts(encode_facts(book.log)) == book.log
    everything = SchedulesRequest(id="q")
    answer = book.do(ListSchedules())
    assert isinstance(answer, Schedules)
    shown_all = schedules_ok(everything, answer, NOON_MS, NextTimes())
    read(list[ScheduleObject], shown_all.schedules)  # type: ignore[arg-type]  # it was just put there


def _plain(found: Request) -> Any:
    return msgspec.json.decode(encode_request(found, "json"))


def _understand(found: Request) -> None:
    if isinstance(found, SubscribeRequest):
        to_watch(found)
    elif isinstance(found, RegisterRequest):
        registration(found)
    elif isinstance(found, ReportRequest):
        outcomes(found, LIMITS, Defaults())
    elif isinstance(found, ReadyRequest):
        slots(found)
    elif isinstance(found, HeartbeatRequest):
        fences(found)
    elif isinstance(found, HistoryRequest | PastRequest):
        to_wish(found)
    elif isinstance(found, ScheduleRequest):
        _schedule(found)
    elif not isinstance(found, UnsubscribeRequest | DeregisterRequest | WorkersRequest):
        ids = JobIds(lambda: 0, lambda bits: 0)
        command = to_command(found, ids, LIMITS, Defaults())
        if isinstance(command, Enqueue):
            assert 1 <= len(command.jobs) <= LIMITS.batch_jobs
            for job in command.jobs:
                assert isinstance(msgspec.json.decode(job.args), dict)
                assert len(job.args) + len(job.terms.meta) <= LIMITS.job_bytes
            book = Playbook()
            book.do(command)
            show_everything(book.state)
            show_events(1, book.log)


def _body(choices: Choices) -> bool:
    """The body of an HTTP request, which is a job or several."""
    tree = request(choices, 0)
    body = tree.get("jobs", tree) if choices.one_in(2) else {"jobs": tree.get("jobs")}
    text = as_json(body[0] if isinstance(body, list) and body else body).encode("utf-8", "surrogatepass")
    try:
        jobs, _ = decode_jobs(text, LIMITS)
    except WireError as error:
        _expect_clear(error)
        return False
    return bool(jobs)


def _expect_clear(error: WireError, request_id: str | None = None) -> None:
    assert request_id in (None, error.request_id)
    assert 0 < len(error.message) <= ERROR_CHARS_MAX, f"an error of {len(error.message)} characters"
    error.message.encode()


def message_seeds() -> list[bytes]:
    """Every request in both forms, and all of them in one conversation."""
    texts = [text.encode() for text in TEXTS]
    return [
        RAW + data for data in (*texts, *map(as_cbor, map(msgspec.json.decode, texts)), BETWEEN.join(texts))
    ]
