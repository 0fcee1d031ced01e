"""Jobs as Python says them to jobs as the wire carries them, each with an id of its own from the start.

The id is what makes asking twice harmless (P5), so it is made here and not by the server. Values are turned
into JSON or refused, never changed; whether the server allows them is the server's to say.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    Literal,
    Protocol,
    TypeAlias,
    TypedDict,
    Unpack,
    cast,
    overload,
)

from msgspec import UNSET, Raw

from beaver_actors.client.arguments import duration, mistyped, text, texts, whole
from beaver_actors.codec.ids import COUNTER_BITS, uuid7
from beaver_actors.codec.json_text import encode_json
from beaver_actors.codec.wire_job_objects import (
    BackoffRule,
    Exponential,
    Fixed,
    Listed,
    NewJobObject,
    Polynomial,
)
from beaver_actors.codec.wire_jobs import backoff_object
from beaver_actors.core.durations import seconds
from beaver_actors.core.job import Backoff, OnConflict, OnParentFailure, UniqueUntil

if TYPE_CHECKING:
    # So that `Job` alone means a job with any result. Type checkers know the default, Python 3.11 does not.
    from typing_extensions import TypeVar

    R = TypeVar("R", default=Any)
    R_co = TypeVar("R_co", covariant=True, default=Any)
else:
    from typing import TypeVar

    R = TypeVar("R")
    R_co = TypeVar("R_co", covariant=True)

Duration: TypeAlias = float | str | timedelta
"""Seconds, or text such as "30s", "5m", "1h"."""
Moment: TypeAlias = datetime | str
"""A datetime with a time zone, or RFC 3339 text."""
BackoffLike: TypeAlias = BackoffRule | Backoff | Duration | Sequence[Duration]
"""A rule; or one fixed delay; or delays in turn, the last one repeating."""
Reader: TypeAlias = Callable[[Any], R]
"""Makes of a result, as JSON has it, what the handler returned; raises ValueError if it is nothing like
it."""


class HasId(Protocol):
    """A job: one to be enqueued, or one that is there."""

    @property
    def id(self) -> str | None: ...


def as_it_is(result: Any) -> Any:
    """The reader of results of which nothing is known."""
    return result


class NewJob(NewJobObject, Generic[R_co], dict=True):
    """A job to be enqueued, made by `new_job`; `R` is what its handler returns.

    It may be changed until it is enqueued. On the wire it is nothing but its fields.
    """

    @property
    def read_result(self) -> Reader[R_co]:
        """How its result is read."""
        read: Reader[R_co] = self.__dict__.get("read_result", as_it_is)
        return read

    @property
    def named_by_user(self) -> bool:
        """Whether its id was chosen, not made here."""
        return bool(self.__dict__.get("named_by_user", False))


class JobOptions(TypedDict, total=False):
    """What may be said about a job beside its kind and args; `new_job` explains each."""

    id: str | None
    queue: str | None
    priority: int | None
    delay: Duration | None
    run_at: Moment | None
    timeout: Duration | Literal["none"] | None
    max_attempts: int | None
    backoff: BackoffLike | None
    expires_at: Moment | None
    retention: Duration | None
    unique_key: str | None
    unique_until: UniqueUntil | None
    unique_for: Duration | None
    on_conflict: OnConflict | None
    depends_on: Iterable[HasId | str] | HasId | str | None
    on_parent_failure: OnParentFailure | None
    concurrency_key: str | None
    tags: Iterable[str] | None
    meta: Mapping[str, Any] | None


class JobCall(Protocol[R_co]):
    """A call of a job function: what `function.call(…)` of an app returns; `R` is what the function
    returns."""

    @property
    def kind(self) -> str: ...
    @property
    def args(self) -> bytes | Mapping[str, Any]: ...
    @property
    def options(self) -> Mapping[str, Any]: ...
    @property
    def read_result(self) -> Reader[R_co]: ...


@overload
def new_job(kind: JobCall[R], /, **options: Unpack[JobOptions]) -> NewJob[R]: ...


@overload
def new_job(
    kind: str, args: Mapping[str, Any] | None = None, **options: Unpack[JobOptions]
) -> NewJob[Any]: ...


def new_job(
    kind: str | JobCall[Any],
    args: Mapping[str, Any] | None = None,
    *,
    id: str | None = None,  # noqa: A002  # the field's name everywhere else
    queue: str | None = None,
    priority: int | None = None,
    delay: Duration | None = None,
    run_at: Moment | None = None,
    timeout: Duration | Literal["none"] | None = None,
    max_attempts: int | None = None,
    backoff: BackoffLike | None = None,
    expires_at: Moment | None = None,
    retention: Duration | None = None,
    unique_key: str | None = None,
    unique_until: UniqueUntil | None = None,
    unique_for: Duration | None = None,
    on_conflict: OnConflict | None = None,
    depends_on: Iterable[HasId | str] | HasId | str | None = None,
    on_parent_failure: OnParentFailure | None = None,
    concurrency_key: str | None = None,
    tags: Iterable[str] | None = None,
    meta: Mapping[str, Any] | None = None,
) -> NewJob[Any]:
    """Describe a job. Nothing is sent; what is not given here is the call's or the server's to say.

    Args:
        kind: which handler runs it, such as `"demo.echo"`; or a call of an app's job function, which brings
            its args and options.
        args: named arguments for the handler; JSON values, and what has a customary text form (datetime,
            UUID, Decimal). A call brings its own.
        id: 1 to 200 printable ASCII characters without spaces; a UUIDv7 if not given. Enqueuing the same job
            under the same id again changes nothing; a different job under it is refused.
        queue: its name; "default" if not given.
        priority: -100 to 100, larger runs first; 0 if not given.
        delay: not before this much later. At most one of `delay` and `run_at` is given.
        run_at: not before this time.
        timeout: the longest that one attempt may run; "none" for no limit.
        max_attempts: runs in all.
        backoff: the wait between failed attempts.
        expires_at: a job that still waits then is dead, reason `expired`.
        retention: how long the finished job is kept.
        unique_key: at most one job holds it at a time, whatever its kind and queue; 1 to 200 characters.
        unique_until: held until the job is "finished" (if not given), until its first attempt has "started",
            or for a "window" of time.
        unique_for: held at most so long from now; a window needs one.
        on_conflict: if another job holds the key: "reject" (if not given) refuses the whole batch with
            `not_unique`; "return_existing" gives that job; "replace" cancels that job if it still waits.
        depends_on: jobs, or ids of jobs, that must have ended before it runs: known ones, or some that are
            enqueued with it.
        on_parent_failure: if one of them dies, is cancelled or is deleted: "cancel" (if not given) cancels
            this job too; "continue" lets it run all the same.
        concurrency_key: jobs of one key take turns with those of others in their queue, and share the limits
            that the queue sets for each key; 1 to 200 characters.
        tags: words to find it by.
        meta: yours; an object of at most 16 KiB.

    Raises:
        TypeError, ValueError: a value cannot be carried; the text names the field.
    """
    given: dict[str, Any] = {}
    read: Reader[Any] = as_it_is
    if isinstance(kind, str):
        args_text = UNSET if args is None else _object("args", args)
    else:
        _check_call(kind)
        read = kind.read_result
        kind, args_text, given = _called(kind)
    if queue is not None:
        given["queue"] = text("queue", queue)
    if priority is not None:
        given["priority"] = whole("priority", priority)
    if max_attempts is not None:
        given["max_attempts"] = whole("max_attempts", max_attempts)
    if delay is not None:
        given["delay"] = duration("delay", delay)
    if timeout is not None:
        given["timeout"] = None if timeout == "none" else duration("timeout", timeout)
    if retention is not None:
        given["retention"] = duration("retention", retention)
    if unique_key is not None:
        given["unique_key"] = text("unique_key", unique_key)
    if unique_until is not None:
        given["unique_until"] = text("unique_until", unique_until)
    if unique_for is not None:
        given["unique_for"] = duration("unique_for", unique_for)
    if on_conflict is not None:
        given["on_conflict"] = text("on_conflict", on_conflict)
    if depends_on is not None:
        given["depends_on"] = _ids(depends_on)
    if on_parent_failure is not None:
        given["on_parent_failure"] = text("on_parent_failure", on_parent_failure)
    if concurrency_key is not None:
        given["concurrency_key"] = text("concurrency_key", concurrency_key)
    if run_at is not None:
        given["run_at"] = moment("run_at", run_at)
    if expires_at is not None:
        given["expires_at"] = moment("expires_at", expires_at)
    if backoff is not None:
        given["backoff"] = _backoff(backoff)
    if tags is not None:
        given["tags"] = texts("tags", tags)
    if meta is not None:
        given["meta"] = _object("meta", meta)
    job_id = new_id() if id is None else text("id", id)
    job: NewJob[Any] = NewJob(kind=kind, args=args_text, id=job_id, **given)
    job.__dict__.update(read_result=read, named_by_user=id is not None)
    return job


def asked_for(kind: str | JobCall[Any], args: Mapping[str, Any] | None, options: JobOptions) -> NewJob[Any]:
    """The job that a client's `enqueue` is asked for.

    Raises:
        TypeError, ValueError: as `new_job`.
    """
    if isinstance(kind, str):
        return new_job(kind, args, **options)
    _check_call(kind)
    if args is not None:
        raise TypeError("args: expected none beside a call, which brings its own")
    return new_job(kind, **options)


def described(jobs: Iterable[NewJob[R] | JobCall[R]], name: str = "jobs") -> Iterator[NewJob[R]]:
    """Jobs, and calls as jobs.

    Raises:
        TypeError: one is neither; the text says which of them, under this name.
    """
    if isinstance(jobs, str | Mapping | NewJob) or not isinstance(jobs, Iterable):
        raise mistyped(name, "a list of jobs (new_job) and calls (function.call)", jobs)
    return (
        job if isinstance(job, NewJob) else _described(job, f"{name}[{place}]")
        for place, job in enumerate(jobs)
    )


def _described(call: JobCall[R], name: str) -> NewJob[R]:
    _check_call(call, name, "a job (new_job) or a call (function.call)")
    return new_job(call)


def _check_call(call: object, name: str = "kind", expected: str = "text, or a call (function.call)") -> None:
    if isinstance(call, NewJobObject):
        raise TypeError(f"{mistyped(name, expected, call)}; a job is handed in by enqueue_many([job])")
    if not (hasattr(call, "read_result") and hasattr(call, "options")):
        raise mistyped(name, expected, call)


def new_id() -> str:
    """A fresh job id: a UUIDv7. Without a counter kept between calls, so threads and forks need no care."""
    return uuid7(time.time_ns() // 1_000_000, secrets.randbits(COUNTER_BITS))


def _called(call: JobCall[Any]) -> tuple[str, Raw, dict[str, Any]]:
    """What a call of a job function brings. Its options have the names and units of the core's terms."""
    given: dict[str, Any] = {}
    for name, value in call.options.items():
        match name:
            case "timeout_ms" | "retention_ms":
                given[name.removesuffix("_ms")] = None if value is None else seconds(value)
            case "backoff":
                given["backoff"] = _backoff(value)
            case _:
                given[name] = value
    args = call.args
    return call.kind, Raw(args) if isinstance(args, bytes) else _object("args", args), given


def _object(field: str, value: Mapping[str, Any]) -> Raw:
    if not isinstance(value, Mapping):
        raise mistyped(field, "an object (a dict)", value)
    try:
        return Raw(encode_json(value if isinstance(value, dict) else dict(value)))
    except TypeError as error:
        raise TypeError(f"{field}: {error}") from None
    except ValueError as error:
        raise ValueError(f"{field}: {error}") from None


def _ids(jobs: Iterable[HasId | str] | HasId | str) -> tuple[str, ...]:
    """The ids of these jobs, each once."""
    named = [jobs] if isinstance(jobs, str) or not isinstance(jobs, Iterable) else list(jobs)
    ids = [job if isinstance(job, str) else getattr(job, "id", None) for job in named]
    for place, job_id in enumerate(ids):
        if not isinstance(job_id, str):
            what = "depends_on" if named[place] is jobs else f"depends_on[{place}]"
            raise mistyped(what, "a job or the id of one", named[place])
    return tuple(dict.fromkeys(cast(list[str], ids)))


def moment(field: str, value: Moment) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, datetime):
        raise mistyped(field, "a datetime or RFC 3339 text", value)
    if value.tzinfo is None:
        raise ValueError(f"{field}: expected a datetime with a time zone, got {value.isoformat()} without")
    return value.isoformat()


def _backoff(value: BackoffLike) -> BackoffRule:
    if isinstance(value, Polynomial | Exponential | Fixed | Listed):
        return value
    if isinstance(value, Backoff):
        return backoff_object(value)
    if isinstance(value, int | float | str | timedelta):
        return Fixed(delay=duration("backoff", value))
    if not isinstance(value, Sequence):
        raise mistyped("backoff", "a rule such as Exponential(), a delay, or a list of delays", value)
    delays = cast("Sequence[Duration]", value)  # mypy keeps Backoff, a tuple, among what this may be
    return Listed(delays=tuple(duration(f"backoff[{place}]", delay) for place, delay in enumerate(delays)))
