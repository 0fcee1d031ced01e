"""Jobs as asked for to jobs as the core takes them: values checked, text turned into times and terms.

It refuses values that no job may have; it knows no job that exists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, assert_never

from msgspec import UNSET, Raw

from beaver_actors.codec.ids import JobIds
from beaver_actors.codec.wire_checks import (
    check_choice,
    check_duration,
    check_id,
    check_key,
    check_kind,
    check_limit,
    check_object,
    check_queue,
    check_range,
    check_tag,
    check_time,
    refuse,
)
from beaver_actors.codec.wire_decode import Limits
from beaver_actors.codec.wire_errors import WireError
from beaver_actors.codec.wire_fields import (
    ATTEMPTS_MAX,
    CONCURRENCY_KEY_CHARS_MAX,
    DELAYS_MAX,
    META_BYTES_MAX,
    PARENTS_MAX,
    PRIORITY_MAX,
    TAGS_MAX,
    UNIQUE_KEY_CHARS_MAX,
)
from beaver_actors.codec.wire_job_objects import (
    BackoffRule,
    Exponential,
    Fixed,
    Listed,
    NewJobObject,
    Polynomial,
)
from beaver_actors.core.commands import NewJob
from beaver_actors.core.durations import seconds, shown
from beaver_actors.core.graphs import GRAPH_JOBS_MAX
from beaver_actors.core.job import (
    ON_CONFLICT,
    ON_PARENT_FAILURE,
    UNIQUE_UNTIL,
    Backoff,
    Extras,
    OnConflict,
    Terms,
    Unique,
)

_NULL = Raw(b"null")
"""In a field that is carried unread, the same as leaving it out."""


TERMS_KNOWN_MAX = 1000
"""Sets of options whose terms are kept. A queue has few different ones; `meta` that differs from job to job
must not fill the memory."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a job gets that does not say; the server's settings."""

    max_attempts: int = 25
    timeout_ms: int | None = 1_800_000
    backoff: Backoff = field(default_factory=Backoff)
    kinds: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By kind, the fields of `Terms` that its own definition names; they go before the rest."""
    known: dict[tuple[object, ...], Terms] = field(default_factory=dict, compare=False, repr=False)
    """The terms that follow from options that were checked before."""


def new_jobs(
    objects: Sequence[NewJobObject], ids: JobIds, limits: Limits, defaults: Defaults, path: str = "jobs[{}]."
) -> tuple[NewJob, ...]:
    """Check jobs and turn them into what `Enqueue` carries. Jobs with the same options share their
    terms.

    Args:
        objects: as decoded.
        ids: makes ids for jobs that have none.
        limits: of the server.
        defaults: for jobs that do not say.
        path: how an error message names a job's field; the position is put in.

    Raises:
        WireError: a value is not allowed, or there are too many jobs.
    """
    if not objects:
        refuse("jobs: expected at least 1 job, got none")
    if len(objects) > limits.batch_jobs:
        _check_count(objects, limits)
    fresh = iter(ids.take(sum(1 for job in objects if job.id is None)))
    known = defaults.known
    if len(known) > TERMS_KNOWN_MAX:
        known.clear()
    made: list[NewJob] = []
    try:
        for job in objects:
            meta = b"" if job.meta is UNSET or job.meta == _NULL else bytes(job.meta)
            options = (
                job.kind, job.queue, job.priority, job.max_attempts, job.timeout, job.backoff, job.retention,
                job.tags, meta,
            )  # fmt: skip
            terms = known.get(options)
            if terms is None:
                terms = known[options] = _terms(job, meta, defaults)
            args = b"{}" if job.args is UNSET or job.args == _NULL else bytes(job.args)
            check_object(args, "args")
            if len(args) + len(meta) > limits.job_bytes:
                message = f"expected at most {limits.job_bytes} bytes of args and meta"
                raise WireError("too_large", f"args: {message}, got {len(args) + len(meta)}")
            job_id = next(fresh) if job.id is None else check_id(job.id, "id")
            if job.run_at is None and job.delay is None and _asks_for_nothing(job):
                made.append(NewJob(job_id, terms, args))
            else:
                made.append(NewJob(job_id, terms, args, *_times(job), _extras(job), _on_conflict(job)))
    except WireError as error:
        raise WireError(error.code, path.format(len(made)) + error.message) from None
    return tuple(made)


def child_id(parent_id: str, fence: int, number: int) -> str:
    """The id of a job that comes with a completion and has none of its own: the same whenever the same
    outcome is reported again."""
    return f"{parent_id[:150]}.{fence}.{number}"


def _check_count(objects: Sequence[NewJobObject], limits: Limits) -> None:
    """A graph comes in one message, so it may have more jobs than another batch."""
    is_graph = any(job.depends_on for job in objects)
    most = max(limits.batch_jobs, GRAPH_JOBS_MAX) if is_graph else limits.batch_jobs
    if len(objects) > most:
        raise WireError("too_large", f"jobs: expected at most {most} jobs, got {len(objects)}")


def _terms(job: NewJobObject, meta: bytes, defaults: Defaults) -> Terms:
    terms = Terms(
        kind=check_kind(job.kind, "kind"),
        max_attempts=defaults.max_attempts,
        timeout_ms=defaults.timeout_ms,
        backoff=defaults.backoff,
    )
    return terms._replace(**{**defaults.kinds.get(job.kind, {}), **_own_terms(job, meta)})


def _own_terms(job: NewJobObject, meta: bytes) -> dict[str, Any]:
    """The fields of `Terms` that the job itself names."""
    named: dict[str, Any] = {}
    if job.queue is not None:
        named["queue"] = check_queue(job.queue, "queue")
    if job.priority is not None:
        named["priority"] = check_range(job.priority, "priority", -PRIORITY_MAX, PRIORITY_MAX)
    if job.max_attempts is not None:
        named["max_attempts"] = check_range(job.max_attempts, "max_attempts", 1, ATTEMPTS_MAX)
    if job.timeout is not UNSET:
        named["timeout_ms"] = None if job.timeout is None else check_limit(job.timeout, "timeout", "no limit")
    if job.backoff is not None:
        named["backoff"] = backoff_from(job.backoff)
    if job.retention is not None:
        named["retention_ms"] = check_duration(job.retention, "retention")
    if job.tags is not None:
        if len(job.tags) > TAGS_MAX:
            refuse(f"tags: expected at most {TAGS_MAX} tags, got {len(job.tags)}")
        named["tags"] = tuple(check_tag(tag, f"tags[{place}]") for place, tag in enumerate(job.tags))
    if meta:
        check_object(meta, "meta")
        if len(meta) > META_BYTES_MAX:
            raise WireError("too_large", f"meta: expected at most {META_BYTES_MAX} bytes, got {len(meta)}")
        named["meta"] = b"" if meta == b"{}" else meta
    return named


def backoff_from(rule: BackoffRule) -> Backoff:
    """Check a back-off and write it the one way the core knows it.

    Raises:
        WireError: a value is not allowed.
    """
    match rule:
        case Polynomial():
            check_range(rule.exponent, "backoff.exponent", 0, 10)
            base_ms = check_duration(rule.base, "backoff.base")
            cap_ms = check_duration(rule.cap, "backoff.cap")
            return Backoff("polynomial", base_ms, float(rule.exponent), cap_ms, rule.jitter)
        case Exponential():
            check_range(rule.factor, "backoff.factor", 1, 100)
            initial_ms = check_duration(rule.initial, "backoff.initial")
            cap_ms = check_duration(rule.cap, "backoff.cap")
            return Backoff("exponential", initial_ms, float(rule.factor), cap_ms, rule.jitter)
        case Fixed():
            delay_ms = check_duration(rule.delay, "backoff.delay")
            return Backoff("fixed", delay_ms, 1.0, delay_ms, jitter=False)
        case Listed():
            if not 1 <= len(rule.delays) <= DELAYS_MAX:
                refuse(f"backoff.delays: expected 1 to {DELAYS_MAX} delays, got {len(rule.delays)}")
            delays_ms = tuple(
                check_duration(delay, f"backoff.delays[{position}]")
                for position, delay in enumerate(rule.delays)
            )
            return Backoff("list", delays_ms[0], 1.0, max(delays_ms), False, delays_ms)
        case _:
            assert_never(rule)


_EXTRAS = attrgetter(
    "expires_at",
    "unique_key",
    "unique_until",
    "unique_for",
    "on_conflict",
    "depends_on",
    "on_parent_failure",
    "concurrency_key",
)
"""The fields that few jobs have."""
_NONE = (None,) * 8


def _asks_for_nothing(job: NewJobObject) -> bool:
    return _EXTRAS(job) == _NONE


def _extras(job: NewJobObject) -> Extras | None:
    extras = Extras(
        None if job.expires_at is None else check_time(job.expires_at, "expires_at"),
        _unique(job),
        _parents(job),
        check_choice(job.on_parent_failure or "cancel", "on_parent_failure", ON_PARENT_FAILURE),
        _concurrency_key(job),
    )
    return None if extras == Extras() else extras


def _concurrency_key(job: NewJobObject) -> str | None:
    key = job.concurrency_key
    return None if key is None else check_key(key, "concurrency_key", CONCURRENCY_KEY_CHARS_MAX)


def _unique(job: NewJobObject) -> Unique | None:
    if job.unique_key is None:
        for name in ("unique_until", "unique_for", "on_conflict"):
            if getattr(job, name) is not None:
                refuse(f"{name}: expected a unique_key with it, got none")
        return None
    key = check_key(job.unique_key, "unique_key", UNIQUE_KEY_CHARS_MAX)
    until = check_choice(job.unique_until or "finished", "unique_until", UNIQUE_UNTIL)
    for_ms = None if job.unique_for is None else check_duration(job.unique_for, "unique_for")
    if for_ms == 0:
        refuse(f"unique_for: expected more than 0, got {shown(job.unique_for)}")
    if until == "window" and for_ms is None:
        refuse("unique_for: expected how long the window is, got nothing")
    return Unique(key, until, for_ms)


def _parents(job: NewJobObject) -> tuple[str, ...]:
    if not job.depends_on:
        if job.on_parent_failure is not None:
            refuse("on_parent_failure: expected depends_on with it, got none")
        return ()
    if len(job.depends_on) > PARENTS_MAX:
        refuse(f"depends_on: expected at most {PARENTS_MAX} parents, got {len(job.depends_on)}")
    for place, parent in enumerate(job.depends_on):
        check_id(parent, f"depends_on[{place}]")
    return tuple(dict.fromkeys(job.depends_on))


def _on_conflict(job: NewJobObject) -> OnConflict:
    return check_choice(job.on_conflict or "reject", "on_conflict", ON_CONFLICT)


def _times(job: NewJobObject) -> tuple[int | None, int | None]:
    if job.run_at is not None and job.delay is not None:
        refuse("delay: expected run_at or delay, got both")
    return (
        None if job.run_at is None else check_time(job.run_at, "run_at"),
        None if job.delay is None else check_duration(job.delay, "delay"),
    )


def backoff_object(backoff: Backoff) -> BackoffRule:
    """Write a back-off as it is shown; `backoff_from` reads the same one back."""
    match backoff.kind:
        case "polynomial":
            return Polynomial(
                exponent=backoff.factor,
                base=seconds(backoff.base_ms),
                cap=seconds(backoff.cap_ms),
                jitter=backoff.jitter,
            )
        case "exponential":
            return Exponential(
                initial=seconds(backoff.base_ms),
                factor=backoff.factor,
                cap=seconds(backoff.cap_ms),
                jitter=backoff.jitter,
            )
        case "fixed":
            return Fixed(delay=seconds(backoff.base_ms))
        case "list":
            return Listed(delays=tuple(seconds(delay_ms) for delay_ms in backoff.delays_ms))
        case _:
            assert_never(backoff.kind)
