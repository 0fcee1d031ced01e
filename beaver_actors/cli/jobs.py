"""`jobs`: list, show, explain, cancel, retry, delete and purge. Which jobs are meant is said by their ids or
by what they have in common; what becomes of each is the server's answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import click

from beaver_actors.cli.console import json_document, json_line, json_lines, line, make_console, note, show
from beaver_actors.cli.exits import Exit
from beaver_actors.cli.filters import filter_options
from beaver_actors.cli.operate import confirm, in_the_background, meant, operate, unchanged
from beaver_actors.cli.options import Target, debug_option, json_option, server_options
from beaver_actors.cli.past import When, past_options
from beaver_actors.cli.talk import talk
from beaver_actors.cli.text import count, many
from beaver_actors.core.job import JobState

if TYPE_CHECKING:
    from beaver_actors.client import Change, Client, Explanation, JobInfo

Word: TypeAlias = Literal["cancel", "retry", "delete"]

DONE = {"cancel": "cancelled", "retry": "put back", "delete": "deleted"}
FAILURES_SHOWN = 20


@click.group()
def jobs() -> None:
    """List, show, explain, cancel, retry, delete and purge jobs."""


@jobs.command("list")
@filter_options
@click.option(
    "--limit",
    "-n",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    metavar="N",
    help="No more than so many.",
)
@click.option("--all", "everything", is_flag=True, help="All of them.")
@server_options
@json_option("One JSON object per line.")
@debug_option
def list_jobs(
    server: Target, /, *, limit: int, everything: bool, as_json: bool, **wanted: str | None
) -> None:
    """List jobs, newest first."""

    async def fetch(client: Client) -> list[JobInfo]:
        found: list[JobInfo] = []
        # One more than wanted tells whether there are more.
        async for job in client.list(**wanted, limit=None if everything else limit + 1):  # type: ignore[arg-type]  # click has checked state and reason
            if as_json and (everything or len(found) < limit):
                json_line(job)
            found.append(job)
        return found

    found = talk(server, fetch)
    shown = found if everything else found[:limit]
    if not as_json:
        from beaver_actors.cli.job_views import jobs_table
        from beaver_actors.kernel.clock import wall_ms

        if shown:
            show(jobs_table(shown, wall_ms(), make_console().width))
        else:
            note("No such jobs." if any(wanted.values()) else "No jobs.")
    if len(found) > len(shown):
        note("There are more: see --limit N and --all.")


@jobs.command("show")
@click.argument("job_id", metavar="ID")
@past_options
@server_options
@json_option("Print the job as JSON, without its life.")
@debug_option
def show_job(
    server: Target, /, *, job_id: str, when: When | None, data_dir: str | None, as_json: bool
) -> None:
    """Show everything about one job, and its whole life: every attempt, worker, error and duration.

    A job that is gone still has a life in the log; with --at it is shown as it was. With --data-dir no server
    is asked."""
    from beaver_actors.cli.job_life import find_job, find_life, life_lines

    job = find_job(server, job_id, when, data_dir, may_be_gone=not as_json)
    if as_json:
        json_document(job)
        return
    from beaver_actors.cli.job_views import job_view
    from beaver_actors.kernel.clock import wall_ms

    if job is not None:
        show(job_view(job, wall_ms()))
        line()
    for text in life_lines(find_life(server, job_id, data_dir, needed=job is None), job_id):
        line(text)


@jobs.command("explain")
@click.argument("job_id", metavar="ID")
@server_options
@json_option()
@debug_option
def explain_job(server: Target, /, *, job_id: str, as_json: bool) -> None:
    """Say why a job does not run, or why it ended.

    The reason that lasts longest comes first."""

    async def ask(client: Client) -> Explanation:
        return await client.explain(job_id)

    explanation = talk(server, ask)
    if as_json:
        json_document(explanation)
        return
    from beaver_actors.cli.job_views import explanation_lines

    for text in explanation_lines(explanation):
        line(text)


def _change_command(word: Word, about: str) -> None:
    """Make one of the three commands that change jobs; they differ in a word."""

    @jobs.command(word, help=about, short_help=about.partition("\n")[0])
    @click.argument("job_ids", nargs=-1, metavar="[ID]...")
    @filter_options
    @(in_the_background if word == "retry" else unchanged)
    @click.option("--yes", "-y", is_flag=True, help="Do not ask.")
    @server_options
    @json_option("Print what became of each as JSON, one object per line.")
    @debug_option
    @click.pass_context
    def change(
        context: click.Context,
        server: Target,
        /,
        *,
        job_ids: tuple[str, ...],
        yes: bool,
        as_json: bool,
        everything: bool = False,
        wait: bool = False,
        **wanted: str | None,
    ) -> None:
        if everything:
            if job_ids:
                raise click.UsageError("Expected either ids or --all.")
            if not yes:
                confirm(f"put back {meant(wanted)}")
            context.exit(operate(server, "retry", wanted, wait=wait, as_json=as_json))
        if wait:
            raise click.UsageError("--wait: goes with --all")
        if bool(job_ids) == any(wanted.values()):
            raise click.UsageError(
                "Expected either ids, or options that say which jobs, such as --state dead."
            )
        job_ids = tuple(dict.fromkeys(job_ids))  # named twice is still one job
        if not job_ids:
            job_ids = talk(server, partial(_matching, wanted=wanted))
            if not job_ids:
                note("No such jobs.")
                context.exit(Exit.OK)
            if not yes:
                _confirm(word, len(job_ids))

        async def ask(client: Client) -> Sequence[Change]:
            ask_for: Callable[[Iterable[str]], Awaitable[Sequence[Change]]] = getattr(client, word)
            return await ask_for(job_ids)

        changes = talk(server, ask)
        if as_json:
            json_lines(changes)
        context.exit(_tell(word, changes, quiet=as_json))


_change_command(
    "cancel",
    """Stop jobs: waiting ones at once, running ones as soon as they obey.

    Which ones: by ID, or all that fit the options.""",
)
_change_command(
    "retry",
    """Put dead or cancelled jobs back into their queue, with a fresh count of attempts.

    Which ones: by ID, or all that fit the options, such as --state dead --queue mail. With --all the server
    does it by itself, beside everything else, and goes on after a crash: see "operations".""",
)
_change_command(
    "delete",
    """Forget jobs for good, unless they are running.

    Which ones: by ID, or all that fit the options.""",
)


@jobs.command("purge")
@filter_options
@click.option("--wait", is_flag=True, help="Stay until it has ended, and show how far it is.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@server_options
@json_option()
@debug_option
@click.pass_context
def purge(
    context: click.Context,
    server: Target,
    /,
    *,
    wait: bool,
    yes: bool,
    as_json: bool,
    **wanted: str | None,
) -> None:
    """Forget for good all jobs that fit the options: dead ones, unless --state says another.

    The server does it beside everything else, and goes on after a crash: see "operations"."""
    if not yes:
        confirm(f"forget {meant(wanted)}")
    context.exit(operate(server, "delete", wanted, wait=wait, as_json=as_json))


async def _matching(client: Client, wanted: dict[str, Any]) -> tuple[str, ...]:
    return tuple([job.id async for job in client.list(**wanted, page_size=1000)])


def _confirm(word: Word, number: int) -> None:
    confirm(f"{word} {many(number, 'job')}")


def _tell(word: Word, changes: Sequence[Change], *, quiet: bool) -> Exit:
    """Say what became of the jobs; the exit code is that of a refusal if one was refused."""
    refused = [change for change in changes if change.code is not None]
    if not quiet:
        changed = sum(change.changed for change in changes)
        asked = sum(change.changed and change.state is JobState.IN_FLIGHT for change in changes)
        done = changed - asked
        already = len(changes) - changed - len(refused)
        parts = [f"{many(done, 'job')} {DONE[word]}"] if done or not asked else []
        if asked:
            parts.append(f"{many(asked, 'running job')} asked to stop")
        if already:
            parts.append(f"{count(already)} already")
        line(", ".join(parts))
    for change in refused[:FAILURES_SHOWN]:
        state = "" if change.state is None else f" (it is {change.state.replace('_', ' ')})"
        note(f"  {change.name}: {change.code}{state}")
    if len(refused) > FAILURES_SHOWN:
        note(f"  … and {many(len(refused) - FAILURES_SHOWN, 'other')} refused")
    return Exit.REFUSED if refused else Exit.OK
