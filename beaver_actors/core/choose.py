"""Which jobs a worker gets next. Reads the lanes; the facts that follow empty them.

The order: larger priority first; between queues of one priority the one that has waited longest for a turn,
one job each in rotation, so that a queue with a million jobs does not starve the others (a worker may bring
an order of its own); within a queue by the time a job may run, then by arrival. Jobs in whose attempts a
worker has died are suspects; one that is a single death short of poison runs beside no other suspect, so that
it answers for itself alone (P12).
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
    suspects = [held.rescues for held in state.in_flight.values() if held.rescues]

    def may_run(job: Job) -> bool:
        if job.extras is None and job.trail is None:
            return True  # nearly every job
        if job.expires_at_ms is not None and job.expires_at_ms <= now_ms:
            return False
        if job.rescues:
            if not bears(suspects, job.rescues, policy):
                return False
            suspects.append(job.rescues)
        return True

    lanes = _open_lanes(state, command, policy)
    return islice(_in_order(state, lanes, command.turns, may_run), max(command.limit, 0))


def is_last_chance(rescues: int, policy: Policy) -> bool:
    """Whether one more death of its worker would make such a job poison."""
    return rescues > 0 and rescues + 1 >= policy.max_rescues


def bears(suspects: list[int], rescues: int, policy: Policy) -> bool:
    """Whether a suspect may run beside these: given are the rescues of each."""
    if is_last_chance(rescues, policy):
        return not suspects
    return not any(is_last_chance(other, policy) for other in suspects)


def _open_lanes(state: State, command: Lease, policy: Policy) -> dict[int, dict[str, list[Lane]]]:
    """The lanes this worker may take from, by priority and queue."""
    found: dict[int, dict[str, list[Lane]]] = {}
    for key, lane in state.lanes.items():
        if key.kind not in command.kinds or state.queues[key.queue].paused:
            continue
        if command.queues is not None and key.queue not in command.queues:
            continue
        found.setdefault(key.priority, {}).setdefault(key.queue, []).append(lane)
    return found


def _in_order(
    state: State,
    lanes: dict[int, dict[str, list[Lane]]],
    turns: tuple[str, ...],
    may_run: Callable[[Job], bool],
) -> Iterator[Job]:
    for priority in sorted(lanes, reverse=True):
        queues = lanes[priority]
        waiting = {
            name: filter(may_run, merge(*own, key=place) if len(own) > 1 else iter(own[0]))
            for name, own in queues.items()
        }
        by_turn = sorted(queues, key=lambda name: (state.queues[name].turn, name))
        if turns:
            drawn = dict.fromkeys(turns)
            by_turn = [name for name in turns if name in waiting]
            by_turn += [name for name in sorted(waiting) if name not in drawn]
        yield from _in_rotation([waiting[name] for name in by_turn])


def _in_rotation(queues: list[Iterator[Job]]) -> Iterator[Job]:
    """One job of each in turn. What is taken out of a queue is yielded at once, so that asking whether it
    may run and starting it are one step."""
    while len(queues) > 1:
        still: list[Iterator[Job]] = []
        for queue in queues:
            job = next(queue, None)
            if job is not None:
                yield job
                still.append(queue)
        queues = still
    for queue in queues:
        yield from queue
