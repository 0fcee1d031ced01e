"""What one job costs inside the process, without network: memory, restart, and CPU by building block.

`python -m benchmarks.state [--jobs N] [part]`; each part runs in a process of its own, so that the memory of
one is not the memory of another. CPU times, so that what else the machine does matters little; compare within
one run.
"""

from __future__ import annotations

import argparse
import gc
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

from beaver_actors.codec.fact_codec import decode_facts, encode_facts
from beaver_actors.codec.ids import JobIds
from beaver_actors.core.answers import Leased
from beaver_actors.core.commands import Enqueue, Finish, Lease, NewJob, Policy, Report
from beaver_actors.core.decide import decide
from beaver_actors.core.facts import Fact
from beaver_actors.core.fold import fold
from beaver_actors.core.job import Terms
from beaver_actors.core.outcome import Succeeded
from beaver_actors.core.state import State, advance
from beaver_actors.journal.disk import RealDisk
from beaver_actors.journal.folding import fold_snapshot
from beaver_actors.journal.recovery import open_journal
from beaver_actors.journal.settings import JournalSettings

NOON_MS = 1_800_000_000_000
TERMS = Terms("demo.echo")
POLICY = Policy(served_kinds=frozenset({"demo.echo"}), queue_jobs_max=10**9, pending_jobs_max=10**9)
BATCH = 100
COMMIT = 1000
"""Jobs that one commit carries when the log is written for a restart."""


def main() -> None:
    """Run every part, or the one that is named, and print what it cost."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.state", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("part", nargs="*", choices=[[], *PARTS])
    options = parser.parse_args()
    if len(options.part) == 1:
        for what, value, unit in PARTS[options.part[0]](options.jobs):
            print(f"{what:<58} {value:>12,.3f} {unit}", flush=True)
        return
    for part in options.part or PARTS:
        subprocess.run(
            [sys.executable, "-m", "benchmarks.state", "--jobs", str(options.jobs), part], check=True
        )


def memory(jobs: int) -> Iterator[tuple[str, float, str]]:
    """A backlog of plain jobs with 100 bytes of arguments, as a server holds it that took them in."""
    state = State()
    before = resident_bytes()
    for command in enqueues(jobs):
        enqueue(state, command)
    gc.collect()
    yield "memory of a pending job", (resident_bytes() - before) / jobs, "bytes"


def restart(jobs: int) -> Iterator[tuple[str, float, str]]:
    """Recovery of a backlog: from the log alone, and from a snapshot."""
    with tempfile.TemporaryDirectory() as directory:
        disk, settings = RealDisk(directory), JournalSettings()
        recovered = open_journal(disk, settings)
        facts: list[Fact] = []
        for command in enqueues(jobs):
            facts += enqueue(recovered.state, command)
            if len(facts) >= COMMIT:
                recovered.journal.append(facts)
                facts = []
        sealed = recovered.journal.rotate()
        recovered.journal.close()
        yield from _timed("restart from the log, {} pending", jobs, directory)
        began = time.process_time()
        fold_snapshot(disk, sealed, 2, "benchmark")
        yield f"folding a snapshot of {jobs:,} jobs, CPU", time.process_time() - began, "s"
        yield from _timed("restart from a snapshot, {} pending", jobs, directory)


def _timed(what: str, jobs: int, directory: str) -> Iterator[tuple[str, float, str]]:
    code = (
        "import sys, time, benchmarks.state as s\n"
        "before, wall, began = s.resident_bytes(), time.perf_counter(), time.process_time()\n"
        f"kept = s.open_journal(s.RealDisk({directory!r}), s.JournalSettings())\n"
        "print(time.process_time() - began, time.perf_counter() - wall, s.resident_bytes() - before)\n"
        "sys.stdout.flush(); s.os._exit(0)"
    )
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    cpu, wall, grown = map(float, said.split())
    name = what.format(f"{jobs:,}")
    yield f"{name}, CPU", cpu, "s"
    yield f"{name}, wall", wall, "s"
    yield f"{name}, memory", grown / jobs, "bytes"


def blocks(jobs: int) -> Iterator[tuple[str, float, str]]:
    """The building blocks of a job's way, on a short backlog."""
    yield from _cycle(min(jobs, 100_000) // BATCH, State())


def backlog(jobs: int) -> Iterator[tuple[str, float, str]]:
    """The same way while ever more jobs wait behind."""
    for waiting in (1_000, 10_000, 100_000, jobs):
        state = State()
        for command in enqueues(waiting):
            enqueue(state, command)
        gc.collect()
        gc.freeze()
        total = sum(value for _, value, _ in _cycle(300, state))
        yield f"decide, fold, encode a job, {waiting:,} waiting", total, "µs"


def _cycle(turns: int, state: State) -> Iterator[tuple[str, float, str]]:
    clock = time.process_time
    spent = dict.fromkeys(
        ("decide enqueue", "fold enqueue", "lease", "fold lease", "finish", "fold finish"), 0.0
    )
    spent |= {"encode enqueue": 0.0, "encode lease": 0.0, "encode finish": 0.0, "decode": 0.0}
    commands = list(enqueues(turns * BATCH, first_ms=NOON_MS + 10_000_000))
    now_ms = NOON_MS + 10_000_000
    kinds = frozenset({"demo.echo"})
    for command in commands:
        now_ms += 1
        advance(state, now_ms)
        t0 = clock()
        facts, _ = decide(state, command, now_ms, POLICY)
        t1 = clock()
        for fact in facts:
            fold(state, fact)
        t2 = clock()
        body = encode_facts(facts)
        t3 = clock()
        decode_facts(body)
        t4 = clock()
        started, leased = decide(state, Lease("worker", BATCH, kinds), now_ms, POLICY)
        t5 = clock()
        for fact in started:
            fold(state, fact)
        t6 = clock()
        encode_facts(started)
        t7 = clock()
        assert isinstance(leased, Leased)
        assert len(leased.jobs) == BATCH
        reports = tuple(Report(job.job_id, job.fence, Succeeded(b"null")) for job in leased.jobs)
        t8 = clock()
        ended, _ = decide(state, Finish(reports), now_ms, POLICY)
        t9 = clock()
        for fact in ended:
            fold(state, fact)
        t10 = clock()
        encode_facts(ended)
        t11 = clock()
        spent["decide enqueue"] += t1 - t0
        spent["fold enqueue"] += t2 - t1
        spent["encode enqueue"] += t3 - t2
        spent["decode"] += t4 - t3
        spent["lease"] += t5 - t4
        spent["fold lease"] += t6 - t5
        spent["encode lease"] += t7 - t6
        spent["finish"] += t9 - t8
        spent["fold finish"] += t10 - t9
        spent["encode finish"] += t11 - t10
    for name, seconds in spent.items():
        yield name, seconds / (turns * BATCH) * 1e6, "µs a job"


def enqueues(jobs: int, first_ms: int = NOON_MS) -> Iterator[Enqueue]:
    """Commands that bring so many plain jobs, each with 100 bytes of arguments of its own."""
    now_ms = first_ms
    ids = JobIds(lambda: now_ms, lambda bits: 1 << bits - 2)
    for start in range(0, jobs, BATCH):
        now_ms += 1
        count = min(BATCH, jobs - start)
        yield Enqueue(
            tuple(
                NewJob(job_id, TERMS, b'{"n":%012d,"text":"%s"}' % (start + place, b"x" * 73))
                for place, job_id in enumerate(ids.take(count))
            )
        )


def enqueue(state: State, command: Enqueue) -> list[Fact]:
    """Take the jobs in, and return the facts that did it."""
    now_ms = max(state.time_ms, NOON_MS) + 1
    facts = decide(state, command, now_ms, POLICY).facts
    for fact in facts:
        fold(state, fact)
    return facts


def resident_bytes() -> int:
    """Memory of this process that is in use, as the kernel counts it."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


PARTS: dict[str, Callable[[int], Iterator[tuple[str, float, str]]]] = {
    "memory": memory,
    "restart": restart,
    "blocks": blocks,
    "backlog": backlog,
}


if __name__ == "__main__":
    main()
