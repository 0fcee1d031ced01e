"""Jobs to be enqueued, judged here by the server's own rules and given an id here, so that sending them again
after a lost connection is harmless (P5) and a bad one is found before any is sent."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from beaver_actors.cli.jobs_file import JobsFileError, Problem, Read
from beaver_actors.client.new_jobs import NewJob, new_id
from beaver_actors.codec.ids import JobIds
from beaver_actors.codec.wire_decode import Limits, read
from beaver_actors.codec.wire_errors import WireError
from beaver_actors.codec.wire_jobs import Defaults, new_jobs


class JobReader:
    """Makes jobs of JSON text.

    Args:
        job_bytes_max: the largest `args` and `meta` of one job; the server has a limit of its own.
    """

    def __init__(self, job_bytes_max: int) -> None:
        self._limits = Limits(job_bytes=job_bytes_max)

    def __call__(self, text: str) -> NewJob:
        """Read one job.

        Raises:
            ValueError: says which field is wrong, what was expected and what came.
        """
        try:
            job = read(NewJob, msgspec.Raw(text.encode("utf-8")))
            if job.id is None:
                job.id = new_id()
            new_jobs([job], _NO_IDS, self._limits, Defaults(), path="")
        except WireError as error:
            raise ValueError(error.message.replace("the message:", "the job:", 1)) from None
        return job


def refuse_repeated_ids(name: str, jobs: Sequence[Read[NewJob]]) -> None:
    """Refuse a file in which two jobs have the same id: one of them would be lost.

    Raises:
        JobsFileError: names the lines.
    """
    lines: dict[str | None, int] = {}
    problems: list[Problem] = []
    for line, job in jobs:
        if job.id in lines:
            first = lines[job.id]
            problems.append(Problem(line, f'id: "{job.id}" is the id of the job on line {first} already'))
        lines.setdefault(job.id, line)
    if problems:
        raise JobsFileError(name, problems)


_NO_IDS = JobIds(lambda: 0, lambda bits: 0)
"""Every job has one by then."""
