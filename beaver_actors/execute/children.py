"""Jobs that a handler asks for, to be enqueued in the record that completes its own.

They are collected as the protocol's text for a job, checked here by the rules that every client is held to,
so that a mistake is the handler's to see. Whether they can be accepted is told by the server when the attempt
ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

import msgspec

from beaver_actors.codec.ids import JobIds
from beaver_actors.codec.json_text import encode_json
from beaver_actors.codec.wire_decode import Limits, read
from beaver_actors.codec.wire_errors import WireError
from beaver_actors.codec.wire_job_objects import NewJobObject
from beaver_actors.codec.wire_jobs import Defaults, backoff_object, new_jobs
from beaver_actors.core.commands import NewJob
from beaver_actors.core.durations import seconds
from beaver_actors.core.job import Backoff

CHILDREN_BYTES_MAX = 1024 * 1024
"""Of one attempt: as much as a result may have."""

J = TypeVar("J", bound=NewJobObject)
_NO_IDS = JobIds(lambda: 0, lambda bits: 0)
"""Every child has an id."""
_encode = msgspec.json.Encoder().encode


class Call(Protocol):
    """A call of a job function: what `function.call(…)` returns."""

    @property
    def kind(self) -> str: ...
    @property
    def args(self) -> bytes | Mapping[str, Any]: ...
    @property
    def options(self) -> Mapping[str, Any]: ...


def child(
    what: str | NewJobObject | Call, args: Mapping[str, Any] | None, options: Mapping[str, Any], job_id: str
) -> NewJobObject:
    """The job that a handler asks for.

    Args:
        what: a kind; or a call of a job function; or a job.
        args, options: with a kind, or with a call its options: the fields of a job in the protocol's words.
        job_id: for a job that has none.

    Raises:
        ValueError: a field is wrong; says which, what was expected and what came.
        TypeError: `what` is none of these, `args` is no object, or stands beside a call or a job, which bring
            their own.
    """
    if isinstance(what, str):
        if args is not None and not isinstance(args, Mapping):
            raise TypeError(f"args: expected an object (a dict), got {type(args).__name__}")
        fields: dict[str, Any] = {"kind": what, "args": dict(args or {})}
    elif not isinstance(what, NewJobObject) and not hasattr(what, "options"):
        expected = "a kind, a call (function.call(…)) or a job (new_job(…))"
        raise TypeError(f"what: expected {expected}, got {type(what).__name__}")
    elif args is not None:
        raise TypeError("args: expected none beside a call or a job, which bring their own")
    elif isinstance(what, NewJobObject):
        fields = msgspec.json.decode(_encode(what))
    else:
        given = what.args
        own = msgspec.json.decode(given) if isinstance(given, bytes) else dict(given)
        fields = {"kind": what.kind, "args": own} | _options(what.options)
    fields |= {name: _listed(value) for name, value in options.items()}
    if fields.get("id") is None:
        fields["id"] = job_id
    try:
        text = encode_json(fields)
    except (TypeError, ValueError) as reason:
        raise ValueError(f"the job cannot be written as JSON: {reason}") from None
    try:
        job = read(NewJobObject, msgspec.Raw(text))
        new_jobs([job], _NO_IDS, Limits(), Defaults(), path="")
    except WireError as error:
        raise ValueError(error.message) from None
    return job


def children_of(texts: tuple[bytes, ...], limits: Limits, defaults: Defaults) -> tuple[NewJob, ...]:
    """The jobs in an outcome, as the core takes them.

    Raises:
        WireError: one is not allowed, by the settings of this server.
    """
    return new_jobs([read(NewJobObject, msgspec.Raw(text)) for text in texts], _NO_IDS, limits, defaults)


def _options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a job function, which have the names and units of the core's terms, in the protocol's
    words."""
    given: dict[str, Any] = {}
    for name, value in options.items():
        match name:
            case "timeout_ms" | "retention_ms":
                given[name.removesuffix("_ms")] = None if value is None else seconds(value)
            case "backoff":
                given[name] = msgspec.to_builtins(
                    backoff_object(value) if isinstance(value, Backoff) else value
                )
            case "meta" if isinstance(value, bytes):
                given[name] = msgspec.json.decode(value or b"{}")
            case _:
                given[name] = _listed(value)
    return given


def _listed(value: Any) -> Any:
    """Texts such as tags may be given in any of these."""
    return list(value) if isinstance(value, tuple | set | frozenset) else value
