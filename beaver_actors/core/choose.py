"""Which jobs a worker gets next. Reads the lanes; the facts that follow empty them.

The order: larger priority first; between queues of one priority the one that has waited longest for a turn,
one job each in rotation, so that a queue with a million jobs does not starve the others; within a queue by
the time a job may run, then by arrival. A job one rescue short of poison runs only while no other such job
does (P12).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import merge
from itertools import islice

from beaver_actors.core.commands import Lease, Policy
from beaver_actors.core.index import Lane, place
from beaver_actors.core.job import Job
from beaver_actors.core.state import State


def choose(state: State, command: Lease, now_ms: int, policy: Policy) -> Iterator[Job]:
    """Yield at most `command.limit` different pending jobs that the worker may run, in order."""
    chance_free = True

    def may_run(job: Job) -> bool:
        nonlocal chance_free
        if job.expires_at_ms is not None and job.expires_at_ms <= now_ms:
            return False
        if is_last_chance(job.rescues, policy):
            if not chance_free:
                return False
            chance_free = False
        return True

    lanes = _open_lanes(state, command, policy)
    return islice(_in_order(state, lanes, may_run), max(command.limit, 0))


def is_last_chance(rescues: int, policy: Policy) -> bool:
    """Whether one more death of its worker would make such a job poison."""
    return rescues > 0 and rescues + 1 >= policy.max_rescues


def _open_lanes(state: State, command: Lease, policy: Policy) -> dict[int, dict[str, list[Lane]]]:
    """The lanes this worker may take from, by priority and queue."""
    found: dict[int, dict[str, list[Lane]]] = {}
    for key, lane in state.lanes.items():
        if key.kind not in command.kinds or state.queues[key.queue].paused:
            continue
        if command.queues is not None and key.queue not in command.queues:
            continue
        if is_last_chance(key.rescues, policy) and any(
            is_last_chance(held.rescues, policy) for held in state.in_flight.values()
        ):
            continue
        found.setdefault(key.priority, {}).setdefault(key.queue, []).append(lane)
    return found


def _in_order(
    state: State, lanes: dict[int, dict[str, list[Lane]]], may_run: Callable[[Job], bool]
) -> Iterator[Job]:
    for priority in sorted(lanes, reverse=True):
        queues = lanes[priority]
        by_turn = sorted(queues, key=lambda name: (state.queues[name].turn, name))
        yield from _in_rotation([filter(may_run, merge(*queues[name], key=place)) for name in by_turn])


def _in_rotation(queues: list[Iterator[Job]]) -> Iterator[Job]:
    """One job of each in turn. What is taken out of a queue is yielded at once, so that asking whether it
    may run and starting it are one step."""
    while queues:
        still: list[Iterator[Job]] = []
        for queue in queues:
            job = next(queue, None)
            if job is not None:
                yield job
                still.append(queue)
        queues = still
