"""A conversation in protocol v1 with everything in it that can be said, and how it comes to be a golden file.

`python -m tests.golden.wire tests/golden/wire-v<number>.json` holds it with the real session, in JSON and in
CBOR, and writes down both sides. It is done once for a new version of the protocol; what is there is never
written again.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cbor2
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from beaver_actors.core.answers import LeasedJob
from beaver_actors.core.job import JobError
from beaver_actors.core.outcome import Failed, Outcome, Rejected, Succeeded
from tests.golden.wire_later import LATER, Message, jobs
from tests.server.house import open_house

FULL: Message = {
    "kind": "work", "args": {"n": 1, "deep": [1, 2.5, None, True, "ü"]}, "id": "full", "queue": "mail",
    "priority": 7, "delay": "0ms", "max_attempts": 3, "timeout": "30s",
    "backoff": {"kind": "list", "delays": [1, "2s"]}, "expires_at": "2999-01-01T00:00:00Z", "retention": "7d",
    "tags": ["red", "blue"], "meta": {"trace": "00-ab"},
}  # fmt: skip
BACKOFFS: tuple[Message, ...] = (
    {"kind": "polynomial"},
    {"kind": "polynomial", "exponent": 2, "base": "1s", "cap": "1h", "jitter": False},
    {"kind": "exponential", "initial": 1, "factor": 2.5, "cap": "10m", "jitter": True},
    {"kind": "fixed", "delay": 5},
)


ENDLESS, REMOTE = 36, 40
"""The fences of these two in the conversation."""


REQUESTS: tuple[Message, ...] = (
    {"type": "pause", "queue": "default"},
    jobs({"kind": "work", "id": "bare"}, FULL),
    jobs({"kind": "work", "id": "fails", "args": {"fail": 1}, "backoff": {"kind": "fixed", "delay": 5}}),
    jobs({"kind": "work", "id": "rejected", "args": {"reject": 1}}),
    jobs(*({"kind": "work", "id": f"b{number}", "backoff": rule} for number, rule in enumerate(BACKOFFS))),
    jobs({"kind": "other", "id": "later", "run_at": "2999-01-01T00:00:00+02:00"}),
    jobs({"kind": "other", "id": "endless", "timeout": None, "args": None, "queue": None}),
    {"type": "resume", "queue": "default"},
    {"type": "get", "job_id": "full"},
    {"type": "get", "job_id": "fails"},
    {"type": "get", "job_id": "rejected"},
    {"type": "get", "job_id": "endless"},
    {"type": "cancel", "job_ids": ["later", "bare", "nobody"]},
    {"type": "retry", "job_ids": ["later", "rejected"]},
    {"type": "list"},
    {"type": "list", "state": "completed", "queue": "mail", "kind": "work", "tag": "red", "limit": 1},
    {"type": "list", "reason": "rejected", "after": 99},
    {"type": "delete", "job_ids": ["later"]},
    {"type": "status"},
    {"type": "ready", "slots": 1},
    {
        "type": "register", "worker_id": "far-1", "kinds": ["other"], "queues": {"default": 2, "mail": 1},
        "slots": 0, "fences": [7], "host": "elsewhere", "pid": 4711, "version": "1.2.3",
    },
    jobs({"kind": "other", "id": "remote", "args": {"n": 1}, "timeout": "30s"}),
    {"type": "ready", "slots": 1},
    {"type": "cancel", "job_ids": ["endless"]},
    {"type": "heartbeat", "fences": [ENDLESS, 7]},
    # So that the next lease comes when it is asked for, not beside the reply to a report.
    {"type": "ready", "slots": 0},
    {"type": "report", "progress": [{"job_id": "endless", "fence": ENDLESS, "progress": {"percent": 50}}]},
    {
        "type": "report",
        "reports": [
            {"job_id": "endless", "fence": ENDLESS, "outcome": "stopped"},
            {"job_id": "nobody", "fence": 7, "outcome": "succeeded", "result": {"sum": 3}},
        ],
    },
    {"type": "ready", "slots": 1},
    {
        "type": "report",
        "reports": [
            {
                "job_id": "remote", "fence": REMOTE, "outcome": "failed", "delay": "1h",
                "error": {"type": "ValueError", "message": "no good", "traceback": "at …"},
            }
        ],
    },
    {"type": "report", "reports": [{"job_id": "remote", "fence": REMOTE, "outcome": "snoozed"}]},
    {"type": "workers"},
    {"type": "deregister"},
    *LATER,
    # Events one by one, and when no more happens: how they are cut into messages is left to chance.
    {"type": "subscribe", "topic": "events", "from_lsn": 0, "batch": 1},
    {"type": "subscribe", "topic": "events", "from_lsn": 1},
    {
        "type": "subscribe", "topic": "events", "from_lsn": 1, "batch": 1,
        "filter": {"kind": "work", "queue": "default", "job_ids": ["fails"], "events": ["job_failed"]},
    },
    {"type": "subscribe", "topic": "status", "interval": "1h"},
    {"type": "unsubscribe", "subscription": "s1"},
    {"type": "get", "job_id": "nobody"},
    jobs({"kind": "changed", "id": "bare"}),
    jobs({"kind": 7}),
    {"type": "invented"},
)  # fmt: skip


async def act(job: LeasedJob) -> Outcome:
    """What the jobs of the conversation do: as their arguments say."""
    args = json.loads(job.args)
    if "fail" in args:
        return Failed(JobError("ValueError", "no good", "Traceback …"))
    if "reject" in args:
        return Rejected(JobError("Reject", "never", ""))
    return Succeeded(job.args)


def hold(requests: list[str | bytes]) -> list[list[str | bytes]]:
    """Say these, one after the other, and return what is heard after each."""
    heard: list[list[str | bytes]] = []

    async def main() -> None:
        async with open_house(script=act, workers=1) as house:
            client = house.connect()
            for request in requests:
                client.tell(request)
                await wait_all_tasks_blocked()
                heard.append([])
                while client.outbox:
                    heard[-1].append(await client.hear_raw())
                    await wait_all_tasks_blocked()

    trio.run(main, clock=MockClock(autojump_threshold=0))
    return heard


def exchanges() -> list[Message]:
    """The whole conversation, in both forms; CBOR as hexadecimal text."""
    messages = [{**request, "id": str(number)} for number, request in enumerate(REQUESTS)]
    texts = [json.dumps(message, ensure_ascii=False) for message in messages]
    items = [cbor2.dumps(message) for message in messages]
    said = zip(texts, hold(list(texts)), items, hold(list(items)), strict=True)
    return [
        {
            "request": text,
            "replies": heard,
            "request_cbor": item.hex(),
            "replies_cbor": [bytes(data).hex() for data in heard_cbor if isinstance(data, bytes)],
        }
        for text, heard, item, heard_cbor in said
    ]


def main(file: Path) -> None:
    """Write the golden file.

    Raises:
        FileExistsError: it is there.
    """
    with file.open("x", encoding="utf-8") as lines:
        json.dump(exchanges(), lines, indent=1, ensure_ascii=False)
        lines.write("\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
