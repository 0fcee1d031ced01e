"""Which jobs a test means when it says "a job of this function with these arguments"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from beaver_actors.client.views import JobInfo
from beaver_actors.codec.json_text import write_json
from beaver_actors.execute.app import JobCall, JobFunction


def fits(
    job: JobInfo,
    what: str | JobFunction[..., ..., Any, Any] | JobCall[Any] | None,
    args: Mapping[str, Any] | None,
) -> bool:
    """Whether a job is of the kind that is meant, and has the arguments that are.

    Args:
        job: as the server shows it.
        what: a kind, a function, or a call, whose arguments must be the job's; None for any.
        args: arguments that the job must have, among others.
    """
    if what is not None and _kind(what) != job.kind:
        return False
    if isinstance(what, JobCall) and msgspec.json.decode(what.args) != job.args:
        return False
    # Compared as the wire carries them, so that a datetime equals the text that became of it.
    wanted = msgspec.json.decode(write_json(dict(args or {})))
    return all(name in job.args and job.args[name] == value for name, value in wanted.items())


def describe(what: object, args: Mapping[str, Any] | None, queue: str | None, state: str | None) -> str:
    """The words for what is meant."""
    words = []
    match what:
        case JobCall():
            words.append(f"of {what.kind} with exactly {what.args.decode()}")
        case JobFunction() | str():
            words.append(f"of {_kind(what)}")
    if args is not None:
        words.append(f"with {dict(args)}")
    if queue is not None:
        words.append(f"in {queue}")
    if state is not None:
        words.append(f"that is {state}")
    return " ".join(words)


def _kind(what: str | JobFunction[..., ..., Any, Any] | JobCall[Any]) -> str:
    return what if isinstance(what, str) else what.kind
