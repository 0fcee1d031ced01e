"""Which jobs a worker gets next. Reads the lanes; the facts that follow empty them.

The order: larger priority first; between queues of one priority the one that has waited longest for a turn,
one job each in rotation, so that a queue with a million jobs does not starve the others; within a queue by
the time a job may run, then by arrival. A job one rescue short of poison runs only while no other such job
does (P12).
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge

from beaver_actors.core.commands import Lease, Policy
from beaver_actors.core.index import Lane, LaneKey
from beaver_actors.core.job import Job
from beaver_actors.core.state import State


def choose(state: State, command: Lease, now_ms: int, policy: Policy) -> Iterator[Job]:
    """Yield at most `command.limit` different pending jobs that the worker may run, in order."""
    left = command.limit
    if left <= 0:
        return
    taken: set[str] = set()
    chance_free = True
    for job in _in_order(state, _open_lanes(state, command)):
        if job.id in taken or (job.expires_at_ms is not None and job.expires_at_ms <= now_ms):
            continue
        if is_last_chance(job.rescues, policy):
            if not chance_free or any(
                is_last_chance(held.rescues, policy) for held in state.in_flight.values()
            ):
                chance_free = False
                continue
            chance_free = False
        taken.add(job.id)
        yield job
        left -= 1
        if not left:
            return


def is_last_chance(rescues: int, policy: Policy) -> bool:
    """Whether one more death of its worker would make such a job poison."""
    return rescues > 0 and rescues + 1 >= policy.max_rescues


def _open_lanes(state: State, command: Lease) -> dict[int, dict[str, list[tuple[LaneKey, Lane]]]]:
    """The lanes this worker may take from, by priority and queue."""
    found: dict[int, dict[str, list[tuple[LaneKey, Lane]]]] = {}
    for key, lane in state.lanes.items():
        if key.kind not in command.kinds or state.queues[key.queue].paused:
            continue
        if command.queues is not None and key.queue not in command.queues:
            continue
        found.setdefault(key.priority, {}).setdefault(key.queue, []).append((key, lane))
    return found


def _in_order(state: State, lanes: dict[int, dict[str, list[tuple[LaneKey, Lane]]]]) -> Iterator[Job]:
    for priority in sorted(lanes, reverse=True):
        queues = lanes[priority]
        by_turn = sorted(queues, key=lambda name: state.queues[name].turn)
        yield from _in_rotation([_one_queue(queues[name]) for name in by_turn])


def _one_queue(lanes: list[tuple[LaneKey, Lane]]) -> Iterator[Job]:
    if len(lanes) == 1:
        return iter(lanes[0][1])
    return merge(*(lane for _, lane in lanes), key=_waiting_since)


def _waiting_since(job: Job) -> tuple[int, int]:
    return job.run_at_ms, job.order


def _in_rotation(queues: list[Iterator[Job]]) -> Iterator[Job]:
    if len(queues) == 1:
        yield from queues[0]
        return
    while queues:
        still: list[Iterator[Job]] = []
        for queue in queues:
            job = next(queue, None)
            if job is not None:
                yield job
                still.append(queue)
        queues = still
