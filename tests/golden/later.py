"""The history behind `v1b`: the facts and fields that came after the first golden files, in the same format.

`python -m tests.golden.later tests/golden/v1b` writes the directory, as a server leaves it that stopped in
the middle of everything: jobs that wait for others, for their turn or for a worker far away, an operation
half done, schedules, queues with rules. What is newer comes at the end of this history, and the directory is
written anew, until a version with it is released: then it is never written again, and what is newer still
needs a history and a directory of its own. This file must not use chance or anything else that could change.
"""

from __future__ import annotations

import sys
from pathlib import Path

from beaver_actors.core.facts import (
    Fact,
    JobCancelled,
    JobCancelRequested,
    JobCompleted,
    JobDeleted,
    JobDied,
    JobEnqueued,
    JobMoved,
    JobRetried,
    JobStarted,
    JobUnblocked,
    OperationAdvanced,
    OperationEnded,
    OperationStarted,
    QueueConfigured,
    QueueDeleted,
    QueueDrainStarted,
    QueuePaused,
    QueueResumed,
    ScheduleFired,
    ScheduleRemoved,
    ScheduleSet,
)
from beaver_actors.core.job import Extras, JobState, Terms, Unique
from beaver_actors.core.limits import QueueRules, Rate
from beaver_actors.core.schedule import Plan, fire_id
from tests.golden.script import AT, ERROR, PLAIN, RICH, write_golden, write_lives

MINUTE = 60_000
DAY = 1440 * MINUTE
LIMITED = PLAIN._replace(queue="limited")
SWEPT = Terms("demo.swept")
RULES = QueueRules(500, 4, Rate(100, 1000, 10), 2, Rate(5, 60_000, 3), 30_000)
FEW_RULES = QueueRules(concurrency=1)
LEAP_DAY = Plan(PLAIN, b'{"leap":1}', "0 0 29 2 *", None, "Europe/Berlin", "none", "skip")
"""Its times are rare, and those that have passed bring no job: a server that takes this up adds none."""
REPORT = Plan(
    RICH, b'{"n":1}', "0 3 * * *", None, "America/New_York", "all", "cancel_old",
    3_600_000, Unique("report:1", "window", MINUTE), "replace", "red",
)  # fmt: skip
LAST = Extras(None, Unique("late", "finished", 1), ("waits",), "continue", "red")
BEAT = Plan(PLAIN, every_ms=MINUTE)
FIRED = fire_id("beat", AT + MINUTE)


def job(job_id: str, extras: Extras | None = None, terms: Terms = PLAIN, at_ms: int = AT) -> JobEnqueued:
    return JobEnqueued(job_id, at_ms, terms, b'{"id":"%s"}' % job_id.encode(), at_ms, extras)


def child(job_id: str, *parents: str, anyway: bool = False) -> JobEnqueued:
    return job(job_id, Extras(None, None, parents, "continue" if anyway else "cancel"))


def keyed(job_id: str, key: str) -> JobEnqueued:
    return job(job_id, Extras(concurrency_key=key), LIMITED)


FIRST: list[list[Fact]] = [
    # Graphs: of two parents one has ended, one failed, and one is put back with its child.
    [job("parent-1"), job("parent-2"), child("waits", "parent-1", "parent-2"), child("waits-too", "waits")],
    [job("fails"), child("given-up", "fails"), child("anyway", "fails", anyway=True)],
    [job("again"), child("again-child", "again")],
    [JobStarted("parent-1", AT + 1, "worker-1"), JobStarted("fails", AT + 1, "worker-1")],
    [JobCompleted("parent-1", AT + 2, 10)],
    [
        JobDied("fails", AT + 3, "rejected", ERROR),
        JobCancelled("given-up", AT + 3, "parent_failed"),
        JobUnblocked("anyway", AT + 3, AT + 3),
    ],
    [JobCancelled("again", AT + 4), JobCancelled("again-child", AT + 4, "parent_failed")],
    [JobRetried("again", AT + 5, AT + 5), JobRetried("again-child", AT + 5, AT + 5, True)],
    # Unique keys, each held in its own way; one has been replaced.
    [
        job("unique-1", Extras(unique=Unique("mail:1"))),
        job("unique-2", Extras(unique=Unique("k", "started"))),
    ],
    [job("unique-3", Extras(unique=Unique("report", "window", 3_153_600_000_000)))],
    [JobCancelled("unique-1", AT + 6, "replaced"), job("unique-4", Extras(unique=Unique("mail:1")))],
    # A queue with every rule, tenants that take turns in it, what their starts have cost.
    [QueueConfigured("limited", AT + 7, RULES)],
    [keyed("red-1", "red"), keyed("red-2", "red"), keyed("blue-1", "blue"), job("keyless", None, LIMITED)],
    # Jobs that moved: away for good, and away and back.
    [job("moved"), job("moved-back")],
    [JobMoved("moved", AT + 10, "limited"), JobMoved("moved-back", AT + 10, "x")],
    [JobMoved("moved-back", AT + 11, "default"), QueueDeleted("x", AT + 11)],
    # A worker far away holds these, of which it is to stop one.
    [job("far"), JobStarted("far", AT + 12, "far-1", AT + 1_800_012, 1000)],
    [job("far-off"), JobStarted("far-off", AT + 12, "far-1", None, 1000)],
    [JobCancelRequested("far-off", AT + 13)],
    # Schedules of every kind, and what came of them.
    [ScheduleSet("leap", AT, LEAP_DAY, AT), ScheduleSet("report", AT, REPORT, AT, True, "config")],
    [ScheduleSet("beat", AT, BEAT, AT, False, "code"), ScheduleSet("brief", AT, BEAT, AT)],
    [job(FIRED, at_ms=AT + MINUTE), ScheduleFired("beat", AT + MINUTE, AT + MINUTE, FIRED)],
    [ScheduleFired("report", AT + DAY, AT + DAY, None, "missed", 7)],
    [job("by-hand", at_ms=AT + DAY), ScheduleFired("report", AT + DAY, None, "by-hand")],
    # Operations: one that has ended, one with every condition, and one that has jobs to delete.
    [job(f"swept-{number}", None, SWEPT, AT + DAY) for number in range(4)],
    [JobCancelled(f"swept-{number}", AT + DAY) for number in range(4)],
    [
        OperationStarted(
            "everything", AT + DAY, "retry", JobState.DEAD, "mail", "work", "red", "rejected", "ValueError",
            AT, AT + 1, AT + 2, AT + 3,
        ),
        OperationAdvanced("everything", AT + DAY, 53, 27, 0, 1),
        OperationEnded("everything", AT + DAY, "stopped"),
    ],
    [OperationStarted("sweep", AT + DAY, "delete", JobState.CANCELLED, None, "demo.swept")],
    [
        JobDeleted("swept-0", AT + DAY, "request"), JobDeleted("swept-1", AT + DAY, "request"),
        OperationAdvanced("sweep", AT + DAY, 51, 25, 2, 0),
    ],
    # What starts have cost is not paid off, and turns are taken, when the snapshot is made.
    [JobStarted("red-1", AT + DAY, "worker-1"), JobStarted("keyless", AT + DAY, "worker-1")],
    [JobCompleted("red-1", AT + DAY, 65), JobCompleted("keyless", AT + DAY, 66)],
    [QueueDrainStarted("open", AT + DAY)],
    [QueueConfigured("declared", AT + DAY, FEW_RULES, ("concurrency",))],
]  # fmt: skip
SECOND: list[list[Fact]] = [
    [OperationStarted("nothing", AT + DAY + 1, "retry", JobState.DEAD, "mail")],
    [
        OperationAdvanced("nothing", AT + DAY + 1, 53, 25, 0, 1),
        OperationEnded("nothing", AT + DAY + 1, "completed"),
    ],
    [
        ScheduleSet("beat", AT + DAY + 2, BEAT, AT + 2 * DAY, True, "request"),
        ScheduleRemoved("brief", AT + DAY + 2),
    ],
    [ScheduleFired("leap", AT + DAY + 2, AT + DAY + 1, None, "overlap")],
    [ScheduleSet("gone", AT, BEAT, AT, False, "config"), ScheduleRemoved("gone", AT + DAY + 2, "undeclared")],
    [QueueConfigured("narrow", AT + DAY + 3, FEW_RULES), QueueDrainStarted("drained", AT + DAY + 3)],
    [QueuePaused("mail", AT + DAY + 3), QueueResumed("open", AT + DAY + 3)],
    [job("last", LAST, LIMITED, AT + DAY)],
]  # fmt: skip
THIRD: list[list[Fact]] = [
    [JobStarted("blue-1", AT + DAY + 5, "worker-2"), JobMoved("red-2", AT + DAY + 5, "default")],
    [QueueConfigured("limited", AT + DAY + 6, RULES._replace(rate=None))],
    [JobCompleted("blue-1", AT + DAY + 6, 84)],
]  # fmt: skip


def write(directory: Path) -> None:
    """Write the data directory: two lives, a snapshot in the middle, the log of all of it."""
    write_lives(directory, FIRST, SECOND, THIRD)


if __name__ == "__main__":
    write_golden(Path(sys.argv[1]), write)
