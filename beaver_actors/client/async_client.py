"""The client as asynchronous programs use it: `Client` and the handle of a `Job`, on Trio and on asyncio.

It puts names to what `questions` can ask and waits for the answers; nothing of the protocol is known here,
and of the event loop only what `loop` says. The transport knows which one it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Generic, TypeVar, Unpack, overload

from beaver_actors.client import job_questions, operation_questions, questions, queue_questions
from beaver_actors.client.arguments import checked_id, duration, function_or_none, mistyped, whole
from beaver_actors.client.async_schedules import Schedules
from beaver_actors.client.errors import ClientError, Refused
from beaver_actors.client.finish import FinishWatcher, Wish
from beaver_actors.client.graphs import Graph
from beaver_actors.client.job_questions import JobFilter
from beaver_actors.client.loop import Transport
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
from beaver_actors.client.streams import EventStream, JobList, JobWatch, StatusStream
from beaver_actors.client.views import (
    Change,
    Explanation,
    FinishedJob,
    JobHistory,
    JobInfo,
    OperationInfo,
    Page,
    Status,
    WorkerInfo,
)
from beaver_actors.codec.wire import Ok, Request

T = TypeVar("T")

PAGE_JOBS: Final = 100


class Client:
    """A connection to a server, for any number of tasks at once. Made by `connect`.

    Every method that asks the server raises `Refused` (or one of its kinds: `NotFound`, `QueueFull`, …) if
    the server says no, and `ConnectionLost` if there will be no answer. Cancelling one leaves the client as
    it was; what was asked for may or may not have been done.
    """

    def __init__(self, transport: Transport, patience: float, on_enqueue: Sequence[OnEnqueue] = ()) -> None:
        self._transport = transport
        self._patience = patience
        self._on_enqueue = on_enqueue
        self._finish = FinishWatcher(transport.core)

    @overload
    async def enqueue(self, kind: JobCall[R], /, **options: Unpack[JobOptions]) -> Job[R]: ...

    @overload
    async def enqueue(
        self, kind: str, args: dict[str, Any] | None = None, **options: Unpack[JobOptions]
    ) -> Job[Any]: ...

    async def enqueue(
        self,
        kind: str | JobCall[Any],
        args: dict[str, Any] | None = None,
        **options: Unpack[JobOptions],
    ) -> Job[Any]:
        """Hand in one job; when this returns, it is on the server's disk (P1).

        Args:
            kind: which handler runs it; or a call of an app's job function, `function.call(…)`, and then the
                handle knows what it returns.
            args: named arguments for the handler.
            options: as for `new_job`: id, queue, priority, delay, run_at, timeout, …
        """
        return (await self._enqueue([asked_for(kind, args, options)]))[0]

    async def enqueue_many(
        self, jobs: Iterable[NewJob[R] | JobCall[R]], *, atomic: bool = True
    ) -> Sequence[Job[R]]:
        """Hand in many jobs, made by `new_job`, or calls; returns their handles in order.

        If it fails or is cancelled, calling it again with the same jobs is harmless: they bear their ids.
        Calls are given theirs only here.

        Args:
            jobs: at most 1000 (10,000 if some depend on others) and 8 MiB, all of which are accepted or
                none.
            atomic: False lifts the limit: they are sent in several messages, one after the other, and a
                refusal leaves those accepted that were sent before it.
        """
        handles: list[Job[R]] = []
        for batch in job_questions.batches(described(jobs), atomic):
            handles += await self._enqueue(batch)
        return handles

    async def enqueue_graph(self, graph: Graph[R]) -> Job[R]:
        """Hand in all jobs of a graph, or none, and return the handle of the one that comes last.

        Raises:
            ValueError: several come last.
            TypeError: it is no graph.
        """
        if not isinstance(graph, Graph):
            raise mistyped("graph", "a graph, made by chain, group or when_all", graph)
        last = graph.last
        handles = await self.enqueue_many(graph.jobs)
        return handles[graph.jobs.index(last)]

    def job(self, job_id: str) -> Job[Any]:
        """The handle of a job enqueued earlier, or elsewhere. Asks nobody.

        Raises:
            BadRequest: no job can have this id.
        """
        return Job(self, Accepted(checked_id(job_id), duplicate=True, lsn=None))

    async def get(self, job_id: str) -> JobInfo:
        """Show one job. Raises NotFound if there is none."""
        return await self._ask(job_questions.get(job_id))

    async def history(self, job_id: str) -> JobHistory:
        """Show the whole life of a job, deleted or not, as far as the server's log is kept. Raises NotFound
        if the log has nothing of it."""
        return await self._ask(job_questions.history(job_id))

    async def get_at(self, job_id: str, *, lsn: int | None = None, at: Moment | None = None) -> JobInfo:
        """Show a job as it was after the event at `lsn`, or at a time. Raises NotFound if it did not exist
        then, or if that is no longer kept."""
        return await self._ask(job_questions.get_at(job_id, lsn, at))

    async def status_at(self, *, lsn: int | None = None, at: Moment | None = None) -> Status:
        """Show the counts as they were, otherwise as `get_at`."""
        return await self._ask(questions.status_at(lsn, at))

    async def explain(self, job_id: str) -> Explanation:
        """Say why a job does not run, or why it ended. Raises NotFound if there is none."""
        return await self._ask(job_questions.explain(job_id))

    def list(
        self,
        *,
        limit: int | None = None,
        page_size: int = PAGE_JOBS,
        **wanted: Unpack[JobFilter],
    ) -> JobList:
        """Jobs that fit every condition given, newest first: `async for job in client.list(state="dead"): …`.

        Args:
            limit: no more than so many, None for all.
            page_size: jobs fetched at once, 1 to 1000.
            wanted: conditions such as `state="dead"`, `kind`, `error_type`; all are in `JobFilter`.
        """
        request = job_questions.first_page(wanted, limit, page_size)

        async def fetch(after: int | None) -> Page:
            request.after = after
            return await self._ask(job_questions.page(request))

        return JobList(self._transport.loop, fetch, limit)

    async def status(self) -> Status:
        """Show the counts of the whole queue."""
        return await self._ask(questions.status())

    async def workers(self) -> Sequence[WorkerInfo]:
        """Show the workers on other machines, those with most jobs first."""
        return await self._ask(questions.workers())

    @property
    def schedules(self) -> Schedules[Job[Any]]:
        """What the server does by itself at given times: list, set, delete, pause, resume, trigger."""
        return Schedules(self._ask, lambda accepted: Job(self, accepted))

    async def cancel(self, job_ids: Iterable[str]) -> Sequence[Change]:
        """Stop jobs; running ones are asked to stop. Returns what became of each, in order."""
        return await self._change("cancel", job_ids)

    async def retry(self, job_ids: Iterable[str]) -> Sequence[Change]:
        """Put dead or cancelled jobs back. Returns what became of each, in order."""
        return await self._change("retry", job_ids)

    async def delete(self, job_ids: Iterable[str]) -> Sequence[Change]:
        """Forget jobs that do not run. Returns what became of each, in order."""
        return await self._change("delete", job_ids)

    async def retry_all(
        self, *, operation_id: str | None = None, **wanted: Unpack[JobFilter]
    ) -> OperationInfo:
        """Put back all jobs that fit, dead ones unless a state is given, some at a time on the server. It
        goes on after a crash of the server, and this client need not stay.

        Args:
            operation_id: chosen by the caller, which makes repeating the call harmless; else made here.
            wanted: conditions, as for `list`. Jobs that change before it reaches them are left alone.
        """
        return await self._ask(operation_questions.operate("retry", operation_id, wanted))

    async def delete_all(
        self, *, operation_id: str | None = None, **wanted: Unpack[JobFilter]
    ) -> OperationInfo:
        """Forget all jobs that fit, dead ones unless a state is given; otherwise as `retry_all`."""
        return await self._ask(operation_questions.operate("delete", operation_id, wanted))

    async def operations(self) -> Sequence[OperationInfo]:
        """Show the operations that run and the last hundred that have ended, newest first."""
        return await self._ask(operation_questions.operations())

    async def operation(self, operation_id: str) -> OperationInfo:
        """Show one operation. Raises NotFound if there is none."""
        return (await self._ask(operation_questions.operations(operation_id)))[0]

    async def wait_operation(
        self, operation_id: str, on_update: Callable[[OperationInfo], object] | None = None
    ) -> OperationInfo:
        """Wait until an operation has ended; returns how it stands then, `state` "completed" or "stopped".

        Args:
            operation_id: of `retry_all` or `delete_all`, this client's or another's.
            on_update: called with what is seen of it each time it is looked at, the first time too.

        Raises:
            NotFound: there is none, or a hundred others have ended since.
        """
        function_or_none("on_update", on_update)
        waited = 0.0
        while True:
            operation = await self.operation(operation_id)
            if on_update is not None:
                on_update(operation)
            if operation.state != "running":
                return operation
            pause = operation_questions.look_seconds(waited)
            waited += pause
            await self._transport.loop.sleep(pause)

    async def stop_operation(self, operation_id: str) -> OperationInfo:
        """Go no further with an operation; what is done is done."""
        return await self._ask(operation_questions.stop(operation_id))

    async def pause(self, queue: str) -> Change:
        """Start no more jobs of this queue."""
        return await self._ask(queue_questions.queue_change("pause", queue))

    async def resume(self, queue: str) -> Change:
        """Start jobs of this queue again, and take new ones if it was drained."""
        return await self._ask(queue_questions.queue_change("resume", queue))

    async def drain(self, queue: str) -> Change:
        """Take no new jobs for this queue until it is resumed, and go on working."""
        return await self._ask(queue_questions.queue_change("drain", queue))

    async def configure(self, queue: str, **rules: Unpack[QueueOptions]) -> Change:
        """Set rules of this queue; None takes one away, what is left out stays as it is.

        Args:
            rules: as in `QueueOptions`, such as `concurrency=5, rate="100/1m"`.
        """
        return await self._ask(queue_questions.configure(queue, rules))

    async def move(self, queue: str, to: str, *, kind: str | None = None, tag: str | None = None) -> int:
        """Let the waiting jobs of one queue stand in another from now on. Done in batches, each of them all
        or nothing; if it is interrupted, ask again: no job is lost or there twice.

        Args:
            kind, tag: only jobs of this kind, with this tag.

        Returns:
            How many jobs were moved.
        """
        count, after = await self._ask(queue_questions.move(queue, to, kind, tag))
        while after is not None:
            more, after = await self._ask(queue_questions.move(queue, to, kind, tag, after))
            count += more
        return count

    async def delete_queue(self, queue: str) -> Change:
        """Forget a queue with its rules. Raises Conflict if it holds jobs, whatever their state."""
        return await self._ask(queue_questions.queue_change("delete_queue", queue))

    async def wait_all(
        self, jobs: Iterable[Job[Any]], on_update: Callable[[FinishedJob], object] | None = None
    ) -> Sequence[FinishedJob]:
        """Wait until all these jobs are finished; returns how each ended, in order.

        A failed job raises nothing here; `FinishedJob.value()` does.

        Args:
            jobs: any number.
            on_update: called for each job as it finishes.
        """
        waited = job_questions.waited_for(jobs)
        function_or_none("on_update", on_update)
        ended: dict[str, FinishedJob] = {}
        news: list[FinishedJob | ClientError] = []
        woken = self._transport.loop.event()

        def done(outcome: FinishedJob | ClientError) -> None:
            news.append(outcome)
            woken.set()

        wishes = [Wish(job_id, lsn, done) for job_id, lsn in {job.id: job.lsn for job in waited}.items()]
        await self._transport.loop.checkpoint_if_cancelled()
        try:
            self._finish.add(wishes)
            while len(ended) < len(wishes):
                await woken.wait()
                woken = self._transport.loop.event()
                came, news[:] = list(news), []
                for outcome in came:
                    if isinstance(outcome, ClientError):
                        raise outcome.twin()
                    ended[outcome.id] = outcome
                    if on_update is not None:
                        on_update(outcome)
        finally:
            self._finish.give_up(wishes)
        return [ended[job.id] for job in waited]

    def subscribe_status(self, interval: float | str = 1.0) -> StatusStream:
        """The status, live. Args: interval: seconds between two, 0.1 to 3600."""
        return StatusStream(self._transport, duration("interval", interval))

    def subscribe_events(
        self,
        from_lsn: int | None = None,
        *,
        kind: str | None = None,
        queue: str | None = None,
        job_ids: Iterable[str] | None = None,
        events: Iterable[str] | None = None,
    ) -> EventStream:
        """Events, live; those that fit every condition given.

        Args:
            from_lsn: the first position wanted, such as the last one seen and 1; None for from now on.
            kind, queue: only jobs of this kind, in this queue.
            job_ids: only these jobs, at most 1000.
            events: only these, such as "job_completed".
        """
        wanted = questions.event_filter(kind, queue, job_ids, events)
        return EventStream(
            self._transport, wanted, None if from_lsn is None else whole("from_lsn", from_lsn, 0)
        )

    async def request(self, request: Request) -> Ok:
        """Ask anything the protocol has a message for, and return the reply as it came.

        Args:
            request: a message of `codec.wire`; its `id` is filled in. Subscriptions have their own methods.
        """
        return await self._ask(questions.anything(request))

    async def _enqueue(self, jobs: Sequence[NewJob[R]]) -> Sequence[Job[R]]:
        tell(self._on_enqueue, jobs)
        receipts = await self._ask(job_questions.enqueue(jobs))
        return [Job(self, accepted, job.read_result) for job, accepted in zip(jobs, receipts, strict=True)]

    async def _change(self, word: job_questions.ChangeWord, job_ids: Iterable[str]) -> Sequence[Change]:
        made: tuple[Change, ...] = ()
        for question in job_questions.changes(word, job_ids):
            made += await self._ask(question)
        return made

    async def _ask(self, question: Question[T]) -> T:
        patience = Patience(self._patience)
        while True:
            try:
                return question.read(await self._transport.ask(question.request))
            except Refused as refusal:
                pause = patience.wait_seconds(refusal, self._transport.dice())
            await self._transport.loop.sleep(pause)


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

    async def status(self) -> JobInfo:
        """Show the job as it is now. Raises NotFound if it does not exist (any more)."""
        return await self._client.get(self.id)

    async def result(self) -> R_co:
        """Wait until the job is finished and return what its handler returned. Put a time limit around it
        with `trio.fail_after` or `asyncio.timeout`.

        Raises:
            JobFailed: it is dead; holds the errors of its attempts.
            JobCancelled: it was cancelled.
            JobGone: it does not exist (any more).
            UnexpectedResult: it is completed with something that its function is not said to return.
        """
        return (await self._client.wait_all([self]))[0].value_as(self._read)

    async def cancel(self) -> Change:
        """Stop the job; if it runs, it is asked to stop."""
        return (await self._client.cancel([self.id]))[0]

    def watch(self) -> JobWatch:
        """The job's events until it is finished; from its beginning if this handle is from `enqueue`."""
        stream = self._client.subscribe_events(self.lsn, job_ids=[self.id])
        return JobWatch(stream, self.status, from_start=self.lsn is not None)

    def __repr__(self) -> str:
        return f"<Job {self.id}{' duplicate' if self.duplicate else ''}>"
