"""Limits of queues and keys, fair shares, ageing, drain, move and delete: what is promised, by script."""

from __future__ import annotations

from typing import Any

import pytest

from beaver_actors.core.answers import Change, Changed, Enqueued, Explained, Moved, Refused, Ticked
from beaver_actors.core.commands import (
    Configure,
    DeleteQueue,
    Drain,
    Enqueue,
    Explain,
    Lease,
    Move,
    NewJob,
    Policy,
    Recover,
    Resume,
    Retry,
    Tick,
)
from beaver_actors.core.decide import decide
from beaver_actors.core.facts import (
    JobCompleted,
    JobMoved,
    JobStarted,
    QueueConfigured,
    QueueDeleted,
    QueueDrainStarted,
)
from beaver_actors.core.fold import fold_all
from beaver_actors.core.index import SLACK
from beaver_actors.core.job import Extras, JobError, JobState, Terms
from beaver_actors.core.limits import Bucket, QueueRules, Rate
from beaver_actors.core.outcome import Crashed, Failed, Released, Succeeded
from beaver_actors.core.rings import Ring
from beaver_actors.testing.playbook import NOON_MS, Playbook, canonical


def tenant(book: Playbook, key: str | None, count: int, **fields: Any) -> list[str]:
    """So many jobs of this key arrive."""
    ids = [f"{key}-{len(book.log) + number}" for number in range(count)]
    book.enqueue(*ids, extras=None if key is None else Extras(concurrency_key=key), **fields)
    return ids


def configured(**rules: Any) -> Playbook:
    book = Playbook()
    book.do(Configure("default", QueueRules(**rules)))
    return book


def reason(book: Playbook, job_id: str) -> Any:
    answer = book.do(Explain(job_id))
    assert isinstance(answer, Explained)
    return answer.because[0]


# Concurrency


def test_a_queue_runs_as_many_jobs_as_it_may_and_says_who_they_are() -> None:
    """P3: whoever asks for however many, and whatever becomes of those that ran."""
    book = configured(concurrency=2)
    book.enqueue("a", "b", "c", "d")
    one, two = book.lease(99)
    assert book.lease(99) == ()
    told = reason(book, "c")
    assert (told.reason, told.jobs, told.total) == ("queue_concurrency", ("a", "b"), 2)
    book.finish(one, Succeeded())
    assert [lease.job_id for lease in book.lease(99)] == ["c"]
    book.finish(two, Crashed(JobError("WorkerDied", "")))
    assert [lease.job_id for lease in book.lease(99)] == ["b"]


@pytest.mark.parametrize(
    "ending", [Succeeded(), Released(), Crashed(JobError("E", "")), Failed(JobError("E", ""))]
)
def test_no_slot_leaks_whatever_becomes_of_a_job(ending: Any) -> None:
    """P3: a slot is a job that runs: what does not run takes none, nor does a life that has ended."""
    book = configured(concurrency=1, key_concurrency=1)
    tenant(book, "k", 3)
    (lease,) = book.lease(9)
    book.finish(lease, ending)
    assert len(book.lease(9)) == 1
    book.crash()
    assert len(book.lease(9)) == 1


def test_jobs_of_one_key_run_one_after_the_other_and_hold_up_no_other_key() -> None:
    """P3: `key_concurrency=1` is strict order for each key."""
    book = configured(key_concurrency=1)
    first = tenant(book, "k", 3)
    other = tenant(book, "m", 1)
    leases = book.lease(9)
    assert [lease.job_id for lease in leases] == [first[0], other[0]]
    told = reason(book, first[1])
    assert (told.reason, told.jobs) == ("key_concurrency", (first[0],))
    book.finish(leases[0], Succeeded())
    assert [lease.job_id for lease in book.lease(9)] == [first[1]]


def test_a_limit_that_is_raised_or_taken_away_lets_jobs_start_at_once() -> None:
    """P3: also those of keys that nobody looked at while they were full."""
    book = configured(key_concurrency=1)
    tenant(book, "k", 4)
    assert len(book.lease(9)) == 1
    book.do(Configure("default", QueueRules(key_concurrency=2), frozenset({"key_concurrency"})))
    assert len(book.lease(9)) == 1
    book.do(Configure("default", QueueRules(), frozenset({"key_concurrency"})))
    assert len(book.lease(9)) == 2


# Rates


def test_a_bucket_lets_a_burst_through_and_then_one_at_a_time() -> None:
    """By example: three in 30 ms, two at once."""
    book = configured(rate=Rate(3, 30, 2))
    book.enqueue(*"abcdefgh")
    starts: list[int] = []
    for _ in range(60):
        starts += [book.now_ms - NOON_MS] * len(book.lease(9))
        book.pass_time(1)
    assert starts == [0, 0, 10, 20, 30, 40, 50]


def test_an_uneven_rate_loses_nothing_over_time() -> None:
    """3 in 1000 ms are 333⅓ ms apart: two at once, then 9 more in 3 s, none early."""
    rate, bucket = Rate(3, 1000, 2), Bucket()
    starts: list[int] = []
    for at_ms in range(3001):
        while bucket.room(rate, at_ms):
            bucket.spend(rate, at_ms)
            starts.append(at_ms)
    assert starts == [0, 0, 334, 667, 1000, 1334, 1667, 2000, 2334, 2667, 3000]


def test_the_next_tick_is_told_when_a_token_comes() -> None:
    """Nobody has to ask again and again."""
    book = configured(rate=Rate(1, 5_000, 1))
    book.enqueue("a", "b")
    book.lease(9)
    answer = book.do(Tick())
    assert isinstance(answer, Ticked)
    assert answer.next_ms == NOON_MS + 5_000
    told = reason(book, "b")
    assert (told.reason, told.until_ms) == ("queue_rate", NOON_MS + 5_000)


@pytest.mark.parametrize("anew", ["replayed", "reindexed"])
def test_what_was_spent_survives_a_restart(anew: str) -> None:
    """P3: even if the jobs that spent it are gone, from the log and from a snapshot."""
    book = configured(rate=Rate(1, 5_000, 1), key_rate=Rate(1, 9_000, 1))
    tenant(book, "k", 1, retention_ms=0)
    waiting = tenant(book, "k", 1)
    (lease,) = book.lease(9)
    book.finish(lease, Succeeded())
    book.do(Tick())
    assert lease.job_id not in book.state.jobs
    book.state = getattr(book, anew)()
    book.do(Recover())
    book.pass_time(5_000)
    assert book.lease(9) == ()
    assert reason(book, waiting[0]).reason == "key_rate"
    book.pass_time(4_000)
    assert len(book.lease(9)) == 1


def test_a_rate_that_is_set_anew_begins_with_a_full_bucket() -> None:
    """Else a slow rate would outlive itself."""
    book = configured(rate=Rate(1, 86_400_000, 1))
    book.enqueue("a", "b")
    assert len(book.lease(9)) == 1
    book.do(Configure("default", QueueRules(rate=Rate(10, 1_000, 10))))
    assert len(book.lease(9)) == 1


def test_keys_that_are_paid_off_are_forgotten() -> None:
    """Memory: what is known of a key lives no longer than it matters."""
    book = configured(key_rate=Rate(1, 10, 1))
    queue = book.state.queues["default"]
    for number in range(3):
        keys = [f"k{number}-{key}" for key in range(SLACK)]
        jobs = [
            NewJob(key, Terms("work", retention_ms=0), b"{}", extras=Extras(concurrency_key=key))
            for key in keys
        ]
        fold_all(book.state, decide(book.state, Enqueue(tuple(jobs)), book.now_ms, book.policy).facts)
        for lease in book.lease(SLACK):
            fold_all(book.state, [JobCompleted(lease.job_id, book.now_ms, lease.fence)])
        book.pass_time(10)
    assert len(queue.tenants) <= 2 * SLACK
    assert queue.stored(book.now_ms) == {}


# Fair shares


def test_a_tenant_with_very_many_jobs_does_not_starve_one_with_a_single_job() -> None:
    """P11: the later tenant's job is the second to start."""
    book = Playbook()
    flood = tenant(book, "flood", 300)
    (single,) = tenant(book, "single", 1)
    assert [lease.job_id for lease in book.lease(3)] == [flood[0], single, flood[1]]


def test_keys_take_turns_also_if_one_job_is_taken_at_a_time() -> None:
    """P11: the turn is in the log, so it does not begin anew with every lease, nor with every life."""
    book = Playbook()
    jobs = {key: tenant(book, key, 4) for key in ("a", "b", "c")}
    jobs["None"] = tenant(book, None, 4)
    order = []
    for number in range(12):
        order += [lease.job_id.partition("-")[0] for lease in book.lease(1)]
        if number % 3 == 0:
            book.state = book.reindexed()
    assert order == ["None", "a", "b", "c"] * 3


def test_a_key_that_comes_back_again_and_again_starves_nobody() -> None:
    """P11: with one job at a time it gets its share, not the first place."""
    book = Playbook()
    tenant(book, "long", 20)
    order = []
    for _ in range(6):
        tenant(book, "quick", 1)
        (lease,) = book.lease(1)
        order.append(lease.job_id.partition("-")[0])
        book.finish(lease, Succeeded())
    assert order.count("long") == 3


def test_who_is_next_is_found_without_looking_at_all_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """P11, by counting: a thousand keys wait, and one lease looks at as many as it takes."""
    book = Playbook()
    jobs = tuple(
        NewJob(f"j{key}", Terms("work"), b"{}", extras=Extras(concurrency_key=f"k{key}"))
        for key in range(1_000)
    )
    book.do(Enqueue(jobs))
    seen: list[str] = []
    real = Ring.in_turn

    def counted(ring: Ring, tenants: Any) -> Any:
        for turn, key in real(ring, tenants):
            seen.append(key)
            yield turn, key

    monkeypatch.setattr(Ring, "in_turn", counted)
    decide(book.state, Lease("w", 4, frozenset({"work"})), book.now_ms, book.policy)
    assert len(seen) <= 5


# Ageing


def test_low_priority_waits_for_ever_unless_the_queue_lets_it_age() -> None:
    """P11: a job counts for one more for each `ageing` that it has waited."""
    for ageing_ms, first in ((None, "new"), (100, "old")):
        book = configured(ageing_ms=ageing_ms)
        book.enqueue("old", priority=-5)
        book.pass_time(500)
        book.enqueue("new", priority=0)
        book.pass_time(1 if ageing_ms is None else 0)
        order = [lease.job_id for lease in book.lease(2)]
        assert order[0] == first, ageing_ms


def test_nothing_waits_longer_than_its_way_to_the_top() -> None:
    """P11: under a flood of the highest priority the oldest job of the lowest one starts after 200 steps."""
    book = configured(ageing_ms=10)
    book.enqueue("patient", priority=-100)
    for step in range(300):
        book.enqueue(f"urgent-{step}", priority=100)
        (lease,) = book.lease(1)
        book.finish(lease, Succeeded())
        if lease.job_id == "patient":
            break
        book.pass_time(10)
    assert step == 200


# Drain, size, delete


def test_a_drained_queue_takes_nothing_new_and_works_until_it_is_empty() -> None:
    """P11: refused by name, with the way out; retries of what it has go on."""
    book = Playbook()
    book.enqueue("a", "b")
    assert book.expect(Drain("default"), QueueDrainStarted("default", NOON_MS)) == Changed(
        (Change("default", True),), 3
    )
    assert book.expect(Drain("default")) == Changed((Change("default", False),), 3)
    refused = book.enqueue("c")
    assert isinstance(refused, Refused)
    assert refused.code == "draining"
    assert "queue default is drained" in refused.message
    assert isinstance(book.enqueue("a"), Enqueued)  # a repetition is no new job
    one, _ = book.lease(9)
    book.finish(one, Failed(JobError("E", ""), 0))
    assert [lease.job_id for lease in book.lease(9)] == ["a"]
    book.do(Resume("default"))
    assert isinstance(book.enqueue("c"), Enqueued)


def test_a_dead_job_is_not_put_back_into_a_drained_queue() -> None:
    """P11: it says so, and the job stays as it is."""
    book = Playbook()
    book.enqueue("a", max_attempts=1)
    book.finish(book.lease()[0], Failed(JobError("E", "")))
    book.do(Drain("default"))
    answer = book.do(Retry(("a",)))
    assert isinstance(answer, Changed)
    assert answer.changes == (Change("a", False, "draining", JobState.DEAD),)


def test_a_queue_may_have_a_limit_of_its_own_on_what_waits() -> None:
    """P11: smaller or larger than the server's."""
    book = Playbook(Policy(served_kinds=frozenset({"work"}), queue_jobs_max=2))
    book.do(Configure("small", QueueRules(jobs_max=1)))
    book.do(Configure("large", QueueRules(jobs_max=3)))
    book.enqueue("a", queue="small")
    refused = book.enqueue("b", queue="small")
    assert isinstance(refused, Refused)
    assert (refused.code, refused.message) == ("queue_full", "queue small holds its limit of 1 waiting jobs")
    assert isinstance(book.enqueue("c", "d", "e", queue="large"), Enqueued)
    assert isinstance(book.enqueue("f", "g", "h"), Refused)


def test_a_queue_is_deleted_only_when_it_holds_nothing() -> None:
    """P3: finished jobs are jobs; the refusal says how many there are."""
    book = Playbook()
    book.enqueue("a", "b")
    book.finish(book.lease()[0], Succeeded())
    refused = book.do(DeleteQueue("default"))
    assert isinstance(refused, Refused)
    assert refused.code == "conflict"
    assert "holds 2 jobs (1 completed, 1 pending)" in refused.message
    book.do(Configure("empty", QueueRules(concurrency=1)))
    book.expect(DeleteQueue("empty"), QueueDeleted("empty", NOON_MS))
    assert "empty" not in book.state.queues
    gone = book.do(DeleteQueue("empty"))
    assert isinstance(gone, Refused)
    assert gone.code == "not_found"


# Move


def test_a_move_that_is_cut_short_is_asked_for_again_and_loses_nothing() -> None:
    """P3: after a crash every job is in exactly one queue, and what is asked again moves the rest."""
    book = Playbook()
    book.enqueue(*[f"j{number}" for number in range(10)])
    answer = book.do(Move("default", "other", limit=4))
    assert answer == Moved(4, 7, 14)
    book.crash()
    assert {name: queue.waiting for name, queue in book.state.queues.items()} == {"default": 6, "other": 4}
    after: int | None = None
    while True:
        answer = book.do(Move("default", "other", limit=4, after=after))
        assert isinstance(answer, Moved)
        after = answer.after
        if after is None:
            break
    assert {name: queue.waiting for name, queue in book.state.queues.items()} == {"default": 0, "other": 10}
    assert [lease.job_id for lease in book.lease(99)] == [f"j{number}" for number in range(10)]
    assert canonical(book.state) == canonical(book.replayed()) == canonical(book.reindexed())


def test_a_moved_job_is_the_same_job() -> None:
    """P5: asking for it again under its id and its first queue is a duplicate, before and after it ran."""
    book = Playbook()
    book.enqueue("a", queue="mail")
    book.expect(Move("mail", "post"), JobMoved("a", NOON_MS, "post"))
    again = book.enqueue("a", queue="mail")
    assert isinstance(again, Enqueued)
    assert again.receipts[0].duplicate
    assert isinstance(book.enqueue("a", queue="post"), Refused)
    book.finish(book.lease(queues=("post",))[0], Succeeded())
    assert isinstance(book.enqueue("a", queue="mail"), Enqueued)


def test_a_move_takes_what_fits_and_leaves_what_runs() -> None:
    """P3: running and finished jobs stay; filters are kept; a target that is full or drained says so."""
    book = Playbook()
    book.enqueue("runs")
    book.lease()
    book.enqueue("waits", "other", tags=("t",))
    book.enqueue("kind", kind="another")
    book.expect(Move("default", "q", kind="another"), JobMoved("kind", NOON_MS, "q"))
    book.expect(Move("default", "q", tag="t", limit=1), JobMoved("other", NOON_MS, "q"))
    book.do(Configure("full", QueueRules(jobs_max=0)))
    for to, code in (("full", "queue_full"), ("default", "bad_request")):
        refused = book.do(Move("default", to))
        assert isinstance(refused, Refused)
        assert refused.code == code
    book.do(Drain("full"))
    refused = book.do(Move("default", "full"))
    assert isinstance(refused, Refused)
    assert refused.code == "draining"
    assert book.job("runs").terms.queue == "default"


def test_configuring_what_is_so_already_writes_nothing() -> None:
    """P5: and what is not named stays."""
    book = Playbook()
    rules = QueueRules(concurrency=3, ageing_ms=10)
    book.expect(Configure("q", rules), QueueConfigured("q", NOON_MS, rules))
    book.expect(Configure("q", rules))
    more = QueueRules(key_concurrency=1)
    book.expect(
        Configure("q", more, frozenset({"key_concurrency"})),
        QueueConfigured("q", NOON_MS, rules._replace(key_concurrency=1)),
    )


def test_jobs_without_limits_start_as_before() -> None:
    """P2: a plain queue's facts are what they always were."""
    book = Playbook()
    book.enqueue("a", timeout_ms=None)
    book.lease(worker_id="w")
    assert book.facts == [JobStarted("a", NOON_MS, "w")]
