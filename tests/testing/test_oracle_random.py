"""The oracle against rehearsals: what a correct queue leaves passes, and with one thing changed it does not.

That a rehearsal ends at all shows the first half: it tells the oracle everything, and would raise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

import pytest
from hypothesis import given, settings, strategies as st

from beaver_actors.core.job import FINISHED, Job, JobState, Trail
from beaver_actors.core.state import State
from beaver_actors.testing.oracle import Broken, Oracle
from beaver_actors.testing.oracle_notes import Known
from tests.testing.rehearsal import Rehearsal, rehearsals, rehearse


@given(rehearsals())
def test_what_a_crash_leaves_of_a_correct_queue_is_in_order(play: Rehearsal) -> None:
    """P1-P5, P10, P12: at every crash of the rehearsal, and at its end; looking twice changes nothing."""
    play.oracle.check(play.state())
    play.crash()
    play.oracle.check(play.state())


class Vandal:
    """Changes one thing in a recovered state. One that finds nothing to change returns False.

    Only what was told can be missed: each looks for a job of which enough was, and that nobody may delete.
    """

    def __init__(self, oracle: Oracle, state: State, random: Random) -> None:
        self.oracle = oracle
        self.state = state
        self.random = random

    def pick(self, wanted: Callable[[Known, Job], object]) -> tuple[Known, Job] | None:
        fit = [(known, job) for known, job in self.told() if wanted(known, job)]
        return self.random.choice(fit) if fit else None

    def told(self) -> Iterator[tuple[Known, Job]]:
        for job in self.state.jobs.values():
            known = self.oracle.notes.jobs[job.id]
            if not self.oracle.notes.may_be_gone(known):
                yield known, job

    def change(self, wanted: Callable[[Known, Job], object], change: Callable[[Known, Job], object]) -> bool:
        picked = self.pick(wanted)
        if picked is not None:
            change(*picked)
        return picked is not None

    def lose_a_job(self) -> bool:
        return self.change(lambda known, _: known.acknowledged, lambda _, job: self.state.jobs.pop(job.id))

    def invent_a_job(self) -> bool:
        return self.change(
            lambda *_: True, lambda _, job: self.state.jobs.update(stranger=copy(job, "stranger"))
        )

    def bring_back_a_job(self) -> bool:
        """One that was refused each time, or deleted."""
        gone = [
            (job_id, known)
            for job_id, known in self.oracle.notes.jobs.items()
            if known.contents
            and known.acknowledged is None
            and not known.open
            and job_id not in self.state.jobs
        ]
        some = next(iter(self.state.jobs.values()), None)
        if not gone or some is None:
            return False
        job_id, known = self.random.choice(gone)
        back = self.state.jobs[job_id] = copy(some, job_id)
        back.terms, back.args = known.contents[0]
        return True

    def change_arguments(self) -> bool:
        return self.change(lambda *_: True, lambda _, job: setattr(job, "args", b'{"n":77}'))

    def swap_contents(self) -> bool:
        return self.change(
            lambda known, job: known.acknowledged and len(known.contents) > 1,
            lambda known, job: setattr(job, "args", next(a for _, a in known.contents if a != job.args)),
        )

    def undo_a_completion(self) -> bool:
        return self.change(
            lambda known, _: known.state is JobState.COMPLETED,
            lambda _, job: setattr(job, "state", JobState.PENDING),
        )

    def undo_an_end_later(self) -> bool:
        def undo(known: Known, job: Job) -> None:
            self.state.lsn += 1
            job.lsn, job.state = self.state.lsn, JobState.IN_FLIGHT

        def ended(known: Known, job: Job) -> bool:
            return known.state in FINISHED and not known.open_asks.get("retry")

        return self.change(ended, undo)

    def change_a_result(self) -> bool:
        return self.change(
            lambda _, job: job.state is JobState.COMPLETED,
            lambda _, job: setattr(job.trail, "result", b'"other"'),
        )

    def complete_a_failure(self) -> bool:
        def complete(known: Known, job: Job) -> None:
            job.state, job.trail = JobState.COMPLETED, job.trail or Trail()

        return self.change(lambda _, job: job.state in (JobState.SCHEDULED, JobState.DEAD), complete)

    def go_back_in_time(self) -> bool:
        self.state.lsn = self.oracle.notes.told - 1
        return self.state.lsn >= 0

    def take_a_job_back_in_time(self) -> bool:
        return self.change(
            lambda known, job: known.lsn == job.lsn > job.order,
            lambda _, job: setattr(job, "lsn", job.lsn - 1),
        )

    def take_a_start_back(self) -> bool:
        return self.change(
            lambda known, job: known.fence > job.order,
            lambda known, job: setattr(job.trail, "fence", known.fence - 1),
        )

    def let_a_job_arrive_anew(self) -> bool:
        return self.change(lambda known, _: known.order, lambda _, job: setattr(job, "order", job.order + 1))

    def let_a_job_be_poison(self) -> bool:
        def poison(known: Known, job: Job) -> None:
            assert job.trail is not None
            job.trail.rescues = 2
            job.trail.reason = "poison"

        return self.change(lambda _, job: job.state is JobState.DEAD, poison)

    def cancel_for_nobody(self) -> bool:
        return self.change(
            lambda known, job: "cancel" not in known.asked,
            lambda _, job: setattr(job, "state", JobState.CANCELLED),
        )

    def rescue_too_often(self) -> bool:
        def rescue(known: Known, job: Job) -> None:
            job.trail = job.trail or Trail()
            job.trail.rescues = self.oracle.notes.lives + len(known.outcomes) + 1

        return self.change(lambda *_: True, rescue)


def copy(job: Job, job_id: str) -> Job:
    return Job(
        job_id, job.terms, job.args, job.state, job.created_ms, job.run_at_ms, None, job.order, job.lsn
    )


ACTS: list[Callable[[Vandal], bool]] = [
    act
    for name, act in vars(Vandal).items()
    if not name.startswith("_") and name not in ("pick", "told", "change")
]


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
def test_a_state_with_one_thing_changed_is_found_out(act: Callable[[Vandal], bool]) -> None:
    """P1-P5, P12: one change to a state that is right otherwise, of which there must be many."""
    done = 0

    @settings(max_examples=20)
    @given(st.integers(0, 2**32), st.integers(40, 120))
    def look(seed: int, steps: int) -> None:
        nonlocal done
        play = rehearse(seed, steps, retention=False)
        state = play.state()
        if act(Vandal(play.oracle, state, Random(seed))):
            done += 1
            with pytest.raises(Broken):
                play.oracle.check(state)

    look()
    assert done, "there was never anything to change"
