"""What a handler is told about its attempt, and the words with which it answers other than by a value.

This file is the whole interface between user code and the machinery that runs it; it is the same on the event
loop, in a thread and in a worker process. It runs nothing itself and does not import Trio.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from reprlib import repr as shown
from typing import Any, NamedTuple, Protocol

import msgspec

from beaver_actors.codec.json_text import encode_json
from beaver_actors.codec.wire_fields import CHILDREN_MAX
from beaver_actors.codec.wire_job_objects import NewJobObject
from beaver_actors.codec.wire_jobs import child_id
from beaver_actors.core.answers import Parent as ParentAnswer
from beaver_actors.core.durations import parse_duration_ms
from beaver_actors.execute.children import CHILDREN_BYTES_MAX, Call, child

PROGRESS_BYTES_MAX = 65_536
"""Progress is kept in the log and sent to everyone who watches; it is a word on the way, not a result."""

SNOOZE_MS_MIN = 1_000
"""A snooze uses no attempt, so nothing else ends a row of them; and each turn is two facts in the log. One a
second is often enough to look whether something has changed, and slow enough not to fill the disk."""


TRACEPARENT = re.compile("[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
"""W3C Trace Context, section 3.2; later versions may add to its end."""


class Attempt(NamedTuple):
    """One run of one job under one lease: what the machinery knows about it."""

    job_id: str
    kind: str
    queue: str
    args: bytes
    """A JSON object: the named arguments."""
    attempt: int
    """1 for the first start."""
    max_attempts: int
    fence: int
    """The LSN of the lease; it only grows."""
    timeout_ms: int | None
    meta: bytes = b""
    """A JSON object that belongs to the user; empty for none."""
    parents: tuple[ParentAnswer, ...] = ()
    """What the lease says of the jobs that this one has waited for."""


class Link(Protocol):
    """How a `Context` reaches the machinery around it. Every method may be called from any thread."""

    def report(self, progress: bytes) -> None:
        """Take the JSON text of a progress."""

    def stopping(self) -> bool:
        """Whether the attempt is over for the server, whatever the handler still does."""

    def seconds_left(self) -> float | None:
        """Time until the timeout, below zero after it; None for a job without one."""


class Cancelled(BaseException):
    """Raised by `Context.check_cancelled`. Not an `Exception`, so that `except Exception` lets it pass."""


class Verdict(Exception):
    """How a handler says, raised or returned, that its attempt ended other than with a result."""


class Retry(Verdict):
    """The attempt failed; run the job again, if it has attempts left.

    Args:
        in_: when: seconds, or text such as "30s"; None for the job's own back-off.
        message: what went wrong, kept with the job.

    Raises:
        ValueError: `in_` is no duration.
    """

    def __init__(self, in_: float | str | None = None, message: str | None = None) -> None:
        super().__init__(message or "the handler asked to be run again")
        self.in_ms = None if in_ is None else parse_duration_ms(in_)


class Snooze(Verdict):
    """Nothing failed, but run the job again later; no attempt is used.

    Args:
        in_: when: seconds, or text such as "30s". Less than a second is taken for one second.

    Raises:
        ValueError: `in_` is no duration.
    """

    def __init__(self, in_: float | str) -> None:
        super().__init__(f"the handler asked to be run again in {in_}")
        self.in_ms = parse_duration_ms(in_)


class Reject(Verdict):
    """No retry can help: the job is dead at once, with the reason `rejected`.

    Args:
        message: why, kept with the job.
    """

    def __init__(self, message: str = "the handler rejected the job") -> None:
        super().__init__(message)


class ResultLeftOut(LookupError):
    """The results of all parents together were too large to come with the lease, and this one did not."""


class Parent:
    """A job that the running one has waited for."""

    __slots__ = ("_answer", "id", "left_out", "state")

    def __init__(self, answer: ParentAnswer) -> None:
        self.id = answer.job_id
        self.state = answer.state
        """completed; dead or cancelled if the job runs in any case; None if it is gone."""
        self.left_out = answer.left_out
        """Whether its result was too large to come along."""
        self._answer = answer

    def __repr__(self) -> str:
        return f"<Parent {self.id} {self.state or 'gone'}>"

    @property
    def result(self) -> Any:
        """What its handler returned, as JSON has it; None for nothing, or if it has not completed.

        Raises:
            ResultLeftOut: the results of all parents are more than a mebibyte; ask a client for this one.
        """
        if self.left_out:
            raise ResultLeftOut(f"the result of job {self.id} was too large to come along; ask for it by get")
        return None if self._answer.result is None else msgspec.json.decode(self._answer.result)


class Context:
    """The running attempt, as its handler sees it. A handler gets one if its first parameter is annotated
    `Context`; it is no argument of the job."""

    __slots__ = (
        "_attempt",
        "_children_bytes",
        "_link",
        "attempt",
        "children",
        "fence",
        "job_id",
        "kind",
        "max_attempts",
        "queue",
    )

    def __init__(self, attempt: Attempt, link: Link) -> None:
        self.job_id = attempt.job_id
        self.kind = attempt.kind
        self.queue = attempt.queue
        self.attempt = attempt.attempt
        """Which start of the job this is, from 1."""
        self.max_attempts = attempt.max_attempts
        self.fence = attempt.fence
        """Grows with every lease of any job: a write marked with it can be told from that of an older run."""
        self._attempt = attempt
        self._link = link
        self.children: list[bytes] | None = None
        """What `enqueue` was asked for; None for nothing."""
        self._children_bytes = 0

    @property
    def args(self) -> dict[str, Any]:
        """The arguments as they were sent, before any conversion."""
        decoded: dict[str, Any] = msgspec.json.decode(self._attempt.args)
        return decoded

    @property
    def meta(self) -> dict[str, Any]:
        """What was sent with the job as its meta."""
        decoded: dict[str, Any] = msgspec.json.decode(self._attempt.meta or b"{}")
        return decoded

    @property
    def parents(self) -> tuple[Parent, ...]:
        """The jobs that this one has waited for, in the order of its depends_on."""
        return tuple(map(Parent, self._attempt.parents))

    @property
    def traceparent(self) -> str | None:
        """The trace that the job was enqueued in, as W3C Trace Context writes it: the text that the job's
        meta has under "traceparent". None if it has none."""
        found = self.meta.get("traceparent")
        return found if isinstance(found, str) and TRACEPARENT.fullmatch(found) else None

    def progress(self, percent: float | None = None, message: str | None = None, data: object = None) -> None:
        """Tell how far the job is. Cheap, never waits, and may be called from any thread; of words that
        follow each other quickly only some are passed on, but always the last.

        Args:
            percent: 0 to 100.
            message: a short line for people.
            data: any JSON value for programs.

        Raises:
            ValueError: `percent` is no number or out of range, `message` is no text, `data` is no JSON value,
                or all together exceeds 64 KiB.
        """
        _check_words(percent, message)
        words = {"percent": percent, "message": message, "data": data}
        try:
            text = encode_json({name: word for name, word in words.items() if word is not None})
        except (TypeError, ValueError) as reason:
            raise ValueError(f"progress cannot be written as JSON: {reason}") from None
        if len(text) > PROGRESS_BYTES_MAX:
            raise ValueError(f"progress: at most {PROGRESS_BYTES_MAX} bytes, got {len(text)}")
        self._link.report(text)

    def enqueue(
        self, what: str | NewJobObject | Call, args: Mapping[str, Any] | None = None, /, **options: Any
    ) -> str:
        """Enqueue a job when this one completes, in the same record: both are on disk or none. If the attempt
        ends in any other way, nothing is enqueued. Not for several threads at a time.

        Args:
            what: a kind, with `args`; or a call, `function.call(…)`; or a job that `new_job` has made.
            args: named arguments.
            options: id, queue, priority, delay, depends_on and so on, as the protocol has them.

        Returns:
            The id of the job, for the `depends_on` of another. If none was given it is made from that of this
            job, its fence and a number.

        Raises:
            ValueError: a field is wrong, or there are more than 1000 jobs or 1 MiB of them.
            TypeError: `args` beside something that brings its own.
        """
        children = [] if self.children is None else self.children
        if len(children) == CHILDREN_MAX:
            raise ValueError(f"enqueue: at most {CHILDREN_MAX} jobs, got more")
        job = child(what, args, options, child_id(self.job_id, self.fence, len(children)))
        text = msgspec.json.encode(job)
        if self._children_bytes + len(text) > CHILDREN_BYTES_MAX:
            raise ValueError(f"enqueue: at most {CHILDREN_BYTES_MAX} bytes of jobs, got more")
        self._children_bytes += len(text)
        children.append(text)
        self.children = children
        return str(job.id)

    @property
    def cancelled(self) -> bool:
        """Whether the attempt is no longer wanted: cancelled, out of time, or the server stops. Code that
        Trio cannot interrupt (a thread, a plain function in a process) should look from time to time."""
        return self._link.stopping()

    def check_cancelled(self) -> None:
        """Raise `Cancelled` if the attempt is no longer wanted; let it pass to end the attempt."""
        if self._link.stopping():
            raise Cancelled

    @property
    def seconds_left(self) -> float | None:
        """Time until the timeout, below zero after it; None for a job without one."""
        return self._link.seconds_left()


def _check_words(percent: object, message: object) -> None:
    """User code may not be type-checked, and a comparison's own TypeError would not say what was meant."""
    if percent is not None and not (
        isinstance(percent, int | float) and not isinstance(percent, bool) and 0 <= percent <= 100
    ):
        raise ValueError(f"percent: expected a number from 0 to 100, got {shown(percent)}")
    if message is not None and not isinstance(message, str):
        raise ValueError(f"message: expected text, got {shown(message)}")
