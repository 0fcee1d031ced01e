"""Jobs to be enqueued, judged here by the server's own rules and given an id here, so that sending them again
after a lost connection is harmless (P5) and a bad one is found before any is sent."""

from __future__ import annotations

import msgspec

from beaver_actors.codec.ids import JobIds
from beaver_actors.codec.wire_decode import Limits, read
from beaver_actors.codec.wire_errors import WireError
from beaver_actors.codec.wire_jobs import Defaults, new_jobs
from beaver_actors.codec.wire_objects import NewJobObject


class JobReader:
    """Makes jobs of JSON text.

    Args:
        ids: makes ids for jobs that have none.
        job_bytes_max: the largest `args` and `meta` of one job; the server has a limit of its own.
    """

    def __init__(self, ids: JobIds, job_bytes_max: int) -> None:
        self._ids = ids
        self._limits = Limits(job_bytes=job_bytes_max)

    def __call__(self, text: str) -> NewJobObject:
        """Read one job.

        Raises:
            ValueError: says which field is wrong, what was expected and what came.
        """
        try:
            job = read(NewJobObject, msgspec.Raw(text.encode("utf-8")))
            (checked,) = new_jobs([job], self._ids, self._limits, Defaults(), path="")
        except WireError as error:
            raise ValueError(error.message) from None
        job.id = checked.job_id
        return job
