"""Why a job does not run, and why it ended: each reason, with what there is to tell of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from beaver_actors.core.answers import WAIT_REASONS, Because, Explained, Refused
from beaver_actors.core.commands import Cancel, Enqueue, Explain, NewJob, Pause, Policy, Resume, Serving, Tick
from beaver_actors.core.explain import AHEAD_MAX, JOBS_NAMED
from beaver_actors.core.job import Extras, JobError, Terms, Unique
from beaver_actors.core.outcome import Crashed, Failed, Rejected, Succeeded
from beaver_actors.testing.playbook import NOON_MS, Playbook

ERROR = JobError("ValueError", "no good\nat all")
WORK = frozenset({"work"})


def explain(book: Playbook, job_id: str = "a") -> Explained:
    answer = book.do(Explain(job_id))
    assert isinstance(answer, Explained)
    assert all(one.text in answer.text for one in answer.because)
    return answer


def only(book: Playbook, job_id: str = "a") -> Because:
    (because,) = explain(book, job_id).because
    return because


def reasons(book: Playbook, job_id: str = "a") -> list[str]:
    return [one.reason for one in explain(book, job_id).because]


def test_who_does_not_exist_is_not_explained() -> None:
    """By example: a refusal."""
    answer = Playbook().do(Explain("a"))
    assert isinstance(answer, Refused)
    assert answer.code == "not_found"


def test_a_job_of_the_future_says_when() -> None:
    """By example: its time, and for a retry the error before it."""
    book = Playbook()
    book.enqueue("a", delay_ms=2_500)
    one = only(book)
    assert (one.reason, one.until_ms) == ("run_at", NOON_MS + 2_500)
    assert one.text == "its time comes in 2.5 s"
    book.pass_time(2_500)
    book.finish(book.lease()[0], Failed(ERROR, 1_000))
    one = only(book)
    assert (one.reason, one.until_ms) == ("retry", NOON_MS + 3_500)
    assert one.text.endswith("its latest error was ValueError: no good")


def test_a_job_of_the_future_tells_what_will_hold_it_then() -> None:
    """By example: a paused queue and an unknown kind, but not what passes by itself."""
    book = Playbook(Policy(storage_full=False))
    book.enqueue("a", delay_ms=10)
    book.do(Pause("default"))
    book.policy = replace(book.policy, storage_full=True)
    assert reasons(book) == ["run_at", "unknown_kind", "queue_paused"]


def test_all_that_is_in_the_way_is_told() -> None:
    """By example: the most stubborn first; a turn only where there is nothing else."""
    book = Playbook(Policy(served_kinds=WORK))
    book.enqueue("a")
    assert reasons(book) == ["turn"]
    book.policy = Policy(storage_full=True, draining=True)
    book.do(Pause("default"))
    assert reasons(book) == ["unknown_kind", "queue_paused", "storage_full", "draining"]
    book.policy = Policy(served_kinds=WORK)
    assert only(book).names == ("default",)
    book.do(Resume("default"))
    assert reasons(book) == ["turn"]


def test_kinds_and_queues_that_are_served_are_named() -> None:
    """By example: no worker at all, none of this kind, none in this queue."""
    book = Playbook(Policy())
    book.enqueue("a", queue="mail")
    assert only(book).text.endswith("there is no worker at all")
    book.policy = Policy(served_kinds=frozenset({"y", "x"}))
    assert (only(book).reason, only(book).names) == ("unknown_kind", ("x", "y"))
    far = Serving("far", WORK, frozenset({"low", "bulk"}), 2)
    book.policy = Policy(served_kinds=WORK, crew=(far, Serving("other", frozenset({"x"}), None, 2)))
    assert (only(book).reason, only(book).names) == ("unserved_queue", ("bulk", "low"))
    book.policy = Policy(served_kinds=WORK, crew=(far._replace(queues=frozenset({"mail"})),))
    assert (only(book).reason, only(book).names) == ("turn", ("far",))


def test_a_place_in_line_is_that_in_which_jobs_are_taken() -> None:
    """By example: priorities, other queues in rotation, and not those that nobody can take."""
    book = Playbook()
    book.enqueue("other", kind="unserved")
    book.enqueue("first", "second", "a")
    book.enqueue("beside", queue="mail")
    book.enqueue("urgent", priority=5)
    one = only(book)
    assert (one.reason, one.total, one.exact) == ("turn", 4, True)
    taken = [job.job_id for job in book.lease(5)]
    assert list(one.jobs) == taken[:4]
    assert taken[4] == "a"


def test_who_is_next_is_told_how_busy_the_workers_are() -> None:
    """By example: places taken, places free, and workers that take nothing more."""
    book = Playbook(Policy(served_kinds=WORK, crew=(Serving("worker", WORK, None, 2),)))
    book.enqueue("b", "a")
    book.lease()
    one = only(book)
    assert (one.total, one.jobs, one.names) == (0, (), ("worker",))
    assert one.text.endswith("it is the next; the worker that can run it has 2 places, 1 of them taken")
    book.policy = replace(book.policy, crew=(Serving("worker", WORK), Serving("w", WORK)))
    assert only(book).text.endswith("the workers that could run it take no more jobs")


def test_a_long_line_is_looked_at_in_part() -> None:
    """P11: the answer takes bounded time, and says that there are more."""
    book = Playbook()
    terms = Terms("work")
    book.do(Enqueue(tuple(NewJob(f"{n}", terms, b"{}") for n in range(AHEAD_MAX + 2))))
    last = only(book, f"{AHEAD_MAX + 1}")
    assert (last.total, last.exact, len(last.jobs)) == (AHEAD_MAX, False, JOBS_NAMED)
    before = only(book, f"{AHEAD_MAX}")
    assert (before.total, before.exact) == (AHEAD_MAX, True)


def test_a_suspect_names_the_others_that_it_waits_for() -> None:
    """P12: the last chance beside no suspect; any suspect beside no last chance."""
    book = Playbook(Policy(served_kinds=WORK, max_rescues=3))
    book.enqueue("a", "b", "c")
    for job_id in ("a", "a", "b", "c"):
        job = next(lease for lease in book.lease(3) if lease.job_id == job_id)
        book.finish(job, Crashed(ERROR))
        book.crash(())
    book.enqueue("innocent")
    leased = [job.job_id for job in book.lease(1)]
    assert leased == ["a"]
    assert only(book, "b").jobs == ("a",)
    assert (only(book, "b").reason, only(book, "b").total) == ("last_chance", 1)
    assert only(book, "innocent").reason == "turn"
    book.crash(())
    assert book.lease(1, kinds=()) == ()
    held = [job.job_id for job in book.lease(3) if job.job_id != "innocent"]
    assert held == ["a"]


def test_a_running_job_says_where_it_runs() -> None:
    """By example: worker, deadline, and a request to stop."""
    book = Playbook()
    book.enqueue("a", timeout_ms=5_000)
    book.lease(worker_id="w1")
    one = only(book)
    assert (one.reason, one.names) == ("running", ("w1",))
    assert one.until_ms == NOON_MS + 5_000 + book.policy.timeout_grace_ms
    book.do(Cancel(("a",)))
    assert "was asked to stop" in only(book).text


def test_a_job_on_another_machine_says_that_its_lease_may_end_sooner() -> None:
    """By example: by its own deadline it would seem to be held for long by a worker that is gone."""
    far = Serving("far", WORK, slots=1)
    book = Playbook(Policy(served_kinds=WORK, crew=(far,)))
    book.enqueue("a", timeout_ms=1_800_000)
    book.lease(worker_id="far", lease_ms=60_000)
    text = only(book).text
    assert "; it goes back once that worker has been silent for 1 m; it is taken from there, at" in text
    assert "no connection" not in text
    book.policy = replace(book.policy, crew=())
    assert "on worker far, which has no connection now; it goes back once" in only(book).text


def test_a_finished_job_says_why_it_ended() -> None:
    """By example: every end there is."""
    book = Playbook(Policy(served_kinds=WORK, max_rescues=1))
    book.enqueue("done", "gave-up", "rejected", "poison", max_attempts=1)
    leases = {job.job_id: job for job in book.lease(4)}
    book.finish(leases["done"], Succeeded())
    book.finish(leases["gave-up"], Failed(ERROR))
    book.finish(leases["rejected"], Rejected(ERROR))
    book.finish(leases["poison"], Crashed(ERROR))
    book.enqueue("expired", extras=Extras(NOON_MS + 1), delay_ms=5)
    book.enqueue("replaced", extras=Extras(unique=Unique("k")), delay_ms=5)
    book.enqueue("newer", extras=Extras(unique=Unique("k")), on_conflict="replace", delay_ms=5)
    book.do(Cancel(("newer",)))
    book.pass_time(1)
    book.do(Tick())
    told = {job_id: only(book, job_id) for job_id in book.state.jobs}
    assert {job_id: one.reason for job_id, one in told.items()} == {
        "done": "completed", "gave-up": "max_attempts", "rejected": "rejected", "poison": "poison",
        "expired": "expired", "replaced": "replaced", "newer": "cancelled",
    }  # fmt: skip
    assert told["gave-up"].text == "1 of at most 1 attempts failed: ValueError: no good"
    assert told["replaced"].text == "another job took its unique key 'k', 1 ms ago"
    assert told["expired"].text == "it still waited when it expired, 0 ms ago"


def test_every_reason_has_a_place_in_the_protocol() -> None:
    """By counting: the table in docs/protocol.md names each."""
    text = Path("docs/protocol.md").read_text(encoding="utf-8")
    section = text.partition("### `explain`")[2].partition("### `list`")[0]
    assert [reason for reason in WAIT_REASONS if f"`{reason}`" not in section] == []
