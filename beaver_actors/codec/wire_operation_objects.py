"""Operations on many jobs as the messages carry them. Structs only."""

from __future__ import annotations

from typing import Annotated

from msgspec import Struct

from beaver_actors.codec.wire_fields import (
    JobId,
    Time,
    about,
)
from beaver_actors.core.job import (
    JobState,
)
from beaver_actors.core.operation import OperationState, OperationWord


class WantedObject(Struct, kw_only=True):
    """Which jobs are meant: those that fit every condition that is not null."""

    state: JobState | None
    queue: str | None
    kind: str | None
    tag: str | None
    reason: str | None
    error_type: str | None
    created_after: Time | None
    created_before: Time | None
    finished_after: Time | None
    finished_before: Time | None


class OperationObject(Struct, kw_only=True):
    """An operation on many jobs."""

    id: JobId
    word: OperationWord
    wanted: WantedObject
    state: OperationState
    started_at: Time
    ended_at: Time | None
    looked_at: Annotated[int, about("Jobs that it has looked at.")]
    to_look_at: Annotated[int, about("Jobs that there were when it began; some may have gone since.")]
    changed: Annotated[int, about("Jobs that were put back, or deleted.")]
    refused: Annotated[int, about("Jobs that were not: their unique key is taken, or a parent has failed.")]
