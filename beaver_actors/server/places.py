"""Which kind and queue a job belongs to, for filters: most events name only the job.

What it knows comes from the events that passed by, else from the job manager. A job that is gone may be known
to nobody; then its events go to everyone who filters by kind or queue, because leaving one out would be a
silent hole (P10).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from beaver_actors.core.answers import Found
from beaver_actors.core.commands import Get
from beaver_actors.core.facts import JobEnqueued, JobMoved
from beaver_actors.server.ports import JobsPort

KEPT = 50_000
"""Jobs remembered, about 15 MB; those in flight and those just finished are all that is asked about live."""


class Place(NamedTuple):
    """Where a job belongs."""

    kind: str
    queue: str | None
    """None for a job that was moved: it belonged to several, and its events go to those who watch any."""


class Places:
    """Shared by all subscriptions that filter by kind or queue.

    Args:
        jobs: asked about jobs that nothing is known of.
    """

    def __init__(self, jobs: JobsPort) -> None:
        self._jobs = jobs
        self._known: dict[str, Place | None] = {}

    def learn(self, fact: JobEnqueued | JobMoved) -> None:
        """Remember a job that passed by."""
        if isinstance(fact, JobEnqueued):
            self._keep(fact.job_id, Place(fact.terms.kind, fact.terms.queue))
        elif (place := self._known.get(fact.job_id)) is not None:
            self._keep(fact.job_id, place._replace(queue=None))

    async def find(self, job_ids: Iterable[str]) -> dict[str, Place | None]:
        """Tell the places of these jobs; None for one that nobody knows."""
        found: dict[str, Place | None] = {}
        asked = []
        for job_id in dict.fromkeys(job_ids):
            if job_id in self._known:
                found[job_id] = self._known[job_id]
            else:
                asked.append((job_id, await self._jobs.post(Get(job_id))))
        for job_id, pending in asked:
            answer = await pending.wait()
            place = None
            if isinstance(answer, Found):
                job = answer.job
                place = Place(job.terms.kind, None if job.extras.enqueued_in else job.terms.queue)
            found[job_id] = place
            self._keep(job_id, place)
        return found

    def _keep(self, job_id: str, place: Place | None) -> None:
        self._known[job_id] = place
        if len(self._known) > KEPT:
            del self._known[next(iter(self._known))]
