"""Hypothesis strategies for what the core speaks: terms, outcomes, commands, facts, and whole histories.

Two kinds. Most values are well-typed and no more: what a codec must carry, what `decide` must bear. Histories
are different: every fact in one could have happened after those before it, because the core decided it.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from beaver_actors.core import commands as c, outcome as o
from beaver_actors.core.facts import FACTS, SKIP_REASONS, Fact, ScheduleFired
from beaver_actors.core.job import (
    ON_CONFLICT,
    ON_PARENT_FAILURE,
    UNIQUE_UNTIL,
    Backoff,
    Extras,
    JobError,
    JobState,
    Terms,
    Unique,
)
from beaver_actors.core.limits import QueueRules, Rate
from beaver_actors.core.operation import OPERATION_WORDS, Wanted
from beaver_actors.core.schedule import CATCH_UP, OVERLAP, SCHEDULE_SOURCES, Plan
from beaver_actors.testing.playbook import NOON_MS, Playbook

TIME_MS_MAX = 253_402_300_799_999
"""The last millisecond of the year 9999, where calendars of most languages end."""

times_ms = st.integers(0, TIME_MS_MAX)
durations_ms = st.integers(0, 36_500 * 86_400_000)
leases_ms = st.none() | st.integers(1, 3_600_000)
lsns = st.integers(1, 2**63 - 1)
dice = st.floats(0, 1, exclude_max=True)
names = st.text(min_size=1, max_size=20)
KINDS, QUEUES, KEYS = st.sampled_from("xyz"), st.sampled_from("pq"), st.sampled_from("kl")
SCHEDULES = st.sampled_from("st")
"""Few, where commands are to meet."""

json_values: SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
json_texts = json_values.filter(lambda value: value not in (float("inf"), float("-inf"))).map(
    lambda value: json.dumps(value).encode()
)
json_objects = st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=20), max_size=3).map(
    lambda value: json.dumps(value).encode()
)

errors = st.builds(JobError, names, st.text(max_size=40), st.text(max_size=40))

backoffs = st.builds(
    Backoff,
    kind=st.sampled_from(["polynomial", "exponential", "fixed", "list"]),
    base_ms=durations_ms,
    factor=st.floats(0, 100),
    cap_ms=durations_ms,
    jitter=st.booleans(),
    delays_ms=st.lists(durations_ms, min_size=1, max_size=4).map(tuple),
)


def terms(kinds: SearchStrategy[str] = names, queues: SearchStrategy[str] = names) -> SearchStrategy[Terms]:
    """Terms with every field drawn."""
    return st.builds(
        Terms,
        kind=kinds,
        queue=queues,
        priority=st.integers(-100, 100),
        max_attempts=st.integers(1, 1000),
        timeout_ms=st.none() | durations_ms,
        backoff=backoffs,
        retention_ms=st.none() | durations_ms,
        tags=st.lists(names, max_size=3).map(tuple),
        meta=st.just(b"") | json_objects,
    )


def uniques() -> SearchStrategy[Unique]:
    """Keys of which there are few, so that jobs meet."""
    held_ms = durations_ms.filter(bool)
    window = st.builds(Unique, KEYS, st.just("window"), held_ms)
    return st.builds(Unique, KEYS, st.sampled_from(UNIQUE_UNTIL[:2]), st.none() | held_ms) | window


def extras(
    expiries_ms: SearchStrategy[int | None], job_ids: SearchStrategy[str] = names
) -> SearchStrategy[Extras | None]:
    """What few jobs ask for; keys of which there are few, so that jobs meet.

    Args:
        job_ids: of parents.
    """
    parents = st.lists(job_ids, max_size=2, unique=True).map(tuple)
    asked = st.builds(
        Extras,
        expiries_ms,
        st.none() | uniques(),
        parents,
        st.sampled_from(ON_PARENT_FAILURE),
        st.none() | KEYS,
        enqueued_in=st.none(),
    )
    return st.none() | asked.filter(lambda extras: extras != Extras())


def plans(terms: SearchStrategy[Terms]) -> SearchStrategy[Plan]:
    """What a schedule may ask for; that its expression can be read is not the core's concern."""
    cron = st.tuples(names, st.none(), names)
    every = st.tuples(st.none(), durations_ms.filter(bool), st.just("UTC"))
    kept = st.tuples(st.sampled_from(CATCH_UP), st.sampled_from(OVERLAP))
    plain: SearchStrategy[tuple[Any, ...]] = st.just((None, "reject"))
    keyed = st.tuples(uniques(), st.sampled_from(ON_CONFLICT))
    lifetimes_ms = st.none() | durations_ms.filter(bool)
    own = st.tuples(lifetimes_ms, plain | keyed, st.none() | KEYS).map(
        lambda parts: (parts[0], *parts[1], parts[2])
    )
    return st.builds(
        lambda terms, args, timing, rules, own: Plan(terms, args, *timing, *rules, *own),
        terms,
        json_objects,
        cron | every,
        kept,
        own,
    )


rule_names = st.sets(st.sampled_from(QueueRules._fields)).map(
    lambda named: tuple(name for name in QueueRules._fields if name in named)
)
limits = st.none() | st.integers(1, 3)
rates = st.none() | st.builds(Rate, st.integers(1, 3), st.sampled_from([1, 7, 1_000]), st.integers(1, 3))
rules = st.builds(QueueRules, st.none() | st.integers(0, 9), limits, rates, limits, rates, limits)
"""Tight ones, so that they bind."""

outcomes: SearchStrategy[o.Outcome] = st.one_of(
    st.builds(o.Succeeded, st.none() | json_texts),
    st.builds(o.Failed, errors, st.none() | durations_ms),
    st.builds(o.TimedOut, errors),
    st.builds(o.Rejected, errors),
    st.builds(o.Snoozed, durations_ms),
    st.builds(o.Crashed, errors),
    st.just(o.Stopped()),
    st.just(o.Released()),
)


def facts() -> SearchStrategy[Fact]:
    """Any fact, well typed, whether or not it could have happened."""
    fields: dict[str, SearchStrategy[Any]] = {
        "job_id": names, "queue": names, "at_ms": times_ms, "terms": terms(), "args": json_objects,
        "run_at_ms": times_ms, "retry_at_ms": times_ms, "extras": extras(st.none() | times_ms),
        "worker_id": names, "deadline_ms": st.none() | times_ms, "lease_ms": leases_ms, "fence": lsns,
        "operation": names, "word": st.sampled_from(OPERATION_WORDS),
        "state": st.none() | st.sampled_from(JobState),
        "kind": st.none() | names, "tag": st.none() | names, "error_type": st.none() | names,
        "created_after_ms": st.none() | times_ms, "created_before_ms": st.none() | times_ms,
        "finished_after_ms": st.none() | times_ms, "finished_before_ms": st.none() | times_ms,
        "cursor": lsns, "looked_at": lsns, "changed": lsns, "refused": lsns,
        "how": st.sampled_from(["completed", "stopped"]),
        "progress": json_texts, "result": st.none() | json_texts, "error": errors,
        "schedule": names, "plan": plans(terms()), "from_ms": times_ms, "paused": st.booleans(),
        "source": st.sampled_from(SCHEDULE_SOURCES), "nominal_ms": st.none() | times_ms,
        "times": st.integers(1, 2**31),
        "blocked": st.booleans(), "rules": rules, "declared": rule_names,
    }  # fmt: skip
    reasons = {
        "JobCancelled": st.sampled_from([None, "replaced", "parent_failed"]),
        "JobDied": st.sampled_from(["max_attempts", "poison", "expired", "rejected"]),
        "OperationStarted": st.none() | names,
        "JobDeleted": st.sampled_from(["request", "retention"]),
        "ScheduleRemoved": st.sampled_from(["request", "undeclared"]),
        "ScheduleFired": st.sampled_from([None, *SKIP_REASONS]),
    }

    def one(fact: type[Fact]) -> SearchStrategy[Fact]:
        own = {name: fields[name] if name != "reason" else reasons[fact.__name__] for name in fact._fields}
        if fact is ScheduleFired:
            own["job_id"] = st.none() | names
        return st.builds(fact, **own)

    return st.one_of(*map(one, FACTS))


WANTED = st.builds(
    Wanted,
    state=st.sampled_from([JobState.DEAD, JobState.CANCELLED]),
    queue=st.none() | QUEUES,
    kind=st.none() | KINDS,
    tag=st.none() | names,
    reason=st.none() | st.sampled_from(["rejected", "poison"]),
    error_type=st.none() | names,
    created_after_ms=st.none() | times_ms,
    created_before_ms=st.none() | times_ms,
    finished_after_ms=st.none() | times_ms,
    finished_before_ms=st.none() | times_ms,
)


def commands(
    job_ids: SearchStrategy[str] = names, fences: SearchStrategy[int] = lsns
) -> SearchStrategy[c.Command]:
    """Any command but `Recover`, well typed, about jobs that need not exist.

    Args:
        job_ids: draw from few to have commands meet.
        fences: of the reports.
    """
    some_ids = st.lists(job_ids, max_size=4).map(tuple)
    teller = st.none() | names
    reports = st.lists(st.builds(c.Report, job_ids, fences, outcomes, dice, teller), max_size=3).map(tuple)
    progress = st.lists(st.builds(c.Progress, job_ids, fences, json_texts, teller), max_size=2).map(tuple)
    return st.one_of(
        st.builds(c.Enqueue, st.lists(_new_jobs(job_ids, job_ids), max_size=4).map(tuple)),
        st.builds(
            c.Lease,
            names,
            st.integers(-1, 5),
            st.frozensets(KINDS),
            st.none() | st.frozensets(QUEUES),
            st.lists(QUEUES, max_size=3).map(tuple),
            leases_ms,
        ),
        st.builds(c.Finish, reports, progress),
        st.builds(c.Cancel, some_ids),
        st.builds(c.Retry, some_ids),
        st.builds(c.Delete, some_ids),
        st.builds(c.Pause, QUEUES),
        st.builds(c.Resume, QUEUES),
        st.builds(c.Configure, QUEUES, rules),
        st.builds(
            c.DeclareQueues,
            st.lists(
                st.builds(c.Configure, QUEUES, rules, rule_names.filter(bool).map(frozenset)),
                max_size=2,
                unique_by=lambda one: one.queue,
            ).map(tuple),
        ),
        st.builds(c.Drain, QUEUES),
        st.builds(c.DeleteQueue, QUEUES),
        st.builds(c.Move, QUEUES, QUEUES, st.none() | KINDS, limit=st.integers(1, 3)),
        st.builds(c.Get, job_ids),
        st.builds(c.Explain, job_ids),
        st.builds(c.List, state=st.none() | st.sampled_from(JobState), limit=st.integers(1, 5)),
        st.builds(c.StartOperation, names, st.sampled_from(OPERATION_WORDS), WANTED),
        st.builds(c.StopOperation, names),
        st.builds(c.ListOperations, st.none() | names),
        st.just(c.Tick()),
        st.just(c.Count()),
        _schedule_commands(job_ids),
    )


def _schedule_commands(job_ids: SearchStrategy[str]) -> SearchStrategy[c.Command]:
    """Of few schedules, with times that often come in the right order."""
    walls_ms, few_ms = st.integers(NOON_MS, NOON_MS + 200_000), st.integers(NOON_MS, NOON_MS + 300_000)
    setting = st.builds(
        c.SetSchedule,
        SCHEDULES,
        plans(terms(KINDS, QUEUES)),
        walls_ms,
        st.none() | st.booleans(),
        st.just("request"),
    )
    declared = st.builds(
        c.SetSchedule, SCHEDULES, plans(terms(KINDS, QUEUES)), walls_ms, st.none(), st.just("code")
    )
    return st.one_of(
        setting,
        setting,
        st.builds(
            c.DeclareSchedules,
            st.lists(declared, max_size=2, unique_by=lambda one: one.schedule).map(tuple),
        ),
        st.builds(c.RemoveSchedule, SCHEDULES),
        st.builds(c.PauseSchedule, SCHEDULES),
        st.builds(c.ResumeSchedule, SCHEDULES, walls_ms),
        st.builds(c.TriggerSchedule, SCHEDULES, job_ids),
        st.builds(c.ListSchedules, st.none() | SCHEDULES),
        st.builds(
            c.Fire,
            SCHEDULES,
            st.integers(1, 20),
            st.sets(few_ms, min_size=1, max_size=4).map(sorted).map(tuple),
            walls_ms,
            st.integers(0, 3),
        ),
    )


def _new_jobs(
    job_ids: SearchStrategy[str], parent_ids: SearchStrategy[str] = names
) -> SearchStrategy[c.NewJob]:
    soon_ms = times_ms | st.integers(NOON_MS, NOON_MS + 10_000)
    return st.builds(
        c.NewJob,
        job_ids,
        terms(KINDS, QUEUES),
        json_objects,
        run_at_ms=st.none() | soon_ms,
        delay_ms=st.none() | durations_ms,
        extras=extras(st.none() | st.integers(NOON_MS, NOON_MS + 10 * 86_400_000), parent_ids),
        on_conflict=st.sampled_from(ON_CONFLICT),
    )


@st.composite
def histories(draw: st.DrawFn, max_commands: int = 20) -> list[Fact]:
    """Facts that could have happened, in order: random commands about a few jobs, with reports that bear the
    fences really given, time passing between them, and now and then a crash.

    Args:
        max_commands: how long at most; each command brings up to a few facts.
    """
    served = frozenset("xyz")
    book = Playbook(c.Policy(served_kinds=served, max_rescues=draw(st.integers(1, 3))))
    any_command = commands(st.integers(0, max_commands).map("job-{}".format))
    steps = st.sampled_from(
        ["enqueue", "enqueue", "lease", "lease", "finish", "finish", "any", "wait", "delete", "crash"]
    )
    for number, step in enumerate(draw(st.lists(steps, min_size=max_commands // 2, max_size=max_commands))):
        held = list(book.state.in_flight.values())
        if step == "enqueue":
            known = st.sampled_from(list(book.state.jobs) or ["job-0"])
            book.do(c.Enqueue((draw(_new_jobs(st.just(f"job-{number}"), known)),)))
        elif step == "lease":
            book.do(c.Lease("w", draw(st.integers(1, 3)), served, lease_ms=draw(leases_ms)))
        elif step == "finish" and held:
            job = draw(st.sampled_from(held))
            progress = c.Progress(job.id, job.fence, draw(json_texts))
            teller = draw(st.sampled_from([None, "w", "another"]))
            report = c.Report(job.id, job.fence, draw(outcomes), draw(dice), teller)
            book.do(c.Finish((report,), (progress,)))
        elif step == "delete" and book.state.jobs:
            book.do(c.Delete((draw(st.sampled_from(list(book.state.jobs))),)))
        elif step == "crash":
            book.crash(job.fence for job in held if draw(st.booleans()))
        elif step == "wait":
            book.pass_time(draw(st.sampled_from([1, 1_000, 86_400_000])))
            book.do(c.Tick())
        else:
            book.do(draw(any_command))
    return book.log
