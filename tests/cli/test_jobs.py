"""`jobs` and `queues`: looking at what is there, and changing it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.cli.command import Ended

pytestmark = pytest.mark.process

Beaver = Callable[..., Ended]


def enqueue(beaver: Beaver, *options: object, kind: str = "nobody.serves") -> str:
    """Hand in a job that waits for ever; returns its id."""
    return beaver("enqueue", kind, *options).out.strip()


def ids(ended: Ended) -> list[str]:
    return [job["id"] for job in ended.json_lines()]


def test_jobs_are_listed_newest_first(beaver: Beaver) -> None:
    """By example: as a table and as lines for programs."""
    first, second = (enqueue(beaver, "--queue", "listed") for _ in range(2))
    assert ids(beaver("jobs", "list", "--queue", "listed", "--json")) == [second, first]
    table = beaver("jobs", "list", "--queue", "listed")
    assert table.code == 0
    assert first in table.out
    assert "no worker can run this kind" in table.out


def test_a_job_is_explained(beaver: Beaver) -> None:
    """By example: every reason why it waits, in words and for programs; then why it ended."""
    job_id = enqueue(beaver, "--queue", "explained")
    beaver("queues", "pause", "explained")
    told = beaver("jobs", "explain", job_id)
    assert told.code == 0
    assert told.out.startswith(f"{job_id} is pending:\n  no worker is there that can run its kind")
    assert "its queue, explained, is paused" in told.out
    found = beaver("jobs", "explain", job_id, "--json").json()
    assert [one["reason"] for one in found["because"]] == ["unknown_kind", "queue_paused"]
    dead = beaver("enqueue", "demo.fail", "--max-attempts", 1, "--wait", "--json").json()["id"]
    assert "1 of at most 1 attempts failed" in beaver("jobs", "explain", dead).out
    assert beaver("jobs", "explain", "nobody").code == 4


def test_dead_jobs_are_put_back_and_forgotten_by_the_server(beaver: Beaver) -> None:
    """By example: a filter by kind and error type, waiting for the end, the list of operations."""
    for number in range(3):
        queue = "letters" if number else "letters.other"
        beaver("enqueue", "demo.fail", "-q", queue, "--max-attempts", 1, "--wait")
    every = beaver("jobs", "list", "-q", "letters", "--state", "dead", "--json")
    error_type = every.json_lines()[0]["errors"][-1]["type"]
    found = beaver("jobs", "list", "-q", "letters", "--error-type", error_type, "--json")
    assert ids(found) == ids(every)
    assert len(ids(found)) == 2
    beaver("queues", "pause", "letters")
    done = beaver("jobs", "retry", "--all", "-q", "letters", "--error-type", error_type, "--wait", "-y")
    assert done.code == 0
    assert done.out.startswith("completed: 2 jobs put back")
    assert ids(beaver("jobs", "list", "-q", "letters", "--state", "pending", "--json")) == ids(every)
    assert beaver("jobs", "purge", "-q", "letters.other").code == 2
    purged = beaver("jobs", "purge", "-q", "letters.other", "--yes", "--wait", "--json").json()
    assert (purged["state"], purged["changed"]) == ("completed", 1)
    assert purged["id"] in beaver("operations", "list").out
    assert purged in beaver("operations", "list", "--json").json_lines()
    assert beaver("operations", "stop", purged["id"], "--json").json() == purged
    assert beaver("operations", "wait", purged["id"]).out.startswith("completed: 1 job deleted")
    assert beaver("operations", "stop", "nobody").code == 4
    assert beaver("jobs", "retry", "--wait").code == 2


def test_a_job_is_shown_with_its_life_and_as_it_was(beaver: Beaver) -> None:
    """By example: attempts with their errors; a position before the end; a job that is gone."""
    job = beaver("enqueue", "demo.fail", "--max-attempts", 2, "--backoff", "0s", "--wait", "--json").json()
    shown = beaver("jobs", "show", job["id"])
    assert shown.code == 0
    assert "2 attempts on record:" in shown.out
    assert shown.out.count("failed for good after") == 1
    enqueued = next(text for text in shown.out.splitlines() if "job_enqueued" in text)
    lsn = enqueued.split()[0]
    then = beaver("jobs", "show", job["id"], "--at", lsn, "--json").json()
    assert (then["state"], then["attempt"]) == ("pending", 0)
    assert beaver("status", "--at", lsn, "--json").json()["lsn"] == int(lsn)
    assert beaver("jobs", "show", job["id"], "--at", "1999-01-01T00:00:00Z").code == 4
    assert beaver("status", "--at", "soon").code == 2
    assert beaver("status", "--at", 1, "--watch").code == 2
    beaver("jobs", "delete", job["id"])
    gone = beaver("jobs", "show", job["id"])
    assert gone.code == 0
    assert "job_deleted" in gone.out
    assert beaver("jobs", "show", job["id"], "--json").code == 4


def test_a_list_can_be_narrowed(beaver: Beaver) -> None:
    """By example: every condition by itself and together."""
    one = enqueue(beaver, "--queue", "narrow", "--tag", "red")
    two = enqueue(beaver, "--queue", "narrow", "--delay", "1h", kind="narrow.other")
    assert ids(beaver("jobs", "list", "-q", "narrow", "--tag", "red", "--json")) == [one]
    assert ids(beaver("jobs", "list", "-q", "narrow", "--kind", "narrow.other", "--json")) == [two]
    assert ids(beaver("jobs", "list", "-q", "narrow", "--state", "scheduled", "--json")) == [two]
    assert ids(beaver("jobs", "list", "-q", "narrow", "--state", "dead", "--json")) == []
    dead = beaver("enqueue", "demo.fail", "-q", "narrow", "--max-attempts", 1, "--wait", "--json").json()[
        "id"
    ]
    assert ids(beaver("jobs", "list", "-q", "narrow", "--reason", "max_attempts", "--json")) == [dead]
    assert ids(beaver("jobs", "list", "-q", "narrow", "--reason", "poison", "--json")) == []


def test_a_long_list_ends_and_says_so(beaver: Beaver) -> None:
    """By example: --limit cuts, --all does not."""
    all_ids = [enqueue(beaver, "--queue", "long") for _ in range(3)][::-1]
    cut = beaver("jobs", "list", "-q", "long", "-n", 2, "--json")
    assert ids(cut) == all_ids[:2]
    assert "There are more" in cut.err
    whole = beaver("jobs", "list", "-q", "long", "-n", 3, "--json")
    assert ids(whole) == all_ids
    assert whole.err == ""
    assert ids(beaver("jobs", "list", "-q", "long", "--all", "--json")) == all_ids


def test_an_empty_list_says_so(beaver: Beaver) -> None:
    """By example: in words for people, as nothing for programs."""
    assert "No such jobs" in beaver("jobs", "list", "-q", "nothing.here").err
    assert beaver("jobs", "list", "-q", "nothing.here", "--json").out == ""


def test_one_job_is_shown(beaver: Beaver) -> None:
    """By example: with the error of every attempt."""
    options = ("--args", '{"message": "no paper"}', "--max-attempts", 2, "--backoff", "0", "--wait", "--json")
    job_id = beaver("enqueue", "demo.fail", *options).json()["id"]
    ended = beaver("jobs", "show", job_id)
    assert ended.code == 0
    assert "dead: max attempts" in ended.out
    assert ended.out.count("RuntimeError: no paper") >= 2
    assert "attempt 2 at" in ended.out


def test_a_job_that_does_not_exist_is_told(beaver: Beaver) -> None:
    """By example: exit code 4; an id that no job can have is told too."""
    ended = beaver("jobs", "show", "no-such-job")
    assert ended.code == 4
    assert "not_found" in ended.err
    assert beaver("jobs", "show", "two words").code == 2


def test_jobs_are_cancelled_by_id(beaver: Beaver) -> None:
    """By example: what was cancelled, and what could not be, with exit code 4 for that."""
    job_id = enqueue(beaver)
    ended = beaver("jobs", "cancel", job_id)
    assert (ended.code, ended.out) == (0, "1 job cancelled\n")
    assert beaver("jobs", "show", job_id, "--json").json()["state"] == "cancelled"
    mixed = beaver("jobs", "cancel", enqueue(beaver), "no-such-job", job_id)
    assert mixed.code == 4
    assert "1 job cancelled" in mixed.out
    assert "no-such-job: not_found" in mixed.err


def test_a_running_job_is_asked_to_stop(beaver: Beaver) -> None:
    """By example: it is told apart from one that waited, and ends when it has obeyed."""
    job_id = enqueue(beaver, "--args", '{"seconds": 600}', kind="demo.sleep")
    started = beaver("tail", "--from-lsn", 1, "--job", job_id, "--event", "job_started", "-n", 1)
    assert job_id in started.out
    ended = beaver("jobs", "cancel", job_id, enqueue(beaver))
    assert (ended.code, ended.out) == (0, "1 job cancelled, 1 running job asked to stop\n")
    stopped = beaver("tail", "--from-lsn", 1, "--job", job_id, "--event", "job_cancelled", "-n", 1)
    assert job_id in stopped.out


def test_one_running_job_is_not_called_cancelled(beaver: Beaver) -> None:
    """By example: nothing is cancelled yet when the command ends."""
    job_id = enqueue(beaver, "--args", '{"seconds": 600}', kind="demo.sleep")
    beaver("tail", "--from-lsn", 1, "--job", job_id, "--event", "job_started", "-n", 1)
    assert beaver("jobs", "cancel", job_id).out == "1 running job asked to stop\n"


def test_jobs_are_changed_by_what_they_have_in_common(beaver: Beaver) -> None:
    """By example: all dead jobs of a queue go back, die again, and are deleted."""
    dead = [
        beaver("enqueue", "demo.fail", "-q", "common", "--max-attempts", 1, "--wait", "--json").json()["id"]
        for _ in range(2)
    ]
    bystander = enqueue(beaver, "-q", "common")
    ended = beaver("jobs", "retry", "--state", "dead", "-q", "common", "--yes")
    assert (ended.code, ended.out) == (0, "2 jobs put back\n")
    for job_id in dead:
        retried = ("tail", "--from-lsn", 1, "--job", job_id, "--event", "job_died", "-n", 2)
        assert len(beaver(*retried).out.splitlines()) == 2
    deleted = beaver("jobs", "delete", "--state", "dead", "-q", "common", "-y", "--json")
    assert deleted.code == 0
    assert {change["name"] for change in deleted.json_lines()} == set(dead)
    assert ids(beaver("jobs", "list", "-q", "common", "--json")) == [bystander]


def test_many_jobs_are_not_changed_unasked(beaver: Beaver) -> None:
    """By example: without a terminal to ask on and without --yes nothing happens, with exit code 2."""
    job_id = enqueue(beaver, "-q", "unasked")
    ended = beaver("jobs", "delete", "-q", "unasked")
    assert ended.code == 2
    assert "this would delete 1 job" in ended.err
    assert "--yes" in ended.err
    assert beaver("jobs", "show", job_id, "--json").json()["state"] == "pending"
    assert beaver("jobs", "delete", "-q", "nothing.here").code == 0


def test_dead_jobs_are_not_put_back_unasked(beaver: Beaver) -> None:
    """By example: --all tells which jobs are meant, and does nothing where there is nobody to ask."""
    options = ("-q", "unasked.dead", "--max-attempts", 1, "--wait", "--json")
    job_id = beaver("enqueue", "demo.fail", *options).json()["id"]
    ended = beaver("jobs", "retry", "--all", "-q", "unasked.dead", "--kind", "demo.fail")
    assert ended.code == 2
    assert "this would put back all dead jobs with queue=unasked.dead kind=demo.fail" in ended.err
    assert "--yes" in ended.err
    assert beaver("jobs", "show", job_id, "--json").json()["state"] == "dead"
    assert "forget all cancelled jobs" in beaver("jobs", "purge", "--state", "cancelled").err


def test_a_job_named_twice_is_counted_once(beaver: Beaver) -> None:
    """By example: beside one that does not exist, named twice too."""
    job_id = enqueue(beaver)
    ended = beaver("jobs", "delete", job_id, job_id, "nope", "nope")
    assert (ended.code, ended.out) == (4, "1 job deleted\n")
    assert ended.err.count("nope: not_found") == 1


def test_each_of_several_names_is_tried_and_told(beaver: Beaver) -> None:
    """By example: the second is refused, the third is done; in words and for programs."""
    beaver("queues", "pause", "several.one", "several.two")
    ended = beaver("queues", "delete", "several.one", "several.none", "several.two", "several.two")
    assert (ended.code, ended.out) == (4, "several.one deleted\nseveral.two deleted\n")
    assert "several.none: not_found: " in ended.err
    mixed = beaver("schedules", "pause", "none.such", "none.either", "--json")
    assert mixed.code == 4
    assert [(one["name"], one["code"]) for one in mixed.json_lines()] == [
        ("none.such", "not_found"),
        ("none.either", "not_found"),
    ]


def test_which_jobs_are_meant_must_be_said_in_one_way(beaver: Beaver) -> None:
    """By example: neither nothing, which would mean all, nor both."""
    for options in ([], ["some-id", "--state", "dead"]):
        ended = beaver("jobs", "cancel", *options)
        assert ended.code == 2
        assert "either ids, or options" in ended.err


def test_a_queue_is_paused_and_resumed(beaver: Beaver) -> None:
    """By example: a paused queue starts nothing, and the list and the job say so."""
    paused = beaver("queues", "pause", "stopgo")
    assert (paused.code, paused.out) == (0, "stopgo paused\n")
    assert "already" in beaver("queues", "pause", "stopgo").out
    job_id = enqueue(beaver, "-q", "stopgo", kind="demo.echo")
    assert "its queue is paused" in beaver("jobs", "show", job_id).out
    assert "stopgo paused" in beaver("queues", "list").out
    assert beaver("queues", "list", "--json").json()["stopgo"]["paused"] is True
    resumed = beaver("queues", "resume", "stopgo", "--json")
    assert [change["changed"] for change in resumed.json_lines()] == [True]
    assert beaver("tail", "--from-lsn", 1, "--job", job_id, "--event", "job_completed", "-n", 1).code == 0


def test_a_name_that_no_queue_can_have_is_refused(beaver: Beaver) -> None:
    """By example: exit code 2, with what was expected."""
    ended = beaver("queues", "pause", "two words")
    assert ended.code == 2
    assert "NAME: expected" in ended.err
