"""Unique jobs: who holds a key, what becomes of the next one that asks for it, and when a key is free again.

That this survives crashes and snapshots is shown by the machines in `tests/property`; here stands each rule.
"""

from __future__ import annotations

import pytest

from beaver_actors.core.answers import Changed, Enqueued, Receipt, Refused
from beaver_actors.core.commands import (
    Cancel,
    Delete,
    Enqueue,
    Finish,
    NewJob,
    Policy,
    Report,
    Retry,
    Tick,
)
from beaver_actors.core.facts import JobCancelled, JobEnqueued
from beaver_actors.core.job import Extras, JobError, JobState, OnConflict, Terms, Unique, UniqueUntil
from beaver_actors.core.outcome import Failed, Outcome, Rejected, Released, Succeeded
from beaver_actors.testing.playbook import NOON_MS, Playbook

ERROR = JobError("ValueError", "no")


def wants(
    job_id: str,
    until: UniqueUntil = "finished",
    for_ms: int | None = None,
    on_conflict: OnConflict = "reject",
    key: str = "k",
    queue: str = "default",
) -> NewJob:
    extras = Extras(unique=Unique(key, until, for_ms))
    return NewJob(job_id, Terms("work", queue), b"{}", extras=extras, on_conflict=on_conflict)


def ask(book: Playbook, *jobs: NewJob) -> Enqueued | Refused:
    answer = book.do(Enqueue(jobs))
    assert isinstance(answer, Enqueued | Refused)
    return answer


def is_taken(book: Playbook) -> bool:
    """Whether the key is held now: asked by a job that is refused if so, and taken away again if not."""
    answer = ask(book, wants("asks"))
    if isinstance(answer, Refused):
        assert answer.code == "not_unique"
        return True
    book.do(Delete(("asks",)))
    return False


def end(book: Playbook, outcome: Outcome) -> None:
    (job,) = book.state.in_flight.values()
    book.do(Finish((Report(job.id, job.fence, outcome),)))


def test_a_second_job_with_the_key_is_refused_and_the_holder_is_named() -> None:
    """P3: nothing of the batch is accepted."""
    book = Playbook()
    ask(book, wants("a"))
    answer = ask(book, NewJob("plain", Terms("work"), b"{}"), wants("b"))
    assert answer == Refused("not_unique", "job b: its unique_key 'k' is held by job a, which is pending")
    assert list(book.state.jobs) == ["a"]
    assert isinstance(ask(book, wants("c", key="another")), Enqueued)


def test_the_same_job_again_is_a_duplicate_and_no_conflict() -> None:
    """P5: a client that got no answer asks again."""
    book = Playbook()
    ask(book, wants("a"))
    assert ask(book, wants("a")) == Enqueued((Receipt("a", True),), 1)


def test_the_existing_job_is_returned_on_wish() -> None:
    """P5: nothing is written, and the answer names the job that is there; in one batch as well."""
    book = Playbook()
    answer = ask(book, wants("a"), wants("b", on_conflict="return_existing"))
    assert answer == Enqueued((Receipt("a", False), Receipt("a", True)), 1)
    assert ask(book, wants("c", on_conflict="return_existing")) == Enqueued((Receipt("a", True),), 1)
    assert book.facts == []


def test_a_waiting_job_is_replaced_on_wish() -> None:
    """P3: the one before is cancelled in the same commit, and says why. The arrivals come last, one after the
    other, so that a client can tell each one's LSN."""
    book = Playbook()
    ask(book, wants("a"))
    plain = NewJob("b", Terms("work"), b"{}")
    answer = ask(book, plain, wants("c", on_conflict="replace"))
    assert answer == Enqueued((Receipt("b", False), Receipt("c", False)), 4)
    assert [type(fact) for fact in book.facts] == [JobCancelled, JobEnqueued, JobEnqueued]
    trail = book.job("a").trail
    assert trail is not None
    assert (book.job("a").state, trail.reason) == (JobState.CANCELLED, "replaced")
    assert book.job("c").state is JobState.PENDING


def test_a_running_job_is_not_replaced() -> None:
    """P4: what runs is nobody's to take away."""
    book = Playbook()
    ask(book, wants("a"))
    book.lease()
    answer = ask(book, wants("b", on_conflict="replace"))
    assert isinstance(answer, Refused)
    assert answer.message == "job b: its unique_key 'k' is held by job a, which is in flight"


def test_a_message_does_not_replace_what_it_brings() -> None:
    """P3, by example: it contradicts itself, and is refused."""
    book = Playbook()
    answer = ask(book, wants("a"), wants("b", on_conflict="replace"))
    assert answer == Refused(
        "not_unique", "job b: its unique_key 'k' is held by job a, which is of the same message"
    )


def test_who_replaces_needs_no_more_room() -> None:
    """P11: a full queue can be asked to do something else."""
    book = Playbook(Policy(served_kinds=frozenset({"work"}), pending_jobs_max=1, queue_jobs_max=1))
    ask(book, wants("a"))
    assert isinstance(ask(book, wants("b", on_conflict="replace")), Enqueued)
    answer = ask(book, wants("c", on_conflict="replace"), wants("d", key="another"))
    assert isinstance(answer, Refused)
    assert answer.code == "queue_full"


@pytest.mark.parametrize(
    ("until", "waiting", "running", "retrying", "finished"),
    [
        ("finished", True, True, True, False),
        ("started", True, False, False, False),
        ("window", True, True, True, True),
    ],
)
def test_how_long_a_key_is_held(
    until: UniqueUntil, waiting: bool, running: bool, retrying: bool, finished: bool
) -> None:
    """P3, by example: until finished, until started, for a window."""
    book = Playbook()
    ask(book, wants("a", until, 10**9 if until == "window" else None))
    assert is_taken(book) == waiting
    book.lease()
    assert is_taken(book) == running
    end(book, Failed(ERROR, 5))
    assert is_taken(book) == retrying
    book.pass_time(5)
    book.lease()
    end(book, Succeeded(None))
    assert is_taken(book) == finished


@pytest.mark.parametrize("until", ["finished", "started", "window"])
def test_a_key_is_held_no_longer_than_asked_for(until: UniqueUntil) -> None:
    """P3, by example: also by a job that still waits."""
    book = Playbook()
    ask(book, wants("a", until, 10))
    book.pass_time(9)
    assert is_taken(book)
    book.pass_time(1)
    assert not is_taken(book)


def test_a_start_that_was_handed_back_was_a_start() -> None:
    """P3, by example: who has seen the key free may rely on it."""
    book = Playbook()
    ask(book, wants("a", "started"))
    book.lease()
    ask(book, wants("b", "started"))
    end(book, Released())
    assert ask(book, wants("c", "started", on_conflict="return_existing")) == Enqueued(
        (Receipt("b", True),), book.state.lsn
    )


@pytest.mark.parametrize("how", ["cancel", "reject", "delete", "expire"])
def test_every_end_frees_the_key(how: str) -> None:
    """P3: whatever way a job goes, nothing is left behind."""
    book = Playbook()
    extras = Extras(NOON_MS + 5, Unique("k"))
    book.do(Enqueue((NewJob("a", Terms("work"), b"{}", extras=extras),)))
    if how == "cancel":
        book.do(Cancel(("a",)))
    elif how == "delete":
        book.do(Delete(("a",)))
    elif how == "reject":
        book.lease()
        end(book, Rejected(ERROR))
    else:
        book.pass_time(5)
        book.do(Tick())
    assert not is_taken(book)


def test_a_job_is_put_back_only_while_its_key_is_free() -> None:
    """P3: two at once would both hold it; of two that are put back together, the first one does."""
    book = Playbook()
    ask(book, wants("a"))
    book.do(Cancel(("a",)))
    ask(book, wants("b"))
    answer = book.do(Retry(("a",)))
    assert isinstance(answer, Changed)
    assert answer.changes[0][:3] == ("a", False, "not_unique")
    book.do(Cancel(("b",)))
    answer = book.do(Retry(("a", "b")))
    assert isinstance(answer, Changed)
    assert [change.code for change in answer.changes] == [None, "not_unique"]
    assert is_taken(book)


def test_a_job_that_has_started_once_can_be_put_back_beside_the_next() -> None:
    """P3, by example: it does not take the key again, nor from the one that holds it."""
    book = Playbook()
    ask(book, wants("a", "started"))
    book.lease()
    end(book, Rejected(ERROR))
    ask(book, wants("b", "started"))
    book.do(Retry(("a",)))
    assert book.job("a").state is JobState.PENDING
    assert ask(book, wants("c", on_conflict="return_existing")) == Enqueued(
        (Receipt("b", True),), book.state.lsn
    )


@pytest.mark.parametrize("own_ms", [None, 0])
def test_retention_keeps_a_job_whose_window_is_open(own_ms: int | None) -> None:
    """P3: else the window would end with it."""
    book = Playbook(Policy(served_kinds=frozenset({"work"}), completed_kept_ms=0, completed_kept=0))
    terms = Terms("work", retention_ms=own_ms)
    book.do(Enqueue((NewJob("a", terms, b"{}", extras=Extras(unique=Unique("k", "window", 100))),)))
    book.lease()
    end(book, Succeeded(None))
    book.pass_time(99)
    book.do(Tick())
    assert is_taken(book)
    book.pass_time(1)
    book.do(Tick())
    assert "a" not in book.state.jobs


def test_a_request_deletes_a_job_whose_window_is_open() -> None:
    """P3, by example: whoever asks for it wants the key free."""
    book = Playbook()
    ask(book, wants("a", "window", 100))
    book.do(Delete(("a",)))
    assert not is_taken(book)
