"""The synchronous client as programs use it: `Client` and the handle of a `Job`, named as in the others.

It puts names to what `questions` can ask and waits for the answers; nothing of the protocol is known here.
"""

from __future__ import annotations

import queue as queues
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar, Unpack, overload

from beaver_actors.client import job_questions, operation_questions, questions, queue_questions
from beaver_actors.client.arguments import checked_id, function_or_none, mistyped, seconds
from beaver_actors.client.chance import draw
from beaver_actors.client.errors import ClientError, Refused
from beaver_actors.client.finish import FinishWatcher, Wish
from beaver_actors.client.graphs import Graph
from beaver_actors.client.job_questions import JobFilter
from beaver_actors.client.middleware import OnEnqueue, tell
from beaver_actors.client.new_jobs import (
    JobCall,
    JobOptions,
    Moment,
    NewJob,
    R,
    R_co,
    Reader,
    as_it_is,
    asked_for,
    described,
)
from beaver_actors.client.questions import Accepted, Patience, Question
from beaver_actors.client.rules import QueueOptions
from beaver_actors.client.sync_schedules import Schedules
from beaver_actors.client.sync_transport import Transport
from beaver_actors.client.views import (
    Change,
    Explanation,
    FinishedJob,
    JobHistory,
    JobInfo,
    OperationInfo,
    Status,
    WorkerInfo,
)
from beaver_actors.codec.wire import Ok, Request
from beaver_actors.codec.wire_job_messages import ListRequest

T = TypeVar("T")

PAGE_JOBS: Final = 100


class Client:
    """A connection to a server, for any number of threads at once. Made by `connect`.

    Every method that asks the server raises `Refused` (or one of its kinds) if the server says no,
    `ConnectionLost` if there will be no answer, and TimeoutError if it takes too long; what was asked for may
    then have been done or not.
    """

    def __init__(
        self,
        transport: Transport,
        timeout: float | None,
        patience: float,
        on_enqueue: Sequence[OnEnqueue] = (),
    ) -> None:
        self._transport = transport
        self._on_enqueue = on_enqueue
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

    @overload
    def enqueue(self, kind: JobCall[R], /, **options: Unpack[JobOptions]) -> Job[R]: ...

    @overload
    def enqueue(
        self, kind: str, args: dict[str, Any] | None = None, **options: Unpack[JobOptions]
    ) -> Job[Any]: ...

    def enqueue(
        self, kind: str | JobCall[Any], args: dict[str, Any] | None = None, **options: Unpack[JobOptions]
    ) -> Job[Any]:
        """Hand in one job; when this returns, it is on the server's disk (P1).

        Args:
            kind: which handler runs it; or a call of an app's job function, `function.call(…)`, and then the
                handle knows what it returns.
            args: named arguments for the handler.
            options: as for `new_job`: id, queue, priority, delay, run_at, timeout, …
        """
        return self._enqueue([asked_for(kind, args, options)])[0]

    def enqueue_many(
        self, jobs: Iterable[NewJob[R] | JobCall[R]], *, atomic: bool = True
    ) -> Sequence[Job[R]]:
        """Hand in many jobs, made by `new_job`, or calls; returns their handles in order.

        If it fails, calling it again with the same jobs is harmless: they bear their ids. Calls are given
        theirs only here.

        Args:
            jobs: at most 1000 (10,000 if some depend on others) and 8 MiB, all of which are accepted or
                none.
            atomic: False lifts the limit: they are sent in several messages, one after the other, and a
                refusal leaves those accepted that were sent before it.
        """
        handles: list[Job[R]] = []
        for batch in job_questions.batches(described(jobs), atomic):
            handles += self._enqueue(batch)
        return handles

    def enqueue_graph(self, graph: Graph[R]) -> Job[R]:
        """Hand in all jobs of a graph, or none, and return the handle of the one that comes last.

        Raises:
            ValueError: several come last.
            TypeError: it is no graph.
        """
        if not isinstance(graph, Graph):
            raise mistyped("graph", "a graph, made by chain, group or when_all", graph)
        last = graph.last
        handles = self.enqueue_many(graph.jobs)
        return handles[graph.jobs.index(last)]

    def job(self, job_id: str) -> Job[Any]:
        """The handle of a job enqueued earlier, or elsewhere. Asks nobody.

        Raises:
            BadRequest: no job can have this id.
        """
        return Job(self, Accepted(checked_id(job_id), duplicate=True, lsn=None))

    def get(self, job_id: str) -> JobInfo:
        """Show one job. Raises NotFound if there is none."""
        return self._ask(job_questions.get(job_id))

    def history(self, job_id: str) -> JobHistory:
        """Show the whole life of a job, deleted or not, as far as the server's log is kept. Raises NotFound
        if the log has nothing of it."""
        return self._ask(job_questions.history(job_id))

    def get_at(self, job_id: str, *, lsn: int | None = None, at: Moment | None = None) -> JobInfo:
        """Show a job as it was after the event at `lsn`, or at a time. Raises NotFound if it did not exist
        then, or if that is no longer kept."""
        return self._ask(job_questions.get_at(job_id, lsn, at))

    def status_at(self, *, lsn: int | None = None, at: Moment | None = None) -> Status:
        """Show the counts as they were, otherwise as `get_at`."""
        return self._ask(questions.status_at(lsn, at))

    def explain(self, job_id: str) -> Explanation:
        """Say why a job does not run, or why it ended. Raises NotFound if there is none."""
        return self._ask(job_questions.explain(job_id))

    def list(
        self,
        *,
        limit: int | None = None,
        page_size: int = PAGE_JOBS,
        **wanted: Unpack[JobFilter],
    ) -> Iterator[JobInfo]:
        """Jobs that fit every condition given, newest first; fetched page by page as they are iterated over.

        Args:
            limit: no more than so many, None for all.
            page_size: jobs fetched at once, 1 to 1000.
            wanted: conditions such as `state="dead"`, `kind`, `error_type`; all are in `JobFilter`.
        """
        request = job_questions.first_page(wanted, limit, page_size)
        return self._pages(request, limit)

    def status(self) -> Status:
        """Show the counts of the whole queue."""
        return self._ask(questions.status())

    def workers(self) -> Sequence[WorkerInfo]:
        """Show the workers on other machines, those with most jobs first."""
        return self._ask(questions.workers())

    @property
    def schedules(self) -> Schedules[Job[Any]]:
        """What the server does by itself at given times: list, set, delete, pause, resume, trigger."""
        return Schedules(self._ask, lambda accepted: Job(self, accepted))

    def cancel(self, job_ids: Iterable[str]) -> Sequence[Change]:
        """Stop jobs; running ones are asked to stop. Returns what became of each, in order."""
        return self._change("cancel", job_ids)

    def retry(self, job_ids: Iterable[str]) -> Sequence[Change]:
        """Put dead or cancelled jobs back. Returns what became of each, in order."""
        return self._change("retry", job_ids)

    def delete(self, job_ids: Iterable[str]) -> Sequence[Change]:
        """Forget jobs that do not run. Returns what became of each, in order."""
        return self._change("delete", job_ids)

    def retry_all(self, *, operation_id: str | None = None, **wanted: Unpack[JobFilter]) -> OperationInfo:
        """Put back all jobs that fit, dead ones unless a state is given, some at a time on the server. It
        goes on after a crash of the server, and this client need not stay.

        Args:
            operation_id: chosen by the caller, which makes repeating the call harmless; else made here.
            wanted: conditions, as for `list`. Jobs that change before it reaches them are left alone.
        """
        return self._ask(operation_questions.operate("retry", operation_id, wanted))

    def delete_all(self, *, operation_id: str | None = None, **wanted: Unpack[JobFilter]) -> OperationInfo:
        """Forget all jobs that fit, dead ones unless a state is given; otherwise as `retry_all`."""
        return self._ask(operation_questions.operate("delete", operation_id, wanted))

    def operations(self) -> Sequence[OperationInfo]:
        """Show the operations that run and the last hundred that have ended, newest first."""
        return self._ask(operation_questions.operations())

    def operation(self, operation_id: str) -> OperationInfo:
        """Show one operation. Raises NotFound if there is none."""
        return (self._ask(operation_questions.operations(operation_id)))[0]

    def wait_operation(
        self,
        operation_id: str,
        timeout: float | None = None,
        on_update: Callable[[OperationInfo], object] | None = None,
    ) -> OperationInfo:
        """Wait until an operation has ended; returns how it stands then, `state` "completed" or "stopped".

        Args:
            operation_id: of `retry_all` or `delete_all`, this client's or another's.
            timeout: seconds, None for no limit.
            on_update: called with what is seen of it each time it is looked at, the first time too.

        Raises:
            NotFound: there is none, or a hundred others have ended since.
            TimeoutError: it runs still; it goes on, and can be waited for again.
        """
        function_or_none("on_update", on_update)
        if timeout is not None:
            seconds("timeout", timeout)
        waited = 0.0
        while True:
            operation = self.operation(operation_id)
            if on_update is not None:
                on_update(operation)
            if operation.state != "running":
                return operation
            left = float("inf") if timeout is None else timeout - waited
            if left <= 0:
                raise TimeoutError(f"operation {operation_id} runs still after {timeout} s")
            pause = min(left, operation_questions.look_seconds(waited))
            waited += pause
            time.sleep(pause)

    def stop_operation(self, operation_id: str) -> OperationInfo:
        """Go no further with an operation; what is done is done."""
        return self._ask(operation_questions.stop(operation_id))

    def pause(self, queue: str) -> Change:
        """Start no more jobs of this queue."""
        return self._ask(queue_questions.queue_change("pause", queue))

    def resume(self, queue: str) -> Change:
        """Start jobs of this queue again, and take new ones if it was drained."""
        return self._ask(queue_questions.queue_change("resume", queue))

    def drain(self, queue: str) -> Change:
        """Take no new jobs for this queue until it is resumed, and go on working."""
        return self._ask(queue_questions.queue_change("drain", queue))

    def configure(self, queue: str, **rules: Unpack[QueueOptions]) -> Change:
        """Set rules of this queue; None takes one away, what is left out stays as it is.

        Args:
            rules: as in `QueueOptions`, such as `concurrency=5, rate="100/1m"`.
        """
        return self._ask(queue_questions.configure(queue, rules))

    def move(self, queue: str, to: str, *, kind: str | None = None, tag: str | None = None) -> int:
        """Let the waiting jobs of one queue stand in another from now on. Done in batches, each of them all
        or nothing; if it is interrupted, ask again: no job is lost or there twice.

        Args:
            kind, tag: only jobs of this kind, with this tag.

        Returns:
            How many jobs were moved.
        """
        count, after = self._ask(queue_questions.move(queue, to, kind, tag))
        while after is not None:
            more, after = self._ask(queue_questions.move(queue, to, kind, tag, after))
            count += more
        return count

    def delete_queue(self, queue: str) -> Change:
        """Forget a queue with its rules. Raises Conflict if it holds jobs, whatever their state."""
        return self._ask(queue_questions.queue_change("delete_queue", queue))

    def wait_all(
        self,
        jobs: Iterable[Job[Any]],
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
        waited = job_questions.waited_for(jobs)
        function_or_none("on_update", on_update)
        lsns = {job.id: job.lsn for job in waited}
        ended: dict[str, FinishedJob] = {}
        news: queues.SimpleQueue[FinishedJob | ClientError] = queues.SimpleQueue()
        wishes = [Wish(job_id, lsn, news.put) for job_id, lsn in lsns.items()]
        deadline = None if timeout is None else time.monotonic() + seconds("timeout", timeout)
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
        return self._ask(questions.anything(request))

    def _enqueue(self, jobs: Sequence[NewJob[R]]) -> Sequence[Job[R]]:
        tell(self._on_enqueue, jobs)
        receipts = self._ask(job_questions.enqueue(jobs))
        return [Job(self, accepted, job.read_result) for job, accepted in zip(jobs, receipts, strict=True)]

    def _pages(self, request: ListRequest, limit: int | None) -> Iterator[JobInfo]:
        given = 0
        while limit is None or given < limit:
            page = self._ask(job_questions.page(request))
            for job in page.jobs if limit is None else page.jobs[: limit - given]:
                given += 1
                yield job
            if page.next is None:
                return
            request.after = page.next

    def _change(self, word: job_questions.ChangeWord, job_ids: Iterable[str]) -> Sequence[Change]:
        made: tuple[Change, ...] = ()
        for question in job_questions.changes(word, job_ids):
            made += self._ask(question)
        return made

    def _ask(self, question: Question[T]) -> T:
        patience = Patience(self._patience)
        while True:
            try:
                return question.read(self._transport.ask(question.request, self._timeout))
            except Refused as refusal:
                pause = patience.wait_seconds(refusal, draw())
            time.sleep(pause)


class Job(Generic[R_co]):
    """The handle of one job; `R` is what its handler returns.

    Attributes:
        id: the job's id.
        duplicate: whether the server had it before; True as well for handles from `client.job`.
        lsn: the position of its `job_enqueued`, None if this client did not see it.
    """

    def __init__(self, client: Client, accepted: Accepted, read: Reader[R_co] = as_it_is) -> None:
        self._client = client
        self._read = read
        self.id, self.duplicate, self.lsn = accepted

    def status(self) -> JobInfo:
        """Show the job as it is now. Raises NotFound if it does not exist (any more)."""
        return self._client.get(self.id)

    def result(self, timeout: float | None = None) -> R_co:
        """Wait until the job is finished and return what its handler returned.

        Args:
            timeout: seconds, None for no limit.

        Raises:
            JobFailed: it is dead; holds the errors of its attempts.
            JobCancelled: it was cancelled.
            JobGone: it does not exist (any more).
            TimeoutError: it is not finished by then.
            UnexpectedResult: it is completed with something that its function is not said to return.
        """
        return self._client.wait_all([self], timeout=timeout)[0].value_as(self._read)

    def cancel(self) -> Change:
        """Stop the job; if it runs, it is asked to stop."""
        return self._client.cancel([self.id])[0]

    def __repr__(self) -> str:
        return f"<Job {self.id}{' duplicate' if self.duplicate else ''}>"
