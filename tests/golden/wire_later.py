"""What can be said since the first conversations were recorded: unique jobs, graphs, queues with rules,
schedules, operations, the past. `wire.py` has it said after what could be said before.
What is newer is added here, and `wire-v1c.json` written anew, until a version with it is released."""

from __future__ import annotations

from typing import Any

Message = dict[str, Any]

FAMILY, CHILD = 62, 69
"""The fences of these two in the conversation."""
JOB: Message = {
    "kind": "work", "args": {"n": 1}, "queue": "mail", "priority": 3, "max_attempts": 2, "timeout": "1m",
    "retention": "1d",
    "expires_in": "1h", "unique_key": "report", "unique_until": "window", "unique_for": "1m",
    "on_conflict": "replace", "concurrency_key": "red", "tags": ["red"], "meta": {"trace": "00-ab"},
    "backoff": {"kind": "exponential", "initial": 2, "factor": 3, "cap": "1h", "jitter": False},
}  # fmt: skip
TIMES: Message = {
    "created_after": "1970-01-01T00:00:00Z", "created_before": "2999-01-01T00:00:00Z",
    "finished_after": "1970-01-01T00:00:00Z", "finished_before": "2999-01-01T00:00:00Z",
}  # fmt: skip
MEANT: Message = {
    "state": "dead", "reason": "rejected", "queue": "default", "kind": "work", "tag": "old",
    "error_type": "Reject", **TIMES,
}  # fmt: skip


def jobs(*items: Message) -> Message:
    return {"type": "enqueue", "jobs": list(items)}


UNIQUE: tuple[Message, ...] = (
    {"type": "get", "job_id": "b1"},
    {"type": "pause", "queue": "mail"},
    jobs({"kind": "work", "id": "u1", "queue": "mail", "unique_key": "k", "unique_until": "started"}),
    jobs({"kind": "work", "id": "u2", "queue": "mail", "unique_key": "k", "on_conflict": "return_existing"}),
    jobs({"kind": "work", "id": "u3", "queue": "mail", "unique_key": "k"}),
    jobs(
        {
            "kind": "work", "id": "u4", "queue": "mail", "unique_key": "k", "unique_until": "window",
            "unique_for": "1h", "on_conflict": "replace",
        }
    ),
    {"type": "get", "job_id": "u1"},
    {"type": "get", "job_id": "u4"},
)  # fmt: skip
GRAPHS: tuple[Message, ...] = (
    jobs(
        {"kind": "work", "id": "joins", "depends_on": ["parent", "fails-not"]},
        {"kind": "other", "id": "parent", "meta": {"trace": "00-cd"}},
        {"kind": "work", "id": "fails-not"},
        {"kind": "work", "id": "anyway", "depends_on": ["rejects"], "on_parent_failure": "continue"},
        {"kind": "work", "id": "given-up", "depends_on": ["rejects"]},
        {"kind": "work", "id": "rejects", "args": {"reject": 1}, "tags": ["old"]},
    ),
    jobs({"kind": "work", "id": "circle", "depends_on": ["circle"]}),
    jobs({"kind": "work", "id": "orphan", "depends_on": ["nobody"]}),
    {"type": "get", "job_id": "joins"},
    {"type": "get", "job_id": "parent"},
    {"type": "explain", "job_id": "joins"},
    {"type": "explain", "job_id": "given-up"},
    {"type": "explain", "job_id": "u4"},
    {"type": "explain", "job_id": "nobody"},
    {"type": "retry", "job_ids": ["given-up"]},
    {"type": "cancel", "job_ids": ["joins"]},
    {"type": "retry", "job_ids": ["joins"]},
    {"type": "register", "worker_id": "far-1", "kinds": ["other", "third"], "slots": 2},
    {"type": "status"},
    # So that the next lease comes when it is asked for, not beside the reply to a report.
    {"type": "ready", "slots": 0},
    {
        "type": "report",
        "reports": [
            {
                "job_id": "parent", "fence": FAMILY, "outcome": "succeeded", "result": {"sum": 3},
                "jobs": [{"kind": "third", "id": "child", "depends_on": ["parent"], "args": {"n": 2}}],
            }
        ],
    },
    {"type": "ready", "slots": 1},
    {"type": "report", "reports": [{"job_id": "child", "fence": CHILD, "outcome": "succeeded"}]},
    {"type": "deregister"},
)  # fmt: skip
QUEUES: tuple[Message, ...] = (
    {
        "type": "configure", "queue": "narrow",
        "rules": {
            "jobs_max": 100, "concurrency": 1, "rate": {"limit": 1, "period": "1h", "burst": 2},
            "key_concurrency": 1, "key_rate": {"limit": 5}, "ageing": "30s",
        },
    },
    {"type": "configure", "queue": "narrow", "rules": {"concurrency": None, "ageing": 60}},
    jobs(*({"kind": "work", "id": f"n{n}", "queue": "narrow", "concurrency_key": "red"} for n in range(3))),
    {"type": "explain", "job_id": "n2"},
    {"type": "get", "job_id": "n2"},
    {"type": "move", "queue": "narrow", "to": "wide", "kind": "work", "limit": 1},
    {"type": "move", "queue": "mail", "to": "wide", "tag": "nobody has it", "after": 1},
    {"type": "drain", "queue": "narrow"},
    jobs({"kind": "work", "queue": "narrow"}),
    {"type": "delete_queue", "queue": "narrow"},
    {"type": "configure", "queue": "unused", "rules": {"jobs_max": 0}},
    jobs({"kind": "work", "queue": "unused"}),
    {"type": "delete_queue", "queue": "unused"},
    {"type": "delete_queue", "queue": "nowhere"},
    {"type": "configure", "queue": "tight", "rules": {"jobs_max": 1}},
    jobs({"kind": "work", "queue": "tight"}, {"kind": "work", "queue": "tight"}),
    {"type": "status"},
)  # fmt: skip
SCHEDULES: tuple[Message, ...] = (
    {
        "type": "set_schedule",
        "schedule": {
            "name": "nightly", "job": JOB, "cron": "0 3 * * *", "tz": "Europe/Berlin", "catch_up": "all",
            "overlap": "cancel_old", "paused": True,
        },
    },
    {"type": "set_schedule", "schedule": {"name": "beat", "job": {"kind": "work"}, "every": "1m"}},
    {"type": "set_schedule", "schedule": {"name": "never", "job": {"kind": "work"}, "cron": "0 3 30 2 *"}},
    {"type": "schedules"},
    {"type": "schedules", "name": "beat", "next": 3},
    {"type": "pause_schedule", "name": "beat"},
    {"type": "resume_schedule", "name": "beat"},
    {"type": "trigger_schedule", "name": "nightly", "job_id": "by-hand"},
    {"type": "trigger_schedule", "name": "beat"},
    {"type": "schedules", "name": "nightly"},
    {"type": "delete_schedule", "name": "beat"},
    {"type": "delete_schedule", "name": "beat"},
)  # fmt: skip
OPERATIONS: tuple[Message, ...] = (
    {"type": "list", "error_type": "Reject", **TIMES},
    {"type": "operate", "word": "delete", "operation_id": "op-1", **MEANT},
    {"type": "operate", "word": "retry", "operation_id": "op-2", "queue": "nowhere"},
    {"type": "operate", "word": "retry", "operation_id": "op-2", "queue": "elsewhere"},
    {"type": "operations"},
    {"type": "operations", "operation_id": "op-1"},
    {"type": "stop", "operation_id": "op-1"},
    {"type": "stop", "operation_id": "nobody"},
)  # fmt: skip
PAST: tuple[Message, ...] = (
    {"type": "history", "job_id": "fails"},
    {"type": "history", "job_id": "nobody"},
    {"type": "past", "lsn": 50},
    {"type": "past", "lsn": 50, "job_id": "fails"},
    {"type": "past", "at": "1970-01-01T00:16:40Z", "job_id": "fails"},
    {"type": "past", "at": "2999-01-01T00:00:00Z"},
    {"type": "past", "lsn": 3, "job_id": "fails"},
    {"type": "past"},
)

LATER = UNIQUE + GRAPHS + QUEUES + SCHEDULES + OPERATIONS + PAST
