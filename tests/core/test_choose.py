"""Which jobs a worker gets: priority, rotation between queues, arrival, and who must wait."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import given, strategies as st

from beaver_actors.core.choose import is_last_chance
from beaver_actors.core.commands import Cancel, Lease, Pause, Policy, Recover, Resume, Retry
from beaver_actors.core.facts import JobStarted
from beaver_actors.core.job import Extras, JobError
from beaver_actors.core.outcome import Crashed, Failed, Released, Snoozed, Succeeded
from beaver_actors.testing.playbook import NOON_MS, Playbook

ERROR = JobError("KeyError", "'x'")


def leased(
    book: Playbook, limit: int = 99, kinds: Iterable[str] = ("work",), queues: Iterable[str] | None = None
) -> list[str]:
    return [lease.job_id for lease in book.lease(limit, kinds=kinds, queues=queues)]


# Order


def test_a_lease_names_the_fence_and_the_attempt_before_they_are_written() -> None:
    """P2: the answer that leaves with the record says the record's own LSN."""
    book = Playbook()
    book.enqueue("a", "b", timeout_ms=1_000)
    one, other = book.lease(2, worker_id="w1")
    deadline_ms = NOON_MS + 1_000 + book.policy.timeout_grace_ms
    assert book.facts == [
        JobStarted("a", NOON_MS, "w1", deadline_ms),
        JobStarted("b", NOON_MS, "w1", deadline_ms),
    ]
    assert [(lease.fence, lease.attempt) for lease in (one, other)] == [(3, 1), (4, 1)]
    assert [book.job(job_id).fence for job_id in "ab"] == [3, 4]


def test_first_come_first_served() -> None:
    """P3: within a lane by arrival, also where one batch arrived in one millisecond."""
    book = Playbook()
    book.enqueue("a", "b", "c")
    book.pass_time(1)
    book.enqueue("d")
    assert leased(book, 2) == ["a", "b"]
    assert leased(book, 2) == ["c", "d"]


def test_a_larger_priority_goes_first() -> None:
    """P3: whatever the queue and the time of arrival."""
    book = Playbook()
    for job_id, priority, queue in (("low", -1, "q"), ("none", 0, "q"), ("high", 5, "r"), ("top", 100, "q")):
        book.enqueue(job_id, priority=priority, queue=queue)
    assert leased(book) == ["top", "high", "none", "low"]


def test_a_scheduled_job_stands_by_its_time_not_by_its_arrival() -> None:
    """P3: one that fell due earlier goes before one that arrived later."""
    book = Playbook()
    book.enqueue("late", delay_ms=20)
    book.enqueue("early", delay_ms=10)
    book.pass_time(15)
    book.enqueue("fresh")
    book.pass_time(10)
    assert leased(book) == ["early", "fresh", "late"]


def test_kinds_of_one_queue_stand_in_one_line() -> None:
    """P3: different kinds are merged by time and arrival."""
    book = Playbook()
    for number in range(6):
        book.enqueue(f"{number}", kind="even" if number % 2 == 0 else "odd")
    assert leased(book, kinds=("even", "odd")) == ["0", "1", "2", "3", "4", "5"]


@pytest.mark.parametrize("outcome", [Released(), Crashed(ERROR)])
def test_a_job_handed_back_goes_before_those_that_have_not_had_their_turn(
    outcome: Released | Crashed,
) -> None:
    """P4: it keeps its place; several handed back keep their order, in whichever order they come."""
    book = Playbook()
    book.enqueue("a", "b", "c", "d", "e")
    a, b, c = book.lease(3)
    for lease in (b, a, c):
        book.finish(lease, outcome)
    assert leased(book) == ["a", "b", "c", "d", "e"]


def test_a_job_that_fails_without_a_wait_goes_to_the_end() -> None:
    """P11: a job that fails at once, again and again, does not starve the others."""
    book = Playbook()
    book.enqueue("bad", "b")
    book.pass_time(1)
    book.enqueue("c")
    (bad,) = book.lease()
    book.pass_time(1)
    book.finish(bad, Failed(ERROR, retry_in_ms=0))
    assert leased(book) == ["b", "c", "bad"]


def test_a_wait_below_nothing_is_no_wait() -> None:
    """P11: a handler that asks to be retried in the past is not put before the others."""
    book = Playbook()
    book.enqueue("a", "b", "c")
    a, b = book.lease(2)
    book.pass_time(1)
    book.finish(a, Failed(ERROR, retry_in_ms=-1_000))
    book.finish(b, Snoozed(-1_000))
    assert [book.job(job_id).run_at_ms for job_id in "ab"] == [book.now_ms] * 2
    assert leased(book) == ["c", "a", "b"]


# Rotation between queues


def test_queues_take_turns_within_one_lease() -> None:
    """P11: a queue with many jobs does not hold up the others."""
    book = Playbook()
    book.enqueue("a1", "a2", "a3", "a4", queue="a")
    book.enqueue("b1", "b2", queue="b")
    book.enqueue("c1", queue="c")
    assert leased(book) == ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]


def test_a_worker_may_bring_the_order_of_turns() -> None:
    """P11: a queue that it names twice has two turns a round; one that it leaves out comes last in each."""
    book = Playbook()
    book.enqueue("a1", "a2", "a3", queue="a")
    book.enqueue("b1", "b2", "b3", "b4", "b5", queue="b")
    book.enqueue("c1", "c2", queue="c")
    book.enqueue("urgent", queue="c", priority=1)
    order = [lease.job_id for lease in book.lease(99, turns=("b", "empty", "a", "b"))]
    assert order == ["urgent", "b1", "a1", "b2", "c1", "b3", "a2", "b4", "c2", "b5", "a3"]


def test_queues_take_turns_from_lease_to_lease() -> None:
    """P11: the queue that has waited longest for a start is next."""
    book = Playbook()
    book.enqueue(*[f"a{number}" for number in range(4)], queue="a")
    book.enqueue("b0", "b1", queue="b")
    assert [leased(book, 1)[0] for _ in range(6)] == ["a0", "b0", "a1", "b1", "a2", "a3"]


def test_priorities_go_before_turns() -> None:
    """P11: rotation is among equals."""
    book = Playbook()
    book.enqueue("a1", "a2", queue="a", priority=1)
    book.enqueue("b1", "b2", queue="b")
    assert leased(book) == ["a1", "a2", "b1", "b2"]


@given(st.lists(st.sampled_from("abc"), max_size=20), st.integers(1, 6))
def test_no_queue_gets_two_starts_while_another_waits_for_one(queues: list[str], limit: int) -> None:
    """P11: at any moment the counts of starts differ by one at most, among queues that still have jobs."""
    book = Playbook()
    for number, queue in enumerate(queues):
        book.enqueue(f"{number}", queue=queue)
    starts: Counter[str] = Counter()
    left = Counter(queues)
    while any(left.values()):
        for lease in book.lease(limit):
            queue = lease.terms.queue
            assert all(starts[queue] <= starts[other] for other in left if left[other])
            starts[queue] += 1
            left[queue] -= 1


# Who may not


def test_a_worker_gets_only_what_it_can_run_and_serves() -> None:
    """P3: the others stay where they are, and keep their place."""
    book = Playbook()
    for job_id, kind, queue in (("a", "x", "q"), ("b", "y", "q"), ("c", "x", "r"), ("d", "x", "q")):
        book.enqueue(job_id, kind=kind, queue=queue)
    assert leased(book, kinds="x", queues="q") == ["a", "d"]
    assert leased(book, kinds="z") == []
    assert leased(book, kinds="xy") == ["c", "b"], "queue r has waited longer for a start"


def test_a_job_of_an_unknown_kind_waits_and_is_never_lost() -> None:
    """P3: nobody can run it today; when somebody can, it is there, in its place."""
    book = Playbook()
    book.enqueue("strange", kind="strange")
    book.enqueue("a")
    for _ in range(3):
        book.pass_time(86_400_000)
        leased(book)
        book.crash()
    assert book.job("strange").state == "pending"
    assert leased(book, kinds=("strange", "work"))[0] == "strange"


def test_a_paused_queue_starts_nothing_but_lets_running_jobs_end() -> None:
    """P4: pausing stops starts, not outcomes."""
    book = Playbook()
    book.enqueue("a", "b", queue="q")
    (lease,) = book.lease()
    book.do(Pause("q"))
    assert leased(book) == []
    assert book.finish(lease, Released())
    assert leased(book) == []
    book.do(Resume("q"))
    assert leased(book) == ["a", "b"]


@pytest.mark.parametrize("limit", [0, -1])
def test_a_worker_that_wants_nothing_gets_nothing(limit: int) -> None:
    """P2: no fact, no lease."""
    book = Playbook()
    book.enqueue("a")
    book.expect(Lease("w", limit, frozenset({"work"})))


def test_an_expired_job_does_not_start_even_before_a_tick_finds_it() -> None:
    """P4: at the very millisecond it expires it is too late; those behind it are not held up."""
    book = Playbook()
    book.enqueue("a", "b", extras=Extras(NOON_MS + 10))
    book.enqueue("c")
    book.pass_time(9)
    assert leased(book, 1) == ["a"]
    book.pass_time(1)
    assert leased(book) == ["c"]


# Leaving a line and coming back


def test_a_job_that_left_the_middle_of_the_line_and_came_back_stands_at_its_new_place() -> None:
    """P3: cancelled and put back, it joins at the end, and is met once."""
    book = Playbook()
    book.enqueue("a", "b", "c", "d")
    book.do(Cancel(("b", "c")))
    book.pass_time(5)
    book.enqueue("e")
    book.pass_time(5)
    book.do(Retry(("c", "b")))
    assert leased(book) == ["a", "d", "e", "b", "c"]


def test_a_job_rescued_from_the_middle_of_a_line_does_not_stand_in_two() -> None:
    """P12: with another count of rescues it belongs to another lane; its former one forgets it."""
    book = Playbook()
    book.enqueue("stuck", extras=Extras(NOON_MS + 5))
    book.enqueue("a", "b")
    book.pass_time(5)
    assert leased(book, 1) == ["a"]
    book.do(Recover())
    assert [(key.rescues, [job.id for job in lane]) for key, lane in book.state.lanes.items()] == [
        (0, ["stuck", "b"]),
        (1, ["a"]),
    ]
    assert leased(book) == ["a", "b"]


def test_a_line_with_a_stuck_front_forgets_those_that_left_behind_it() -> None:
    """P11: enqueuing and cancelling behind a job that cannot run does not fill the memory."""
    book = Playbook()
    book.enqueue("stuck", kind="strange")
    for number in range(20):
        job_ids = [f"{number}-{index}" for index in range(200)]
        book.enqueue(*job_ids, kind="strange")
        book.do(Cancel(tuple(job_ids)))
    ((_, lane),) = book.state.lanes.items()
    assert len(lane) == 1
    assert len(lane._jobs) < 2_000


def test_is_last_chance() -> None:
    """P12: one death short of the limit, and never before the first death."""
    three = Policy(max_rescues=3)
    assert [is_last_chance(rescues, three) for rescues in range(4)] == [False, False, True, True]
    assert [is_last_chance(rescues, Policy(max_rescues=1)) for rescues in range(2)] == [False, True]


def test_a_finished_job_leaves_no_gap() -> None:
    """P4: those after it move up, and it is not offered again."""
    book = Playbook()
    book.enqueue("a", "b", "c")
    a, b = book.lease(2)
    book.finish(b, Succeeded())
    book.finish(a, Released())
    assert leased(book) == ["a", "c"]
