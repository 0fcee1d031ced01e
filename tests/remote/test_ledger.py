"""The ledger as a script: what the server says goes in, what is to be sent comes out, and nothing is lost
between two connections."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from msgspec import Raw

from beaver_actors.client.errors import ProtocolError
from beaver_actors.codec.wire_worker_objects import (
    LeasedJobObject,
    ProgressObject,
    ReportObject,
    WorkerLimits,
)
from beaver_actors.core.workers import Registration
from beaver_actors.remote.ledger import UNANSWERED_MAX, Ledger

LIMITS = {"message_bytes": 1 << 20, "result_bytes": 1000, "error_message_chars": 100, "traceback_chars": 100}


class Work:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.jobs: list[int] = []
        self.told: list[tuple[str, list[int]]] = []

    def welcomed(self, limits: WorkerLimits) -> None:
        self.told.append(("welcomed", [limits.result_bytes]))

    def leased(self, jobs: list[LeasedJobObject]) -> None:
        self.jobs += [job.fence for job in jobs]

    def cancelled(self, fences: Iterable[int]) -> None:
        self.told.append(("cancelled", list(fences)))

    def lost(self, fences: Iterable[int]) -> None:
        self.told.append(("lost", list(fences)))

    def overdue(self, fences: Iterable[int]) -> None:
        self.told.append(("overdue", list(fences)))


class Script:
    """A ledger, and the server that the test plays."""

    def __init__(self) -> None:
        self.work = Work()
        self.changes = 0
        registration = Registration("far", frozenset({"b", "a"}), (("mail", 2),), 4, "host", 7, "1")
        self.ledger = Ledger(registration, self.work, self._changed)

    def _changed(self) -> None:
        self.changes += 1

    def sent(self) -> list[dict[str, Any]]:
        """All that is to be sent now."""
        found = []
        while (data := self.ledger.next_message()) is not None:
            found.append(json.loads(data))
        return found

    def say(self, kind: str, **fields: Any) -> None:
        self.ledger.received(json.dumps({"type": kind, **fields}))

    def connect(self, **standing: list[int]) -> dict[str, Any]:
        """Open a connection and grant the registration; returns it."""
        self.ledger.opened()
        (register,) = self.sent()
        assert register["type"] == "register"
        empty: dict[str, list[int]] = {"lost": [], "cancel": [], "overdue": []}
        said = {"lease": 60, "heartbeat": 15, "limits": LIMITS, **empty, **standing}
        self.say("ok", re=register["id"], **said)
        return register

    def lease(self, *fences: int) -> None:
        jobs: list[dict[str, Any]] = [
            {
                "job_id": f"job-{fence}", "fence": fence, "attempt": 1, "max_attempts": 25, "kind": "a",
                "queue": "mail", "args": {}, "timeout": None, "deadline": None,
            }
            for fence in fences
        ]  # fmt: skip
        self.say("lease", jobs=jobs)

    def end(self, fence: int, **fields: Any) -> None:
        fields.setdefault("outcome", "released")
        self.ledger.report(ReportObject(job_id=f"job-{fence}", fence=fence, **fields))


def receipt(fence: int, *, recorded: bool = True) -> dict[str, Any]:
    code = None if recorded else "lease_lost"
    return {
        "job_id": f"job-{fence}", "fence": fence, "recorded": recorded, "code": code, "current_fence": fence,
    }  # fmt: skip


def test_it_says_who_it_is_before_anything_else() -> None:
    """P4: reports wait until the connection is the worker's."""
    script = Script()
    register = script.connect()
    assert (register["worker_id"], register["kinds"], register["queues"]) == ("far", ["a", "b"], {"mail": 2})
    assert (register["slots"], script.ledger.lease_seconds, script.ledger.heartbeat_seconds) == (
        4,
        60.0,
        15.0,
    )
    assert script.work.told == [("welcomed", [1000])]
    script.lease(7)
    assert script.work.jobs == [7]
    script.end(7)
    script.ledger.opened()
    assert [message["type"] for message in script.sent()] == ["register"]


def test_a_report_is_sent_until_it_is_answered() -> None:
    """P5: over one connection once, over the next again, and it counts as held until then."""
    script = Script()
    script.connect()
    script.lease(7)
    script.end(7)
    (report,) = script.sent()
    assert report["reports"] == [{"job_id": "job-7", "fence": 7, "outcome": "released"}]
    assert script.sent() == []
    assert script.ledger.fences() == [7]
    register = script.connect()
    assert register["fences"] == [7]
    (again,) = script.sent()
    assert again["reports"] == report["reports"]
    script.say("ok", re=again["id"], reports=[receipt(7)])
    assert (script.ledger.fences(), script.ledger.unreported, script.ledger.lost_count) == ([], 0, 0)


def test_reports_collect_while_others_are_under_way() -> None:
    """P11: so many messages at a time; what ends meanwhile shares the next."""
    script = Script()
    script.connect()
    script.lease(*range(1, 20))
    for fence in range(1, UNANSWERED_MAX + 1):
        script.end(fence)
        (message,) = script.sent()
    script.end(18)
    script.end(19)
    assert script.sent() == []
    script.say("ok", re=message["id"], reports=[receipt(UNANSWERED_MAX)])
    (rest,) = script.sent()
    assert [report["fence"] for report in rest["reports"]] == [18, 19]


def test_large_results_go_in_messages_of_their_own() -> None:
    """P11: a message stays below what the server takes."""
    script = Script()
    script.connect()
    script.lease(1, 2, 3)
    for fence in (1, 2, 3):
        script.end(fence, outcome="succeeded", result=Raw(b'"%b"' % (b"x" * 400_000)))
    assert [len(message["reports"]) for message in script.sent()] == [1, 1, 1]


def test_what_is_lost_is_stopped_and_never_reported() -> None:
    """P4: in a notice, in the reply to a heartbeat, at a registration; others' fences mean nothing."""
    script = Script()
    script.connect()
    script.lease(7, 8, 9)
    script.say("notice", lost=[7, 99])
    script.ledger.beat()
    (beat,) = script.sent()
    assert (beat["type"], beat["fences"]) == ("heartbeat", [8, 9])
    script.say("ok", re=beat["id"], lost=[8], cancel=[], overdue=[])
    register = script.connect(lost=[9])
    assert register["fences"] == [9]
    assert [told for told in script.work.told if told[0] == "lost"] == [
        ("lost", [7]),
        ("lost", [8]),
        ("lost", [9]),
    ]
    for fence in (7, 8, 9):
        script.end(fence)
    assert script.sent() == []


def test_cancels_and_timeouts_are_passed_on() -> None:
    """P3: cancels as often as they are told, timeouts once."""
    script = Script()
    script.connect()
    script.lease(7)
    script.say("notice", cancel=[7], overdue=[7])
    script.say("notice", cancel=[7], overdue=[7])
    assert script.work.told[1:] == [("cancelled", [7]), ("overdue", [7]), ("cancelled", [7])]


def test_only_the_last_progress_is_told_and_none_after_the_end() -> None:
    """P4: by example."""
    script = Script()
    script.connect()
    script.lease(7, 8)
    for text in (b"1", b"2"):
        script.ledger.progress(ProgressObject(job_id="job-7", fence=7, progress=Raw(text)))
    script.ledger.progress(ProgressObject(job_id="job-8", fence=8, progress=Raw(b"1")))
    script.end(8)
    (message,) = script.sent()
    assert [(word["fence"], word["progress"]) for word in message["progress"]] == [(7, 2)]
    script.ledger.progress(ProgressObject(job_id="job-8", fence=8, progress=Raw(b"2")))
    assert script.sent() == []


def test_a_late_outcome_is_counted() -> None:
    """P4: and not told again."""
    script = Script()
    script.connect()
    script.lease(7)
    script.end(7)
    (message,) = script.sent()
    script.say("ok", re=message["id"], reports=[receipt(7, recorded=False)])
    assert (script.ledger.lost_count, script.ledger.unreported, script.sent()) == (1, 0, [])


def test_a_report_that_the_server_does_not_take_becomes_a_rejection() -> None:
    """P3: the good ones of the message go alone, and the bad one says why, so that its job does not hang."""
    script = Script()
    script.connect()
    script.lease(7, 8)
    script.end(7)
    script.end(8)
    (message,) = script.sent()
    script.say("error", re=message["id"], code="too_large", message="reports[1].result: no")
    first, second = script.sent()
    assert [first["reports"][0]["fence"], second["reports"][0]["fence"]] == [7, 8]
    script.say("ok", re=first["id"], reports=[receipt(7)])
    script.say("error", re=second["id"], code="too_large", message="reports[0].result: no")
    (mended,) = script.sent()
    (report,) = mended["reports"]
    assert (report["outcome"], report["error"]["type"]) == ("rejected", "BadReport")
    assert "reports[0].result: no" in report["error"]["message"]
    script.say("error", re=mended["id"], code="bad_request", message="never")
    assert (script.sent(), script.ledger.unreported) == ([], 0)


def test_goodbye_is_said_when_everything_is_answered() -> None:
    """P4: and the worker has ended when that is answered; over a new connection it is said again."""
    script = Script()
    script.connect()
    script.lease(7)
    script.end(7)
    script.ledger.close()
    (report,) = script.sent()
    assert [script.ledger.done] == [False]
    script.say("ok", re=report["id"], reports=[receipt(7)])
    (goodbye,) = script.sent()
    assert goodbye["type"] == "deregister"
    script.connect()
    (again,) = script.sent()
    script.say("ok", re=again["id"])
    assert script.ledger.done
    assert script.sent() == []


def test_a_worker_that_never_came_has_nothing_to_say() -> None:
    """P3: it is done at once; one that holds something is not."""
    script = Script()
    script.ledger.close()
    assert script.ledger.done


def test_a_refused_registration_is_remembered() -> None:
    """P11: why, for the log; the next connection begins anew."""
    script = Script()
    script.ledger.opened()
    (register,) = script.sent()
    script.say("error", re=register["id"], code="overloaded", message="too many")
    assert (script.ledger.refusal, script.ledger.registered) == ("overloaded: too many", False)
    script.connect()
    assert (script.ledger.refusal, script.ledger.registered) == (None, True)


def test_heartbeats_without_an_answer_are_counted() -> None:
    """P4: one that has not left is replaced, not doubled."""
    script = Script()
    script.ledger.beat()
    script.connect()
    script.ledger.beat()
    script.ledger.beat()
    (beat,) = script.sent()
    assert script.ledger.unheard == 2
    script.say("ok", re=beat["id"], lost=[], cancel=[], overdue=[])
    assert script.ledger.unheard == 0
    script.ledger.ready(0)
    script.ledger.ready(2)
    (ready,) = script.sent()
    assert (ready["type"], ready["slots"]) == ("ready", 2)


@pytest.mark.parametrize("data", ["", "{", '{"type":"song"}', b"\x00"])
def test_what_is_no_message_is_a_broken_protocol(data: str | bytes) -> None:
    """By example: the connection is of no more use."""
    script = Script()
    script.connect()
    with pytest.raises(ProtocolError):
        script.ledger.received(data)
