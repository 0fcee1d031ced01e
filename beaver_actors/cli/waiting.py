"""Waiting for jobs: a progress bar while it lasts, and afterwards what became of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import trio

from beaver_actors.cli.console import make_console, note
from beaver_actors.cli.text import count, cut, duration, many, rate
from beaver_actors.client import Client, ClientError, FinishedJob, Job
from beaver_actors.core.job import JobState

FAILURES_SHOWN = 10
SILENT_SECONDS = 3
"""After which one who waits is told why nothing comes; most jobs have ended by then."""
AGAIN_SECONDS = 15
"""Between two looks whether the reason is another."""
WAITING = (JobState.SCHEDULED, JobState.PENDING, JobState.BLOCKED)


@dataclass(frozen=True, slots=True)
class Endings:
    """How the jobs ended that were waited for."""

    jobs: Sequence[FinishedJob]
    seconds: float
    """From handing in the first to the end of the last."""

    @property
    def all_completed(self) -> bool:
        """Whether none is dead, cancelled or gone."""
        return all(job.state is JobState.COMPLETED for job in self.jobs)

    def summary(self) -> Iterator[str]:
        """The numbers, and the first few jobs that did not complete."""
        states = Counter("gone" if job.state is None else str(job.state) for job in self.jobs)
        numbers = ", ".join(f"{count(number)} {state}" for state, number in sorted(states.items()))
        per_second = rate(len(self.jobs) / self.seconds) if self.seconds > 0 else "at once"
        yield f"{numbers} in {duration(self.seconds * 1000)} ({per_second})"
        others = [job for job in self.jobs if job.state is not JobState.COMPLETED]
        for job in others[:FAILURES_SHOWN]:
            yield f"  {job.id} {self.describe(job)}"
        if len(others) > FAILURES_SHOWN:
            yield f"  … and {many(len(others) - FAILURES_SHOWN, 'other')}"

    def describe(self, job: FinishedJob) -> str:
        """How one job ended, in words."""
        match job.state:
            case JobState.COMPLETED:
                return f"completed in {duration(self.seconds * 1000)}"
            case JobState.CANCELLED:
                return "was cancelled"
            case None:
                return "does not exist any more: it was deleted, or its retention is over"
            case _:
                last = f": {job.errors[-1].type}: {job.errors[-1].message}" if job.errors else ""
                return cut(f"is dead ({job.reason}){last}", 300)


async def wait_for(client: Client, jobs: Sequence[Job], began: float) -> Endings:
    """Wait until all are finished, with a progress bar if someone looks.

    Args:
        client: whose jobs they are.
        jobs: as `client` enqueued them.
        began: when the first was handed in, by Trio's clock. The server works while the others follow.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = make_console(stderr=True)
    columns = (TextColumn("finished"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    left = {job.id: job for job in jobs}

    def finished(job: FinishedJob) -> None:
        left.pop(job.id, None)
        progress.advance(bar)

    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("", total=len(jobs))
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_tell_why, client, left)
                ended = await client.wait_all(jobs, on_update=finished)
                nursery.cancel_scope.cancel()
        except BaseException as error:
            if not isinstance(error, Exception):  # an interrupt, alone or in a group
                _tell_left(left)
            raise
    return Endings(ended, trio.current_time() - began)


async def _tell_why(client: Client, left: Mapping[str, Job]) -> None:
    """Say why the first job that is left does not run, when that has lasted a while and when it changes."""
    from beaver_actors.cli.job_views import explanation_lines

    told: list[str] = []
    pause = SILENT_SECONDS
    while True:
        await trio.sleep(pause)
        pause = AGAIN_SECONDS
        if not left:
            continue
        try:
            explanation = await client.explain(next(iter(left)))
        except ClientError:
            continue  # whoever waits for the jobs hears of it
        reasons = [str(one.reason) for one in explanation.because]
        if explanation.state in WAITING and reasons != told:
            told = reasons
            for text in explanation_lines(explanation):
                note(text)


def _tell_left(left: Mapping[str, Job]) -> None:
    """Say that the jobs go on though nobody waits for them."""
    if len(left) == 1:
        (job_id,) = left
        note(f"job {job_id} has not finished; it goes on without this command: see jobs show {job_id}")
    elif left:
        note(f"{many(len(left), 'job')} have not finished; they go on without this command")
