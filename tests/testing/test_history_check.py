"""The history checker, rule by rule: a small history that breaks the rule, and a near miss that is fine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from beaver_actors.testing.history import Call, History
from beaver_actors.testing.history_check import Rules, check, explain


class Told:
    """A history made by hand, about jobs "a", "b" and so on."""

    def __init__(self) -> None:
        self.history = History()

    def send(self, *job_ids: str, **fields: object) -> Call:
        """An enqueue leaves."""
        jobs = [{"id": job_id, "kind": "work"} | fields for job_id in job_ids]
        return self.history.call("ann", {"type": "enqueue", "jobs": jobs})

    def grant(self, call: Call, lsn: int, *, duplicate: bool = False) -> None:
        jobs = [{"id": job["id"], "duplicate": duplicate} for job in call.request["jobs"]]
        self.history.answer(call, {"type": "ok", "jobs": jobs, "lsn": lsn})

    def refuse(self, call: Call, code: str) -> None:
        self.history.answer(call, {"type": "error", "code": code})

    def enqueue(self, *job_ids: str, lsn: int = 1, duplicate: bool = False, **fields: object) -> None:
        self.grant(self.send(*job_ids, **fields), lsn, duplicate=duplicate)

    def refused(self, job_id: str, code: str, **fields: object) -> None:
        self.refuse(self.send(job_id, **fields), code)

    def wish(self, wish: str, job_id: str) -> Call:
        """A cancel, retry or delete leaves."""
        return self.history.call("ann", {"type": wish, "job_ids": [job_id]})

    def change(self, call: Call, lsn: int, state: str | None = None, code: str | None = None) -> None:
        change = {"name": call.request["job_ids"][0], "changed": code is None, "code": code, "state": state}
        self.history.answer(call, {"type": "ok", "changes": [change], "lsn": lsn})

    def ask(self, wish: str, job_id: str, lsn: int = 9, state: str | None = None) -> None:
        self.change(self.wish(wish, job_id), lsn, state)

    def look(self, job_id: str) -> Call:
        """A get leaves."""
        return self.history.call("bob", {"type": "get", "job_id": job_id})

    def show(self, call: Call, state: str, lsn: int, **fields: object) -> None:
        job = {"id": call.request["job_id"], "kind": "work", "state": state, "lsn": lsn, "result": None}
        self.history.answer(call, {"type": "ok", "job": job | {"fence": 0} | fields})

    def shown(self, job_id: str, state: str = "pending", lsn: int = 1, **fields: object) -> None:
        self.show(self.look(job_id), state, lsn, **fields)

    def absent(self, job_id: str) -> None:
        self.history.answer(self.look(job_id), {"type": "error", "code": "not_found"})

    def listed(self, *job_ids: str, next: int | None = None, **filters: object) -> None:  # noqa: A002
        call = self.history.call("bob", {"type": "list", **filters})
        jobs = [{"id": job_id, "kind": "work", "state": "pending", "lsn": 1} for job_id in job_ids]
        self.history.answer(call, {"type": "ok", "jobs": jobs, "next": next})

    def event(self, lsn: int, name: str, job_id: str = "a", watcher: str = "eve", **fields: object) -> None:
        self.history.see(watcher, {"lsn": lsn, "event": name, "job_id": job_id, **fields})

    def events(self, *names: str, watcher: str = "eve") -> None:
        """Events of job "a" from LSN 1 on; those of an attempt are under the fence of the newest start."""
        fence = 0
        for lsn, name in enumerate(names, 1):
            fields: dict[str, Any] = {}
            if name == "job_started":
                fence = lsn
            if name in ATTEMPT:
                fields["fence"] = fence
            if name == "job_completed":
                fields["result"] = 7
            if name == "job_deleted":
                fields["reason"] = "request"
            self.event(lsn, name, watcher=watcher, **fields)

    def run(self, fence: int, job_id: str = "a", attempt: int = 1, result: object = 7) -> None:
        self.history.began(job_id, attempt, fence)
        self.history.ended(job_id, fence, "succeeded", result)


ATTEMPT = frozenset({"job_started", "job_completed", "job_failed", "job_rescued", "job_released"})


def caught(told: Told, promise: str, about: str, rules: Rules | None = None) -> None:
    violations = check(told.history, rules)
    assert [violation.promise for violation in violations] == [promise], explain(told.history, violations)
    assert about in str(violations[0])
    assert violations[0].entries, "no entries are named"


def fine(told: Told, rules: Rules | None = None) -> None:
    violations = check(told.history, rules)
    assert not violations, explain(told.history, violations)


def test_an_acknowledged_job_is_there_for_whoever_asks_after_that() -> None:
    """P3: rule by rule. Not for who asked before, nor once somebody may have deleted it."""
    told = Told()
    early = told.look("a")
    told.enqueue("a")
    told.history.answer(early, {"type": "error", "code": "not_found"})
    fine(told)
    told.absent("a")
    caught(told, "P3", "was acknowledged, and is not there")
    fine(told, Rules(forgets=True))


def test_a_delete_under_way_explains_a_job_that_is_not_there() -> None:
    """P3: rule by rule. A delete that was over before the enqueue, or was refused, explains nothing."""
    told = Told()
    told.enqueue("a")
    told.wish("delete", "a")
    told.absent("a")
    fine(told)
    told = Told()
    told.change(told.wish("delete", "a"), 0, code="not_found")
    told.enqueue("a")
    told.change(told.wish("delete", "a"), 1, state="in_flight", code="conflict")
    told.absent("a")
    caught(told, "P3", "was acknowledged, and is not there")


def test_a_job_that_is_not_found_by_a_request_about_it_is_not_there() -> None:
    """P3: rule by rule. Cancel and retry look too."""
    told = Told()
    told.enqueue("a")
    told.change(told.wish("cancel", "a"), 1, code="not_found")
    caught(told, "P3", "was acknowledged, and is not there")


def test_a_whole_listing_has_every_job() -> None:
    """P3: rule by rule. A page, or a filter, may leave some out."""
    told = Told()
    told.enqueue("a")
    told.enqueue("b", lsn=2)
    told.listed("b", next=2)
    told.listed("b", queue="mail")
    told.listed("a", "b")
    fine(told)
    told.listed("b")
    caught(told, "P3", "job a was acknowledged, and is not there")


def test_a_listing_has_every_job_once() -> None:
    """P3: rule by rule. Two listings may show the same."""
    told = Told()
    told.enqueue("a")
    told.listed("a")
    told.listed("a")
    fine(told)
    told.listed("a", "a")
    caught(told, "P3", "job a is in one listing twice")


def test_a_job_that_was_deleted_is_gone() -> None:
    """P1: rule by rule. Unless it was sent again, or a sending was still on its way."""
    told = Told()
    told.send("a")
    told.enqueue("a", duplicate=True)
    told.ask("delete", "a", lsn=2)
    told.shown("a", lsn=3)  # the sending that was not answered came late
    fine(told)
    told = Told()
    told.enqueue("a")
    told.ask("delete", "a", lsn=2)
    told.enqueue("a", lsn=3)
    told.shown("a", lsn=3)
    told.ask("delete", "a", lsn=4)
    late = told.wish("delete", "a")
    told.show(told.look("a"), "pending", 4)
    told.change(late, 5)
    caught(told, "P1", "was deleted, and is there")


def test_a_job_that_was_refused_is_not_there() -> None:
    """P1: rule by rule. Unless another sending of it was accepted, or may have been."""
    told = Told()
    told.refused("a", "queue_full")
    told.absent("a")
    told.send("a")
    told.refused("a", "queue_full")
    told.shown("a")
    fine(told)
    told = Told()
    told.refused("a", "queue_full")
    told.shown("a")
    caught(told, "P1", "every enqueue of it was refused")
    told = Told()
    told.refused("a", "storage_full")
    told.event(1, "job_enqueued")
    caught(told, "P1", "every enqueue of it was refused")


def test_nobody_sees_a_job_that_nobody_sent() -> None:
    """P3: rule by rule. A job without an id may have any, if its answer was lost."""
    told = Told()
    told.listed("a")
    caught(told, "P3", "is shown, and nobody had sent it")
    told = Told()
    told.event(1, "job_enqueued")
    told.enqueue("a")
    caught(told, "P3", "is told of in an event, and nobody had sent it")
    told = Told()
    told.run(1)
    caught(told, "P3", "is run, and nobody had sent it")
    told = Told()
    told.history.call("ann", {"type": "enqueue", "jobs": [{"kind": "work"}]})
    told.listed("some-id")
    fine(told)
    told.listed("some-id", "another")
    caught(told, "P3", "is shown, and nobody had sent it")


def test_a_job_without_an_id_is_known_by_its_answer() -> None:
    """P3: rule by rule."""
    told = Told()
    call = told.history.call("ann", {"type": "enqueue", "jobs": [{"kind": "work"}]})
    told.history.answer(call, {"type": "ok", "jobs": [{"id": "a", "duplicate": False}], "lsn": 1})
    told.shown("a")
    fine(told)
    told.absent("a")
    caught(told, "P3", "was acknowledged, and is not there")


def test_a_job_is_taken_once() -> None:
    """P5: rule by rule. Two sendings may cross, and then either is the first; but one is."""
    told = Told()
    first, second = told.send("a"), told.send("a")
    told.grant(second, 1, duplicate=True)
    told.grant(first, 1)
    fine(told)
    told = Told()
    first, second = told.send("a"), told.send("a")
    told.grant(second, 1)
    told.grant(first, 2)
    caught(told, "P5", "was taken twice")


def test_a_duplicate_needs_an_original() -> None:
    """P5: rule by rule. An original without an answer will do; one that was refused will not."""
    told = Told()
    told.send("a")
    told.enqueue("a", duplicate=True)
    fine(told)
    told = Told()
    told.refused("a", "overloaded")
    told.enqueue("a", duplicate=True)
    caught(told, "P5", "called a duplicate")


def test_other_content_is_no_duplicate() -> None:
    """P5: rule by rule. Times are no part of the content; what one of them leaves out may be the same."""
    told = Told()
    told.enqueue("a", args={"n": 1}, delay=5)
    told.enqueue("a", args={"n": 1}, delay=6, queue="default", duplicate=True)
    fine(told)
    told.enqueue("a", args={"n": 2}, duplicate=True)
    caught(told, "P5", "with other content")


def test_a_conflict_needs_other_content() -> None:
    """P5: rule by rule. It may be in the same request."""
    told = Told()
    told.enqueue("a", args={"n": 1})
    told.refused("a", "conflict", args={"n": 2})
    fine(told)
    told.refused("a", "conflict", args={"n": 1}, delay=3)
    caught(told, "P5", "a conflict was told")
    told = Told()
    jobs = [{"id": "a", "kind": "work"}, {"id": "a", "kind": "play"}]
    told.refuse(told.history.call("ann", {"type": "enqueue", "jobs": jobs}), "conflict")
    fine(told)


def test_a_job_holds_what_was_sent() -> None:
    """P3: rule by rule. What the client left out, the server may have added."""
    told = Told()
    told.enqueue("a", args={"n": 1}, tags=["x"])
    told.shown("a", args={"n": 1}, tags=["x"], queue="default", priority=0)
    told.event(1, "job_enqueued", kind="work", args={"n": 1}, tags=["x"])
    fine(told)
    told.shown("a", args={"n": 1}, tags=["y"])
    caught(told, "P3", "holds other content")
    told = Told()
    told.enqueue("a", args={"n": 1})
    told.event(1, "job_enqueued", kind="work", args={"n": 2})
    caught(told, "P3", "arrived with other content")


def test_the_answer_to_an_enqueue_tells_the_lsn_of_its_arrival() -> None:
    """P1: rule by rule. The jobs of a batch arrive one after the other, the last at the LSN of the answer."""
    told = Told()
    told.enqueue("a", "b", lsn=2)
    told.event(1, "job_enqueued")
    told.event(2, "job_enqueued", "b")
    fine(told)
    told = Told()
    told.enqueue("a", "b", lsn=2)
    told.event(1, "job_enqueued", "b")
    told.event(2, "job_enqueued", "a")
    assert {violation.promise for violation in check(told.history)} == {"P1"}


def test_a_view_never_goes_back() -> None:
    """P1: rule by rule. Requests that overlap may be answered in any order."""
    told = Told()
    told.enqueue("a")
    early = told.look("a")
    told.shown("a", "in_flight", lsn=2, fence=2)
    told.show(early, "pending", 1)
    fine(told)
    told.shown("a", "pending", lsn=1)
    caught(told, "P1", "was told of as of LSN 2, and is shown later as of 1")
    told = Told()
    told.enqueue("a")
    told.wish("cancel", "a")
    told.events("job_enqueued", "job_started", "job_cancel_requested")
    told.shown("a", "in_flight", lsn=2, fence=2)
    caught(told, "P1", "was told of as of LSN 3, and is shown later as of 2")


@pytest.mark.parametrize(
    ("before", "after", "promise"),
    [
        ("scheduled", "pending", None),
        ("in_flight", "scheduled", None),
        ("in_flight", "completed", None),
        ("pending", "dead", None),
        ("completed", "pending", "P4"),
        ("completed", "dead", "P4"),
        ("dead", "completed", "P4"),
        ("dead", "in_flight", "P4"),
    ],
)
def test_a_job_moves_only_along_the_table(before: str, after: str, promise: str | None) -> None:
    """P4: rule by rule. From one view to a later one, in any number of moves."""
    told = Told()
    told.enqueue("a")
    told.shown("a", before, lsn=2)
    told.shown("a", after, lsn=3)
    if promise is None:
        fine(told)
    else:
        caught(told, promise, f"was {before}, and is {after} later")


def test_a_dead_job_comes_back_only_when_asked() -> None:
    """P4: rule by rule. A retry without an answer will do; a completed job does not come back at all."""
    told = Told()
    told.enqueue("a")
    told.shown("a", "dead", lsn=2)
    told.wish("retry", "a")
    told.shown("a", "pending", lsn=3)
    fine(told)
    told.shown("a", "completed", lsn=4, result=1)
    told.wish("retry", "a")
    told.shown("a", "pending", lsn=5)
    caught(told, "P4", "was completed, and is pending later")


def test_a_result_stays_what_it_was() -> None:
    """P4: rule by rule. In views, and between the stream and a view."""
    told = Told()
    told.enqueue("a")
    told.shown("a", "completed", lsn=3, result=7)
    told.shown("a", "completed", lsn=3, result=7)
    fine(told)
    told.shown("a", "completed", lsn=3, result=8)
    caught(told, "P4", "two results")
    told = Told()
    told.enqueue("a")
    told.events("job_enqueued", "job_started", "job_completed")
    told.shown("a", "completed", lsn=3, result=7, fence=2)
    fine(told)
    told = Told()
    told.enqueue("a")
    told.events("job_enqueued", "job_started", "job_completed")
    told.shown("a", "completed", lsn=3, result=8, fence=2)
    caught(told, "P4", "one result in the stream and another")


def test_a_job_has_one_state_at_a_time() -> None:
    """P3: rule by rule. Time alone makes a scheduled job pending, without an event."""
    told = Told()
    told.enqueue("a")
    told.shown("a", "scheduled")
    told.shown("a", "pending")
    fine(told)
    told.shown("a", "in_flight")
    caught(told, "P3", "at the same LSN")
    told = Told()
    told.enqueue("a")
    told.events("job_enqueued", "job_started")
    told.shown("a", "pending", lsn=2)
    caught(told, "P3", "was shown as pending as of LSN 2, an event job_started")


def test_fences_and_attempts_only_grow() -> None:
    """P4: rule by rule. An attempt that is handed back is not counted, and a retry counts anew."""
    told = Told()
    told.enqueue("a")
    told.shown("a", "in_flight", lsn=2, fence=2, attempt=2)
    told.shown("a", "pending", lsn=3, fence=2, attempt=1)
    fine(told)
    told.shown("a", "pending", lsn=4, fence=2, attempt=0)
    caught(told, "P4", "was at attempt 1, and at 0 later")
    told = Told()
    told.enqueue("a")
    told.shown("a", "dead", lsn=5, fence=4, attempt=3, rescues=1)
    told.wish("retry", "a")
    told.shown("a", "in_flight", lsn=7, fence=7, attempt=1, rescues=0)
    fine(told)
    told.shown("a", "pending", lsn=8, fence=6, attempt=1, rescues=0)
    caught(told, "P4", "had fence 7, and 6 later")
    told = Told()
    told.enqueue("a")
    told.shown("a", "pending", lsn=4, fence=2, attempt=1, rescues=1)
    told.shown("a", "pending", lsn=5, fence=5, attempt=2, rescues=0)
    caught(told, "P12", "had 1 rescues, and 0 later")


@pytest.mark.parametrize(
    ("names", "promise"),
    [
        (("job_enqueued", "job_started", "job_released", "job_started", "job_completed"), None),
        (("job_enqueued", "job_deleted", "job_enqueued"), None),
        (("job_enqueued", "job_started", "job_completed", "job_completed"), "P4"),
        (("job_enqueued", "job_started", "job_completed", "job_started"), "P4"),
        (("job_enqueued", "job_completed"), "P4"),
        (("job_enqueued", "job_enqueued"), "P5"),
        (("job_started",), "P4"),
    ],
)
def test_events_follow_the_table(names: tuple[str, ...], promise: str | None) -> None:
    """P4, P5: rule by rule."""
    told = Told()
    told.send("a")
    told.wish("delete", "a")
    told.events(*names)
    if promise is None:
        fine(told)
    else:
        caught(told, promise, f"has the event {names[-1]}")


def test_what_happened_in_a_gap_is_not_known() -> None:
    """P4, P10: rule by rule. Beyond a gap only what is certain is held against the server."""
    told = Told()
    told.send("a")
    told.history.watch("eve", 1)
    told.event(1, "job_enqueued")
    told.history.miss("eve", 2, 4)
    told.event(5, "job_completed", fence=4, result=1)
    fine(told)
    told.history.miss("eve", 6, 7)
    told.event(8, "job_completed", fence=7, result=1)
    caught(told, "P4", "was completed twice")


def test_an_event_of_an_attempt_bears_the_fence_of_its_lease() -> None:
    """P4: rule by rule. A stale worker's outcome is never the one recorded."""
    told = Told()
    told.send("a")
    told.events("job_enqueued", "job_started", "job_released", "job_started")
    fine(told)
    told.event(5, "job_completed", fence=2, result=1)
    caught(told, "P4", "under fence 2, but the lease is 4")


def test_an_end_has_a_cause() -> None:
    """P3: rule by rule. Cancelled, retried, deleted: by a request that had left; expired: by a time."""
    for names, wish in (
        (("job_enqueued", "job_cancelled"), "cancel"),
        (("job_enqueued", "job_started", "job_cancel_requested"), "cancel"),
        (("job_enqueued", "job_deleted"), "delete"),
    ):
        told = Told()
        told.send("a")
        told.wish(wish, "a")
        told.events(*names)
        fine(told)
        told = Told()
        told.send("a")
        told.events(*names)
        told.wish(wish, "a")
        caught(told, "P3", "nobody had asked for it")
    told = Told()
    told.send("a")
    told.shown("a", "cancelled", lsn=2)
    caught(told, "P3", "is cancelled, and nobody had asked for it")
    told = Told()
    told.send("a", expires_at="2027-01-01T00:00:00Z")
    told.events("job_enqueued")
    told.event(2, "job_died", reason="expired")
    fine(told)
    told = Told()
    told.send("a")
    told.events("job_enqueued")
    told.event(2, "job_died", reason="expired")
    caught(told, "P3", "no time to expire at")
    told = Told()
    told.send("a")
    told.events("job_enqueued")
    told.event(2, "job_deleted", reason="retention")
    fine(told, Rules(forgets=True))
    caught(told, "P3", "deleted by time")


def test_a_job_gives_up_after_enough_failures() -> None:
    """P3, P12: rule by rule. Deaths of its worker do not count as failures, nor failures as deaths."""
    twice = ("job_enqueued", "job_started", "job_failed", "job_started")
    told = Told()
    told.send("a", max_attempts=2)
    told.events(*twice)
    told.event(5, "job_died", reason="max_attempts")
    fine(told)
    told = Told()
    told.send("a", max_attempts=3)
    told.events(*twice)
    told.event(5, "job_died", reason="max_attempts")
    caught(told, "P3", "gave up after 2 failures of 3")
    deaths = ("job_enqueued", "job_started", "job_rescued", "job_started", "job_rescued", "job_started")
    told = Told()
    told.send("a")
    told.events(*deaths)
    told.event(7, "job_died", reason="poison")
    fine(told)
    caught(told, "P12", "is poison, and had been rescued 2 times", Rules(max_rescues=4))


def test_a_retry_wipes_the_slate() -> None:
    """P12: rule by rule. What was before it does not count, for or against."""
    told = Told()
    told.send("a", max_attempts=1)
    told.wish("retry", "a")
    told.events("job_enqueued", "job_started")
    told.event(3, "job_died", reason="max_attempts")
    told.event(4, "job_retried")
    told.event(5, "job_started", fence=5)
    told.event(6, "job_died", reason="max_attempts")
    fine(told)
    told = Told()
    told.send("a")
    told.wish("retry", "a")
    told.events("job_enqueued", "job_started", "job_rescued", "job_started", "job_rescued", "job_started")
    told.event(7, "job_died", reason="poison")
    told.event(8, "job_retried")
    told.event(9, "job_started", fence=9)
    told.event(10, "job_died", reason="poison")
    caught(told, "P12", "is poison, and had been rescued 0 times")


def test_a_watcher_hears_every_event_in_order_or_of_a_gap() -> None:
    """P10: rule by rule. One that filters need not hear of all, but in order."""
    told = Told()
    told.send("a")
    told.history.watch("eve", 1)
    told.events("job_enqueued", "job_started")
    told.history.miss("eve", 3, 8)
    told.event(9, "job_started", fence=9)
    told.history.watch("eve", 2)
    told.event(2, "job_started", fence=2)
    told.history.watch("fay", 1, filtered=True)
    told.event(2, "job_started", watcher="fay", fence=2)
    told.event(9, "job_started", watcher="fay", fence=9)
    fine(told)
    told.event(9, "job_started", fence=9)
    caught(told, "P10", "watcher eve waits for event 3, and is told of 9")
    told = Told()
    told.send("a")
    told.history.watch("eve", 1)
    told.history.miss("eve", 2, 3)
    caught(told, "P10", "waits for event 1, and is told of a gap 2..3")
    told = Told()
    told.send("a")
    told.history.watch("fay", 5, filtered=True)
    told.event(4, "job_started", watcher="fay", fence=4)
    caught(told, "P10", "waits for event 5, and is told of 4")


def test_an_event_is_the_same_for_all() -> None:
    """P10: rule by rule. For other watchers, and for the same one when it comes back."""
    told = Told()
    told.send("a")
    told.events("job_enqueued", "job_started")
    told.events("job_enqueued", "job_started", watcher="fay")
    fine(told)
    told.history.watch("fay", 1)
    told.event(1, "job_enqueued", watcher="fay", at="later")
    caught(told, "P10", "the event at LSN 1 was told in two ways")


def test_the_log_never_ends_before_what_was_told() -> None:
    """P1: rule by rule. An answer asked for before that may know less."""
    told = Told()
    told.enqueue("a", lsn=1)
    early = told.send("b")
    told.enqueue("c", lsn=2)
    told.grant(early, 2)
    fine(told)
    told.history.see("eve", {"lsn": 7, "event": "queue_paused", "queue": "q"})
    told.enqueue("d", lsn=6)
    caught(told, "P1", "LSN 7 was told")
    told = Told()
    told.enqueue("a", lsn=1)
    told.run(2)
    status = told.history.call("bob", {"type": "status"})
    told.history.answer(status, {"type": "ok", "status": {"lsn": 1}})
    caught(told, "P1", "LSN 2 was told")


def test_an_execution_has_a_fence_of_its_own() -> None:
    """P4: rule by rule. Two jobs cannot share one, nor can two executions of one job."""
    told = Told()
    told.enqueue("a")
    told.enqueue("b", lsn=2)
    told.run(3)
    told.run(4, "b")
    fine(told)
    told.run(4)
    caught(told, "P4", "job a runs under fence 4, under which job b ran")
    told = Told()
    told.enqueue("a")
    told.run(5)
    told.run(4, attempt=2)
    caught(told, "P4", "ran under fence 5, and later under 4")


def test_an_execution_counts_its_attempt() -> None:
    """P4: rule by rule. One that was handed back is made again under the same number."""
    told = Told()
    told.enqueue("a")
    told.run(2, attempt=2)
    told.run(3, attempt=2)
    fine(told)
    told.run(4, attempt=1)
    caught(told, "P4", "ran attempt 2, and later 1")
    told = Told()
    told.enqueue("a")
    told.run(2, attempt=2)
    told.wish("retry", "a")
    told.run(4, attempt=1)
    fine(told)


def test_nothing_runs_that_the_log_has_not_started() -> None:
    """P2: rule by rule. By the stream, and by whoever looks after it began."""
    told = Told()
    told.send("a")
    told.run(2)
    told.events("job_enqueued", "job_started")
    fine(told)
    told = Told()
    told.send("a")
    told.run(2)
    told.events("job_enqueued")
    told.history.see("eve", {"lsn": 2, "event": "queue_paused", "queue": "q"})
    caught(told, "P2", "the log has no start there")
    told = Told()
    told.enqueue("a")
    early = told.look("a")
    told.run(2)
    told.show(early, "pending", 1)
    fine(told)
    told.shown("a", "pending", lsn=1)
    caught(told, "P2", "ran under fence 2, and is shown with 0 later")


def test_nothing_runs_after_it_was_told_completed() -> None:
    """P4: rule by rule. An execution that began before may go on."""
    told = Told()
    told.enqueue("a")
    told.history.began("a", 1, 2)
    told.run(3, attempt=2)
    told.shown("a", "completed", lsn=4, fence=3, result=7)
    told.history.ended("a", 2, "failed")
    fine(told)
    told.run(5, attempt=3)
    caught(told, "P4", "ran after it was told completed")


def test_what_is_recorded_is_what_the_handler_returned() -> None:
    """P4: rule by rule. Only where every handler tells."""
    told = Told()
    told.enqueue("a")
    told.run(2)
    told.events("job_enqueued", "job_started", "job_completed")
    told.shown("a", "completed", lsn=3, fence=2, result=7)
    fine(told, Rules(handlers=True))
    told = Told()
    told.enqueue("a")
    told.run(2, result=8)
    told.events("job_enqueued", "job_started", "job_completed")
    fine(told)
    caught(told, "P4", "a result that its handler did not return", Rules(handlers=True))
    told = Told()
    told.enqueue("a")
    told.history.began("a", 1, 2)
    told.history.ended("a", 2, "failed")
    told.shown("a", "completed", lsn=3, fence=2, result=7)
    caught(told, "P4", "whose handler told no success", Rules(handlers=True))


def test_a_deleted_job_and_its_successor_are_two() -> None:
    """P4, P5: rule by rule. What was told of the one is not held against the other."""
    told = Told()
    told.enqueue("a", args={"n": 1})
    told.run(2)
    told.shown("a", "completed", lsn=3, fence=2, result=7, args={"n": 1})
    told.ask("delete", "a", lsn=4)
    told.enqueue("a", args={"n": 2}, lsn=5)
    told.shown("a", "pending", lsn=5, args={"n": 2})
    told.run(6)
    fine(told)


def test_pushes_are_taken_as_they_come() -> None:
    """P10: one event, several, a gap; a status tells nothing that could be checked."""
    history = History()
    history.watch("eve", 1)
    first, second = ({"lsn": lsn, "event": "queue_paused", "queue": "q"} for lsn in (1, 2))
    history.push("eve", {"type": "event", "subscription": "s1", **first})
    history.push("eve", {"type": "status", "subscription": "s2", "status": {}})
    history.push("eve", {"type": "events", "subscription": "s1", "events": [second]})
    history.push("eve", {"type": "gap", "subscription": "s1", "from": 3, "to": 4})
    by_hand = History()
    by_hand.watch("eve", 1)
    by_hand.see("eve", first)
    by_hand.see("eve", second)
    by_hand.miss("eve", 3, 4)
    assert history.entries == by_hand.entries
    assert not check(history)


def test_the_example_in_the_documents_says_what_it_claims(capsys: pytest.CaptureFixture[str]) -> None:
    """P3: by running it."""
    page = (Path(__file__).parents[2] / "docs" / "testing.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (example,) = (block for block in blocks if "history_check" in block)
    exec(compile(example, "docs/testing.md", "exec"), {})
    claimed = re.findall(r"  # (P3: .*)", example)
    assert capsys.readouterr().out.splitlines()[0] == claimed[0]
