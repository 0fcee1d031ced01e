"""Hooks of an app: code of the user that runs around each attempt, and code that is told of each failure.

This file says what they are, and wraps handlers in the first kind. It does not import Trio: worker processes
do it too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Literal, NamedTuple, TypeAlias

from beaver_actors.core.job import JobError
from beaver_actors.execute.context import Context


class Failure(NamedTuple):
    """How an attempt failed."""

    how: Literal["failed", "timed_out", "rejected", "crashed"]
    """It raised; it ran too long; it rejected the job, or its arguments or result did not fit; its process
    died."""
    error: JobError
    """Type, message and traceback, as they are kept with the job."""


Around: TypeAlias = Callable[[Context], AbstractContextManager[object]]
"""What wraps each attempt: entered before the handler and left after it, in the same task or thread."""
OnFailure: TypeAlias = Callable[[Context, Failure], object]
"""What is told of each failed attempt, in a thread of the server."""


class Hooks(NamedTuple):
    """All hooks of one app, in the order of their definition."""

    around: tuple[Around, ...] = ()
    on_failure: tuple[OnFailure, ...] = ()


@contextmanager
def surrounded(around: Sequence[Around], context: Context) -> Iterator[None]:
    """Wrap a handler, the first hook outermost.

    A hook may raise, before or after the handler, and that counts as if the handler had raised it; it may
    also raise in place of what the handler has raised. It cannot make a success of a failure: what it
    swallows is raised again.
    """
    raised: BaseException | None = None
    with ExitStack() as stack:
        for hook in around:
            stack.enter_context(hook(context))
        try:
            yield
        except BaseException as error:
            raised = error
            raise
    if raised is not None:
        raise raised
