"""Options that say what jobs have in common, the same for every command that takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from beaver_actors.core.job import DEAD_REASONS, JobState

Function = TypeVar("Function", bound=Callable[..., Any])


def filter_options(function: Function) -> Function:
    """What jobs have in common; the command takes the conditions given as keywords."""
    for option in (
        click.option("--finished-before", metavar="TIME", help="Only those that finished before it."),
        click.option("--finished-after", metavar="TIME", help="Only those that finished then or later."),
        click.option("--created-before", metavar="TIME", help="Only those enqueued before it."),
        click.option(
            "--created-after", metavar="TIME", help="Only those enqueued then or later: 2026-09-01T08:00:00Z."
        ),
        click.option("--error-type", metavar="TYPE", help="Only those whose latest error is of this type."),
        click.option("--tag", metavar="TAG", help="Only those with this tag."),
        click.option("--kind", metavar="KIND", help="Only this kind."),
        click.option("--queue", "-q", metavar="NAME", help="Only this queue."),
        click.option("--reason", type=click.Choice(DEAD_REASONS), help="Only those dead for this reason."),
        click.option(
            "--state", type=click.Choice([str(state) for state in JobState]), help="Only this state."
        ),
    ):
        function = option(function)
    return function
