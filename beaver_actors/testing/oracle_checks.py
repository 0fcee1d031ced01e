"""The promises, held against a state that was replayed from the disk.

This is what must be true of any state after any crash, given what was told before it. It learns nothing and
changes nothing; it is called very often and looks at each job once.
"""

from __future__ import annotations

from collections import Counter

from beaver_actors.core.job import FINISHED, WAITING, Job, JobState
from beaver_actors.core.outcome import Crashed, Outcome, Rejected, Succeeded
from beaver_actors.core.state import State
from beaver_actors.testing.oracle_notes import Broken, Known, Notes, result_of, value
from beaver_actors.testing.oracle_schedules import check_schedules, check_schedules_finished

COMPLETED, DEAD, CANCELLED = JobState.COMPLETED, JobState.DEAD, JobState.CANCELLED


def check_state(notes: Notes, state: State) -> None:
    """Acknowledged is a part of recovered, recovered is a part of sent, and nothing told is taken back.

    Raises:
        Broken: the first thing that is otherwise.
    """
    if state.lsn < notes.told:
        text = f"LSN {notes.told} was told ({notes.teller}), but the log ends with {state.lsn}"
        raise Broken("P1", None, text)
    for job in state.jobs.values():
        known = notes.there(job.id)
        if known is None or (job.terms, job.args) not in known.contents:
            raise Broken("P3", job.id, f"is there with content that nobody sent: {job.terms}, {job.args!r}")
        if job.unique not in known.unique:
            raise Broken("P3", job.id, f"is there with {job.unique}, and was sent with {known.unique}")
        _check_job(notes, known, job)
        if job.depends_on:
            _check_parents(notes, job, state)
    _check_keys(state)
    _check_limits(notes, state)
    for job_id, known in notes.jobs.items():
        if known.acknowledged is not None and job_id not in state.jobs and not notes.may_be_gone(known):
            raise Broken("P3", job_id, "was acknowledged, and is lost")
    for batch in notes.batches:
        _check_batch(notes, batch, state)
    check_schedules(notes, state)


def check_finished(notes: Notes, state: State, now_ms: int) -> None:
    """After a quiet while everything is done, and was executed, or says why not.

    Raises:
        Broken: a job is left behind.
    """
    check_schedules_finished(notes, state, now_ms)
    served = notes.policy.served_kinds
    for job in state.jobs.values():
        if job.state in FINISHED:
            expired = job.trail is not None and job.trail.reason == "expired"
            # A lease may run out, or overrun the job's timeout, on its way to a worker that is frozen.
            given_up = notes.fleet and job.state is DEAD and job.attempt > 0
            ran = notes.jobs[job.id].begun(job) or job.state is CANCELLED or expired or given_up
            if notes.handlers and not ran:
                raise Broken("P3", job.id, f"is {job.state}, and was never executed")
        elif not (job.state is JobState.BLOCKED and waits_for_another(job, state)) and not (
            job.state in WAITING
            and (
                job.run_at_ms > now_ms
                or state.queues[job.terms.queue].paused
                or (served and job.terms.kind not in served)
            )
        ):
            raise Broken("P3", job.id, f"is {job.state} in the end, and nothing explains it")


def waits_for_another(job: Job, state: State) -> bool:
    """Whether a parent of this job is there and has yet to end, which then needs an explanation."""
    return any(parent in state.jobs and state.jobs[parent].state not in FINISHED for parent in job.depends_on)


def _check_keys(state: State) -> None:
    """No two jobs hold one key."""
    held: dict[str, str] = {}
    for job in state.jobs.values():
        unique, trail = job.unique, job.trail
        if unique is None or (trail is not None and trail.reason == "replaced"):
            continue
        if unique.for_ms is not None and state.time_ms >= job.created_ms + unique.for_ms:
            continue
        unstarted = job.state in WAITING and job.fence == 0
        if {"finished": job.state not in FINISHED, "started": unstarted, "window": True}[unique.until]:
            if unique.key in held:
                raise Broken("P5", job.id, f"holds the key {unique.key!r}, and so does {held[unique.key]}")
            held[unique.key] = job.id


def _check_limits(notes: Notes, state: State) -> None:
    """No more jobs run than a queue allows, of those that started since it was told so."""
    for name, (rules, lsn) in notes.rules.items():
        own = [job for job in state.jobs.values() if job.terms.queue == name and job.fence > lsn]
        running = Counter(job.concurrency_key for job in own if job.state is JobState.IN_FLIGHT)
        most, of_key = rules.get("concurrency"), rules.get("key_concurrency")
        if most is not None and running.total() > most:
            raise Broken("P11", None, f"queue {name} runs {running.total()} jobs, and allows {most}")
        for key, count in running.items():
            if key is not None and of_key is not None and count > of_key:
                raise Broken("P11", None, f"queue {name} runs {count} jobs of {key}, and allows {of_key}")


def _check_parents(notes: Notes, job: Job, state: State) -> None:
    """A blocked job waits for one that has yet to end, and none has run before its parents were done."""
    parents = [state.jobs[parent] for parent in job.depends_on if parent in state.jobs]
    strict = job.on_parent_failure == "cancel"
    if job.state is JobState.BLOCKED:
        if strict and any(parent.state in (DEAD, CANCELLED) for parent in parents):
            raise Broken("P3", job.id, "is blocked, and a parent of it has failed")
        if all(parent.state in FINISHED for parent in parents):
            raise Broken("P3", job.id, "is blocked, and its parents have ended")
    elif job.fence and strict:
        for parent in parents:
            # Under the id of one that was deleted there may be another.
            known = notes.jobs[parent.id]
            same = not (known.gone or notes.may_be_gone(known) or "delete" in known.asked)
            if same and parent.state is not COMPLETED:
                raise Broken("P3", job.id, f"has run, and its parent {parent.id} is {parent.state}")


def _check_job(notes: Notes, known: Known, job: Job) -> None:
    """One job that is there."""
    if known.open <= 0 and known.acknowledged is None:
        raise Broken("P1", job.id, "is there, but each enqueue of it was refused, or it was deleted")
    if job.order <= known.gone:
        raise Broken("P1", job.id, f"was deleted by LSN {known.gone}, and is back")
    replaceable = notes.may_be_gone(known)
    if replaceable and known.open > 0 and job.order > known.lsn:
        return  # perhaps another one under the same id; what was told is about the one before
    if known.order not in (None, job.order):
        raise Broken("P3", job.id, f"arrived with LSN {known.order}, and now with {job.order}")
    if known.acknowledged not in (None, (job.terms, job.args)) and not replaceable:
        raise Broken("P3", job.id, "holds other content than what was acknowledged")
    if job.lsn < known.lsn:
        raise Broken("P1", job.id, f"was told of up to LSN {known.lsn}, and is back at {job.lsn}")
    if job.fence < known.fence and known.fence > job.order:
        raise Broken("P2", job.id, f"ran under fence {known.fence}, but its last start is {job.fence}")
    told, waits = known.state, known.state in WAITING and job.state in WAITING
    if told in FINISHED and told is not job.state:
        if told is COMPLETED or not known.may_yet("retry"):
            raise Broken("P4", job.id, f"was told {told}, and is now {job.state}")
    elif told not in (None, job.state) and job.lsn == known.lsn and not waits:
        raise Broken("P3", job.id, f"was told {told} at LSN {job.lsn}, and is now {job.state}")
    if job.state is COMPLETED and told is COMPLETED and known.result != result_of(job):
        raise Broken("P4", job.id, f"had the result {known.result!r}, and now {result_of(job)!r}")
    _check_cause(notes, known, job)


def _check_cause(notes: Notes, known: Known, job: Job) -> None:
    """What the job says of itself can have come about."""
    ended = known.outcomes.get(job.fence)
    if job.rescues > notes.lives and notes.handlers and not notes.fleet:
        cut_off = [end for end in known.outcomes.values() if end is None or isinstance(end, Crashed)]
        if job.rescues > notes.lives + len(cut_off):
            raise Broken("P12", job.id, f"has {job.rescues} rescues, in {notes.lives} lives")
    if job.state is COMPLETED:
        same = isinstance(ended, Succeeded) and value(ended.result) == result_of(job)
        if notes.handlers and not same:
            text = f"completed with {result_of(job)!r} under fence {job.fence}, whose handler told {ended}"
            raise Broken("P4", job.id, text)
    elif job.state is CANCELLED:
        reason = None if job.trail is None else job.trail.reason
        if "cancel" not in known.asked and not known.had_cause(reason, notes.replacing):
            raise Broken("P3", job.id, "is cancelled, and nobody asked for it")
    elif job.state is DEAD:
        _check_death(notes, known, job, ended)


def _check_death(notes: Notes, known: Known, job: Job, ended: Outcome | None) -> None:
    """Enough failures, enough deaths of its worker, or a reason of its own."""
    assert job.trail is not None, f"job {job.id} is dead without a trail"
    ran = known.begun(job) > 0 or not notes.handlers or notes.fleet
    match job.trail.reason:
        case "max_attempts":
            if job.failures < job.terms.max_attempts or not ran:
                text = f"gave up after {job.failures} failures of {job.terms.max_attempts}"
                raise Broken("P3", job.id, text)
        case "poison":
            if job.rescues < notes.policy.max_rescues or not ran:
                text = f"is poison after {job.rescues} deaths of {notes.policy.max_rescues}"
                raise Broken("P12", job.id, text)
        case "rejected":
            if notes.handlers and not isinstance(ended, Rejected):
                raise Broken("P3", job.id, f"is rejected, but its handler told {ended}")
        case reason:
            if job.expires_at_ms is None or job.expires_at_ms > (job.trail.finished_ms or 0):
                raise Broken("P3", job.id, f"is dead ({reason}), and expires at {job.expires_at_ms}")


def _check_batch(notes: Notes, batch: tuple[str, ...], state: State) -> None:
    """Jobs that were only ever sent together are there together, or not at all."""
    members = [notes.jobs[job_id] for job_id in batch]
    if any(known.batch != batch or known.gone or notes.may_be_gone(known) for known in members):
        return
    missing = [job_id for job_id in batch if job_id not in state.jobs]
    if missing and len(missing) < len(batch):
        raise Broken("P3", missing[0], f"is not there, but others of its batch are: {', '.join(batch)}")
