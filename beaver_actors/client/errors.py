"""What can go wrong for a client, as exceptions: one for each reason a program may want to treat differently.

This file only names them and chooses the one for an error reply; it never decides whether to try again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from beaver_actors.codec.wire import Error
from beaver_actors.core.answers import RefusalCode
from beaver_actors.core.job import EndReason

if TYPE_CHECKING:
    from beaver_actors.client.views import AttemptFailure


class ClientError(Exception):
    """Everything that the client raises on its own account."""

    def twin(self) -> Self:
        """An equal exception, for raising one failure in several places: tracebacks must not mix."""
        twin = type(self).__new__(type(self), *self.args)
        twin.__dict__.update(self.__dict__)
        return twin


class ConnectFailed(ClientError):
    """There is no connection; the message says to which URL, why, and what to do.

    Attributes:
        status: the HTTP status with which the server refused, None if it did not come to that.
        transient: whether it may work a little later; if not, a client that reconnects gives up.
    """

    def __init__(self, message: str, *, status: int | None = None, transient: bool = True) -> None:
        super().__init__(message)
        self.status = status
        self.transient = transient


class ConnectionLost(ClientError):
    """The connection ended before the answer came, and there will be no other. Whether the server did what
    was asked is unknown; asking again under the same job ids is harmless."""


class ProtocolError(ClientError):
    """The server sent something that cannot be understood. Whether it did what was asked is unknown."""


class Refused(ClientError):
    """The server said no, and nothing has changed.

    Attributes:
        code: the protocol's error code.
        message: for people; names the field that is wrong.
        retry_after: seconds after which it is worth another try, None if it is not.
    """

    def __init__(self, code: RefusalCode, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code: RefusalCode = code
        self.message = message
        self.retry_after = retry_after


class BadRequest(Refused):
    """A field is missing, unknown, or has a value that is not allowed."""


class Unauthorized(Refused):
    """No token, or a wrong one."""


class Forbidden(Refused):
    """This caller may not do this."""


class NotFound(Refused):
    """There is no such job."""


class Conflict(Refused):
    """The job is not in a state that allows it, or its id belongs to a different job."""


class NotUnique(Refused):
    """A job with the same unique key exists."""


class LeaseLost(Refused):
    """The attempt belongs to another worker by now."""


class QueueFull(Refused):
    """Too many jobs wait."""


class Overloaded(Refused):
    """The server is behind with its work."""


class StorageFull(Refused):
    """The server's disk is full; it takes no new jobs."""


class TooLarge(Refused):
    """The job or the message is over the limit, or there are too many jobs in one message."""


class Draining(Refused):
    """The server is stopping."""


class NotLeader(Refused):
    """Another server of the cluster leads."""


class Unsupported(Refused):
    """The server does not know this kind of message; it may be older than the client."""


REFUSALS: dict[RefusalCode, type[Refused]] = {
    "bad_request": BadRequest,
    "unauthorized": Unauthorized,
    "forbidden": Forbidden,
    "not_found": NotFound,
    "conflict": Conflict,
    "not_unique": NotUnique,
    "lease_lost": LeaseLost,
    "queue_full": QueueFull,
    "overloaded": Overloaded,
    "storage_full": StorageFull,
    "too_large": TooLarge,
    "draining": Draining,
    "not_leader": NotLeader,
    "unsupported": Unsupported,
}


def refusal(error: Error) -> Refused:
    """The exception for an error reply."""
    return refused(error.code, error.message, error.retry_after)


def refused(code: RefusalCode, message: str, retry_after: float | None = None) -> Refused:
    """The exception for an error code."""
    return REFUSALS[code](code, message, retry_after)


def closed_by_server(code: int, reason: str) -> ClientError:
    """What the server's goodbye means for those who wait.

    Args:
        code: RFC 6455, section 7.4.1.
        reason: what the server said, empty for nothing.
    """
    said = f"the server closed the connection ({code}{': ' + reason if reason else ''})"
    match code:
        case 1009:
            return TooLarge("too_large", reason or said)
        case 1002 | 1003 | 1007 | 1008:
            return ProtocolError(said)  # it will not take the same messages from another connection either
        case _:
            return ConnectionLost(said)


def oversized(bytes_max: int) -> ProtocolError:
    """The server sent a message of more than `bytes_max` bytes."""
    advice = "if it was a list of jobs, ask for smaller pages"
    return ProtocolError(f"the server sent a message of more than {bytes_max} bytes; {advice}")


class JobNotCompleted(ClientError):
    """A job whose result was waited for ended without one."""

    def __init__(self, job_id: str, message: str) -> None:
        super().__init__(f"job {job_id} {message}")
        self.job_id = job_id


class JobFailed(JobNotCompleted):
    """The job is dead.

    Attributes:
        reason: why it was given up.
        errors: what went wrong in each attempt, oldest first; empty if it never ran.
    """

    def __init__(self, job_id: str, reason: EndReason | None, errors: Sequence[AttemptFailure]) -> None:
        last = f": {errors[-1].type}: {errors[-1].message}" if errors else ""
        super().__init__(job_id, f"is dead ({reason or 'for no recorded reason'}){last}")
        self.reason: EndReason | None = reason
        self.errors = tuple(errors)


class JobCancelled(JobNotCompleted):
    """The job was cancelled.

    Attributes:
        errors: what went wrong in earlier attempts, oldest first.
    """

    def __init__(self, job_id: str, errors: Sequence[AttemptFailure] = ()) -> None:
        super().__init__(job_id, "was cancelled")
        self.errors = tuple(errors)


class UnexpectedResult(ClientError):
    """The job is completed, but its result is not what its function is said to return: the code here and the
    code that ran it are of different versions, or the annotation is wrong. `job.status()` has the result."""

    def __init__(self, job_id: str, why: str) -> None:
        super().__init__(f"job {job_id} is completed, but its result is not what its function returns: {why}")
        self.job_id = job_id


class JobGone(JobNotCompleted):
    """The job does not exist: it was deleted, or is finished and its retention is over."""

    def __init__(self, job_id: str) -> None:
        super().__init__(job_id, "does not exist (any more)")
