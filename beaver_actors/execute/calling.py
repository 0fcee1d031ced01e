"""Calls a plain function with a job's arguments, in the thread it is called in: a thread of the server's, or
the main thread of a worker process, which is why Trio is not imported here.
"""

from __future__ import annotations

from beaver_actors.core.outcome import Outcome
from beaver_actors.execute.app import Handler
from beaver_actors.execute.context import Attempt, Context, Link
from beaver_actors.execute.outcomes import Limits, raised, returned


def call_plain(handler: Handler, attempt: Attempt, link: Link, limits: Limits) -> Outcome:
    """Run the handler and say how it ended. Raises nothing, whatever the handler does."""
    try:
        arguments = handler.decode(attempt.args)
        if handler.takes_context:
            value = handler.function(Context(attempt, link), **arguments)
        else:
            value = handler.function(**arguments)
        return returned(value, limits)
    except BaseException as error:  # noqa: BLE001 whatever user code raises is an outcome
        return raised(error, limits)
