"""The core against a plain model of itself: random commands, time, crashes, and the same answers from both.

After every step all invariants hold and every job looks as the model says; at random moments the state is
folded anew from all facts, and built anew from a copy of its stored part, and must be the same and decide
the same.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from beaver_actors.core import operations
from beaver_actors.core.answers import (
    Changed,
    Enqueued,
    Explained,
    Finished,
    Fired,
    Leased,
    Operated,
    Operations,
    Page,
    Receipt,
    Refused,
    Status,
    Ticked,
)
from beaver_actors.core.attempts import SERVER_DIED
from beaver_actors.core.commands import (
    Cancel,
    Command,
    Configure,
    Count,
    DeclareQueues,
    DeclareSchedules,
    Delete,
    DeleteQueue,
    Drain,
    Enqueue,
    Explain,
    Finish,
    Fire,
    Lease,
    List,
    ListOperations,
    Move,
    NewJob,
    Pause,
    PauseSchedule,
    Policy,
    Progress,
    Recover,
    RemoveSchedule,
    Report,
    Resume,
    ResumeSchedule,
    Retry,
    SetSchedule,
    StartOperation,
    StopOperation,
    Tick,
    TriggerSchedule,
)
from beaver_actors.core.decide import decide
from beaver_actors.core.facts import (
    JobCancelled,
    JobCompleted,
    JobDeleted,
    JobDied,
    JobEnqueued,
    JobFailed,
    JobReleased,
    JobRescued,
    JobRetried,
    JobSnoozed,
    JobStarted,
)
from beaver_actors.core.job import (
    ON_CONFLICT,
    ON_PARENT_FAILURE,
    UNIQUE_UNTIL,
    Backoff,
    Extras,
    Job,
    JobError,
    JobState,
    Terms,
    Unique,
)
from beaver_actors.core.limits import QueueRules, Rate
from beaver_actors.core.operation import OPERATION_WORDS, OperationWord, Wanted
from beaver_actors.core.outcome import (
    Crashed,
    Failed,
    Outcome,
    Rejected,
    Released,
    Snoozed,
    Stopped,
    Succeeded,
    TimedOut,
)
from beaver_actors.core.schedule import CATCH_UP, OVERLAP, Plan, ScheduleSource, fire_id
from beaver_actors.testing.playbook import Playbook, canonical, named
from tests.property.model import STEP_JOBS, Model, ModelJob

# Few names and short times, so that jobs meet, collide and run out at the same millisecond.
KINDS = ("knit", "weave")
QUEUES = ("left", "right", "far")
SHORT_MS = st.integers(0, 6)
OVERRUN = JobError("Timeout", "the worker did not report within the timeout and its grace")
ERRORS = st.sampled_from([JobError("KeyError", "a"), JobError("OSError", "b")])
OUTCOMES: st.SearchStrategy[Outcome] = st.one_of(
    st.just(Succeeded()),
    st.just(Succeeded(b"1")),
    st.builds(Failed, ERRORS, st.none() | SHORT_MS),
    st.builds(TimedOut, ERRORS),
    st.builds(Rejected, ERRORS),
    st.builds(Snoozed, SHORT_MS),
    st.builds(Crashed, ERRORS),
    st.just(Stopped()),
    st.just(Released()),
)
TERMS = st.builds(
    Terms,
    kind=st.sampled_from(KINDS),
    queue=st.sampled_from(QUEUES),
    priority=st.sampled_from([0, 0, 7]),
    max_attempts=st.integers(1, 3),
    timeout_ms=st.none() | st.integers(1, 9),
    backoff=st.sampled_from([Backoff("fixed", 0), Backoff("fixed", 3), Backoff("exponential", 2, 2.0, 6)]),
    retention_ms=st.sampled_from([None, None, 0, 4]),
    tags=st.just(()),  # left out, they would be made up
    meta=st.just(b""),
)
KEYS = st.sampled_from("kl")
HELD_MS = st.integers(1, 6)
UNIQUE = st.builds(Unique, KEYS, st.sampled_from(UNIQUE_UNTIL[:2]), st.none() | HELD_MS) | st.builds(
    Unique, KEYS, st.just("window"), HELD_MS
)
"""Keys of which there are few, so that jobs meet."""
PARENTS = st.just(()) | st.lists(st.sampled_from("11223458"), max_size=3, unique=True).map(tuple)
"""How many jobs before it they were asked for; the machine makes names of these."""
SOON_MS = st.none() | st.none() | st.integers(0, 60)
NEW_JOBS = st.builds(
    NewJob,
    st.just(""),  # named when it is enqueued
    TERMS,
    st.sampled_from([b"{}", b'{"a":1}']),
    run_at_ms=SOON_MS,
    delay_ms=st.none() | SHORT_MS,
    extras=st.none()
    | st.builds(
        Extras,
        SOON_MS,
        st.none() | UNIQUE,
        PARENTS,
        st.sampled_from(ON_PARENT_FAILURE),
        st.none() | st.sampled_from("mn"),
        enqueued_in=st.none(),
    ),
    on_conflict=st.sampled_from(ON_CONFLICT),
)
WANTED = st.builds(
    Wanted,
    state=st.none(),
    kind=st.none(),
    tag=st.none(),
    created_after_ms=st.none(),
    finished_before_ms=st.none(),
    queue=st.none() | st.none() | st.sampled_from(QUEUES),
    reason=st.sampled_from([None, None, None, "max_attempts", "rejected"]),
    error_type=st.sampled_from([None, None, None, "KeyError", "OSError"]),
    created_before_ms=st.none() | st.none() | st.integers(0, 60),
    finished_after_ms=st.none() | st.none() | st.integers(0, 60),
)
SCHEDULES = st.sampled_from(["dawn", "dusk", "noon"])
PLANS = st.builds(
    Plan,
    TERMS,
    st.just(b"{}"),
    st.none(),
    st.sampled_from([1000, 2000]),
    st.just("UTC"),
    st.sampled_from(CATCH_UP),
    st.sampled_from(OVERLAP),
    st.sampled_from([None, None, 1, 5]),
    st.none() | UNIQUE,
    st.sampled_from(ON_CONFLICT),
    st.none() | KEYS,
).map(lambda plan: plan if plan.unique else plan._replace(on_conflict="reject"))
LIMITS = st.none() | st.none() | st.integers(1, 2)
RATES = st.none() | st.builds(Rate, st.integers(1, 3), st.sampled_from([1, 4, 7]), st.integers(1, 2))
RULES = st.builds(
    QueueRules,
    jobs_max=st.sampled_from([None, None, 2, 5]),
    concurrency=LIMITS,
    rate=RATES,
    key_concurrency=LIMITS,
    key_rate=RATES,
    ageing_ms=st.sampled_from([None, 1, 2]),
)
POLICIES = st.builds(
    Policy,
    served_kinds=st.sampled_from([frozenset(KINDS), frozenset(KINDS[:1])]),
    storage_full=st.just(False),
    pending_jobs_max=st.sampled_from([100, 100, 8]),
    queue_jobs_max=st.sampled_from([100, 100, 4]),
    schedules_max=st.sampled_from([100, 2]),
    max_rescues=st.sampled_from([2, 2, 3, 1]),
    timeout_grace_ms=st.just(2),
    completed_kept_ms=st.sampled_from([5, 1_000]),
    cancelled_kept_ms=st.sampled_from([5, 1_000]),
    dead_kept_ms=st.sampled_from([5, 1_000]),
    completed_kept=st.integers(0, 3),
    cancelled_kept=st.integers(0, 3),
    dead_kept=st.integers(0, 3),
)


class CoreMachine(RuleBasedStateMachine):
    @initialize(policy=POLICIES, jobs=st.lists(NEW_JOBS, min_size=2, max_size=6))
    def begin(self, policy: Policy, jobs: list[NewJob]) -> None:
        self.step_jobs, operations.STEP_JOBS_MAX = operations.STEP_JOBS_MAX, STEP_JOBS
        self.book = Playbook(policy, now_ms=1)
        self.model = Model(policy)
        self.model.now_ms = 1
        self.leases: list[tuple[str, int]] = []
        """Every lease ever given."""
        self.asked_for: list[NewJob] = []
        """Every job ever asked for."""
        self.enqueue(jobs)

    def do(self, command: Command) -> Any:
        return self.book.do(command)

    def follow(self, own: int) -> None:
        """What the latest command has brought beyond its `own` facts is about jobs that waited for others."""
        self.model.follow(fact[0] for fact in self.book.facts[own:])

    def some(self, data: st.DataObject) -> str:
        """The id of a job that is there, mostly."""
        return data.draw(st.sampled_from([*self.model.jobs, "job-0"]), label="job")

    def running(self) -> bool:
        return bool(self.model.running())

    @rule(time_ms=st.integers(1, 9))
    def time_passes(self, time_ms: int) -> None:
        self.book.pass_time(time_ms)
        self.model.now_ms += time_ms

    @rule(early=st.integers(0, 1), data=st.data())
    def something_is_due(self, early: int, data: st.DataObject) -> None:
        """The clock stops at the very millisecond that some job waits for, or just before."""
        moments = {moment - early for moment in self.model.moments() if moment - early > self.model.now_ms}
        if moments:
            self.time_passes(data.draw(st.sampled_from(sorted(moments)[:4])) - self.model.now_ms)
        self.tick()

    @rule(jobs=st.lists(NEW_JOBS, min_size=1, max_size=6))
    def enqueue(self, jobs: list[NewJob]) -> None:
        begin = len(self.asked_for)
        jobs = [job._replace(job_id=f"job-{number}") for number, job in enumerate(jobs, start=begin)]
        jobs = [self.related(job, begin) for job in jobs]
        self.asked_for += jobs
        self.enqueue_all(jobs)

    def related(self, job: NewJob, begin: int) -> NewJob:
        """The job with the parents that its numbers mean: jobs that are there, or that come with it, mostly
        before it."""
        if job.extras is None or not job.extras.depends_on:
            return job
        own, parents = int(job.job_id[4:]), []
        for number in map(int, job.extras.depends_on):
            parents.append(f"job-{own - number}" if number else f"job-{begin + (own + 1) % 3}")
        there = [name for name in parents if name in self.model.jobs or int(name[4:]) >= begin or number > 7]
        return job._replace(extras=job.extras._replace(depends_on=tuple(dict.fromkeys(there))))

    @rule(keys=st.lists(st.sampled_from(["m", "n", None]), min_size=3, max_size=6))
    def tenants_come(self, keys: list[str | None]) -> None:
        """Jobs that are alike but for their concurrency keys."""
        terms = Terms(KINDS[0], QUEUES[0], timeout_ms=None)
        extras = [None if key is None else Extras(concurrency_key=key) for key in keys]
        self.enqueue([NewJob("", terms, b"{}", extras=one) for one in extras])

    @rule(count=st.integers(2, 4))
    def turn_by_turn(self, count: int) -> None:
        """One job at a time is taken from where tenants wait."""
        for _ in range(count):
            self.lease(1, KINDS, QUEUES[:1])

    @rule(changed=st.booleans(), data=st.data())
    def enqueue_again(self, changed: bool, data: st.DataObject) -> None:
        """A client that got no answer asks again, or an id is used twice."""
        jobs = data.draw(st.lists(st.sampled_from(self.asked_for), min_size=1, max_size=3))
        if changed:
            jobs.append(jobs[0]._replace(args=b"[]"))
        self.enqueue_all(jobs)

    def enqueue_all(self, jobs: list[NewJob]) -> None:
        command = Enqueue(tuple(jobs))
        before = self.model.facts
        expected = self.model.enqueue(command)
        answer = self.do(command)
        if isinstance(expected, str):
            assert isinstance(answer, Refused)
            assert answer.code == expected, answer
            assert self.book.facts == []
        else:
            assert isinstance(answer, Enqueued), answer
            assert [receipt[:2] for receipt in answer.receipts] == expected
            for receipt in answer.receipts:
                assert receipt.lsn in (None, self.model.jobs[receipt.job_id].order)
            assert answer.lsn == self.model.facts
            self.follow(self.model.facts - before)

    @rule(
        limit=st.integers(0, 4).map(lambda limit: 4 - limit),
        kinds=st.sampled_from([KINDS, KINDS, KINDS[:1]]),
        queues=st.sampled_from([None, None, QUEUES[:2]]),
        turns=st.just(()) | st.lists(st.sampled_from(QUEUES), max_size=4).map(tuple),
        remote=st.sampled_from([None, None, ("far", 60_000)]),
    )
    def lease(
        self,
        limit: int,
        kinds: tuple[str, ...],
        queues: tuple[str, ...] | None,
        turns: tuple[str, ...] = (),
        remote: tuple[str, int] | None = None,
    ) -> None:
        worker_id, lease_ms = remote or ("worker", None)
        serves = None if queues is None else frozenset(queues)
        command = Lease(worker_id, limit, frozenset(kinds), serves, turns, lease_ms)
        # A parent that was put back may be leased together with its child, which is told how it stood before.
        stood = {job.id: (job.result, self.model.state(job)) for job in self.model.jobs.values()}
        expected = self.model.lease(command)
        answer = self.do(command)
        assert isinstance(answer, Leased)
        assert [(job.job_id, job.fence, job.attempt) for job in answer.jobs] == expected
        self.leases += [(job_id, fence) for job_id, fence, _ in expected]
        for job in answer.jobs:
            names = [parent.job_id for parent in job.parents]
            assert names == list(self.model.jobs[job.job_id].depends_on)
            results = [stood.get(name, (None, None)) for name in names]
            assert [(parent.result, parent.state) for parent in job.parents] == results

    @rule(outcomes=st.lists(OUTCOMES, min_size=1, max_size=4), time_ms=SHORT_MS)
    def work(self, outcomes: list[Outcome], time_ms: int) -> None:
        """A worker takes what it can and soon tells how it ended."""
        given = len(self.leases)
        self.lease(len(outcomes), KINDS, None)
        self.time_passes(time_ms)
        reports = [
            Report(*lease, outcome) for lease, outcome in zip(self.leases[given:], outcomes, strict=False)
        ]
        self.report_all(reports)

    @precondition(running)
    @rule(outcome=OUTCOMES, dice=st.sampled_from([0.0, 0.5, 0.99]), again=st.booleans(), data=st.data())
    def report(self, outcome: Outcome, dice: float, again: bool, data: st.DataObject) -> None:
        """A running attempt ends; a worker whose answer was lost repeats itself."""
        job = data.draw(st.sampled_from(self.model.running()))
        report = Report(job.id, job.fence, outcome, dice)
        self.report_all([report])
        if again:
            self.report_all([report])

    @rule(outcomes=st.lists(OUTCOMES, min_size=1, max_size=3), data=st.data())
    def report_whatever(self, outcomes: list[Outcome], data: st.DataObject) -> None:
        """Workers report, some of them late, twice, or about jobs they never had."""
        leases = st.sampled_from([*self.leases[-12:], (self.some(data), data.draw(st.integers(0, 5)))])
        teller = st.sampled_from([None, "worker", "far", "a liar"])
        self.report_all(
            [Report(*data.draw(leases), outcome, worker_id=data.draw(teller)) for outcome in outcomes]
        )

    def report_all(self, reports: list[Report]) -> None:
        before = self.model.facts
        in_one_go: dict[int, Outcome] = {}
        expected: list[bool | None] = []
        for report in reports:
            if report.fence in in_one_go and self.holds(report):
                expected.append(in_one_go[report.fence] == report.outcome)
                continue
            if self.holds(report) and self.model.jobs[report.job_id].stands == "in_flight":
                in_one_go[report.fence] = report.outcome
            expected.append(self.model.report(report))
        answer = self.do(Finish(tuple(reports)))
        assert isinstance(answer, Finished)
        self.follow(self.model.facts - before)
        assert len(self.book.facts) == self.model.facts - before
        assert len(answer.accepted) == len(reports)
        for wanted, given in zip(expected, answer.accepted, strict=True):
            assert wanted in (None, given)

    def holds(self, report: Report) -> bool:
        job = self.model.jobs.get(report.job_id)
        return job is not None and job.fence == report.fence and report.worker_id in (None, job.worker_id)

    @precondition(running)
    @rule(
        percent=st.integers(0, 100),
        late=st.integers(0, 1),
        teller=st.sampled_from([None, "worker", "far"]),
        data=st.data(),
    )
    def progress(self, percent: int, late: int, teller: str | None, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.model.running()))
        text = str(percent).encode()
        self.do(Finish((), (Progress(job.id, job.fence - late, text, teller),)))
        believed = not late and teller in (None, job.worker_id)
        if believed:
            job.progress = text
            self.model.facts += 1
        assert len(self.book.facts) == believed

    @rule(
        count=st.integers(1, 3), what=st.sampled_from([Cancel, Cancel, Retry, Retry, Delete]), data=st.data()
    )
    def change(self, count: int, what: type[Cancel | Retry | Delete], data: st.DataObject) -> None:
        self.change_all(tuple(self.some(data) for _ in range(count)), what)

    @precondition(running)
    @rule(data=st.data())
    def cancel_while_it_runs(self, data: st.DataObject) -> None:
        """The request races with the outcome."""
        job = data.draw(st.sampled_from(self.model.running()))
        self.change_all((job.id,), Cancel)
        if data.draw(st.booleans()):
            self.report_all([Report(job.id, job.fence, data.draw(OUTCOMES))])

    def blocked(self) -> bool:
        return any(job.stands == "blocked" for job in self.model.jobs.values())

    @precondition(blocked)
    @rule(what=st.sampled_from([Cancel, Delete]), data=st.data())
    def a_parent_goes(self, what: type[Cancel | Delete], data: st.DataObject) -> None:
        """And comes back perhaps, with its child or without."""
        waiting = [job for job in self.model.jobs.values() if job.stands == "blocked"]
        child = data.draw(st.sampled_from(waiting))
        parent = data.draw(st.sampled_from(child.depends_on))
        self.change_all((parent,), what)
        named = data.draw(st.sampled_from([(), (child.id,), (child.id, parent)]))
        if named:
            self.change_all(named, Retry)

    def change_all(self, job_ids: tuple[str, ...], what: type[Cancel | Retry | Delete]) -> None:
        if what is Retry and self.model.policy.storage_full:
            assert isinstance(self.do(Retry(job_ids)), Refused)
            return
        before = self.model.facts
        judge = {Cancel: self.model.cancel, Retry: self.model.retry, Delete: self.model.delete}[what]
        named = sorted(job_ids, key=self.arrival) if what is Retry else job_ids
        expected = {job_id: judge(job_id) for job_id in dict.fromkeys(named)}
        answer = self.do(what(job_ids))
        assert isinstance(answer, Changed)
        given = [(change.name, (change.changed, change.state)) for change in answer.changes]
        assert given == [(job_id, expected[job_id]) for job_id in job_ids]
        assert answer.lsn == self.model.facts
        self.follow(self.model.facts - before)

    def arrival(self, job_id: str) -> int:
        return self.model.jobs[job_id].order if job_id in self.model.jobs else 0

    @rule(queue=st.sampled_from([None, *QUEUES]), on=st.sampled_from([False, False, True]))
    def hinder(self, queue: str | None, on: bool) -> None:
        """A queue is paused or resumed; or, with none named, the disk fills or drains."""
        if queue is None:
            values = {name: getattr(self.model.policy, name) for name in Policy.__slots__}
            self.book.policy = self.model.policy = Policy(**values | {"storage_full": on})
            return
        changes = queue not in self.model.paused if on else queue in self.model.paused | self.model.drained
        known = queue in self.book.state.queues
        answer = self.do(Pause(queue) if on else Resume(queue))
        if not known and not on:
            assert isinstance(answer, Refused)
            return
        assert answer.changes[0].changed == changes
        self.model.facts += changes
        self.model.paused = self.model.paused | {queue} if on else self.model.paused - {queue}
        if not on:
            self.model.drained.discard(queue)

    @rule(queue=st.sampled_from(QUEUES), rules=RULES, fields=st.sets(st.sampled_from(QueueRules._fields)))
    def configure(self, queue: str, rules: QueueRules, fields: set[str]) -> None:
        """Some rules of a queue are set, the others stay."""
        before = self.model.rule(queue)
        wanted = before._replace(**{name: getattr(rules, name) for name in fields})
        answer = self.do(Configure(queue, rules, frozenset(fields)))
        declared = self.model.declared.get(queue, frozenset())
        if any(getattr(wanted, name) != getattr(before, name) for name in declared):
            assert isinstance(answer, Refused)
            assert answer.code == "conflict"
            return
        assert isinstance(answer, Changed)
        assert answer.changes[0].changed == (wanted != before)
        if wanted != before:
            self.model.configure(queue, wanted)

    @rule(
        wanted=st.dictionaries(
            st.sampled_from(QUEUES),
            st.tuples(RULES, st.sets(st.sampled_from(QueueRules._fields), min_size=1)),
        )
    )
    def declare_queues(self, wanted: dict[str, tuple[QueueRules, set[str]]]) -> None:
        """A start with these rules in its configuration."""
        commands = tuple(
            Configure(queue, rules, frozenset(fields)) for queue, (rules, fields) in wanted.items()
        )
        answer = self.do(DeclareQueues(commands))
        assert isinstance(answer, Changed)
        changed = set()
        for queue in {*wanted, *self.model.declared}:
            before, gone = self.model.rule(queue), self.model.declared.get(queue, frozenset())
            rules, fields = wanted.get(queue, (QueueRules(), set()))
            after = {name: None if name in gone else getattr(before, name) for name in QueueRules._fields}
            after |= {name: getattr(rules, name) for name in fields}
            if (QueueRules(**after), frozenset(fields)) != (before, gone):
                changed.add(queue)
                self.model.configure(queue, QueueRules(**after))
        self.model.declared = {queue: frozenset(fields) for queue, (_, fields) in wanted.items()}
        assert {change.name for change in answer.changes} == changed

    @rule(queue=st.sampled_from(QUEUES))
    def drain(self, queue: str) -> None:
        answer = self.do(Drain(queue))
        assert isinstance(answer, Changed)
        assert answer.changes[0].changed == (queue not in self.model.drained)
        self.model.facts += queue not in self.model.drained
        self.model.drained.add(queue)

    @rule(
        queue=st.sampled_from(QUEUES),
        to=st.sampled_from(QUEUES),
        kind=st.none() | st.sampled_from(KINDS),
        limit=st.integers(1, 4),
    )
    def move(self, queue: str, to: str, kind: str | None, limit: int) -> None:
        known = queue in self.book.state.queues
        answer = self.do(Move(queue, to, kind, limit=limit))
        if queue == to or not known:
            assert isinstance(answer, Refused)
            assert answer.code == ("bad_request" if queue == to else "not_found")
            return
        expected = self.model.move(queue, to, kind, limit)
        assert (answer.code if isinstance(answer, Refused) else answer.count) == expected
        if isinstance(expected, int) and expected < limit:
            full = self.book.state.queues[to].waiting if expected else 0
            assert answer.after is None or full

    @rule(queue=st.sampled_from(QUEUES))
    def delete_queue(self, queue: str) -> None:
        held = [job for job in self.model.jobs.values() if job.terms.queue == queue]
        known = queue in self.book.state.queues
        answer = self.do(DeleteQueue(queue))
        if held or not known:
            assert isinstance(answer, Refused)
            assert answer.code == ("conflict" if held else "not_found")
            assert not held or f"holds {len(held)} jobs" in answer.message
            return
        if queue in self.model.declared:
            assert isinstance(answer, Refused)
            assert answer.code == "conflict"
            return
        self.model.forget(queue)

    @rule(
        name=SCHEDULES, plan=PLANS, paused=st.sampled_from([None, None, False, True]), declared=st.booleans()
    )
    def set_schedule(self, name: str, plan: Plan, paused: bool | None, declared: bool) -> None:
        """Someone sets it, or a start declares that it is all there is."""
        source: ScheduleSource = "code" if declared else "request"
        command = SetSchedule(name, plan, self.model.now_ms, None if declared else paused, source)
        known = self.model.schedules.get(name)
        if declared:
            changed = [name] if self.model.set_schedule(command) else []
            for other in list(self.model.schedules):
                if other != name and self.model.schedules[other].source == "code":
                    self.model.remove_schedule(other)
                    changed.append(other)
            answer = self.do(DeclareSchedules((command,)))
            assert [change.name for change in answer.changes] == changed
            return
        answer = self.do(command)
        if known is not None and known.source == "code":
            assert isinstance(answer, Refused)
            assert answer.code == "conflict"
        elif known is None and len(self.model.schedules) == self.model.policy.schedules_max:
            assert isinstance(answer, Refused)
            assert answer.code == "too_large"
        elif self.model.policy.storage_full:
            assert isinstance(answer, Refused)
            assert answer.code == "storage_full"
        else:
            assert isinstance(answer, Changed)
            assert answer.changes[0].changed == self.model.set_schedule(command)

    @rule(name=SCHEDULES, paused=st.sampled_from([None, False, True]))
    def change_schedule(self, name: str, paused: bool | None) -> None:
        known = self.model.schedules.get(name)
        if paused is None:
            answer = self.do(RemoveSchedule(name))
            if known is None or known.source == "code":
                assert isinstance(answer, Refused)
                return
            self.model.remove_schedule(name)
            return
        now_ms = self.model.now_ms
        answer = self.do(PauseSchedule(name) if paused else ResumeSchedule(name, now_ms))
        changed = self.model.turn_schedule(name, paused, now_ms)
        if changed is None:
            assert isinstance(answer, Refused)
            assert answer.code == "not_found"
        else:
            assert answer.changes[0].changed == changed

    @rule(name=SCHEDULES, job_id=st.sampled_from(["by-hand", "by-foot"]))
    def trigger(self, name: str, job_id: str) -> None:
        answer = self.do(TriggerSchedule(name, job_id))
        if name not in self.model.schedules:
            assert isinstance(answer, Refused)
            return
        said = self.model.trigger(name, job_id)
        if isinstance(said, str):
            assert isinstance(answer, Refused)
            assert answer.code == said
        else:
            assert answer.receipts[0] == Receipt(job_id, not said)

    @rule(
        name=SCHEDULES,
        ago_ms=st.sets(st.integers(0, 3) | st.just(61_000), min_size=1, max_size=3),
        stale=st.sampled_from([0, 0, 0, 1]),
        earlier=st.integers(0, 2),
        again=st.booleans(),
    )
    def fire(self, name: str, ago_ms: set[int], stale: int, earlier: int, again: bool) -> None:
        """Times have come, or came while the server was away; what has no answer is brought again."""
        now_ms = self.model.now_ms + 61_001
        times_ms = sorted(now_ms - ago for ago in ago_ms)
        schedule = self.model.schedules.get(name)
        revision = (schedule.set_as if schedule else 1) - stale
        for _ in range(1 + again):
            command = Fire(name, revision, tuple(times_ms), now_ms, earlier)
            said = self.model.fire(command, {at_ms: fire_id(name, at_ms) for at_ms in times_ms})
            answer = self.do(command)
            if isinstance(said, str):
                assert isinstance(answer, Refused)
                assert answer.code == said
                assert not self.book.facts
            else:
                assert answer == Fired(said), (answer, said)

    def tick(self) -> None:
        due = self.model.demands()
        answer = self.do(Tick())
        assert isinstance(answer, Ticked)
        if due:
            order = [fact[0] for fact in self.book.facts[: len(due)]]
            assert sorted(order) == sorted(due)
            self.model.tick(order, OVERRUN)
            self.follow(len(due))
        else:
            before = self.model.facts
            done, told = self.model.step()
            own = self.model.facts - before
            order = [fact[0] for fact in self.book.facts[:own]]
            assert [name for name in order if name in done] == done
            assert order[len(order) - len(told) :] == told
            self.follow(own)
        assert answer.more == bool(self.model.steppable())

    @rule(
        number=st.integers(0, 5),
        word=st.sampled_from(OPERATION_WORDS),
        state=st.sampled_from([JobState.DEAD, JobState.CANCELLED, JobState.COMPLETED]),
        wanted=WANTED,
    )
    def operate(self, number: int, word: OperationWord, state: JobState, wanted: Wanted) -> None:
        """Many jobs are to be put back or deleted; ticks will do it, and crashes come between them."""
        if word == "retry" and state is JobState.COMPLETED:
            state = JobState.DEAD
        operation_id = f"operation-{number}"
        wanted = wanted._replace(state=state)
        expected = self.model.start(operation_id, word, wanted)
        answer = self.do(StartOperation(operation_id, word, wanted))
        if expected is None:
            assert isinstance(answer, Operated)
            assert answer.lsn == self.model.facts
            assert answer.operation == self.book.state.operations[operation_id]
        else:
            assert isinstance(answer, Refused)
            assert answer.code == expected

    @precondition(lambda self: bool(self.model.operations))
    @rule(data=st.data())
    def stop(self, data: st.DataObject) -> None:
        operation_id = data.draw(st.sampled_from(sorted(self.model.operations)))
        answer = self.do(StopOperation(operation_id))
        self.model.stop(operation_id)
        assert isinstance(answer, Operated)
        assert answer.operation.state == self.model.operations[operation_id].state
        shown = self.do(ListOperations(operation_id))
        assert shown == Operations((answer.operation,))

    @rule(begun=st.integers(0, 3), known=st.booleans(), data=st.data())
    def crash(self, begun: int, known: bool, data: st.DataObject) -> None:
        """The server dies, and the next life begins from the log, or from a snapshot."""
        self.lease(begun, KINDS, None)
        fences = [job.fence for job in self.model.running()]
        running = data.draw(st.sets(st.sampled_from(fences or [0]))) if known else None
        before = self.model.facts
        self.model.recover(running, SERVER_DIED)
        self.book.state = self.book.reindexed() if data.draw(st.booleans()) else self.book.replayed()
        self.do(Recover(None if running is None else frozenset(running)))
        self.follow(self.model.facts - before)

    @rule(state=st.none() | st.sampled_from(JobState), queue=st.none() | st.sampled_from(QUEUES))
    def look(self, state: JobState | None, queue: str | None) -> None:
        matching = [
            job.id
            for job in sorted(self.model.jobs.values(), key=lambda job: -job.order)
            if state in (None, self.model.state(job)) and queue in (None, job.terms.queue)
        ]
        seen: list[str] = []
        after = None
        while True:
            page = self.do(List(state, queue, limit=2, after=after))
            assert isinstance(page, Page)
            seen += [job.id for job in page.jobs]
            after = page.after
            if after is None:
                break
        assert seen == matching
        status = self.do(Count())
        assert isinstance(status, Status)
        states = [self.model.state(job) for job in self.model.jobs.values()]
        assert status.counts == {kept: states.count(kept) for kept in JobState}
        assert status.lsn == self.model.facts
        self.totals_are_the_log_counted(status)

    def totals_are_the_log_counted(self, status: Status) -> None:
        happened = Counter(type(fact) for fact in self.book.log)
        died = Counter(fact.reason for fact in self.book.log if isinstance(fact, JobDied))
        assert status.died == died
        assert status.totals == {
            "enqueued": happened[JobEnqueued],
            "started": happened[JobStarted],
            "completed": happened[JobCompleted],
            "failed": happened[JobFailed],
            "snoozed": happened[JobSnoozed],
            "released": happened[JobReleased],
            "rescued": happened[JobRescued] + died["poison"],
            "cancelled": happened[JobCancelled],
            "retried": happened[JobRetried],
            "deleted": happened[JobDeleted],
        }

    @rule(data=st.data())
    def explain(self, data: st.DataObject) -> None:
        """Every reason there is; and those before it in line are those that a worker would be given."""
        job_id = self.some(data)
        answer = self.do(Explain(job_id))
        job = self.model.jobs.get(job_id)
        if job is None:
            assert isinstance(answer, Refused)
            return
        assert isinstance(answer, Explained)
        assert answer.state == self.model.state(job)
        assert [one.reason for one in answer.because] == self.model.reasons(job)
        for one in answer.because:
            if one.reason == "turn":
                before = self.model.before(job)
                assert (list(one.jobs), one.total) == (before[:10], len(before))

    @rule()
    def rebuild(self) -> None:
        """Folded anew from the log it is the same; indexed anew it decides the same."""
        self.do(Count())  # lets time pass
        live, anew = self.book.state, self.book.reindexed()
        assert canonical(live) == canonical(self.book.replayed()) == canonical(anew)
        for command in (
            Lease("worker", 100, frozenset(KINDS)),
            Lease("worker", 3, frozenset(KINDS[1:]), frozenset(QUEUES[1:])),
            Tick(),
            Count(),
            List(limit=1_000),
        ):
            one, other = (
                decide(state, command, self.book.now_ms, self.book.policy) for state in (live, anew)
            )
            assert one.answer == other.answer
            if isinstance(command, Tick):  # which of two overdue jobs is named first is not promised
                assert sorted(named(one.facts)) == sorted(named(other.facts)), (one.facts, other.facts)
            else:
                assert named(one.facts) == named(other.facts)

    @invariant()
    def every_job_is_as_the_model_says(self) -> None:
        if not hasattr(self, "book"):
            return
        live = {job_id: _shown(self.book.job(job_id)) for job_id in list(self.book.state.jobs)}
        assert live == {job_id: _expected(self.model, job) for job_id, job in self.model.jobs.items()}
        assert self.book.state.lsn == self.model.facts == len(self.book.log)
        fields = ("word", "wanted", "to_look_at", "looked_at", "changed", "refused", "state")
        shown, expected = (
            {name: [getattr(one, field) for field in fields] for name, one in operations.items()}
            for operations in (self.book.state.operations, self.model.operations)
        )
        assert shown == expected
        names = ("plan", "paused", "source", "through_ms", "skipped")
        schedules = {
            name: (*(getattr(kept, field) for field in names), kept.revision, kept.last_job_id, kept.fired)
            for name, kept in self.book.state.schedules.items()
        }
        assert schedules == {
            name: (*(getattr(kept, field) for field in names), kept.set_as, kept.last, kept.jobs)
            for name, kept in self.model.schedules.items()
        }

    def teardown(self) -> None:
        try:
            if hasattr(self, "book"):
                self.rebuild()
        finally:
            operations.STEP_JOBS_MAX = getattr(self, "step_jobs", operations.STEP_JOBS_MAX)


def _shown(job: Job) -> dict[str, object]:
    trail = job.trail
    return {
        "order": job.order,
        "queue": job.terms.queue,
        "state": str(job.state),
        "attempt": job.attempt,
        "rescues": job.rescues,
        "fence": job.fence,
        "run_at_ms": job.run_at_ms,
        "expires_at_ms": job.expires_at_ms,
        "deadline_ms": trail and trail.deadline_ms,
        "finished_ms": trail and trail.finished_ms,
        "cancel_requested": trail is not None and trail.cancel_requested,
        "reason": trail and trail.reason,
        "result": trail and trail.result,
        "progress": trail and trail.progress,
        "errors": [(error.at_ms, error.attempt, error.message) for error in trail.errors] if trail else [],
    }


def _expected(model: Model, job: ModelJob) -> dict[str, object]:
    same = (
        "order",
        "attempt",
        "rescues",
        "fence",
        "run_at_ms",
        "expires_at_ms",
        "deadline_ms",
        "finished_ms",
    )
    more = ("cancel_requested", "reason", "result", "progress", "errors")
    where = {"state": model.state(job), "queue": job.terms.queue}
    return where | {name: getattr(job, name) for name in (*same, *more)}


TestCoreMachine = CoreMachine.TestCase
TestCoreMachine.__doc__ = "P3, P4, P5, P7, P11, P12: the core answers as the model does, whatever happens."
