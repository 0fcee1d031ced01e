"""The client's core without any I/O: a script of messages and losses, and what follows from each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from beaver_actors.client.core import UNANSWERED_MAX, reconnect_seconds
from beaver_actors.client.errors import (
    ClientError,
    ConnectionLost,
    NotFound,
    ProtocolError,
    QueueFull,
    TooLarge,
)
from beaver_actors.client.new_jobs import new_job
from beaver_actors.client.pending import Pending
from beaver_actors.client.subscriptions import StatusSubscription
from beaver_actors.codec.wire import Ok
from beaver_actors.codec.wire_job_messages import EnqueueRequest
from beaver_actors.codec.wire_watch_messages import StatusRequest
from tests.client.script import LOST, Script, event, lsns


def outcomes(pending: Sequence[Pending]) -> list[type[object]]:
    return [type(one.outcome) for one in pending]


def test_everything_unanswered_is_sent_again_in_order_under_the_same_ids() -> None:
    """P5: after a loss, what was answered is not repeated and what was not is, unchanged."""
    script = Script()
    script.get("a"), script.get("b")
    job = new_job("work", {"x": 1})
    script.core.ask(EnqueueRequest(id="", jobs=[job]), script.settled.append)
    first = script.sent()
    assert [message["id"] for message in first] == ["1", "2", "3"]
    script.receive(type="ok", re="2")
    script.reconnect()
    again = script.sent()
    assert again == [first[0], first[2]]
    assert again[1]["jobs"][0]["id"] == job.id
    script.receive(type="error", re="1", code="not_found", message="no", retry_after=None)
    script.receive(type="ok", re="3", jobs=[], lsn=1)
    assert outcomes(script.settled) == [Ok, NotFound, Ok]
    assert script.sent() == []


def test_what_is_asked_without_a_connection_waits_for_one() -> None:
    """Nothing is handed out before `opened`; then everything is, once."""
    script = Script(connected=False)
    script.get()
    subscription = script.events()
    assert script.sent() == []
    script.core.opened()
    assert [message["type"] for message in script.sent()] == ["get", "subscribe"]
    assert not subscription.opened


def test_what_nobody_waits_for_is_not_sent_again() -> None:
    """A forgotten request is passed over, in the outbox and after a reconnect; its late answer is ignored."""
    script = Script()
    sent, unsent = script.get("a"), script.get("b")
    assert script.core.next_message() is not None
    script.core.forget(sent)
    script.core.forget(unsent)
    assert script.sent() == []
    script.reconnect()
    assert script.sent() == []
    script.receive(type="ok", re="1")
    assert script.settled == []


def test_a_subscription_goes_on_where_it_was() -> None:
    """P10: it is renewed from the next position, and what comes twice is dropped."""
    script = Script()
    subscription = script.events()
    (request,) = script.sent()
    assert (request["topic"], request.get("from_lsn"), request["batch"]) == ("events", None, 500)
    script.receive(type="ok", re="1", subscription="s1", lsn=10)
    assert subscription.opened
    script.receive(type="events", subscription="s1", events=[event(11), event(12)])
    script.reconnect()
    (request,) = script.sent()
    assert (request["id"], request["from_lsn"]) == ("2", 13)
    script.receive(type="ok", re="2", subscription="s1", lsn=12)
    script.receive(type="events", subscription="s1", events=[event(12), event(13)])
    script.receive(type="gap", subscription="s1", **{"from": 14, "to": 20})
    script.receive(type="event", subscription="s1", **event(21))
    assert lsns(subscription) == [11, 12, 13, -20, 21]
    script.reconnect()
    assert script.sent()[0]["from_lsn"] == 22


def test_a_subscription_without_news_is_renewed_from_where_it_began() -> None:
    """P10: what happens during an outage right after subscribing is not missed."""
    script = Script()
    script.events()
    script.sent()
    script.receive(type="ok", re="1", subscription="s1", lsn=10)
    script.reconnect()
    assert script.sent()[0]["from_lsn"] == 11


def test_a_subscription_lost_while_it_was_asked_for_is_asked_for_once() -> None:
    """The request itself is sent again; there is no second one beside it."""
    script = Script()
    script.events(from_lsn=7)
    before = script.sent()
    script.reconnect()
    assert script.sent() == before
    assert before[0]["from_lsn"] == 7


@pytest.mark.parametrize(
    "reply", [{"subscription": "s" * 201, "lsn": 0}, {"subscription": "s1", "lsn": 2**63}]
)
def test_a_subscription_that_could_not_be_asked_for_again_is_not_begun(reply: dict[str, Any]) -> None:
    """By example: a name or a position that no request can carry is the server's mistake, told as such."""
    script = Script()
    subscription = script.events()
    script.receive(type="ok", re="1", **reply)
    assert isinstance(subscription.error, ProtocolError)
    script.reconnect()
    assert not subscription.opened


def test_a_position_that_there_cannot_be_is_the_servers_mistake() -> None:
    """By example: the next connection could not ask for what follows it."""
    script = Script()
    subscription = script.events()
    script.receive(type="ok", re="1", subscription="s1", lsn=0)
    with pytest.raises(ProtocolError, match="a position that there cannot be"):
        script.receive(type="gap", subscription="s1", **{"from": 1, "to": 2**64 - 1})
    assert subscription.position == 0


def test_an_unsubscribe_does_not_outlive_its_connection() -> None:
    """The next connection may give the same name to another subscription."""
    script = Script()
    subscription = script.events()
    script.sent()
    script.receive(type="ok", re="1", subscription="s1", lsn=0)
    script.core.unsubscribe(subscription)
    assert [message["type"] for message in script.sent()] == ["unsubscribe"]
    script.receive(type="events", subscription="s1", events=[event(1)])
    assert lsns(subscription) == []
    script.reconnect()
    assert script.sent() == []


def test_a_subscription_given_up_before_it_opened_is_ended_when_it_does() -> None:
    """The server is not left pushing to nobody."""
    script = Script()
    subscription = script.events()
    script.sent()
    script.core.unsubscribe(subscription)
    assert script.sent() == []
    script.receive(type="ok", re="1", subscription="s1", lsn=0)
    assert [message["subscription"] for message in script.sent()] == ["s1"]
    assert not subscription.opened


def test_too_much_that_waits_pauses_a_subscription(monkeypatch: pytest.MonkeyPatch) -> None:
    """P11: past the limit the server is told to stop; a reconnect does not change that; taking all does."""
    monkeypatch.setattr("beaver_actors.client.subscriptions.WAITING_BYTES_MAX", 300)
    script = Script()
    subscription = script.events()
    script.sent()
    script.receive(type="ok", re="1", subscription="s1", lsn=0)
    script.receive(type="events", subscription="s1", events=[event(1), event(2), event(3), event(4)])
    assert script.sent()[0]["type"] == "unsubscribe"
    script.receive(type="events", subscription="s1", events=[event(5)])
    script.reconnect()
    assert script.sent() == []
    assert lsns(subscription) == [1, 2, 3, 4]
    script.core.resume(subscription)
    script.core.resume(subscription)
    assert [message["from_lsn"] for message in script.sent()] == [5]


def test_a_refused_subscription_says_why() -> None:
    """And nothing more is asked for it, not even after a reconnect."""
    script = Script()
    subscription = script.events(from_lsn=99)
    script.sent()
    script.receive(type="error", re="1", code="not_found", message="no", retry_after=None)
    assert isinstance(subscription.error, NotFound)
    script.reconnect()
    assert script.sent() == []


def test_only_the_newest_status_waits() -> None:
    """A slow reader sees the newest, once."""
    script = Script()
    subscription = StatusSubscription(2, lambda: None)
    script.core.subscribe(subscription)
    assert script.sent()[0]["interval"] == 2
    script.receive(type="ok", re="1", subscription="s1")
    for lsn in (1, 2):
        script.receive(type="status", subscription="s1", status=status(lsn))
    newest = subscription.take()
    assert newest is not None
    assert newest.lsn == 2
    assert subscription.take() is None


def status(lsn: int) -> dict[str, Any]:
    at = "2026-01-01T00:00:00.000Z"
    counted = ("states", "queues", "totals", "dead_reasons", "unknown_kinds")
    counts: dict[str, Any] = {name: {} for name in counted}
    node = {"storage_full": False, "draining": False, "version": "1", "workers": 1, "sessions": 1}
    return {"at": at, "lsn": lsn, "started_at": at, **counts, **node}


@pytest.mark.parametrize(
    "reply",
    [
        {"type": "ok", "re": "1", "lsn": 1},
        {"type": "ok", "re": "1", "subscription": "s1"},
        {"type": "ok", "re": "1", "subscription": 7, "lsn": 1},
    ],
)
def test_an_agreement_that_lacks_something_is_no_agreement(reply: dict[str, Any]) -> None:
    """P10: without knowing where the events begin there could be a silent hole."""
    script = Script()
    subscription = script.events()
    script.sent()
    try:
        script.receive(**reply)
    except ProtocolError as error:
        script.core.lost(error)
    assert isinstance(subscription.error, ProtocolError)


def test_what_cannot_be_understood_fails_all_who_wait() -> None:
    """Asking again would end the same way; but the next connection serves who asks later."""
    script = Script()
    script.get()
    subscription = script.events()
    script.sent()
    with pytest.raises(ProtocolError, match="something else than beaver") as raised:
        script.core.received("<html>")
    script.core.lost(raised.value)
    assert outcomes(script.settled) == [ProtocolError]
    assert isinstance(subscription.error, ProtocolError)
    script.core.opened()
    assert script.sent() == []
    script.get()
    assert len(script.sent()) == 1


def test_a_push_of_the_wrong_topic_is_not_understood() -> None:
    """A status for a subscription to events."""
    script = Script()
    script.events()
    script.sent()
    script.receive(type="ok", re="1", subscription="s1", lsn=0)
    with pytest.raises(ProtocolError, match="wrong topic"):
        script.receive(type="status", subscription="s1", status=status(1))


@pytest.mark.parametrize("told", ["by reply", "by closing"])
def test_only_the_largest_request_is_blamed_for_being_too_large(told: str) -> None:
    """A server with a lower limit cannot name the request; the smaller ones are asked again."""
    script = Script()
    script.get()
    large = script.core.ask(
        EnqueueRequest(id="", jobs=[new_job("work", {"text": "x" * 500})]), script.settled.append
    )
    script.get()
    script.sent()
    if told == "by reply":
        script.receive(type="error", re=None, code="too_large", message="too much", retry_after=None)
    else:
        script.core.lost(TooLarge("too_large", "too much"))
        script.core.opened()
        assert [message["type"] for message in script.sent()] == ["get", "get"]
    assert script.settled == [large]
    with pytest.raises(TooLarge, match="too much"):
        large.ok()


def test_a_refusal_carries_when_to_come_back() -> None:
    """P11: code, message and time reach the caller."""
    script = Script()
    pending = script.get()
    script.receive(type="error", re="1", code="queue_full", message="full", retry_after=1.5)
    with pytest.raises(QueueFull) as raised:
        pending.ok()
    assert (raised.value.code, raised.value.message, raised.value.retry_after) == ("queue_full", "full", 1.5)
    with pytest.raises(QueueFull) as again:
        pending.ok()
    assert again.value is not raised.value


def test_the_end_reaches_everyone_once_and_stays() -> None:
    """Who waits and who comes later learn the same reason."""
    script = Script()
    script.get()
    subscription = script.events()
    script.core.end(LOST)
    script.core.end(ConnectionLost("later"))
    assert outcomes(script.settled) == [ConnectionLost]
    assert str(subscription.error) == str(LOST)
    for ask in (script.get, script.events):
        with pytest.raises(ConnectionLost, match="the cable"):
            ask()
    script.core.unsubscribe(subscription)
    assert script.sent() == []


def test_room_is_bounded_in_number_and_bytes() -> None:
    """P11: callers wait when too much is unanswered; forgetting and answers make room."""
    script = Script()
    pending = [script.get() for _ in range(UNANSWERED_MAX)]
    assert not script.core.has_room()
    script.core.forget(pending[0])
    script.core.forget(pending[0])
    assert script.core.has_room()
    script.get()
    assert not script.core.has_room()
    script.receive(type="ok", re="2")
    assert script.core.has_room()
    script = Script()
    large = EnqueueRequest(id="", jobs=[new_job("work", {"text": "x" * 8_000_000})])
    sent = 0
    while script.core.has_room():
        script.core.ask(large, script.settled.append)
        sent += 1
    assert sent == 5
    with pytest.raises(TooLarge, match="expected at most 8388608 bytes"):
        script.core.ask(EnqueueRequest(id="", jobs=[*large.jobs, *large.jobs]), script.settled.append)
    script.core.ask(StatusRequest(id=""), script.settled.append, counted=False)


def test_pauses_between_tries_grow_and_are_spread() -> None:
    """Full jitter: anywhere between nothing and a ceiling that doubles up to ten seconds."""
    assert [reconnect_seconds(failures, 0.999999) for failures in range(3)] == pytest.approx(
        [0.2, 0.4, 0.8], abs=0.002
    )
    assert reconnect_seconds(50, 0.5) == 5
    assert reconnect_seconds(5000, 0.0) == 0


def test_a_failure_raised_twice_is_two_exceptions() -> None:
    """Tracebacks of different callers must not mix."""
    error = QueueFull("queue_full", "full", 2)
    twin = error.twin()
    assert twin is not error
    assert isinstance(twin, QueueFull)
    assert (str(twin), twin.retry_after) == (str(error), 2)
    assert isinstance(ClientError("x").twin(), ClientError)
