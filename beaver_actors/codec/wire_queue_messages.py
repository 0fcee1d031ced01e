"""Requests about queues: paused and resumed, drained and deleted, their rules, their jobs moved. Structs
only; `wire_commands` checks the values, and `wire_queues` those of rules."""

from __future__ import annotations

from typing import Annotated

from beaver_actors.codec.wire_fields import (
    KIND_PATTERN,
    MOVED_MAX,
    TAG_CHARS_MAX,
    QueueName,
    RequestBase,
    about,
)
from beaver_actors.codec.wire_queue_objects import RulesFields


class PauseRequest(RequestBase, tag="pause"):
    """Start no more jobs of this queue. Reply: `changes` and `lsn`."""

    queue: QueueName


class ResumeRequest(RequestBase, tag="resume"):
    """Start jobs of this queue again. Reply: `changes` and `lsn`."""

    queue: QueueName


class ConfigureRequest(RequestBase, tag="configure"):
    """Set rules of this queue: null takes one away, what is left out stays as it is. Reply: `changes` and
    `lsn`."""

    queue: QueueName
    rules: RulesFields


class DrainRequest(RequestBase, tag="drain"):
    """Take no new jobs for this queue until it is resumed, and go on working. Reply: `changes` and `lsn`."""

    queue: QueueName


class DeleteQueueRequest(RequestBase, tag="delete_queue"):
    """Forget a queue that holds no jobs, with its rules. Reply: `changes` and `lsn`."""

    queue: QueueName


class MoveRequest(RequestBase, tag="move"):
    """Let waiting jobs of this queue stand in another from now on, a bounded number of them. Reply: `moved`,
    how many; `next`, to be given as `after` to move more, null at the end; and `lsn`."""

    queue: QueueName
    to: QueueName
    kind: Annotated[str | None, about("Only jobs of this kind.", pattern=KIND_PATTERN)] = None
    tag: Annotated[str | None, about("Only jobs with this tag.", maxLength=TAG_CHARS_MAX)] = None
    limit: Annotated[int, about("Most jobs moved.", minimum=1, maximum=MOVED_MAX)] = MOVED_MAX
    after: Annotated[int | None, about("`next` of the reply before.", minimum=0)] = None
