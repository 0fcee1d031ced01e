"""`enqueue`: one job from options, or many from a file. All are judged before any is sent, and each has its
id from here, so that what is sent twice is one job (P5)."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from beaver_actors.cli.console import json_document, line, note
from beaver_actors.cli.exits import Exit, Failure
from beaver_actors.cli.fields import on_the_command_line
from beaver_actors.cli.options import Target, debug_option, json_option, server_options
from beaver_actors.cli.talk import talk
from beaver_actors.cli.text import count, cut, many
from beaver_actors.core.graphs import GRAPH_JOBS_MAX
from beaver_actors.core.job import ON_CONFLICT, ON_PARENT_FAILURE, UNIQUE_UNTIL

if TYPE_CHECKING:
    from beaver_actors.cli.waiting import Endings
    from beaver_actors.client import Client, Job, NewJob

MESSAGE_BYTES = 2 * 1024 * 1024
"""A message holds no more than about this, well below what a server takes."""
JOB_BYTES = 400
"""What a job's text has beside args and meta, about."""


@click.command()
@click.argument("kind", required=False)
@click.option(
    "--file", "-f", "file", metavar="FILE", help="Jobs as a JSON array or JSON lines; - is standard input."
)
@click.option("--args", "args", metavar="JSON", help="Named arguments for the handler: an object.")
@click.option("--queue", "-q", metavar="NAME", help='"default" if not given.')
@click.option("--priority", type=int, metavar="N", help="-100 to 100; larger runs first.")
@click.option("--delay", metavar="DURATION", help="Not before this much later: seconds, or 30s, 5m, 1h, 7d.")
@click.option("--run-at", metavar="TIME", help="Not before this time, such as 2026-09-01T08:00:00Z.")
@click.option("--expires-at", metavar="TIME", help="Dead if it still waits then.")
@click.option("--timeout", metavar="DURATION", help='The longest one attempt may run; "none" for no limit.')
@click.option("--max-attempts", type=int, metavar="N", help="Runs in all.")
@click.option("--backoff", metavar="DURATION|JSON", help="The wait between attempts, or a rule as JSON.")
@click.option("--unique-key", metavar="KEY", help="At most one job holds a key at a time.")
@click.option(
    "--unique-until", type=click.Choice(UNIQUE_UNTIL), help='Until when it holds it; "finished" if not given.'
)
@click.option("--unique-for", metavar="DURATION", help="It holds it at most so long; a window needs this.")
@click.option(
    "--on-conflict",
    type=click.Choice(ON_CONFLICT),
    help='What to do if another job holds the key; "reject" if not given.',
)
@click.option(
    "--depends-on", metavar="ID", multiple=True, help="A job that must have ended before; may be repeated."
)
@click.option(
    "--on-parent-failure",
    type=click.Choice(ON_PARENT_FAILURE),
    help='What to do if such a job fails; "cancel" if not given.',
)
@click.option("--concurrency-key", metavar="KEY", help="Jobs of one key take turns, and share limits.")
@click.option("--retention", metavar="DURATION", help="How long the finished job is kept.")
@click.option(
    "--id", "job_id", metavar="ID", help="Chosen by you: enqueuing the same job again changes nothing."
)
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="A word to find it by; may be repeated.")
@click.option("--meta", metavar="JSON", help="Yours: an object of at most 16 KiB.")
@click.option("--wait", is_flag=True, help="Wait until finished; exit code 1 if a job does not complete.")
@click.option(
    "--batch",
    type=click.IntRange(1, 100_000),
    default=1000,
    show_default=True,
    metavar="N",
    help="Jobs in one message, accepted all or none. The server has a limit.",
)
@click.option(
    "--patience",
    type=click.FloatRange(min=0),
    default=0,
    metavar="SECONDS",
    help="Wait so long when the server is full, instead of giving up.",
)
@click.option(
    "--max-job-size",
    default="1MiB",
    show_default=True,
    metavar="SIZE",
    help="The server's limits.job_bytes, if it is another.",
)
@click.option("--ids", is_flag=True, help="With --file: print the id of each job.")
@server_options
@json_option()
@debug_option
@click.pass_context
def enqueue(
    context: click.Context,
    server: Target,
    /,
    *,
    kind: str | None,
    file: str | None,
    wait: bool,
    batch: int,
    patience: float,
    max_job_size: str,
    ids: bool,
    as_json: bool,
    **fields: Any,
) -> None:
    """Hand in one job of KIND, or all jobs of a file. What is answered is on the server's disk.

    \b
    beaver enqueue demo.echo --args '{"hello": "world"}' --wait
    beaver enqueue --file jobs.json --wait

    Prints the job's id; with --wait its result. If any line of a file is wrong, every wrong line is told and
    nothing is handed in.
    """
    if (kind is None) == (file is None):
        raise click.UsageError("Expected either KIND or --file FILE.")
    if ids and kind is not None:
        raise click.UsageError("--ids: goes with --file; the id of one job is printed in any case.")
    job_bytes_max = _size(max_job_size)
    if kind is not None:
        jobs = [_one(kind, fields, job_bytes_max)]
    else:
        assert file is not None
        if extra := [name for name, value in fields.items() if value not in (None, ())]:
            option = {"job_id": "--id", "tags": "--tag"}.get(extra[0], f"--{extra[0].replace('_', '-')}")
            raise click.UsageError(f"{option} goes with KIND; in a file each job has its own.")
        jobs = _many(file, job_bytes_max)
    accepted, endings = talk(server, lambda client: hand_in(client, jobs, batch, wait), patience=patience)
    if as_json:
        _print_json(accepted, endings, single=kind is not None)
    elif kind is not None:
        _print_one(accepted[0], endings)
    else:
        _print_many(accepted, endings, ids)
    context.exit(Exit.OK if endings is None or endings.all_completed else Exit.ERROR)


async def hand_in(
    client: Client, jobs: Sequence[NewJob], batch: int, wait: bool
) -> tuple[list[Job], Endings | None]:
    """Hand in the jobs in messages of at most `batch`, and wait for their ends if `wait`.

    Raises:
        Failure: some were accepted, then the server refused.
        ClientError: the server refused all, or is gone.
    """
    import trio

    from beaver_actors.cli.waiting import wait_for
    from beaver_actors.client import Refused

    began = trio.current_time()
    accepted: list[Job] = []
    for message in _messages(jobs, batch):
        try:
            accepted += await client.enqueue_many(message)
        except Refused as error:
            if not accepted:
                raise
            so_far = f"{count(len(accepted))} of {count(len(jobs))} jobs accepted"
            raise Failure(
                Exit.REFUSED,
                f"{so_far}, then the server refused: {error}",
                "The others were not handed in. With --patience SECONDS the command waits for room.",
            ) from error
    return accepted, await wait_for(client, accepted, began) if wait else None


def _messages(jobs: Sequence[NewJob], batch: int) -> Iterator[list[NewJob]]:
    """The jobs in as many messages as their number and size demand; a graph in one."""
    if len(jobs) <= GRAPH_JOBS_MAX and any(job.depends_on for job in jobs):
        yield list(jobs)
        return
    message: list[NewJob] = []
    size = 0
    for job in jobs:
        job_bytes = JOB_BYTES + sum(len(bytes(raw)) for raw in (job.args, job.meta) if raw)
        if message and (len(message) == batch or size + job_bytes > MESSAGE_BYTES):
            yield message
            message, size = [], 0
        message.append(job)
        size += job_bytes
    if message:
        yield message


def _one(kind: str, fields: dict[str, Any], job_bytes_max: int) -> NewJob:
    """The job that the options describe."""
    given = {name: value for name, value in fields.items() if value not in (None, ())}
    job: dict[str, Any] = {"kind": kind}
    for name, value in given.items():
        match name:
            case "args" | "meta":
                job[name] = object_option(name, value)
            case "backoff":
                is_rule = value.lstrip().startswith("{")
                job[name] = (
                    object_option(name, value)
                    if is_rule
                    else {"kind": "fixed", "delay": number_or_text(value)}
                )
            case "timeout":
                job[name] = None if value == "none" else number_or_text(value)
            case "delay" | "retention" | "unique_for":
                job[name] = number_or_text(value)
            case "job_id":
                job["id"] = value
            case _:
                job[name] = value
    from beaver_actors.cli.new_job import JobReader

    try:
        return JobReader(job_bytes_max)(json.dumps(job))
    except ValueError as error:
        raise click.UsageError(on_the_command_line(str(error))) from None


def _many(file: str, job_bytes_max: int) -> list[NewJob]:
    """The jobs of a file."""
    from beaver_actors.cli.jobs_file import JobsFileError, read_jobs
    from beaver_actors.cli.new_job import JobReader, refuse_repeated_ids

    name = "standard input" if file == "-" else file
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise Failure(Exit.USAGE, f"{name}: cannot be read: {error.strerror}") from None
    try:
        jobs = read_jobs(name, content, JobReader(job_bytes_max))
        refuse_repeated_ids(name, jobs)
    except JobsFileError as error:
        number = many(len(error.problems), "problem")
        raise Failure(Exit.USAGE, f"{number}; nothing was handed in:\n{error}") from None
    if not jobs:
        advice = "Expected a JSON array of jobs, or one JSON object per line; nothing was handed in."
        raise Failure(Exit.USAGE, f"no jobs in {name}", advice)
    return [job for _, job in jobs]


def object_option(name: str, text: str) -> Any:
    """The value of an option that is a JSON object. Raises click.UsageError."""
    option = f"--{name}"
    try:
        text.encode()
        value = json.loads(text, parse_constant=_no_number, parse_float=_double)
        json.dumps(value, ensure_ascii=False).encode()
    except (json.JSONDecodeError, RecursionError) as error:
        example = f'{option} \'{{"path": "a.jpg"}}\''
        raise click.UsageError(
            f"{option}: not valid JSON ({error}). Mind the shell's quotes: {example}"
        ) from None
    except UnicodeEncodeError as error:
        found = error.object[error.start].encode("unicode_escape").decode()
        raise click.UsageError(f"{option}: expected Unicode, got half a character or none: {found}") from None
    except ValueError as error:
        raise click.UsageError(f"{option}: {error}") from None
    if not isinstance(value, dict):
        raise click.UsageError(f"{option}: expected a JSON object such as {{}}, got {cut(text, 60)}")
    return value


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _double(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"expected numbers that fit a double, got {cut(text, 60)}")
    return number


def number_or_text(text: str) -> float | str:
    """A bare number is seconds; the server's rules judge everything else."""
    if text.isdecimal():
        return int(text)
    return float(text) if text.replace(".", "", 1).isdecimal() else text


def _size(text: str) -> int:
    from beaver_actors.config import parse_size

    try:
        return parse_size(int(text) if text.isdecimal() else text)
    except ValueError as error:
        raise click.UsageError(f"--max-job-size: {error}") from None


def _print_one(job: Job, endings: Endings | None) -> None:
    if endings is None:
        line(job.id)
        if job.duplicate:
            note("This job was handed in before; nothing has changed.")
        return
    (ended,) = endings.jobs
    note(f"job {job.id} {endings.describe(ended)}")
    if endings.all_completed:
        json_document(ended.result)


def _print_many(accepted: Sequence[Job], endings: Endings | None, ids: bool) -> None:
    tell = note if ids else line
    known = sum(job.duplicate for job in accepted)
    before = f", {count(known)} of them known before" if known else ""
    tell(f"{many(len(accepted), 'job')} accepted{before}")
    for job in accepted if ids else ():
        line(job.id)
    if endings is not None:
        for text in endings.summary():
            tell(text)


def _print_json(accepted: Sequence[Job], endings: Endings | None, *, single: bool) -> None:
    ended = {} if endings is None else {job.id: job for job in endings.jobs}
    shown = [
        {"id": job.id, "duplicate": job.duplicate}
        | ({} if endings is None else {
            "state": ended[job.id].state,
            "result": ended[job.id].result,
            "reason": ended[job.id].reason,
            "errors": ended[job.id].errors,
        })
        for job in accepted
    ]  # fmt: skip
    json_document(shown[0] if single else {"accepted": len(accepted), "jobs": shown})
