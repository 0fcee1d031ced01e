"""Seeded faults: proof that the machine of `test_core_machine.py` can fail.

Each fault is one small slip in the core, made in memory for one test by exchanging a function's code. The
machine must find every one of them. What is found is not shrunk: that it is red is all that is asked.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from textwrap import dedent
from types import CodeType
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from beaver_actors.core import (
    attempts,
    choose,
    decide,
    explain,
    families,
    fold_jobs,
    index,
    intake,
    limits,
    queue_orders,
    queues,
    state,
    upkeep,
    views,
)
from beaver_actors.core.families import Families
from tests.property.test_core_machine import CoreMachine


class Fault(NamedTuple):
    """In this function, this text is replaced by that."""

    function: Callable[..., Any]
    text: str
    slip: str


FAULTS = {
    "a stale fence is accepted": Fault(
        attempts._is_its_own, "not trail.fence or trail.fence != told.fence", "not trail.fence"
    ),
    "a completed job can be retried": Fault(
        decide._retry, "(JobState.DEAD, JobState.CANCELLED)", "(JobState.DEAD, JobState.COMPLETED)"
    ),
    "a job lives one millisecond past its expiry": Fault(
        state.is_overdue, "job.expires_at_ms <= now_ms", "job.expires_at_ms < now_ms"
    ),
    "an expired job can start": Fault(choose.choose, "job.expires_at_ms <= now_ms", "False"),
    "a cancellation is not counted": Fault(fold_jobs.cancelled, "state.totals.cancelled += 1", "pass"),
    "a move leaves the count of the state behind": Fault(fold_jobs._move, "counts[source] -= 1", "pass"),
    "a lease handed back uses an attempt": Fault(fold_jobs.released, "_trail(job).attempt -= 1", "pass"),
    "a rescue uses an attempt": Fault(attempts._failure, "job.failures >=", "job.attempt >="),
    "a duplicate is not noticed": Fault(
        intake.Intake._judge, "jobs.get(job_id) or fresh.get(job_id)", "None"
    ),
    "a duplicate within a batch is not noticed": Fault(
        intake.Intake._judge, "jobs.get(job_id) or fresh.get(job_id)", "jobs.get(job_id)"
    ),
    "other arguments pass for a duplicate": Fault(
        intake._is_same, " and known.args == new.args", ""
    ),
    "a queue takes one job too many": Fault(
        intake._no_room,
        "> queues.room_for(state, name, policy)",
        "> queues.room_for(state, name, policy) + 1",
    ),
    "a full disk stops outcomes too": Fault(
        attempts.finish, "for report in command.reports:",
        "for report in command.reports[: 0 if policy.storage_full else None]:"
    ),
    "one parent's end frees a child of two": Fault(
        Families._ended, "elif not self._open[child.id]:", "else:"
    ),
    "a parent's failure passes for its end": Fault(families.is_doomed, "parent.state in FAILED", "False"),
    "a parent that is needed is not kept": Fault(
        state.is_needed, "state.families.needs(job.id)", "False"
    ),
    "priorities are upside down": Fault(
        choose._OpenQueue.levels, "sorted(self.lanes, reverse=True)", "sorted(self.lanes)"
    ),
    "the first queue is served before the others": Fault(
        choose._by_turn, "(state.queues[name].turn, name)", "name"
    ),
    "a paused queue is served": Fault(choose._open_queues, "and not queue.paused", ""),
    "a rate forgets what was spent before": Fault(
        limits.Bucket.spend, "self.owed_at(rate, at_ms) + rate.period_ms", "rate.period_ms"
    ),
    "a key that was served keeps its turn": Fault(
        queues.Queue.moved, "elif not waited or started:", "elif not waited:"
    ),
    "jobs without a key keep their turn": Fault(fold_jobs.started, "queue.keyless_turn = state.lsn", "pass"),
    "a key that may run again is not offered": Fault(
        fold_jobs._move, "state.rings.offer(key, state.queues[job.terms.queue])", "pass"
    ),
    "one job too many of a queue runs": Fault(
        queues.Queue.room, "rules.concurrency -", "rules.concurrency + 1 -"
    ),
    "a key's limit binds no lease but the next": Fault(
        choose._OpenQueue._take, "self._rooms[key] = room - 1", "pass"
    ),
    "nobody ages": Fault(choose.effective_priority, "if ageing_ms is None", "if True"),
    "a drained queue takes jobs": Fault(intake._drained, "and queue.draining", "and False"),
    "a moved job asked for again is another": Fault(
        intake._is_same, "known.extras.enqueued_in is not None", "False"
    ),
    "a moved job stands in both queues": Fault(fold_jobs.moved, "left.counts[job.state] -= 1", "pass"),
    "a rule that is not named is taken away": Fault(
        queue_orders._with, "for name in command.fields", "for name in command.rules._fields"
    ),
    "a full queue is moved to": Fault(queue_orders.move, "if len(facts) >= room:", "if False:"),
    "two last chances at once": Fault(choose.choose, "suspects.append(job.rescues)", "pass"),
    "a last chance beside another worker's": Fault(choose.choose, "state.in_flight.values()", "()"),
    "a last chance beside another suspect": Fault(choose.bears, "not suspects", "2 not in suspects"),
    "a suspect beside a last chance": Fault(choose.bears, "not any(", "True or any("),
    "a job handed back goes to the end": Fault(
        index.Lane._search, "return step", "return len(jobs)"
    ),
    "a stale entry in a line looks alive": Fault(index.Line.__iter__, "if job.lsn == lsn", "if True"),
    "a job put back answers to its former time": Fault(
        index.Timetable.pop_due, "if job.lsn == lsn:", "if True:"
    ),
    "a cancel request outlives the attempt": Fault(fold_jobs._move, "trail.cancel_requested = False", "pass"),
    "a success does not count once a cancel is asked for": Fault(
        attempts.ending, "isinstance(outcome, Succeeded):",
        "isinstance(outcome, Succeeded) and not job.trail.cancel_requested:"
    ),
    "everyone is blamed for a crash": Fault(attempts.recover, "job.fence in command.running", "True"),
    "a repeated outcome is refused": Fault(attempts._recorded_before, "return same and", "return False and"),
    "a deadline is met one millisecond late": Fault(
        upkeep._time_demands, "deadline_ms <= now_ms", "deadline_ms < now_ms"
    ),
    "one job too many is kept": Fault(upkeep._time_demands, "- kept\n", "- kept - 1\n"),
    "a retention of its own is ignored": Fault(state.file_job, "if kept_ms is not None:", "if False:"),
    "a job that comes back never expires": Fault(
        state.file_job,
        "extras is not None and",
        "extras is not None and not job.fence and",
    ),
    "a snapshot forgets who finished first": Fault(
        state.reindex, "jobs.sort(key=lambda job: job.lsn)", "pass"
    ),
    "a pause is not explained": Fault(explain._of_its_kind, ".paused:", ".paused and False:"),
    "a place in line counts the job itself": Fault(explain._turn, "(named), ahead,", "(named), ahead + 1,"),
    "a page skips a job": Fault(views.page, "job.order + 1", "job.order"),
    "back-off skips its first step": Fault(attempts._failure, "job.failures - 1", "job.failures"),
}  # fmt: skip


HIDDEN = {
    "a parent's failure passes for its end",
    "a suspect beside a last chance",
    "one parent's end frees a child of two",
    "a deadline is met one millisecond late",
    "a full disk stops outcomes too",
    "a key that may run again is not offered",
    "a key's limit binds no lease but the next",
    "a rate forgets what was spent before",
    "one job too many of a queue runs",
    "a last chance beside another worker's",
    "a paused queue is served",
    "a queue takes one job too many",
    "a repeated outcome is refused",
    "a rescue uses an attempt",
    "a success does not count once a cancel is asked for",
    "back-off skips its first step",
    "one job too many is kept",
    "two last chances at once",
}
"""These take hundreds of examples to find."""


@pytest.mark.timeout(600)  # how many examples it takes is known, and not how busy the machine is
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in HIDDEN else []) for name in FAULTS]
)
def test_a_seeded_fault_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """P3, P4, P5, P7, P11, P12: the machine goes red for every fault seeded into the core."""
    monkeypatch.setattr(FAULTS[name].function, "__code__", with_slip(*FAULTS[name]))
    examples = settings(
        max_examples=2_000,
        database=None,
        deadline=None,
        derandomize=True,  # a fault that is found is always found
        phases=[Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(CoreMachine, settings=examples)


def with_slip(function: Callable[..., Any], text: str, slip: str) -> CodeType:
    """The function's code, compiled from its source with the one place changed."""
    source = dedent(inspect.getsource(function))
    assert source.count(text) == 1, f"{text!r} stands {source.count(text)} times in {function.__qualname__}"
    module = compile(source.replace(text, slip), inspect.getfile(function), "exec")
    codes = [code for code in module.co_consts if isinstance(code, CodeType)]
    return next(code for code in codes if code.co_name == function.__name__)
