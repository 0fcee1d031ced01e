"""Scripts for the core: a command goes in, facts and an answer come out, and time passes when it is told to.

A playbook does what the job manager does, without mailboxes and disk: it lets time pass, decides, folds, and
keeps the facts as the log would. After every command it checks all invariants, and that deciding changed
nothing. It knows nothing of how jobs are run.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import astuple
from typing import Any

from beaver_actors.core import invariants
from beaver_actors.core.answers import Answer, Finished, Leased, LeasedJob, Recovered
from beaver_actors.core.carry import carry_out
from beaver_actors.core.commands import Command, Enqueue, Finish, Lease, NewJob, Policy, Recover, Report
from beaver_actors.core.decide import decide
from beaver_actors.core.facts import EVENT_NAMES, Fact
from beaver_actors.core.fold import fold
from beaver_actors.core.job import Job, Terms
from beaver_actors.core.outcome import Outcome
from beaver_actors.core.state import State, advance, reindex

NOON_MS = 1_800_000_000_000
"""When a playbook starts, unless told otherwise: some moment in January 2027."""


class Playbook:
    """One queue and its clock.

    Args:
        policy: the rules commands are judged by; may be replaced between commands.
        now_ms: the time at the start, milliseconds UTC.
    """

    def __init__(self, policy: Policy | None = None, *, now_ms: int = NOON_MS) -> None:
        self.policy = policy or Policy(served_kinds=frozenset({"work"}))
        self.now_ms = now_ms
        self.state = State()
        self.log: list[Fact] = []
        """Every fact so far; the n-th one has LSN n."""
        self.facts: list[Fact] = []
        """What the latest command brought."""

    def do(self, command: Command) -> Answer:
        """Carry out a command and return its answer; `facts` holds what it brought."""
        advance(self.state, self.now_ms)
        lsn = self.state.lsn
        self.facts, answer = decide(self.state, command, self.now_ms, self.policy)
        again = decide(self.state, command, self.now_ms, self.policy)
        assert self.state.lsn == lsn, f"deciding {command} changed the state"
        assert named(again.facts) == named(self.facts), f"{command} was decided twice, and differently"
        assert again.answer == answer, f"{command} was answered twice, and differently"
        self.facts = carry_out(self.state, self.facts, self.now_ms)
        self.log += self.facts
        invariants.check(self.state)
        return answer

    def expect(self, command: Command, *facts: Fact) -> Answer:
        """Carry out a command that must bring exactly these facts."""
        answer = self.do(command)
        assert named(self.facts) == named(facts), f"{command} brought {named(self.facts)}"
        return answer

    def pass_time(self, time_ms: int) -> None:
        """Let milliseconds pass. What they demand happens with the next command."""
        self.now_ms += time_ms

    def enqueue(self, *job_ids: str, **fields: Any) -> Answer:
        """Enqueue jobs alike.

        Args:
            job_ids: their ids.
            fields: fields of `NewJob` or of its `Terms`; the kind is "work" and the arguments are empty
                unless given.
        """
        outer = {name: fields.pop(name) for name in list(fields) if name in NewJob._fields}
        outer.setdefault("args", b"{}")
        terms = Terms(**({"kind": "work"} | fields))
        return self.do(Enqueue(tuple(NewJob(job_id, terms, **outer) for job_id in job_ids)))

    def lease(
        self,
        limit: int = 1,
        *,
        worker_id: str = "worker",
        kinds: Iterable[str] = ("work",),
        queues: Iterable[str] | None = None,
        turns: Iterable[str] = (),
        lease_ms: int | None = None,
    ) -> tuple[LeasedJob, ...]:
        """Lease jobs and return them."""
        serves = None if queues is None else frozenset(queues)
        answer = self.do(Lease(worker_id, limit, frozenset(kinds), serves, tuple(turns), lease_ms))
        assert isinstance(answer, Leased)
        return answer.jobs

    def finish(
        self, lease: LeasedJob, outcome: Outcome, dice: float = 0.0, *, worker_id: str | None = None
    ) -> bool:
        """Report an outcome; returns whether it was accepted."""
        answer = self.do(Finish((Report(lease.job_id, lease.fence, outcome, dice, worker_id),)))
        assert isinstance(answer, Finished)
        return answer.accepted == (True,)

    def crash(self, running: Iterable[int] | None = None) -> Recovered:
        """End this life without warning and start the next one from the log.

        Args:
            running: fences of the attempts that had begun; None for not known.
        """
        self.state = self.replayed()
        answer = self.do(Recover(None if running is None else frozenset(running)))
        assert isinstance(answer, Recovered)
        return answer

    def job(self, job_id: str) -> Job:
        """The job as the state holds it now."""
        advance(self.state, self.now_ms)
        return self.state.jobs[job_id]

    def replayed(self) -> State:
        """A state folded from the log alone."""
        state = State()
        for fact in self.log:
            fold(state, fact)
        advance(state, self.now_ms)
        return state

    def reindexed(self) -> State:
        """A state as it comes from a snapshot: the stored part copied, the rest built anew."""
        live = self.state
        state = deepcopy(
            State(
                live.lsn, live.time_ms, live.jobs, live.queues, live.totals, live.operations, live.schedules
            )
        )
        reindex(state)
        advance(state, self.now_ms)
        return state


def named(facts: Iterable[Fact]) -> list[tuple[str, Fact]]:
    """Facts with the names of their classes: facts of different classes with equal fields are equal."""
    return [(EVENT_NAMES[type(fact)], fact) for fact in facts]


def canonical(state: State) -> tuple[object, ...]:
    """Copy what a state is made of, leaving out what is derived, for comparing states. Counts of zero are
    left out too: whether one was ever more than that is no part of the state."""
    queues = {
        name: (
            *(queue.paused, queue.turn, queue.draining, queue.rules, queue.declared, queue.keyless_turn),
            astuple(queue.bucket),
            {key: astuple(tenant) for key, tenant in queue.remembered(state.time_ms).items()},
            {key: count for key, count in queue.counts.items() if count},
        )
        for name, queue in state.queues.items()
    }
    jobs = [astuple(job) for job in state.jobs.values()]
    schedules = [astuple(schedule) for schedule in state.schedules.values()]
    operations = [astuple(operation) for operation in state.operations.values()]
    return state.lsn, state.time_ms, jobs, queues, astuple(state.totals), operations, schedules
