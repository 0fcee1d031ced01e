"""Waiting for jobs without any I/O: which subscriptions and questions it takes, and who is told what."""

from __future__ import annotations

from typing import Any

from beaver_actors.client.errors import ClientError, ConnectionLost, Refused
from beaver_actors.client.finish import GETS_MAX, WATCHES_MAX, FinishWatcher, Wish
from beaver_actors.client.views import FinishedJob
from beaver_actors.core.job import JobState
from tests.client.script import LOST, Script

TIME = "2026-01-01T00:00:00.000Z"


class Waits(Script):
    """A script with a watcher; keeps who was told what."""

    def __init__(self) -> None:
        super().__init__()
        self.watcher = FinishWatcher(self.core)
        self.told: dict[str, FinishedJob | ClientError] = {}

    def wish(self, job_id: str, since_lsn: int | None = None) -> Wish:
        def done(outcome: FinishedJob | ClientError) -> None:
            assert job_id not in self.told, f"{job_id} was told twice"
            self.told[job_id] = outcome

        return Wish(job_id, since_lsn, done)

    def wait(self, *job_ids: str, since_lsn: int | None = None) -> list[Wish]:
        wishes = [self.wish(job_id, since_lsn) for job_id in job_ids]
        self.watcher.add(wishes)
        return wishes

    def agree(self, *, lsn: int = 0) -> dict[str, Any]:
        """Answer the one subscribe that was sent; its name is the number of the request."""
        (request,) = self.sent()
        assert request["type"] == "subscribe"
        self.receive(type="ok", re=request["id"], subscription=f"s{request['id']}", lsn=lsn)
        return request

    def event(self, name: str, event: str, job_id: str, lsn: int, **fields: Any) -> None:
        self.receive(type="event", subscription=name, lsn=lsn, event=event, at=TIME, job_id=job_id, **fields)

    def show(self, request: dict[str, Any], state: str, **fields: Any) -> None:
        """Answer a get."""
        assert request["type"] == "get"
        job = {
            "id": request["job_id"], "kind": "work", "args": {}, "queue": "default", "priority": 0,
            "state": state, "run_at": TIME, "max_attempts": 1, "timeout": None,
            "backoff": {"kind": "fixed", "delay": 1}, "expires_at": None, "retention": None, "tags": [],
            "meta": {}, "created_at": TIME, "started_at": None, "finished_at": None, "attempt": 1,
            "rescues": 0, "fence": 1, "worker_id": None, "cancel_requested": False, "reason": None,
            "waits_for": None, "progress": None, "result": None, "errors": [], "lsn": 1,
        }  # fmt: skip
        self.receive(type="ok", re=request["id"], job=job | fields)


def test_jobs_of_this_client_are_watched_from_their_beginning_and_never_asked_for() -> None:
    """One subscribe from the oldest job on, for the four events that end a job; it goes with the last job."""
    script = Waits()
    script.wait("a", since_lsn=7)
    request = script.agree()
    assert request["from_lsn"] == 8
    assert request["filter"]["job_ids"] == ["a"]
    assert request["filter"]["events"] == ["job_cancelled", "job_completed", "job_deleted", "job_died"]
    script.event("s1", "job_completed", "a", 9, result={"x": 1})
    assert script.told == {"a": FinishedJob(id="a", state=JobState.COMPLETED, result={"x": 1})}
    assert [message["type"] for message in script.sent()] == ["unsubscribe"]


def test_a_job_of_unknown_age_is_asked_for_once_its_end_would_be_seen() -> None:
    """First the subscription, then the question: no end can fall between."""
    script = Waits()
    script.wait("a")
    assert script.agree(lsn=50).get("from_lsn") is None
    (get,) = script.sent()
    script.show(get, "completed", result=5)
    assert script.told == {"a": FinishedJob(id="a", state=JobState.COMPLETED, result=5)}


def test_jobs_added_while_a_subscription_opens_share_the_next_one() -> None:
    """However many tasks begin to wait in that time."""
    script = Waits()
    script.wait("a", since_lsn=1)
    for number in range(20):
        script.wait(f"b{number}", since_lsn=2)
    script.agree()
    assert len(script.agree()["filter"]["job_ids"]) == 20


def test_many_groups_are_merged_into_one() -> None:
    """P11: the subscriptions are bounded; the merged one is open before the others end."""
    script = Waits()
    for number in range(WATCHES_MAX):
        script.wait(f"job-{number}", since_lsn=number)
        script.agree()
    script.wait("one-more", since_lsn=9)
    merged = script.agree()
    assert len(merged["filter"]["job_ids"]) == WATCHES_MAX + 1
    sent = script.sent()
    assert [message["type"] for message in sent] == ["unsubscribe"] * WATCHES_MAX + ["get"] * WATCHES_MAX
    script.show(sent[-1], "pending")
    assert script.told == {}
    script.event(f"s{merged['id']}", "job_completed", "job-3", 20, result=None)
    assert list(script.told) == ["job-3"]


def test_more_jobs_than_a_filter_holds_are_watched_without_one() -> None:
    """Then every end is looked at; what is added later is asked for, as its end may have passed by."""
    script = Waits()
    script.wait(*(f"job-{number}" for number in range(1001)), since_lsn=3)
    request = script.agree()
    assert request["from_lsn"] == 4
    assert "job_ids" not in request["filter"]
    script.wait("late", since_lsn=3)
    (get,) = script.sent()
    script.show(get, "cancelled")
    assert script.told["late"] == FinishedJob(id="late", state=JobState.CANCELLED)


def test_an_answer_older_than_the_event_is_not_believed() -> None:
    """A job dies while a question about it is under way, whose answer does not know yet: asked again."""
    script = Waits()
    script.wait("a")
    script.agree()
    (get,) = script.sent()
    script.event("s1", "job_died", "a", 9, reason="rejected")
    assert script.sent() == []
    script.show(get, "in_flight")
    (again,) = script.sent()
    error = {"at": TIME, "attempt": 1, "type": "ValueError", "message": "no", "traceback": ""}
    script.show(again, "dead", reason="rejected", errors=[error])
    told = script.told["a"]
    assert isinstance(told, FinishedJob)
    assert (told.state, told.reason, told.errors[0].message) == (JobState.DEAD, "rejected", "no")


def test_a_dead_job_that_was_put_back_has_not_ended() -> None:
    """The event is true and old; the job decides."""
    script = Waits()
    script.wait("a", since_lsn=1)
    script.agree()
    script.event("s1", "job_died", "a", 9, reason="rejected")
    (get,) = script.sent()
    script.show(get, "scheduled")
    assert script.told == {}
    script.event("s1", "job_completed", "a", 12, result=1)
    assert list(script.told) == ["a"]


def test_the_end_of_an_earlier_job_with_the_same_id_is_not_its_own() -> None:
    """Events before the job's own beginning are about one that was deleted."""
    script = Waits()
    script.wait("old", since_lsn=1)
    script.wait("a", since_lsn=8)
    script.agree()
    script.agree()
    script.event("s1", "job_completed", "old", 2, result=0)
    script.sent()
    script.event("s2", "job_completed", "a", 5, result=1)
    assert list(script.told) == ["old"]
    script.event("s2", "job_completed", "a", 9, result=2)
    assert script.told["a"] == FinishedJob(id="a", state=JobState.COMPLETED, result=2)


def test_after_a_gap_all_are_asked_for_a_few_at_a_time() -> None:
    """P10, P11: none is forgotten, and the server is not flooded."""
    script = Waits()
    names = [f"job-{number}" for number in range(200)]
    script.wait(*names, since_lsn=1)
    script.agree()
    script.receive(type="gap", subscription="s1", **{"from": 2, "to": 500})
    asked: list[str] = []
    while gets := script.sent():
        assert len(gets) <= GETS_MAX
        if gets[0]["type"] == "unsubscribe":
            break
        for get in gets:
            asked.append(get["job_id"])
            script.show(get, "completed")
    assert sorted(asked) == sorted(script.told) == sorted(names)


def test_two_who_wait_for_the_same_job_are_both_told() -> None:
    """The second joins the first; when one gives up the other goes on."""
    script = Waits()
    told: list[str] = []
    first = Wish("a", 1, lambda outcome: told.append("first"))
    second = Wish("a", None, lambda outcome: told.append("second"))
    third = Wish("a", 1, lambda outcome: told.append("third"))
    script.watcher.add([first])
    script.agree()
    script.watcher.add([second, third])
    assert script.sent() == []
    script.watcher.give_up([first, first])
    assert script.sent() == []
    script.event("s1", "job_completed", "a", 5)
    assert told == ["second", "third"]


def test_when_all_give_up_nothing_is_left() -> None:
    """Neither a subscription that is open nor one that opens later."""
    script = Waits()
    wishes = script.wait("a", since_lsn=1)
    script.agree()
    later = script.wait("b", since_lsn=1)
    script.watcher.give_up([*wishes, *later])
    sent = script.sent()
    assert [message["type"] for message in sent] == ["subscribe", "unsubscribe"]
    script.receive(type="ok", re=sent[0]["id"], subscription="s2", lsn=0)
    assert [message["subscription"] for message in script.sent()] == ["s2"]


def test_who_waits_is_told_when_nothing_more_can_be_seen() -> None:
    """A refused subscription or a lost client ends every wait with the reason."""
    script = Waits()
    script.wait("a", "b")
    (request,) = script.sent()
    script.receive(type="error", re=request["id"], code="overloaded", message="no", retry_after=1)
    assert {name: type(outcome).__name__ for name, outcome in script.told.items()} == {
        "a": "Overloaded",
        "b": "Overloaded",
    }
    script = Waits()
    script.wait("a")
    script.agree()
    script.core.end(LOST)
    assert isinstance(script.told["a"], ConnectionLost)
    try:
        script.wait("b")
    except ConnectionLost:
        pass
    else:
        raise AssertionError("a client at its end took a wish")


def test_a_refused_question_is_told_to_those_who_need_it() -> None:
    """And only to them."""
    script = Waits()
    script.wait("a", "b")
    script.agree()
    first, second = script.sent()
    script.receive(type="error", re=first["id"], code="unauthorized", message="no", retry_after=None)
    assert isinstance(script.told["a"], Refused)
    script.receive(type="error", re=second["id"], code="not_found", message="no", retry_after=None)
    assert script.told["b"] == FinishedJob(id="b", state=None)
