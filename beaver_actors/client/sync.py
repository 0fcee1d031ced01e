"""The synchronous client, for scripts and web frameworks: the names of the Trio client, but no event loop.

`with connect() as client: job = client.enqueue("demo.echo", {"x": 1}); print(job.result(timeout=30))`.
Needs the extra `client`: `pip install 'beaver-actors[client]'`.
"""

from __future__ import annotations

import queue as queues
import secrets
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeVar, Unpack

from beaver_actors.client import questions
from beaver_actors.client.address import DEFAULT_URL, parse_url
from beaver_actors.client.core import SUBPROTOCOLS
from beaver_actors.client.errors import ClientError, Refused
from beaver_actors.client.finish import FinishWatcher, Wish
from beaver_actors.client.new_jobs import JobCall, JobOptions, NewJob, new_job
from beaver_actors.client.questions import Accepted, Patience, Question
from beaver_actors.client.sync_opening import Opener
from beaver_actors.client.sync_transport import Transport
from beaver_actors.client.views import Change, FinishedJob, JobInfo, Status
from beaver_actors.codec.wire import ListRequest, Ok, Request
from beaver_actors.codec.wire_decode import Form
from beaver_actors.core.job import DeadReason, JobState

__all__ = ["Client", "Job", "connect", "new_job"]

T = TypeVar("T")

CONNECT_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 30.0
PAGE_JOBS: Final = 100


def connect(
    url: str = DEFAULT_URL,
    *,
    token: str | None = None,
    reconnect: bool = True,
    connect_deadline: float = CONNECT_SECONDS,
    timeout: float | None = ANSWER_SECONDS,
    patience: float = 0.0,
    form: Form = "json",
    tls: ssl.SSLContext | None = None,
) -> Client:
    """Connect to a server. Use it as a context manager, or keep it and `close` it in the end.

    One client serves any number of threads. In a server that forks, connect after the fork.

    Args:
        url: `ws://host:port`, or `wss://…` for TLS.
        token: for a server that asks for one.
        reconnect: False raises `ConnectionLost` in everyone who waits, when the connection is lost.
        connect_deadline: seconds for one try to connect.
        timeout: seconds that any one question may take, reconnects included, before TimeoutError is raised;
            None for no limit. Waiting for results has its own.
        patience: seconds to wait, in all, for one request that is refused for the moment; 0 raises at once.
        form: "json" or "cbor".
        tls: for wss; the system's trusted certificates if not given.

    Raises:
        ConnectFailed: there is no connection; says why.
        ValueError: the URL is none.
    """
    opener = Opener(parse_url(url), SUBPROTOCOLS[form], token, tls, connect_deadline)
    transport = Transport(form, opener, reconnect)
    transport.start()
    return Client(transport, timeout, patience)


class Client:
    """A connection to a server, for any number of threads at once. Made by `connect`.

    Every method that asks the server raises `Refused` (or one of its kinds) if the server says no,
    `ConnectionLost` if there will be no answer, and TimeoutError if it takes too long; what was asked for may
    then have been done or not.
    """

    def __init__(self, transport: Transport, timeout: float | None, patience: float) -> None:
        self._transport = transport
        self._timeout = timeout
        self._patience = patience
        self._finish = FinishWatcher(transport.core)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Say goodbye. Whoever still waits gets `ConnectionLost`. Harmless if it is closed."""
        self._transport.close()

    def enqueue(
        self, kind: str | JobCall, args: dict[str, Any] | None = None, **options: Unpack[JobOptions]
    ) -> Job:
        """Hand in one job; when this returns, it is on the server's disk (P1).

        Args:
            kind: which handler runs it; or a call of an app's job function, `function.call(…)`.
            args: named arguments for the handler.
            options: as for `new_job`: id, queue, priority, delay, run_at, timeout, …
        """
        return self._enqueue([new_job(kind, args, **options)])[0]

    def enqueue_many(self, jobs: Iterable[NewJob], *, atomic: bool = True) -> Sequence[Job]:
        """Hand in many jobs, made by `new_job`; returns their handles in order.

        If it fails, calling it again with the same jobs is harmless: they bear their ids.

        Args:
            jobs: at most 1000 and 8 MiB, all of which are accepted or none.
            atomic: False lifts the limit: they are sent in several messages, one after the other, and a
                refusal leaves those accepted that were sent before it.
        """
        handles: list[Job] = []
        for batch in questions.batches(jobs, atomic):
            handles += self._enqueue(batch)
        return handles

    def job(self, job_id: str) -> Job:
        """The handle of a job enqueued earlier, or elsewhere. Asks nobody.

        Raises:
            BadRequest: no job can have this id.
        """
        return Job(self, Accepted(questions.checked_id(job_id), duplicate=True, lsn=None))

    def get(self, job_id: str) -> JobInfo:
        """Show one job. Raises NotFound if there is none."""
        return self._ask(questions.get(job_id))

    def list(
        self,
        *,
        state: JobState | str | None = None,
        queue: str | None = None,
        kind: str | None = None,
        tag: str | None = None,
        reason: DeadReason | None = None,
        limit: int | None = None,
        page_size: int = PAGE_JOBS,
    ) -> Iterator[JobInfo]:
        """Jobs that fit every condition given, newest first; fetched page by page as they are iterated over.

        Args:
            state: such as "pending" or "dead".
            queue, kind, tag: exactly these.
            reason: why they are dead.
            limit: no more than so many, None for all.
            page_size: jobs fetched at once, 1 to 1000.
        """
        wanted = JobState(state) if state is not None else None
        size = page_size if limit is None else max(1, min(page_size, limit))
        request = ListRequest(id="", state=wanted, queue=queue, kind=kind, tag=tag, reason=reason, limit=size)
        return self._pages(request, limit)

    def status(self) -> Status:
        """Show the counts of the whole queue."""
        return self._ask(questions.status())

    def cancel(self, job_ids: Iterable[str]) -> Sequence[Change]:
        """Stop jobs; running ones are asked to stop. Returns what became of each, in order."""
        return self._change("cancel", job_ids)

    def retry(self, job_ids: Iterable[str]) -> Sequence[Change]:
        """Put dead or cancelled jobs back. Returns what became of each, in order."""
        return self._change("retry", job_ids)

    def delete(self, job_ids: Iterable[str]) -> Sequence[Change]:
        """Forget jobs that do not run. Returns what became of each, in order."""
        return self._change("delete", job_ids)

    def pause(self, queue: str) -> Change:
        """Start no more jobs of this queue."""
        return self._ask(questions.queue_change("pause", queue))

    def resume(self, queue: str) -> Change:
        """Start jobs of this queue again."""
        return self._ask(questions.queue_change("resume", queue))

    def wait_all(
        self,
        jobs: Iterable[Job],
        on_update: Callable[[FinishedJob], object] | None = None,
        *,
        timeout: float | None = None,
    ) -> Sequence[FinishedJob]:
        """Wait until all these jobs are finished; returns how each ended, in order.

        A failed job raises nothing here; `FinishedJob.value()` does.

        Args:
            jobs: any number.
            on_update: called for each job as it finishes, in the caller's thread.
            timeout: seconds, None for no limit.

        Raises:
            TimeoutError: not all are finished by then.
        """
        waited = tuple(jobs)
        lsns = {job.id: job.lsn for job in waited}
        ended: dict[str, FinishedJob] = {}
        news: queues.SimpleQueue[FinishedJob | ClientError] = queues.SimpleQueue()
        wishes = [Wish(job_id, lsn, news.put) for job_id, lsn in lsns.items()]
        deadline = None if timeout is None else time.monotonic() + timeout
        self._transport.check_process()
        try:
            with self._transport.lock:
                self._finish.add(wishes)
            while len(ended) < len(wishes):
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                outcome = news.get(timeout=left)
                if isinstance(outcome, ClientError):
                    raise outcome.twin()
                ended[outcome.id] = outcome
                if on_update is not None:
                    on_update(outcome)
        except queues.Empty:
            missing = len(wishes) - len(ended)
            raise TimeoutError(
                f"{missing} of {len(wishes)} jobs are not finished after {timeout} s"
            ) from None
        finally:
            with self._transport.lock:
                self._finish.give_up(wishes)
        return [ended[job.id] for job in waited]

    def request(self, request: Request) -> Ok:
        """Ask anything the protocol has a message for, and return the reply as it came.

        Args:
            request: a message of `codec.wire`; its `id` is filled in.
        """
        return self._ask(Question(request, lambda ok: ok))

    def _enqueue(self, jobs: Sequence[NewJob]) -> Sequence[Job]:
        return [Job(self, accepted) for accepted in self._ask(questions.enqueue(jobs))]

    def _pages(self, request: ListRequest, limit: int | None) -> Iterator[JobInfo]:
        given = 0
        while limit is None or given < limit:
            page = self._ask(questions.page(request))
            for job in page.jobs if limit is None else page.jobs[: limit - given]:
                given += 1
                yield job
            if page.next is None:
                return
            request.after = page.next

    def _change(self, word: questions.ChangeWord, job_ids: Iterable[str]) -> Sequence[Change]:
        if isinstance(job_ids, str):
            job_ids = (job_ids,)
        made: tuple[Change, ...] = ()
        for question in questions.changes(word, job_ids):
            made += self._ask(question)
        return made

    def _ask(self, question: Question[T]) -> T:
        patience = Patience(self._patience)
        while True:
            try:
                return question.read(self._transport.ask(question.request, self._timeout))
            except Refused as refusal:
                pause = patience.wait_seconds(refusal, secrets.randbits(53) / 2**53)
            time.sleep(pause)


class Job:
    """The handle of one job.

    Attributes:
        id: the job's id.
        duplicate: whether the server had it before; True as well for handles from `client.job`.
        lsn: the position of its `job_enqueued`, None if this client did not see it.
    """

    def __init__(self, client: Client, accepted: Accepted) -> None:
        self._client = client
        self.id, self.duplicate, self.lsn = accepted

    def status(self) -> JobInfo:
        """Show the job as it is now. Raises NotFound if it does not exist (any more)."""
        return self._client.get(self.id)

    def result(self, timeout: float | None = None) -> Any:
        """Wait until the job is finished and return what its handler returned.

        Args:
            timeout: seconds, None for no limit.

        Raises:
            JobFailed: it is dead; holds the errors of its attempts.
            JobCancelled: it was cancelled.
            JobGone: it does not exist (any more).
            TimeoutError: it is not finished by then.
        """
        return self._client.wait_all([self], timeout=timeout)[0].value()

    def cancel(self) -> Change:
        """Stop the job; if it runs, it is asked to stop."""
        return self._client.cancel([self.id])[0]

    def __repr__(self) -> str:
        return f"<Job {self.id}{' duplicate' if self.duplicate else ''}>"
