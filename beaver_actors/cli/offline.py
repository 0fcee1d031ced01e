"""`log` and `verify`: a data directory read from its files, with or without a server beside it. Only
`verify --repair` changes anything, and that takes two options to ask for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING

import click

from beaver_actors.cli.console import json_document, json_line, line, note
from beaver_actors.cli.exits import Exit, Failure
from beaver_actors.cli.options import debug_option, json_option
from beaver_actors.cli.text import count, many

if TYPE_CHECKING:
    from beaver_actors.client.views import Event
    from beaver_actors.journal.repair import Repaired
    from beaver_actors.journal.verify import VerifyReport

data_dir_option = click.option(
    "--data-dir",
    envvar="BEAVER_DATA_DIR",
    default="data",
    show_default=True,
    type=click.Path(),
    metavar="DIR",
    help="The data directory. [env: BEAVER_DATA_DIR]",
)


@click.command()
@data_dir_option
@click.option(
    "--from-lsn", type=click.IntRange(min=1), default=1, metavar="LSN", help="The first one wanted."
)
@click.option("--limit", type=click.IntRange(min=0), metavar="N", help="No more than so many.")
@click.option("--job", "job_ids", multiple=True, metavar="ID", help="Only this job; may be repeated.")
@click.option(
    "--event", "names", multiple=True, metavar="NAME", help="Only such as job_completed; may be repeated."
)
@json_option("One JSON object per line.")
@debug_option
def log(
    data_dir: str,
    from_lsn: int,
    limit: int | None,
    job_ids: tuple[str, ...],
    names: tuple[str, ...],
    as_json: bool,
) -> None:
    """Print what the log of a data directory holds.

    Needs no server and may run beside one. What a snapshot has replaced is gone from the log.
    """
    from beaver_actors.cli.events import check_event_names, event_line

    check_event_names(names)
    with telling_of_the_journal():
        events = _events(data_dir, from_lsn, frozenset(job_ids), frozenset(names))
        for event in islice(events, limit):
            if as_json:
                json_line(event)
            else:
                line(event_line(event))


@click.command()
@data_dir_option
@click.option(
    "--repair",
    "wants_repair",
    is_flag=True,
    help="Make a damaged directory start again. Loses what cannot be read.",
)
@click.option("--accept-loss", is_flag=True, help="Yes, give up what cannot be read.")
@json_option()
@debug_option
@click.pass_context
def verify(
    context: click.Context, data_dir: str, wants_repair: bool, accept_loss: bool, as_json: bool
) -> None:
    """Read everything in a data directory and say what is wrong.

    Changes nothing, needs no server and may run beside one. Exit code 5: something is damaged.

    With --repair --accept-loss the readable part is kept, all else is given up, and the old files are moved
    aside unchanged. Better, if there is one: restore a copy of the directory.
    """
    if accept_loss and not wants_repair:
        raise Failure(Exit.USAGE, "--accept-loss: goes with --repair")
    from beaver_actors.journal.disk import RealDisk
    from beaver_actors.journal.verify import verify as read_everything

    with telling_of_the_journal():
        if wants_repair:
            _repair(data_dir, accept_loss, as_json)
            return
        report = read_everything(RealDisk(data_dir))
    if as_json:
        json_document(asdict(report) | {"problems": [problem._asdict() for problem in report.problems]})
    else:
        _print_report(report)
    context.exit(Exit.OK if report.ok else Exit.DAMAGED)


@contextmanager
def telling_of_the_journal() -> Iterator[None]:
    """Turn what the journal raises into words and an exit code."""
    from beaver_actors.journal.errors import (
        Damaged,
        DirectoryLocked,
        DirectoryUnusable,
        JournalError,
        NoSpace,
        UnknownFormat,
    )

    try:
        yield
    except (Damaged, UnknownFormat) as error:
        raise Failure(Exit.DAMAGED, str(error)) from error
    except DirectoryLocked as error:
        raise Failure(Exit.LOCKED, str(error)) from error
    except DirectoryUnusable as error:
        raise Failure(Exit.USAGE, str(error)) from error
    except NoSpace as error:
        raise Failure(Exit.STORAGE, str(error)) from error
    except JournalError as error:
        raise Failure(Exit.ERROR, str(error)) from error
    except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
        advice = "Name the directory that the server writes to with --data-dir."
        raise Failure(Exit.USAGE, f"{error.filename}: {error.strerror}", advice) from error


def _events(data_dir: str, from_lsn: int, job_ids: frozenset[str], names: frozenset[str]) -> Iterator[Event]:
    """The facts of the log as events.

    Raises:
        UnknownFormat: a newer version of the program wrote it.
        Damaged: after the last fact that can be read.
    """
    from beaver_actors.client.views import Event, event_from_wire
    from beaver_actors.codec.wire_events import event_object
    from beaver_actors.core.facts import EVENT_NAMES
    from beaver_actors.journal.disk import RealDisk
    from beaver_actors.journal.errors import Damaged
    from beaver_actors.journal.recovery import has_format
    from beaver_actors.journal.replay import read_log

    disk = RealDisk(data_dir)
    with suppress(Damaged):  # no fact is in that file; "verify" tells of it
        has_format(disk)
    oldest: int | None = None
    for lsn, _, fact in read_log(disk, from_lsn):
        if oldest is None:
            oldest = lsn
            if lsn > from_lsn:
                note(f"The log begins with LSN {count(lsn)}: a snapshot stands for what was before.")
        if names and EVENT_NAMES[type(fact)] not in names:
            continue
        if job_ids and getattr(fact, "job_id", None) not in job_ids:
            continue
        event = event_from_wire(event_object(lsn, fact))
        assert isinstance(event, Event), "only a push can be a gap"
        yield event


def _print_report(report: VerifyReport) -> None:
    if report.oldest_lsn:
        log_range = f"LSN {count(report.oldest_lsn)} to {count(report.head)}"
        line(
            f"log        {log_range}: {count(report.facts)} facts in {count(report.frames)} writes, "
            f"{many(report.segments, 'segment')}, epoch {report.epoch}"
        )
    line(f"snapshots  {', '.join(f'LSN {count(lsn)}' for lsn in report.snapshots) or 'none'}")
    if report.jobs:
        counts = (
            f"{state.replace('_', ' ')} {count(number)}" for state, number in sorted(report.jobs.items())
        )
        line(f"jobs       {', '.join(counts)}")
    if report.server_pid is not None:
        line(f"server     process {report.server_pid} is running on it")
    if report.torn is not None:
        line(f"torn       {report.torn}")
        if report.server_pid is None:
            line("           An interrupted last write: never acknowledged; the next start cuts it.")
    for problem in report.problems:
        file, offset, reason, is_damage = problem
        where = file if offset is None else f"{file} at offset {offset}"
        line(
            click.style(
                f"DAMAGED    {where}: {reason}" if is_damage else f"FORMAT     {file} {reason}", fg="red"
            )
        )
    if report.ok:
        line(
            click.style("good", fg="green") + ": a server can start on it, and everything in it can be read."
        )
    elif report.starts:
        line("A server can start on it as it is: what is damaged is not needed. Copy the directory soon.")
    elif report.needs_newer_version:
        line(
            "A newer version of beaver_actors wrote it: use that one or a later one. Do not try to repair it."
        )
    else:
        line(
            "A server will not start on it. Restore a copy of the directory, or give up what cannot be read:"
        )
        line(f"  python -m beaver_actors verify --data-dir {report.place} --repair --accept-loss")


def _repair(data_dir: str, accept_loss: bool, as_json: bool) -> None:
    from beaver_actors.journal.disk import RealDisk
    from beaver_actors.journal.repair import repair
    from beaver_actors.journal.settings import JournalSettings
    from beaver_actors.journal.verify import verify as read_everything

    disk = RealDisk(data_dir)
    if not accept_loss:
        report = read_everything(disk)
        if not report.starts:
            _print_report(report)
            if report.needs_newer_version:
                raise Failure(Exit.DAMAGED, "this version can repair nothing there")
            raise Failure(
                Exit.USAGE,
                "--repair gives up every job and outcome that is only in what cannot be read",
                "If that is what you want, add --accept-loss. The old files are moved aside, not deleted.",
            )
    done = repair(disk, JournalSettings()) if accept_loss else None
    if as_json:
        json_document(None if done is None else _as_json(done))
    elif done is None:
        line("Nothing to repair: a server can start on it as it is.")
    else:
        known = done.lost_through_lsn - done.lost_from_lsn + 1
        kept = many(done.jobs, "job")
        lost = f"at least {many(known, 'fact')}" if known > 0 else "what was written"
        line(f"kept   {kept}, as they were after LSN {count(done.kept_lsn)}")
        line(f"lost   {lost} from there on")
        line(f"aside  the old files, unchanged, in {data_dir}/{done.aside}")
        line(f"The log goes on with LSN {count(done.next_lsn)}; a server can start.")


def _as_json(done: Repaired) -> dict[str, object]:
    return done._asdict() | {"damage": str(done.damage)}
