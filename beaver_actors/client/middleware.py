"""Hooks on the client's side: each is shown every job that is about to be sent, and may change it.

This file calls them, and helps them to add to a job's meta. What else a hook does is its own affair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
from msgspec import UNSET, Raw

from beaver_actors.client.arguments import mistyped
from beaver_actors.client.new_jobs import NewJob
from beaver_actors.codec.json_text import encode_json

OnEnqueue: TypeAlias = Callable[[NewJob[Any]], object]
"""A hook. What it returns is ignored; what it raises reaches the caller of `enqueue`, and nothing is sent."""


def tell(hooks: Sequence[OnEnqueue], jobs: Iterable[NewJob[Any]]) -> None:
    """Show jobs to hooks, in the order of the hooks. Each job is shown once, however often it is enqueued:
    under the same id it must stay the same job (P5)."""
    if not hooks:
        return
    for job in jobs:
        if not job.__dict__.get("told"):
            for hook in hooks:
                hook(job)
            job.__dict__["told"] = True


def meta_of(job: NewJob[Any]) -> dict[str, Any]:
    """A copy of the job's meta."""
    if job.meta is UNSET:
        return {}
    meta: dict[str, Any] = msgspec.json.decode(job.meta)
    return meta


def add_meta(job: NewJob[Any], more: Mapping[str, Any]) -> None:
    """Add to the job's meta; what it has under these names is replaced.

    Raises:
        TypeError, ValueError: a value cannot be written as JSON.
    """
    if not isinstance(more, Mapping):
        raise mistyped("more", "an object (a dict)", more)
    job.meta = Raw(encode_json(meta_of(job) | dict(more)))
