"""The past on the command line: `--at`, and where it is read, from a server or from a data directory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from beaver_actors.cli.exits import Exit, Failure

if TYPE_CHECKING:
    from beaver_actors.codec.wire_past import PastReply

Function = TypeVar("Function", bound=Callable[..., Any])


class When(NamedTuple):
    """A moment as it was given: an LSN, or a time as text."""

    lsn: int | None = None
    at: str | None = None


class _WhenType(click.ParamType):  # type: ignore[type-arg]  # not generic in every version of click
    name = "when"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> When:
        """An LSN is digits alone; everything else must be a time."""
        if isinstance(value, When):
            return value
        text = str(value)
        if text.isascii() and text.isdigit() and len(text) <= 19:
            return When(lsn=int(text))
        from beaver_actors.codec.wire_times import parse_time_ms

        try:
            parse_time_ms(text)
        except ValueError as error:
            self.fail(f"expected an LSN, or {str(error).removeprefix('expected ')}", param, ctx)
        return When(at=text)


def past_options(function: Function) -> Function:
    """`--at` and `--data-dir`; the command takes `when` and `data_dir`, None if not given."""
    directory = click.option(
        "--data-dir",
        type=click.Path(),
        metavar="DIR",
        help="Read this data directory, with or without a server beside it, instead of asking one.",
    )
    at = click.option(
        "--at",
        "when",
        type=_WhenType(),
        metavar="LSN|TIME",
        help="As it was after this position of the log, or at this time: 2026-09-01T08:00:00Z.",
    )
    return at(directory(function))


NOW = When()
"""By the end of the log, where a data directory is read."""


def read_directory(
    data_dir: str, job_id: str | None, when: When | None, *, may_be_gone: bool = False
) -> PastReply | None:
    """Answer from a data directory; None if there is nothing, and that may be.

    Raises:
        Failure: there is no such past, or no data directory.
    """
    from beaver_actors.cli.offline import telling_of_the_journal
    from beaver_actors.codec.wire_past import Moment, Wish
    from beaver_actors.codec.wire_times import parse_time_ms
    from beaver_actors.journal.disk import RealDisk
    from beaver_actors.journal.past_replies import past_reply
    from beaver_actors.kernel.clock import wall_ms

    moment = None
    if when is not None:
        moment = Moment(when.lsn, None if when.at is None else parse_time_ms(when.at))
    with telling_of_the_journal():
        reply = past_reply(RealDisk(data_dir), Wish(job_id, moment), wall_ms())
    if reply.code == "not_found" and may_be_gone:
        return None
    if reply.code is not None:
        raise Failure(Exit.REFUSED, reply.message)
    return reply
