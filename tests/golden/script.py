"""The history behind the first golden files: fixed facts, one of every kind that there was then, and how
facts come to be files. What came later stands in `later.py`.

`python -m tests.golden.script tests/golden/v<number>` writes the files of the format this program writes:
that directory, as a server that has stopped leaves it, and `v<number>-killed`, as one leaves it that was
killed in the middle of a write. It is done once for a new version; what is there is never written again.
This file must not use chance or anything else that could change.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from beaver_actors.codec.fact_codec import encode_facts
from beaver_actors.codec.frame import encode_frame
from beaver_actors.core.facts import (
    Fact,
    JobCancelled,
    JobCancelRequested,
    JobCompleted,
    JobDeleted,
    JobDied,
    JobEnqueued,
    JobFailed,
    JobProgressed,
    JobReleased,
    JobRescued,
    JobRetried,
    JobSnoozed,
    JobStarted,
    QueuePaused,
    QueueResumed,
)
from beaver_actors.core.job import Backoff, Extras, Job, JobError, Terms
from beaver_actors.core.limits import Bucket
from beaver_actors.core.queues import Queue
from beaver_actors.core.state import State
from beaver_actors.journal.board import Board
from beaver_actors.journal.disk import RealDisk
from beaver_actors.journal.folding import fold_snapshot
from beaver_actors.journal.recovery import open_journal
from beaver_actors.journal.replay import replay
from beaver_actors.journal.segments import segment_name
from beaver_actors.journal.settings import JournalSettings
from beaver_actors.journal.snapshots import snapshot_name

SETTINGS = JournalSettings(segment_bytes=4096, reserve_bytes=4096)
AT = 1_764_000_000_000
PLAIN = Terms("demo.echo")
RICH = Terms(
    kind="bild.größe",
    queue="mail",
    priority=-7,
    max_attempts=3,
    timeout_ms=None,
    backoff=Backoff("list", 1, 1.5, 60_000, False, (1000, 5000)),
    retention_ms=86_400_000,
    tags=("red", "blau"),
    meta=b'{"trace":"00-ab"}',
)
ERROR = JobError("ValueError", "no “good”", "Traceback (most recent call last):\n  …\n")

BEFORE_SNAPSHOT: list[list[Fact]] = [
    [JobEnqueued(f"job-{number}", AT, PLAIN, b'{"n":%d}' % number, AT) for number in range(9)],
    [JobEnqueued("rich", AT + 1, RICH, b"{}", AT + 5000, Extras(AT + 90_000)), QueuePaused("mail", AT + 1)],
    [JobStarted(f"job-{number}", AT + 2, "worker-1", AT + 1_800_002) for number in range(8)],
    [JobProgressed("job-0", AT + 3, 12, b"0.25"), JobCompleted("job-0", AT + 4, 12, b'{"sum":3}')],
    [JobCompleted("job-1", AT + 5, 13), JobFailed("job-2", AT + 5, 14, ERROR, AT + 15_000)],
    [JobSnoozed("job-3", AT + 6, 15, AT + 6000), JobReleased("job-4", AT + 6, 16)],
    [JobRescued("job-5", AT + 7, 17, JobError("WorkerDied", "killed by signal 9"))],
]
AFTER_SNAPSHOT: list[list[Fact]] = [
    [JobCancelRequested("job-6", AT + 8), JobCancelled("job-6", AT + 9), JobCancelled("job-8", AT + 9)],
    [JobDied("job-7", AT + 10, "max_attempts", ERROR), JobDied("rich", AT + 90_000, "expired")],
    [JobRetried("job-7", AT + 90_001, AT + 90_001), QueueResumed("mail", AT + 90_002)],
    [JobDeleted("job-1", AT + 90_003, "retention"), JobDeleted("job-8", AT + 90_003, "request")],
    [JobStarted("job-4", AT + 90_004, "worker-2")],
]


def write(directory: Path) -> None:
    """Write a data directory in the current format: two lives, a snapshot, three segments."""
    write_lives(directory, BEFORE_SNAPSHOT, AFTER_SNAPSHOT[:3], AFTER_SNAPSHOT[3:])


def write_lives(directory: Path, *histories: list[list[Fact]]) -> None:
    """Write what a server leaves that has stopped: of the first life a history up to a snapshot and one after
    it, and that of a second life."""
    before, after, second = histories
    disk = RealDisk(str(directory))
    journal = open_journal(disk, SETTINGS).journal
    for facts in before:
        journal.append(facts)
    fold_snapshot(disk, journal.rotate(), SETTINGS.snapshots_kept, "golden")
    for facts in after:
        journal.append(facts)
    journal.rotate()
    journal.close()
    journal = open_journal(disk, SETTINGS).journal
    for facts in second:
        journal.append(facts)
    journal.close()
    for name in ("lock", "reserve", "wal/spare.tmp"):
        disk.unlink(name)


TORN: list[Fact] = [JobCompleted("job-6", AT + 11, 18, b'{"never":"acknowledged"}')]
LEASED_AND_BEGUN = 18
"""The fence of job-6 in the directory of the killed server; job-7 was leased and not begun."""
NOBODY = 4_194_304
"""One more than the kernel gives as a process number."""


def write_killed(directory: Path) -> None:
    """Write a data directory as a killed server leaves it: a torn last write, an attempt under way on the
    board, a queue paused, a dead process in the lock file, a snapshot begun, and all that is held ready."""
    disk = RealDisk(str(directory))
    journal = open_journal(disk, SETTINGS).journal
    for facts in BEFORE_SNAPSHOT[:4]:
        journal.append(facts)
    fold_snapshot(disk, journal.rotate(), SETTINGS.snapshots_kept, "golden")
    for facts in BEFORE_SNAPSHOT[4:]:
        journal.append(facts)
    journal.append([JobEnqueued("held", AT + 8, Terms("demo.echo", "mail"), b"{}", AT + 8)])
    journal.replenish()
    journal.close()
    replayed = replay(disk)
    assert replayed.last is not None
    ending = replayed.last.ending
    lsn = replayed.state.lsn
    torn, _ = encode_frame(encode_facts(TORN), lsn + 1, 1, chain=replayed.chain, epoch=1, durable=lsn)
    with (directory / segment_name(replayed.last.header.first_lsn)).open("r+b") as segment:
        segment.seek(ending.offset)
        segment.write(torn[: len(torn) * 2 // 3])
    (directory / f"{snapshot_name(lsn)}.{NOBODY}.tmp").write_bytes(b"BEAVRSNP")
    (directory / "lock").write_text(f"{NOBODY}\n")
    board = Board(directory / "running")
    board.begin(LEASED_AND_BEGUN)
    board.close()


def shown(state: State) -> dict[str, Any]:
    """All of a state that is not derived, as JSON can hold it; what came later is None if there is none."""
    jobs = [_shown_job(job) for job in state.jobs.values()]
    queues = [(queue.name, queue.paused, queue.turn) for queue in state.queues.values()]
    more = {queue.name: _shown_more(queue, state.time_ms) for queue in state.queues.values()}
    whole = {
        "lsn": state.lsn,
        "time_ms": state.time_ms,
        "jobs": jobs,
        "queues": queues,
        "totals": dataclasses.asdict(state.totals),
        "more_of_queues": more if any(more.values()) else None,
        "operations": [_told(one) for one in state.operations.values()] or None,
        "schedules": [_told(one) for one in state.schedules.values()] or None,
    }
    decoded: dict[str, Any] = json.loads(json.dumps(whole, default=lambda value: value.decode()))
    return decoded


def _shown_job(job: Job) -> dict[str, Any]:
    """As `state.json` has it, wherever in a job a value is kept."""
    fields = dataclasses.asdict(job)
    extras = Extras(*fields.pop("extras") or ())._replace(expires_at_ms=None)
    more = None if extras == Extras() else _told(extras)
    counts = {"attempt": job.attempt, "rescues": job.rescues, "fence": job.fence}
    trail = fields["trail"] and {name: value for name, value in fields["trail"].items() if name not in counts}
    return {**fields, **counts, "trail": trail, "expires_at_ms": job.expires_at_ms, "more": more}


def _shown_more(queue: Queue, time_ms: int) -> list[Any] | None:
    """What the first version did not know of a queue."""
    tenants = {key: (one.turn, *_shown_bucket(one.bucket)) for key, one in queue.stored(time_ms).items()}
    more = [queue.draining, _told(queue.rules), _shown_bucket(queue.bucket), queue.keyless_turn, tenants]
    return None if more == [False, {}, (0, 0), 0, {}] else more


def _shown_bucket(bucket: Bucket) -> tuple[int, int]:
    return (bucket.owed, bucket.at_ms) if bucket.owed else (0, 0)


def _told(value: Any) -> Any:
    """What a value says, by field; what has its default says nothing, so that fields can come later."""
    if dataclasses.is_dataclass(value):
        return {field.name: _told(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if hasattr(value, "_fields"):
        plain = value._field_defaults
        fields = value._asdict().items()
        return {name: _told(inside) for name, inside in fields if name not in plain or inside != plain[name]}
    return value


def write_golden(directory: Path, writer: Callable[[Path], None]) -> None:
    """Write the files, if they are not there yet, and beside them the state that they stand for."""
    if not directory.exists():
        directory.mkdir()
        writer(directory)
        text = json.dumps(shown(replay(RealDisk(str(directory))).state), indent=1, ensure_ascii=False)
        (directory / "state.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    place = Path(sys.argv[1])
    write_golden(place, write)
    write_golden(place.with_name(f"{place.name}-killed"), write_killed)
