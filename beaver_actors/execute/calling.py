"""Calls a plain function with a job's arguments, in the thread it is called in: a thread of the server's, or
the main thread of a worker process, which is why Trio is not imported here.
"""

from __future__ import annotations

from functools import partial

from beaver_actors.core.outcome import Outcome
from beaver_actors.execute.app import Handler
from beaver_actors.execute.context import Attempt, Cancelled, Context, Link
from beaver_actors.execute.hooks import surrounded
from beaver_actors.execute.outcomes import Limits, describe, raised, returned, timed_out, with_children


def call_plain(handler: Handler, attempt: Attempt, link: Link, limits: Limits) -> Outcome:
    """Run the handler and say how it ended. Raises nothing, whatever the handler does."""
    try:
        arguments = handler.decode(attempt.args)
        context = Context(attempt, link)
        function = partial(handler.function, context) if handler.takes_context else handler.function
        with surrounded(handler.hooks.around, context):
            value = function(**arguments)
        return with_children(returned(value, limits, handler.function), context)
    except BaseException as error:  # noqa: BLE001 whatever user code raises is an outcome
        left = link.seconds_left()
        # Not `isinstance`: an exception may lie about its class, or raise when asked.
        if issubclass(type(error), Cancelled) and left is not None and left <= 0:
            # It has seen that its time is over before anyone came to end it.
            return timed_out(attempt, describe(error, limits).traceback)
        return raised(error, limits)
