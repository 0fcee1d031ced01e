"""The oracle, rule by rule: what breaks each rule is caught, and a near miss is fine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from beaver_actors.core.commands import NewJob, Policy
from beaver_actors.core.facts import JobEnqueued, JobStarted, QueuePaused
from beaver_actors.core.job import Extras, JobError, JobState, Terms
from beaver_actors.core.outcome import Crashed, Failed, Outcome, Rejected, Stopped, Succeeded
from beaver_actors.core.state import State
from beaver_actors.testing.oracle import Broken, Oracle
from beaver_actors.testing.playbook import NOON_MS
from tests.testing.rehearsal import Rehearsal

DONE = Succeeded(b"7")
ERROR = JobError("KeyError", "k")


def caught(promise: str, about: str, tell: Callable[[], object]) -> None:
    """Telling this breaks the promise, and the message says so."""
    with pytest.raises(Broken, match=about) as broken:
        tell()
    assert broken.value.promise == promise, broken.value


def told(*job_ids: str, outcome: Outcome | None = None, **fields: object) -> Rehearsal:
    """Jobs that are acknowledged, and run, if an outcome is given; all events told."""
    play = Rehearsal()
    play.enqueue(*job_ids, **fields)
    if outcome is not None:
        play.run(outcome, limit=len(job_ids))
    play.watch("carl")
    play.follow("carl")
    play.oracle.check(play.state())
    return play


def test_an_acknowledged_job_is_recovered() -> None:
    """P3: rule by rule. Unless somebody may have deleted it, or time."""
    play = told("a", "b")
    state = play.state()
    del state.jobs["a"]
    caught("P3", "job a was acknowledged, and is lost", lambda: play.oracle.check(state))
    play.oracle.notes.retention = True
    play.oracle.check(state)
    play.oracle.notes.retention = False
    play.leave("ann", "delete", job_ids=["a"])
    play.oracle.check(state)


def test_a_job_without_an_answer_may_be_there_or_not() -> None:
    """P3: rule by rule. But all of a batch, or nothing of it."""
    play = Rehearsal()
    jobs = [{"id": job_id, "kind": "work"} for job_id in "ab"]
    letter = play.leave("ann", "enqueue", jobs=jobs)
    play.oracle.check(play.state())
    play.carry_out(letter)
    play.oracle.check(play.state())
    state = play.state()
    del state.jobs["b"]
    caught("P3", "job b is not there, but others of its batch are: a, b", lambda: play.oracle.check(state))
    play.leave("ann", "enqueue", jobs=jobs[:1])  # by itself now, so it may have come alone
    play.oracle.check(state)


def test_what_is_recovered_was_sent() -> None:
    """P3: rule by rule. With the content of one of the sendings; of the one that was acknowledged, if any."""
    play = told("a", args={"n": 1})
    letter = play.leave("ann", "enqueue", jobs=[{"id": "a", "kind": "work", "args": {"n": 2}}])
    state = play.state()
    state.jobs["a"].args = b'{"n": 3}'
    caught("P3", "job a is there with content that nobody sent", lambda: play.oracle.check(state))
    state.jobs["a"].args = letter.command.jobs[0].args  # type: ignore[union-attr]  # it is an enqueue
    caught("P3", "other content than what was acknowledged", lambda: play.oracle.check(state))
    state = play.state()
    state.jobs["a"].terms = state.jobs["a"].terms._replace(priority=9)
    caught("P3", "job a is there with content that nobody sent", lambda: play.oracle.check(state))
    state = play.state()
    state.jobs["b"] = replace(state.jobs["a"], id="b")
    caught("P3", "job b is there with content that nobody sent", lambda: play.oracle.check(state))


def test_a_job_that_was_refused_is_not_recovered() -> None:
    """P1: rule by rule. Unless it was sent once more, and got no answer."""
    play = told("a")
    stranger = NewJob("b", Terms("work"), b"{}")
    play.oracle.sent([stranger])
    play.oracle.sent([stranger])
    play.oracle.refused([stranger], "queue_full", 1.0)
    state = play.state()
    state.jobs["b"] = replace(state.jobs["a"], id="b", terms=stranger.terms)
    play.oracle.check(state)
    play.oracle.refused([stranger], "draining")
    caught("P1", "job b is there, but each enqueue of it was refused", lambda: play.oracle.check(state))


def test_a_deleted_job_stays_deleted() -> None:
    """P1: rule by rule. Another may come under its id."""
    play = told("a", outcome=DONE)
    before = play.state()
    play.ask("delete", job_ids=["a"])
    before.lsn = play.oracle.notes.told
    caught("P1", "job a is there, but", lambda: play.oracle.check(before))
    play.enqueue("a", args={"n": 2})
    play.oracle.check(play.state())
    before.lsn = play.oracle.notes.told
    caught("P1", "job a was deleted by LSN 4, and is back", lambda: play.oracle.check(before))


def test_the_log_ends_no_earlier_than_was_told() -> None:
    """P1, P10: rule by rule. To a client, a watcher or a handler, in an answer, a view or a gap."""
    play = told("a")
    state = play.state()
    state.lsn += 4
    play.oracle.notes.told = 0
    play.oracle.gap("carl", 2, 5)
    play.oracle.check(state)
    state.lsn -= 1
    caught(
        "P1", "LSN 5 was told .a gap told to carl., but the log ends with 4", lambda: play.oracle.check(state)
    )
    play = told("a")
    play.enqueue("b")
    short = play.state()
    short.lsn -= 1
    caught("P1", "the answer to an enqueue", lambda: play.oracle.check(short))


def test_what_a_job_was_told_to_be_it_is() -> None:
    """P1, P3: rule by rule. At the same LSN the same, and never as of an earlier one."""
    play = told("a", outcome=Failed(ERROR, 60_000))
    state = play.state()
    state.jobs["a"].state = JobState.PENDING  # by time alone
    play.oracle.check(state)
    state.jobs["a"].state = JobState.IN_FLIGHT
    caught("P3", "job a was told scheduled at LSN 3, and is now in_flight", lambda: play.oracle.check(state))
    state = play.state()
    state.jobs["a"].lsn = 2
    caught("P1", "was told of up to LSN 3, and is back at 2", lambda: play.oracle.check(state))
    state = play.state()
    state.jobs["a"].order = 2
    caught("P3", "arrived with LSN 1, and now with 2", lambda: play.oracle.check(state))


def test_an_outcome_that_was_told_is_not_undone() -> None:
    """P4: rule by rule. A dead job may come back if it was asked for, a completed one never."""
    play = told("a", outcome=DONE)
    state = play.state()
    state.jobs["a"].state = JobState.PENDING
    state.jobs["a"].lsn = state.lsn = 9
    caught("P4", "was told completed, and is now pending", lambda: play.oracle.check(state))
    play.leave("ann", "retry", job_ids=["a"])
    caught("P4", "was told completed, and is now pending", lambda: play.oracle.check(state))

    play = told("a", outcome=Rejected(ERROR))
    state = play.state()
    state.jobs["a"].state = JobState.PENDING
    state.jobs["a"].lsn = state.lsn = 9
    caught("P4", "was told dead, and is now pending", lambda: play.oracle.check(state))
    letter = play.leave("ann", "retry", job_ids=["a"])
    play.oracle.check(state)
    play.carry_out(letter)
    play.hear(letter)
    play.oracle.check(state)
    play.follow("carl")
    play.run(Rejected(ERROR))
    play.follow("carl")
    again = play.state()
    again.jobs["a"].state = JobState.PENDING
    again.jobs["a"].lsn = again.lsn = 19
    caught("P4", "was told dead, and is now pending", lambda: play.oracle.check(again))


def test_a_cancelled_job_stays_cancelled_from_the_answer_on() -> None:
    """P4: rule by rule. Before anybody hears of it in another way."""
    play = told("a")
    play.ask("cancel", job_ids=["a"])
    play.oracle.check(play.state())
    state = told("a").state()
    state.lsn = 2
    caught("P4", "was told cancelled, and is now pending", lambda: play.oracle.check(state))


def test_a_result_is_the_one_that_was_told_and_that_the_handler_returned() -> None:
    """P4: rule by rule. Text and value are one."""
    play = told("a", outcome=Succeeded(b'{"n":1}'))
    state = play.state()
    trail = state.jobs["a"].trail
    assert trail is not None
    trail.result = b'{ "n": 1 }'
    play.oracle.check(state)
    trail.result = b'{"n":2}'
    caught("P4", "job a had the result", lambda: play.oracle.check(state))
    quiet = Rehearsal()
    quiet.enqueue("a")
    quiet.run(Succeeded(b'{"n":1}'))
    caught("P4", "whose handler told Succeeded", lambda: quiet.oracle.check(state))


def test_an_end_has_a_cause() -> None:
    """P3, P4: rule by rule. A handler, a client or a time: somebody, or something, must have been there."""
    play = told("a", outcome=Stopped())
    state = play.state()
    job, trail = state.jobs["a"], state.jobs["a"].trail
    assert trail is not None
    job.state = JobState.COMPLETED
    job.lsn = state.lsn = trail.finished_ms = NOON_MS
    caught(
        "P4", "job a completed with None under fence 2, whose handler told", lambda: play.oracle.check(state)
    )
    job.state = JobState.CANCELLED
    caught("P3", "is cancelled, and nobody asked for it", lambda: play.oracle.check(state))
    job.state, trail.reason = JobState.DEAD, "rejected"
    caught("P3", "is rejected, but its handler told", lambda: play.oracle.check(state))
    trail.reason = "expired"
    caught("P3", "is dead .expired., and expires at None", lambda: play.oracle.check(state))
    job.extras = Extras(NOON_MS + 1)
    caught("P3", "is dead .expired., and expires at", lambda: play.oracle.check(state))
    job.extras = Extras(NOON_MS)
    play.oracle.check(state)
    play.leave("ann", "cancel", job_ids=["a"])
    job.state, trail.reason = JobState.CANCELLED, None
    play.oracle.check(state)


def test_without_handlers_nothing_is_concluded_from_their_silence() -> None:
    """P4: rule by rule."""
    play = told("a", outcome=DONE)
    silent = Oracle(handlers=False)
    silent.sent([NewJob("a", play.state().jobs["a"].terms, b"{}")])
    silent.finished(play.state())
    strict = Oracle()
    strict.sent([NewJob("a", play.state().jobs["a"].terms, b"{}")])
    caught("P4", "whose handler told None", lambda: strict.finished(play.state()))


def test_a_job_gives_up_after_enough_failures() -> None:
    """P3: rule by rule. Deaths of its worker are none."""
    play = told("a", outcome=Failed(ERROR), max_attempts=1)
    state = play.state()
    trail = state.jobs["a"].trail
    assert trail is not None
    trail.rescues = 1
    caught("P3", "gave up after 0 failures of 1", lambda: play.oracle.check(state))


def test_poison_is_a_job_that_was_met_by_enough_deaths() -> None:
    """P12: rule by rule. Of its worker or of the server; and there were that many."""
    play = told("a", outcome=Crashed(ERROR))
    play.run(Crashed(ERROR))
    play.begin()
    play.crash()
    assert play.state().jobs["a"].state is JobState.DEAD
    play.oracle.check(play.state())
    state = play.state()
    trail = state.jobs["a"].trail
    assert trail is not None
    trail.rescues = 2
    caught("P12", "is poison after 2 deaths of 3", lambda: play.oracle.check(state))
    trail.rescues = play.oracle.notes.lives + 4
    caught("P12", "has 6 rescues, in 2 lives", lambda: play.oracle.check(state))


def test_a_job_that_ran_was_started_in_the_log() -> None:
    """P2: rule by rule. In what is recovered, and in the stream, whichever comes first."""
    play = told("a", "b")
    play.begin()
    state = play.state()
    play.oracle.check(state)
    trail = state.jobs["a"].trail
    assert trail is not None
    trail.fence = 0
    caught("P2", "ran under fence 3, but its last start is 0", lambda: play.oracle.check(state))
    fact = JobStarted("b", NOON_MS, "w")
    caught("P2", "job a ran under fence 3, where the log says", lambda: play.oracle.fact("carl", 3, fact))
    play = told("a", "b")
    caught(
        "P2", "job b begins attempt 1 under fence 1, but the log says", lambda: play.oracle.began("b", 1, 1)
    )


def test_a_lease_is_used_once_and_in_its_own_life() -> None:
    """P4: rule by rule. Fences are unique over all jobs and all lives, and grow."""
    play = told("a", "b", "c")
    play.begin()
    caught("P4", "under fence 4, which was used by job a", lambda: play.oracle.began("b", 1, 4))
    play.crash()
    caught("P4", "a lease of a life that ended with LSN 4", lambda: play.oracle.began("b", 1, 3))
    play.oracle.began("b", 1, 9)
    caught("P4", "under fence 8, after fence 9", lambda: play.oracle.began("b", 2, 8))


def test_attempts_are_counted() -> None:
    """P4: rule by rule. One that was handed back is made again under its number; a retry counts anew."""
    play = told("a", outcome=Failed(ERROR, 0))
    play.run(Stopped())
    play.run(Failed(ERROR, 0))
    caught("P4", "begins attempt 1 under fence 99, after attempt 2", lambda: play.oracle.began("a", 1, 99))
    caught("P4", "begins attempt 0", lambda: told("a").oracle.began("a", 0, 99))
    play.leave("ann", "retry", job_ids=["a"])
    play.oracle.began("a", 1, 99)


def test_nothing_runs_after_it_was_told_completed() -> None:
    """P4: rule by rule. Not even if somebody asked for a retry."""
    play = told("a", outcome=DONE)
    play.leave("ann", "retry", job_ids=["a"])
    caught("P4", "after it was told completed", lambda: play.oracle.began("a", 2, 9))
    play.leave("ann", "delete", job_ids=["a"])
    play.oracle.began("a", 2, 9)


def test_nothing_is_told_of_a_job_that_nobody_sent() -> None:
    """P3: rule by rule. Asking to cancel one does not make it."""
    oracle = Oracle()
    oracle.asked("cancel", ["a"])
    oracle.subscribed("carl", 1)
    job = NewJob("a", Terms("work"), b"{}")
    view = {"id": "a", "lsn": 1, "state": "pending"}
    enqueued = JobEnqueued("a", NOON_MS, Terms("work"), b"{}", NOON_MS)
    caught("P3", "nobody sent it", lambda: oracle.began("a", 1, 1))
    caught("P3", "nobody sent it", lambda: oracle.shown(view))
    caught("P3", "nobody sent it", lambda: oracle.answered([job], [1], 1))
    caught("P3", "nobody sent it", lambda: oracle.fact("carl", 1, enqueued))


def test_repeating_is_harmless_and_conflicts_are_told() -> None:
    """P5: rule by rule. Taken once, a duplicate of something, a conflict with something."""
    a, other = NewJob("a", Terms("work"), b"{}"), NewJob("a", Terms("work"), b'{"n":1}')
    oracle = Oracle()
    oracle.sent([a])
    caught("P5", "is called a duplicate, but was sent once", lambda: oracle.answered([a], [None], 1))
    oracle = Oracle()
    oracle.sent([a])
    oracle.sent([a])
    oracle.answered([a], [None], 3)
    oracle.answered([a], [2], 2)  # the first answer comes last
    oracle.sent([a])
    caught("P5", "is taken a second time", lambda: oracle.answered([a], [5], 5))
    oracle.sent([other])
    caught("P5", "passed for a duplicate with other content", lambda: oracle.answered([other], [None], 6))
    oracle.sent([other])
    oracle.refused([other], "conflict")
    oracle = Oracle()
    oracle.sent([a])
    caught("P5", "a conflict, but no id was sent with other content", lambda: oracle.refused([a], "conflict"))


def test_who_is_turned_away_is_told_when_to_come_back() -> None:
    """P11: rule by rule. Where coming back helps."""
    job = NewJob("a", Terms("work"), b"{}")
    oracle = Oracle()
    for code in ("queue_full", "overloaded", "storage_full"):
        oracle.sent([job])
        oracle.refused([job], code, 0.5)
        caught("P11", code, partial(oracle.refused, [job], code))
    oracle.sent([job])
    oracle.refused([job], "too_large")


def test_a_watcher_hears_of_every_event_or_of_a_gap() -> None:
    """P10: rule by rule. In order, and the same as everybody else, before and after a crash."""
    play = told("a", "b", "c")
    pause = QueuePaused("q", NOON_MS)
    caught("P10", "carl waits for event 4, and hears of", lambda: play.oracle.fact("carl", 5, pause))
    caught("P10", "carl waits for event 4, and hears of", lambda: play.oracle.fact("carl", 3, pause))
    caught("P10", "carl waits for 4, and hears of a gap 5..6", lambda: play.oracle.gap("carl", 5, 6))
    caught("P10", "carl waits for 4, and hears of a gap 4..3", lambda: play.oracle.gap("carl", 4, 3))
    play.crash()
    play.watch("dora", 2)
    play.skip("dora", 1)
    play.follow("dora", 1)
    play.watch("dora", 3)
    caught("P10", "LSN 3 was .*, and is now", lambda: play.oracle.fact("dora", 3, pause))


def test_events_follow_the_table_and_the_lease() -> None:
    """P4: rule by rule. As far as the stream has no hole."""
    play = told("a", outcome=Stopped())
    completed = {"lsn": 4, "event": "job_completed", "job_id": "a", "fence": 2, "result": 7}
    caught(
        "P4",
        "has the event job_completed at LSN 4, when it was pending",
        lambda: play.oracle.event("carl", completed),
    )
    play = told("a", outcome=Stopped())
    play.begin()
    play.follow("carl")
    stale = completed | {"lsn": 5}
    caught("P4", "has job_completed under fence 2, not 4", lambda: play.oracle.event("carl", stale))
    play = told("a", outcome=Stopped())
    play.oracle.gap("carl", 4, 8)
    play.oracle.event("carl", completed | {"lsn": 9, "fence": 8})
    caught(
        "P4", "has the event job_completed at LSN 10, when it was completed",
        lambda: play.oracle.event("carl", completed | {"lsn": 10, "fence": 8}),
    )  # fmt: skip


def test_events_that_somebody_must_have_caused_were_asked_for() -> None:
    """P3: rule by rule. Time deletes only where it may."""
    for wish, name, reason in (
        ("cancel", "job_cancelled", None),
        ("retry", "job_retried", None),
        ("delete", "job_deleted", "request"),
    ):
        play = told("a", outcome=Rejected(ERROR)) if wish == "retry" else told("a")
        event = {"lsn": play.places["carl"], "event": name, "job_id": "a", "reason": reason}
        caught("P3", "asked for it|had no cause", partial(play.oracle.event, "carl", event))
        play = told("a", outcome=Rejected(ERROR)) if wish == "retry" else told("a")
        play.leave("ann", wish, job_ids=["a"])
        play.oracle.event("carl", event)
    gone = {"lsn": 2, "event": "job_deleted", "job_id": "a", "reason": "retention"}
    play = told("a")
    caught("P3", "is deleted for retention", lambda: play.oracle.event("carl", gone))
    play = told("a")
    play.oracle.notes.retention = True
    play.oracle.event("carl", gone)


def test_after_a_failed_sync_nobody_hears_of_more() -> None:
    """P8: rule by rule. Not before the next life."""
    play = told("a")
    play.oracle.sync_failed(1)
    play.ask("get", job_id="a")
    caught(
        "P8", "the answer to an enqueue tells of LSN 2, after a sync failed at 1", lambda: play.enqueue("b")
    )
    play.crash()
    play.enqueue("c")


def test_one_server_has_the_directory() -> None:
    """P9: rule by rule. The next one after it."""
    oracle = Oracle()
    oracle.opened("first")
    caught("P9", "second has the directory, and so has first", lambda: oracle.opened("second"))
    oracle.closed()
    oracle.opened("second")


def test_a_start_is_refused_for_damage_alone() -> None:
    """P6: rule by rule."""
    Oracle().start_refused("a bit is wrong", damaged=True)
    caught(
        "P6",
        "the start was refused: a bit is wrong",
        lambda: Oracle().start_refused("a bit is wrong", damaged=False),
    )


def test_in_the_end_everything_is_done() -> None:
    """P3: rule by rule. Or waits for its time, a paused queue, or a kind that nobody serves."""
    play = told("a")
    caught(
        "P3",
        "job a is pending in the end, and nothing explains it",
        lambda: play.oracle.finished(play.state()),
    )
    play.ask("pause", queue="default")
    play.oracle.finished(play.state())
    play.ask("resume", queue="default")
    lease = play.begin()[0]
    caught("P3", "job a is in_flight in the end", lambda: play.oracle.finished(play.state()))
    play.end(lease, DONE)
    play.enqueue("b", delay=60)
    play.oracle.finished(play.state())
    caught(
        "P3", "job b is scheduled in the end", lambda: play.oracle.finished(play.state(), NOON_MS + 60_000)
    )
    play = told("a", kind="unheard-of")
    play.oracle.finished(play.state())


def test_in_the_end_everything_was_executed() -> None:
    """P3: rule by rule. But for what was cancelled or expired before it could be."""
    play = told("a", outcome=DONE)
    play.oracle.finished(play.state())
    play.oracle.notes.jobs["a"].outcomes.clear()
    play.oracle.notes.handlers = False
    play.oracle.finished(play.state())
    play = told("b", outcome=Rejected(ERROR))
    play.ask("retry", job_ids=["b"])
    play.ask("cancel", job_ids=["b"])
    play.oracle.finished(play.state())
    play = told("c")
    play.ask("cancel", job_ids=["c"])
    play.oracle.finished(play.state())
    play = Rehearsal()
    play.enqueue("d", expires_at="2027-01-15T08:00:00.001Z")
    play.wait(1)
    play.oracle.finished(play.state())


def test_what_is_checked_is_not_learned() -> None:
    """P1: the oracle does not change its mind by looking."""
    play = told("a")
    ahead = play.state()
    ahead.lsn += 5
    play.oracle.check(ahead)
    play.oracle.check(play.state())
    play.oracle.recovered(ahead)
    caught("P4", "a lease of a life that ended with LSN 6", lambda: play.oracle.began("a", 1, 6))


def test_an_oracle_knows_its_rules() -> None:
    """P12: the policy says how many deaths are enough."""
    rules = Policy(max_rescues=1)
    play = Rehearsal(Policy(served_kinds=frozenset({"work"}), max_rescues=1))
    play.enqueue("a")
    play.run(Crashed(ERROR))
    play.oracle.check(play.state())
    assert play.oracle.notes.policy.max_rescues == rules.max_rescues
    assert isinstance(play.state(), State)
