"""Why a job does not run, and why it ended: told from the state, the rules and the time alone.

`hindrances` names what stands in a job's way, and `_WHY` has for each of these names what there is to tell of
it. A feature that can keep a job from running has its place in both. Reads only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from beaver_actors.core.answers import Because, BecauseReason, Explained, WaitReason
from beaver_actors.core.choose import bears, choose, is_last_chance
from beaver_actors.core.commands import Lease, Policy, Serving
from beaver_actors.core.durations import spoken
from beaver_actors.core.families import FAILED
from beaver_actors.core.job import FINISHED, Job, JobState, Trail
from beaver_actors.core.limits import Bucket, Rate
from beaver_actors.core.state import State

JOBS_NAMED = 10
"""Jobs named for one reason; how many there are is told as well."""
AHEAD_MAX = 10_000
"""Jobs that are looked at for a place in line: as many as one page of a listing looks at."""
KINDS_NAMED = 20


def waits_for(state: State, job: Job, now_ms: int, policy: Policy) -> WaitReason | None:
    """Why this job does not run, in a word; None unless it waits."""
    return next(hindrances(state, job, now_ms, policy), None)


def hindrances(state: State, job: Job, now_ms: int, policy: Policy) -> Iterator[WaitReason]:
    """What keeps a waiting job from running, the most stubborn first. Its turn comes last, and only if there
    is nothing else."""
    if job.state is JobState.SCHEDULED:
        yield "retry" if job.trail is not None and job.trail.errors else "run_at"
    elif job.state is JobState.BLOCKED:
        yield "parents"
    elif job.state is not JobState.PENDING:
        return
    free = job.state is JobState.PENDING
    for hindrance in _of_its_kind(state, job, policy):
        free = False
        yield hindrance
    if job.state is not JobState.PENDING:
        return  # what follows may well have passed by then
    if policy.storage_full:
        free = False
        yield "storage_full"
    if policy.draining:
        free = False
        yield "draining"
    for limit in _limits(state, job, now_ms):
        free = False
        yield limit
    if job.rescues and not bears(_suspects(state), job.rescues, policy):
        free = False
        yield "last_chance"
    if free:
        yield "turn"


def _of_its_kind(state: State, job: Job, policy: Policy) -> Iterator[WaitReason]:
    """What keeps every job of this kind and queue from running."""
    terms = job.terms
    if terms.kind not in policy.served_kinds:
        yield "unknown_kind"
    elif policy.crew and not _able(job, policy):
        yield "unserved_queue"
    if state.queues[terms.queue].paused:
        yield "queue_paused"


def _limits(state: State, job: Job, now_ms: int) -> Iterator[WaitReason]:
    """The rules of its queue that leave it no room now."""
    queue, key = state.queues[job.terms.queue], job.concurrency_key
    rules = queue.rules
    if rules.concurrency is not None and queue.count(JobState.IN_FLIGHT) >= rules.concurrency:
        yield "queue_concurrency"
    if rules.rate is not None and not queue.bucket.room(rules.rate, now_ms):
        yield "queue_rate"
    if key is None:
        return
    tenant = queue.tenants[key]
    if queue.is_full(tenant):
        yield "key_concurrency"
    if rules.key_rate is not None and not tenant.bucket.room(rules.key_rate, now_ms):
        yield "key_rate"


def _suspects(state: State) -> list[int]:
    return [held.rescues for held in state.in_flight.values() if held.rescues]


def _able(job: Job, policy: Policy) -> list[Serving]:
    """The workers that may run this job."""
    terms = job.terms
    return [
        worker
        for worker in policy.crew
        if terms.kind in worker.kinds and (worker.queues is None or terms.queue in worker.queues)
    ]


def explained(state: State, job: Job, now_ms: int, policy: Policy) -> Explained:
    """Everything that there is to tell."""
    reasons: list[BecauseReason] = []
    if job.state is JobState.IN_FLIGHT:
        reasons.append("running")
    elif job.state in FINISHED:
        reasons.append(_ended(job))
    else:
        reasons += hindrances(state, job, now_ms, policy)
    because = tuple(_WHY[reason](state, job, now_ms, policy) for reason in reasons)
    words = job.state.replace("_", " ")
    told = "; ".join(one.text for one in because)
    return Explained(job.id, job.state, f"{words}: {told}" if told else words, because)


def _ended(job: Job) -> BecauseReason:
    reason = None if job.trail is None else job.trail.reason
    if reason is not None:
        return reason
    return "completed" if job.state is JobState.COMPLETED else "cancelled"


# What there is to tell of each.


def _run_at(state: State, job: Job, now_ms: int, policy: Policy) -> Because:
    text = f"its time comes {_when(job.run_at_ms, now_ms)}"
    return Because("run_at", text, until_ms=job.run_at_ms)


def _retry(state: State, job: Job, now_ms: int, policy: Policy) -> Because:
    text = f"it runs again {_when(job.run_at_ms, now_ms)}; its latest error was {_last_error(job)}"
    return Because("retry", text, until_ms=job.run_at_ms)


def _parents(state: State, job: Job, now_ms: int, policy: Policy) -> Because:
    parents = [state.jobs.get(parent_id) for parent_id in job.depends_on]
    left = [parent for parent in parents if parent is not None and parent.state not in FINISHED]
    if not left:
        return Because(
            "parents", "the jobs that it depends on have ended: it is about to be told so", total=0
        )
    named = tuple(parent.id for parent in left[:JOBS_NAMED])
    told = tuple(f"{parent.id} ({parent.state.replace('_', ' ')})" for parent in left)
    count = (
        f"{len(left)} of the {len(parents)} jobs that it depends on have" if len(parents) > 1 else "a job has"
    )
    return Because("parents", f"{count} yet to end: {_listed(told)}", jobs=named, total=len(left))


def _unknown_kind(state: State, job: Job, now_ms: int, policy: Policy) -> Because:
    kinds = tuple(sorted(policy.served_kinds))
    text = f"no worker is there that can run its kind, {job.terms.kind}; "
    text += f"there are workers for {_listed(kinds)}" if kinds else "there is no worker at all"
    return Because("unknown_kind", text, names=kinds[:KINDS_NAMED])


def _unserved_queue(state: State, job: Job, now_ms: int, policy: Policy) -> Because:
    able = [worker for worker in policy.crew if job.terms.kind in worker.kinds]
    queues = tuple(sorted(frozenset().union(*(worker.queues or frozenset() for worker in able))))
    text = f"no worker that can run its kind serves its queue, {job.terms.queue}, only {_listed(queues)}"
    return Because("unserved_queue", text, names=queues[:KINDS_NAMED])


def _queue_paused(state: State, job: Job, now_ms: int, policy: Policy) -> Because:
    queue = job.terms.queue
    return Because("queue_paused", f"its queue, {queue}, is paused until someone resumes it", names=(queue,))


def _storage_full(state: State, job: Job, now_ms: int, policy: Policy) -> Because:
    return Because("storage_full", "the disk is full: nothing is started until there is room")


def _draining(state: State, job: Job, now_ms: int, policy: Policy) -> Because:
    return Because(
        "draining", "the server is stopping and starts nothing more; it is kept for the next start"
    )


def _queue_concurrency(state: State, job: Job, now_ms: int, policy: Policy) -> Because:
    queue = state.queues[job.terms.queue]
    holders = [held.id for held in state.in_flight.values() if held.terms.queue == queue.name]
    text = f"its queue, {queue.name}, runs at most {queue.rules.concurrency} at the same time"
    return _held("queue_concurrency", text, holders)


def _key_concurrency(state: State, job: Job, now_ms: int, policy: Policy) -> Because:
    queue, key = state.queues[job.terms.queue], job.concurrency_key
    holders = [
        held.id
        for held in state.in_flight.values()
        if held.concurrency_key == key and held.terms.queue == queue.name
    ]
    most = queue.rules.key_concurrency
    text = f"its queue, {queue.name}, runs at most {most} of the key {key!r} at the same time"
    return _held("key_concurrency", text, holders)


def _held(reason: WaitReason, text: str, holders: list[str]) -> Because:
    return Because(
        reason,
        f"{text}: {_listed(tuple(holders))}",
        jobs=tuple(holders[:JOBS_NAMED]),
        total=len(holders),
    )


def _queue_rate(state: State, job: Job, now_ms: int, policy: Policy) -> Because:
    queue = state.queues[job.terms.queue]
    return _spent("queue_rate", f"its queue, {queue.name},", queue.rules.rate, queue.bucket, now_ms)


def _key_rate(state: State, job: Job, now_ms: int, policy: Policy) -> Because:
    queue, key = state.queues[job.terms.queue], job.concurrency_key or ""
    text = f"its key {key!r} in queue {queue.name}"
    return _spent("key_rate", text, queue.rules.key_rate, queue.tenants[key].bucket, now_ms)


def _spent(reason: WaitReason, whose: str, rate: Rate | None, bucket: Bucket, now_ms: int) -> Because:
    assert rate is not None
    until_ms = bucket.next_ms(rate, now_ms)
    text = f"{whose} starts at most {rate.limit} in {spoken(rate.period_ms)}; the next may start "
    return Because(reason, text + _when(until_ms or now_ms, now_ms), until_ms=until_ms)


def _last_chance(state: State, job: Job, now_ms: int, policy: Policy) -> Because:
    alone = is_last_chance(job.rescues, policy)
    suspects = [
        held.id
        for held in state.in_flight.values()
        if held.rescues and (alone or is_last_chance(held.rescues, policy))
    ]
    text = (
        f"a worker died in {_times(job.rescues)} of its attempts and one more would make it poison, so it "
        if alone
        else "a worker died in one of its attempts, so it "
    )
    text += f"runs beside no other such job: it waits for {_listed(tuple(suspects))}"
    return Because("last_chance", text, jobs=tuple(suspects[:JOBS_NAMED]), total=len(suspects))


def _turn(state: State, job: Job, now_ms: int, policy: Policy) -> Because:
    able = _able(job, policy)
    kinds = frozenset().union(*(worker.kinds for worker in able)) if able else policy.served_kinds
    queues: frozenset[str] | None = None
    if able and all(worker.queues is not None for worker in able):
        queues = frozenset().union(*(worker.queues or frozenset() for worker in able))
    named: list[str] = []
    ahead = 0
    for other in choose(state, Lease("", AHEAD_MAX + 1, kinds, queues), now_ms, policy):
        if other is job:
            break
        ahead += 1
        if ahead <= JOBS_NAMED:
            named.append(other.id)
    exact = ahead <= AHEAD_MAX
    ahead = min(ahead, AHEAD_MAX)
    place = f"{ahead if exact else f'more than {ahead}'} jobs are before it" if ahead else "it is the next"
    if ahead == 1 and exact:
        place = f"job {named[0]} is before it"
    text = f"its turn has not come: {place}{_room(state, able)}"
    workers = tuple(worker.worker_id for worker in able)[:KINDS_NAMED]
    return Because("turn", text, None, tuple(named), ahead, exact, workers)


def _room(state: State, able: list[Serving]) -> str:
    """How busy those are that could run it; nothing if they are not known."""
    if not able:
        return ""
    slots = sum(worker.slots for worker in able)
    if not slots:
        return ", and the workers that could run it take no more jobs"
    ids = {worker.worker_id for worker in able}
    taken = sum(held.trail is not None and held.trail.worker_id in ids for held in state.in_flight.values())
    workers = "the worker that can run it has" if len(able) == 1 else f"{len(able)} workers can run it with"
    return f"; {workers} {slots} places, {min(taken, slots)} of them taken"


def _running(state: State, job: Job, now_ms: int, policy: Policy) -> Because:
    trail = job.trail or Trail()
    since = spoken(max(0, now_ms - (trail.started_ms or now_ms)))
    text = f"attempt {job.attempt} has been running for {since} on worker {trail.worker_id}"
    if trail.cancel_requested:
        text += ", and was asked to stop"
    if trail.lease_ms is not None:
        if all(worker.worker_id != trail.worker_id for worker in policy.crew):
            text += ", which has no connection now"
        text += f"; it goes back once that worker has been silent for {spoken(trail.lease_ms)}"
    if trail.deadline_ms is not None:
        latest = "" if trail.lease_ms is None else ", at the latest"
        text += f"; it is taken from there{latest} {_when(trail.deadline_ms, now_ms)}"
    return Because("running", text, until_ms=trail.deadline_ms, names=(trail.worker_id or "",))


def _completed(state: State, job: Job, now_ms: int, policy: Policy) -> Because:
    trail = job.trail or Trail()
    text = f"attempt {job.attempt} succeeded on {trail.worker_id}{_ago(trail.finished_ms, now_ms)}"
    return Because("completed", text, names=(trail.worker_id or "",))


def _max_attempts(state: State, job: Job, now_ms: int, policy: Policy) -> Because:
    limit = job.terms.max_attempts
    return Because("max_attempts", f"{job.failures} of at most {limit} attempts failed: {_last_error(job)}")


def _poison(state: State, job: Job, now_ms: int, policy: Policy) -> Because:
    text = f"its worker or the server died in {_times(job.rescues)} of its attempts: {_last_error(job)}"
    return Because("poison", text)


def _expired(state: State, job: Job, now_ms: int, policy: Policy) -> Because:
    text = f"it still waited when it expired{_ago(job.expires_at_ms, now_ms)}"
    return Because("expired", text)


def _rejected(state: State, job: Job, now_ms: int, policy: Policy) -> Because:
    return Because("rejected", f"its handler said that no retry can help: {_last_error(job)}")


def _replaced(state: State, job: Job, now_ms: int, policy: Policy) -> Because:
    key = "" if job.unique is None else f" {job.unique.key!r}"
    return Because("replaced", f"another job took its unique key{key}{_finished(job, now_ms)}")


def _parent_failed(state: State, job: Job, now_ms: int, policy: Policy) -> Because:
    failed = [
        parent_id
        for parent_id in job.depends_on
        if (parent := state.jobs.get(parent_id)) is None or parent.state in FAILED
    ]
    text = f"a job that it depends on failed or was deleted{_finished(job, now_ms)}"
    if failed:
        text += f": {_listed(tuple(failed))}"
    return Because("parent_failed", text, jobs=tuple(failed[:JOBS_NAMED]), total=len(failed))


def _cancelled(state: State, job: Job, now_ms: int, policy: Policy) -> Because:
    return Because("cancelled", f"someone asked for it{_finished(job, now_ms)}")


_WHY: dict[BecauseReason, Callable[[State, Job, int, Policy], Because]] = {
    "run_at": _run_at,
    "retry": _retry,
    "parents": _parents,
    "unknown_kind": _unknown_kind,
    "unserved_queue": _unserved_queue,
    "queue_paused": _queue_paused,
    "storage_full": _storage_full,
    "draining": _draining,
    "queue_concurrency": _queue_concurrency,
    "queue_rate": _queue_rate,
    "key_concurrency": _key_concurrency,
    "key_rate": _key_rate,
    "last_chance": _last_chance,
    "turn": _turn,
    "running": _running,
    "completed": _completed,
    "max_attempts": _max_attempts,
    "poison": _poison,
    "expired": _expired,
    "rejected": _rejected,
    "replaced": _replaced,
    "parent_failed": _parent_failed,
    "cancelled": _cancelled,
}


def _last_error(job: Job) -> str:
    errors = () if job.trail is None else job.trail.errors
    if not errors:
        return "no error is on record"
    message = errors[-1].message.partition("\n")[0]
    return f"{errors[-1].type}: {message[:200]}"


def _when(at_ms: int, now_ms: int) -> str:
    return f"in {spoken(max(0, at_ms - now_ms))}"


def _ago(at_ms: int | None, now_ms: int) -> str:
    return "" if at_ms is None else f", {spoken(max(0, now_ms - at_ms))} ago"


def _finished(job: Job, now_ms: int) -> str:
    return _ago(None if job.trail is None else job.trail.finished_ms, now_ms)


def _times(count: int) -> str:
    return "one" if count == 1 else str(count)


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:KINDS_NAMED])
    return f"{shown} and {len(names) - KINDS_NAMED} others" if len(names) > KINDS_NAMED else shown
