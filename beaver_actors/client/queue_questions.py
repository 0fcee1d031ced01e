"""What a client can ask about queues: `questions.py` says what a question is."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET

from beaver_actors.client.arguments import text, text_or_none
from beaver_actors.client.errors import ProtocolError
from beaver_actors.client.questions import Question, changed
from beaver_actors.client.rules import QueueOptions, rules_fields
from beaver_actors.client.views import (
    Change,
)
from beaver_actors.codec.wire import Ok
from beaver_actors.codec.wire_queue_messages import (
    ConfigureRequest,
    DeleteQueueRequest,
    DrainRequest,
    MoveRequest,
    PauseRequest,
    ResumeRequest,
)

QueueWord = Literal["pause", "resume", "drain", "delete_queue"]


def queue_change(word: QueueWord, queue: str) -> Question[Change]:
    """Pause, resume, drain or delete a queue."""
    requests: dict[QueueWord, type[PauseRequest | ResumeRequest | DrainRequest | DeleteQueueRequest]] = {
        "pause": PauseRequest,
        "resume": ResumeRequest,
        "drain": DrainRequest,
        "delete_queue": DeleteQueueRequest,
    }
    return Question(requests[word](id="", queue=text("queue", queue)), lambda ok: changed(ok)[0])


def configure(queue: str, options: QueueOptions) -> Question[Change]:
    """Set rules of a queue."""
    request = ConfigureRequest(id="", queue=text("queue", queue), rules=rules_fields(options))
    return Question(request, lambda ok: changed(ok)[0])


def move(
    queue: str, to: str, kind: str | None, tag: str | None, after: int | None = None
) -> Question[tuple[int, int | None]]:
    """Move some waiting jobs. Tells how many, and where the next request goes on; None at the end."""

    def read(ok: Ok) -> tuple[int, int | None]:
        if ok.moved is UNSET or ok.next is UNSET:
            raise ProtocolError("the server did not say how many jobs it has moved")
        return ok.moved, ok.next

    text("queue", queue), text("to", to), text_or_none("kind", kind), text_or_none("tag", tag)
    return Question(MoveRequest(id="", queue=queue, to=to, kind=kind, tag=tag, after=after), read)
