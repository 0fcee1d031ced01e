"""Jobs as Python says them to jobs as the wire carries them, each with an id of its own from the start.

The id is what makes asking twice harmless (P5), so it is made here and not by the server. Values are turned
into JSON or refused, never changed; whether the server allows them is the server's to say.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol, TypeAlias, TypedDict, cast

import msgspec
from msgspec import UNSET, Raw

from beaver_actors.codec.ids import COUNTER_BITS, uuid7
from beaver_actors.codec.wire_jobs import backoff_object
from beaver_actors.codec.wire_objects import (
    BackoffRule,
    Exponential,
    Fixed,
    Listed,
    NewJobObject,
    Polynomial,
)
from beaver_actors.core.durations import seconds
from beaver_actors.core.job import Backoff

Duration: TypeAlias = float | str | timedelta
"""Seconds, or text such as "30s", "5m", "1h"."""
Moment: TypeAlias = datetime | str
"""A datetime with a time zone, or RFC 3339 text."""
BackoffLike: TypeAlias = BackoffRule | Backoff | Duration | Sequence[Duration]
"""A rule; or one fixed delay; or delays in turn, the last one repeating."""
NewJob: TypeAlias = NewJobObject
"""A job to be enqueued, made by `new_job`."""


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
    tags: Iterable[str] | None
    meta: Mapping[str, Any] | None


class JobCall(Protocol):
    """A call of a job function: what `function.call(…)` of an app returns."""

    @property
    def kind(self) -> str: ...
    @property
    def args(self) -> bytes | Mapping[str, Any]: ...
    @property
    def options(self) -> Mapping[str, Any]: ...


def new_job(
    kind: str | JobCall,
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
    tags: Iterable[str] | None = None,
    meta: Mapping[str, Any] | None = None,
) -> NewJob:
    """Describe a job. Nothing is sent; what is not given here is the call's or the server's to say.

    Args:
        kind: which handler runs it, such as `"demo.echo"`; or a call of an app's job function, which brings
            its args and options.
        args: named arguments for the handler; JSON values, and what has a customary text form (datetime,
            UUID, Decimal). Not together with a call.
        id: 1 to 200 visible ASCII characters; a UUIDv7 if not given. Enqueuing the same job under the same id
            again changes nothing; a different job under it is refused.
        queue: its name; "default" if not given.
        priority: -100 to 100, larger runs first; 0 if not given.
        delay: not before this much later. At most one of `delay` and `run_at` is given.
        run_at: not before this time.
        timeout: the longest that one attempt may run; "none" for no limit.
        max_attempts: runs in all.
        backoff: the wait between failed attempts.
        expires_at: a job that still waits then is dead, reason `expired`.
        retention: how long the finished job is kept.
        tags: words to find it by.
        meta: yours; an object of at most 16 KiB.

    Raises:
        TypeError, ValueError: a value cannot be carried; the text names the field.
    """
    given: dict[str, Any] = {}
    if isinstance(kind, str):
        args_text = UNSET if args is None else _object("args", args)
    else:
        if args is not None:
            raise TypeError("args: expected none beside a call, which brings its own")
        kind, args_text, given = _called(kind)
    if queue is not None:
        given["queue"] = queue
    if priority is not None:
        given["priority"] = priority
    if max_attempts is not None:
        given["max_attempts"] = max_attempts
    if delay is not None:
        given["delay"] = _duration(delay)
    if timeout is not None:
        given["timeout"] = None if timeout == "none" else _duration(timeout)
    if retention is not None:
        given["retention"] = _duration(retention)
    if run_at is not None:
        given["run_at"] = _moment("run_at", run_at)
    if expires_at is not None:
        given["expires_at"] = _moment("expires_at", expires_at)
    if backoff is not None:
        given["backoff"] = _backoff(backoff)
    if tags is not None:
        if isinstance(tags, str):
            raise TypeError(f"tags: expected a list of texts, got the text {tags!r}")
        given["tags"] = tuple(tags)
    if meta is not None:
        given["meta"] = _object("meta", meta)
    return NewJobObject(kind=kind, args=args_text, id=new_id() if id is None else id, **given)


def new_id() -> str:
    """A fresh job id: a UUIDv7. Without a counter kept between calls, so threads and forks need no care."""
    return uuid7(time.time_ns() // 1_000_000, secrets.randbits(COUNTER_BITS))


def encode_json(field: str, value: object) -> bytes:
    """Write a value as JSON text.

    Raises:
        TypeError: a part of it has no JSON form.
        ValueError: a number in it is NaN or infinite, or it contains itself.
    """
    try:
        text = msgspec.json.encode(value)
        # msgspec writes NaN and infinity as null, so only a text with a null in it need be looked through.
        odd = _not_finite(msgspec.to_builtins(value)) if b"null" in text else None
    except RecursionError:
        raise ValueError(f"{field}: nested too deeply, or contains itself") from None
    except (TypeError, OverflowError) as error:
        raise TypeError(f"{field}: {error}") from None
    except ValueError as error:
        raise ValueError(f"{field}: {error}") from None
    if odd is not None:
        raise ValueError(f"{field}: expected JSON numbers, got {odd}")
    return text


def _called(call: JobCall) -> tuple[str, Raw, dict[str, Any]]:
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
        raise TypeError(f"{field}: expected an object (a dict), got {type(value).__name__}")
    return Raw(encode_json(field, value if isinstance(value, dict) else dict(value)))


def _duration(value: Duration) -> float | str:
    return value.total_seconds() if isinstance(value, timedelta) else value


def _moment(field: str, value: Moment) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, datetime):
        raise TypeError(f"{field}: expected a datetime or RFC 3339 text, got {type(value).__name__}")
    if value.tzinfo is None:
        raise ValueError(f"{field}: expected a datetime with a time zone, got {value.isoformat()} without")
    return value.isoformat()


def _backoff(value: BackoffLike) -> BackoffRule:
    if isinstance(value, Polynomial | Exponential | Fixed | Listed):
        return value
    if isinstance(value, Backoff):
        return backoff_object(value)
    if isinstance(value, int | float | str | timedelta):
        return Fixed(delay=_duration(value))
    delays = cast("Sequence[Duration]", value)  # mypy keeps Backoff, a tuple, among what this may be
    return Listed(delays=tuple(_duration(delay) for delay in delays))


def _not_finite(tree: object) -> float | None:
    """The first NaN or infinity in a tree of plain values. Iterative: the tree may be deep."""
    waiting: list[Iterable[object]] = [(tree,)]
    while waiting:
        for value in waiting.pop():
            if isinstance(value, float):
                if not math.isfinite(value):
                    return value
            elif isinstance(value, dict):
                waiting.append(value.values())
            elif isinstance(value, list | tuple):
                waiting.append(value)
    return None
