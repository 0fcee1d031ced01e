"""Unique jobs: who holds a key, and until when. Derived from the jobs alone, so no key is ever left behind.

A job with a key holds it from its arrival

- `finished`: until it is completed, dead or cancelled; one that is put back holds it again;
- `started`: until its first attempt starts;
- `window`: until its time has passed, whatever becomes of it; only deleting it on request ends that earlier;

and in any case no longer than `for_ms` since it was enqueued, nor after another has replaced it. A job that
waits for a retry holds its key, and what would take a held key is refused, so there is never more than one
holder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf

from beaver_actors.core.job import FINISHED, WAITING, Job


def holder(index: Mapping[str, Job], key: str, now_ms: int) -> Job | None:
    """The job that holds this key now; None if it is free. `index`: `State.unique`."""
    job = index.get(key)
    return job if job is not None and holds(job, now_ms) else None


def holds(job: Job, now_ms: int) -> bool:
    """Whether this job holds its key now. False for a job that has none."""
    return now_ms < held_until_ms(job)


def held_until_ms(job: Job, *, put_back: bool = False) -> float:
    """When this job's hold on its key ends if nothing more happens to it; 0 if it has none or has let go.

    Args:
        put_back: what would be if this finished job were retried.
    """
    unique = job.unique
    if unique is None:
        return 0
    trail = job.trail
    if trail is not None and trail.reason == "replaced" and not put_back:
        return 0
    if unique.until == "finished" and job.state in FINISHED and not put_back:
        return 0
    if unique.until == "started" and (job.fence or not (job.state in WAITING or put_back)):
        return 0
    return inf if unique.for_ms is None else job.created_ms + unique.for_ms


def index_of(jobs: Iterable[Job]) -> dict[str, Job]:
    """For each key that any of these jobs may hold, the one that holds it longest."""
    index: dict[str, Job] = {}
    for job in jobs:
        unique, until_ms = job.unique, held_until_ms(job)
        if unique is not None and until_ms:
            other = index.get(unique.key)
            if other is None or held_until_ms(other) <= until_ms:
                index[unique.key] = job
    return index
