"""The oracle on graphs, limits and operations, rule by rule: what breaks each rule is caught."""

from __future__ import annotations

from beaver_actors.client.rules import QueueOptions
from beaver_actors.core.job import JobError, JobState
from beaver_actors.core.outcome import Rejected, Succeeded
from tests.testing.rehearsal import Rehearsal
from tests.testing.test_oracle import caught

REJECTED = Rejected(JobError("ValueError", "never"))


def dead(*job_ids: str) -> Rehearsal:
    """Jobs that are dead."""
    play = Rehearsal()
    play.enqueue(*job_ids)
    play.run(REJECTED, limit=len(job_ids))
    return play


def test_an_operation_is_not_lost() -> None:
    """P3: rule by rule. Once it is acknowledged; without an answer it may be there or not."""
    play = dead("a")
    letter = play.leave("ann", "operate", operation_id="o", word="delete")
    play.oracle.check(play.state())
    play.carry_out(letter)
    play.oracle.check(play.state())
    play.hear(letter)
    play.wait(1)
    state = play.state()
    assert state.operations["o"].state == "completed"
    play.oracle.check(state)
    del state.operations["o"]
    caught("P3", "operation o was acknowledged, and is lost", lambda: play.oracle.check(state))


def test_nobody_invents_an_operation() -> None:
    """P1, P3: rule by rule. Nor does one come back that was refused, or with another filter."""
    play = dead("a")
    play.ask("operate", operation_id="o", word="delete")
    state = play.state()
    sweep = play.oracle.notes.sweeps.pop("o")
    caught("P3", "operation o is there, and nobody asked for it", lambda: play.oracle.check(state))
    play.oracle.notes.sweeps["o"] = sweep
    sweep.granted = False
    caught("P1", "operation o is there, and was refused", lambda: play.oracle.check(state))
    sweep.granted = True
    state.operations["o"].word = "retry"
    caught("P3", "operation o is there with other content", lambda: play.oracle.check(state))


def test_an_operation_does_not_fall_back_or_pass_over_a_job() -> None:
    """P1, P3: rule by rule."""
    play = dead("a", "b")
    play.ask("operate", operation_id="o", word="retry")
    play.wait(1)
    play.ask("operate", operation_id="o", word="retry")  # again: it shows how far it has come
    state = play.state()
    assert state.jobs["a"].state is JobState.PENDING
    play.oracle.check(state)
    state.operations["o"].changed = 1
    caught("P1", "operation o was told to have come to", lambda: play.oracle.check(state))
    state = play.state()
    state.jobs["b"].state, state.jobs["b"].lsn = JobState.DEAD, 6
    caught("P3", "o refused 0 jobs, and left 1 as they were", lambda: play.oracle.sweeps.check(state))


def test_every_operation_ends() -> None:
    """P3: rule by rule. After a quiet while none is running."""
    play = dead("a")
    play.ask("operate", operation_id="o", word="delete")
    caught("P3", "operation o still runs in the end", lambda: play.oracle.finished(play.state()))
    play.wait(1)
    play.oracle.finished(play.state())


def test_jobs_that_an_operation_means_may_change_at_any_time() -> None:
    """P3: rule by rule. Others may not, and none that was sent after its answer."""
    play = dead("a")
    play.enqueue("b", queue="mail")
    play.ask("operate", operation_id="o", word="delete", queue="default")
    play.enqueue("c")
    for job_id, told in (("b", True), ("c", True), ("a", False)):
        state = play.state()
        del state.jobs[job_id]
        if told:
            text = f"job {job_id} was acknowledged, and is lost"
            caught("P3", text, lambda state=state: play.oracle.check(state))  # type: ignore[misc]
        else:
            play.oracle.check(state)


def test_a_child_waits_for_its_parents_and_not_for_nothing() -> None:
    """P3: rule by rule. It does not run before they are done, nor stay blocked when they are."""
    play = Rehearsal()
    play.enqueue("a")
    play.enqueue("b", depends_on=["a"])
    play.oracle.check(play.state())
    play.run(Succeeded())
    play.oracle.check(play.state())
    state = play.state()
    state.jobs["b"].state = JobState.BLOCKED
    caught("P3", "job b is blocked, and its parents have ended", lambda: play.oracle.check(state))
    play.begin()
    state = play.state()
    state.jobs["a"].state = JobState.PENDING
    caught("P3", "job b has run, and its parent a is pending", lambda: play.oracle.check(state))


def test_a_child_goes_with_its_parent() -> None:
    """P3: rule by rule. Unless it wants to go on."""
    play = Rehearsal()
    play.enqueue("a")
    play.enqueue("b", depends_on=["a"])
    play.enqueue("c", depends_on=["a"], on_parent_failure="continue")
    play.run(REJECTED)
    play.oracle.check(play.state())
    state = play.state()
    assert (state.jobs["b"].state, state.jobs["c"].state) == (JobState.CANCELLED, JobState.PENDING)
    state.jobs["b"].state, state.jobs["b"].trail = JobState.BLOCKED, None
    caught("P3", "job b is blocked, and a parent of it has failed", lambda: play.oracle.check(state))
    state = play.state()
    state.jobs["c"].state, state.jobs["c"].trail = JobState.CANCELLED, state.jobs["b"].trail
    caught("P3", "job c is cancelled, and nobody asked for it", lambda: play.oracle.check(state))


def test_a_queue_runs_no_more_than_it_allows() -> None:
    """P11: rule by rule. Counted from the answer on; what ran before may go on."""
    play = Rehearsal()
    play.enqueue("a", "b", "c", concurrency_key="k")
    play.begin(1)
    play.oracle.notes.rules["default"] = QueueOptions(concurrency=2, key_concurrency=1), play.state().lsn
    play.begin(1)
    play.oracle.check(play.state())
    play.begin(1)
    caught("P11", "queue default runs 2 jobs of k, and allows 1", lambda: play.oracle.check(play.state()))
    play.oracle.notes.rules["default"] = QueueOptions(concurrency=2), 0
    caught("P11", "queue default runs 3 jobs, and allows 2", lambda: play.oracle.check(play.state()))
