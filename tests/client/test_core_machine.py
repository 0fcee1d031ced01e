"""The client's core in a world where connections break at any moment and the log is trimmed.

Hypothesis chooses what happens next; a queue in memory answers as the real one does. However it went, in the
end every job exists once, every event came once or is in a gap, and every wait has ended rightly.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from beaver_actors.client.core import Core
from beaver_actors.client.errors import ClientError, ConnectionLost
from beaver_actors.client.finish import FinishWatcher, Wish
from beaver_actors.client.job_questions import enqueue
from beaver_actors.client.new_jobs import new_job
from beaver_actors.client.pending import Pending
from beaver_actors.client.questions import Accepted
from beaver_actors.client.subscriptions import EventSubscription
from beaver_actors.client.views import FinishedJob
from beaver_actors.codec.ids import JobIds
from beaver_actors.codec.wire import Error, Ok
from beaver_actors.codec.wire_answers import reply
from beaver_actors.codec.wire_commands import to_command
from beaver_actors.codec.wire_decode import Limits, decode_request, encode
from beaver_actors.codec.wire_events import event_json, events_push
from beaver_actors.codec.wire_jobs import Defaults
from beaver_actors.codec.wire_schedule_messages import ScheduleRequest
from beaver_actors.codec.wire_watch import WatchEvents, to_watch
from beaver_actors.codec.wire_watch_messages import (
    GapPush,
    HistoryRequest,
    PastRequest,
    SubscribeRequest,
    UnsubscribeRequest,
)
from beaver_actors.codec.wire_worker_messages import WorkerRequest, WorkersRequest
from beaver_actors.core.commands import Delete, Policy, Retry
from beaver_actors.core.facts import JobCompleted, JobDeleted, JobDied, JobEnqueued
from beaver_actors.core.job import JobError, JobState
from beaver_actors.core.outcome import Rejected, Succeeded
from beaver_actors.testing.playbook import Playbook

STEPS = ("send", "take", "answer", "push", "receive")
ERROR = JobError("ValueError", "no")


class Server:
    """One connection's session, one message at a time."""

    def __init__(self, book: Playbook) -> None:
        self.book = book
        self.trimmed_lsn = 0
        self.to_server: deque[str] = deque()
        self.line: deque[tuple[str, Callable[[], None]]] = deque()
        """Answers that are made and have to wait, as for the disk; pushes overtake them."""
        self.to_client: deque[str] = deque()
        self.subscriptions: dict[str, tuple[WatchEvents, int]] = {}
        self._named = 0

    def drop(self) -> None:
        """The connection breaks."""
        self.to_server.clear()
        self.line.clear()
        self.to_client.clear()
        self.subscriptions.clear()
        self._named = 0

    def take(self) -> None:
        """Understand the oldest message and answer it."""
        request = decode_request(self.to_server.popleft(), Limits())
        if isinstance(request, SubscribeRequest):
            watch = to_watch(request)
            assert isinstance(watch, WatchEvents)
            self._named += 1
            name = f"s{self._named}"
            after_lsn = len(self.book.log) if watch.from_lsn is None else max(0, watch.from_lsn - 1)
            assert after_lsn <= len(self.book.log), "asked for a position that does not exist"
            begin = partial(self.subscriptions.__setitem__, name, (watch, after_lsn))
            self._answer(Ok(re=request.id, subscription=name, lsn=after_lsn), begin)
        elif isinstance(request, UnsubscribeRequest):
            self.subscriptions.pop(request.subscription)
            self._answer(Ok(re=request.id, subscription=request.subscription))
        else:
            others = WorkerRequest | WorkersRequest | HistoryRequest | PastRequest
            assert not isinstance(request, others), "a client is no worker, and looks at no past"
            assert not isinstance(request, ScheduleRequest), "nobody has asked for that"
            ids = JobIds(lambda: 0, lambda bits: 0)
            answer = self.book.do(to_command(request, ids, Limits(), Defaults()))
            self._answer(reply(request.id, answer))

    def answer(self) -> None:
        """Send the oldest answer."""
        message, then = self.line.popleft()
        self.to_client.append(message)
        then()

    def push(self, count: int) -> None:
        """Push up to so many facts to every subscription."""
        for name, (watch, after_lsn) in list(self.subscriptions.items()):
            if after_lsn < min(self.trimmed_lsn, len(self.book.log)):
                gap = GapPush(subscription=name, from_lsn=after_lsn + 1, to_lsn=self.trimmed_lsn)
                self.to_client.append(_text(gap))
                self.subscriptions[name] = (watch, self.trimmed_lsn)
                continue
            facts = self.book.log[after_lsn : after_lsn + count]
            wanted = [
                event_json(lsn, fact)
                for lsn, fact in enumerate(facts, after_lsn + 1)
                if (watch.facts is None or type(fact) in watch.facts)
                and (watch.job_ids is None or fact[0] in watch.job_ids)
            ]
            if wanted:
                self.to_client.append(events_push(name, wanted).decode())
            self.subscriptions[name] = (watch, after_lsn + len(facts))

    def _answer(self, message: Ok | Error, then: Callable[[], None] = lambda: None) -> None:
        self.line.append((_text(message), then))


def _text(message: msgspec.Struct) -> str:
    data = encode(message, "json")
    assert isinstance(data, str)
    return data


class Waiting:
    """A wish, and what became of it."""

    def __init__(self, job_id: str, since_lsn: int | None) -> None:
        self.outcomes: list[FinishedJob | ClientError] = []
        self.wish = Wish(job_id, since_lsn, self.outcomes.append)
        self.given_up = False


class Breaking(RuleBasedStateMachine):
    """Client and server, and a connection that comes and goes."""

    def __init__(self) -> None:
        super().__init__()
        self.server = Server(Playbook(Policy(served_kinds=frozenset({"work"}))))
        self.book = self.server.book
        self.core = Core("json", lambda: None)
        self.watcher = FinishWatcher(self.core)
        self.connected = False
        self.asked: list[str] = []
        self.accepted: list[Accepted] = []
        self.waiting: list[Waiting] = []
        self.streams: list[tuple[EventSubscription, list[tuple[int, int]]]] = []

    @precondition(lambda self: not self.connected)
    @rule()
    def connect(self) -> None:
        self.connected = True
        self.core.opened()

    @precondition(lambda self: self.connected)
    @rule()
    def lose(self) -> None:
        self.connected = False
        self.server.drop()
        self.core.lost(ConnectionLost("cut"))

    @precondition(lambda self: self.connected)
    @rule(steps=st.lists(st.sampled_from(STEPS), min_size=1, max_size=12))
    def move(self, steps: list[str]) -> None:
        for step in steps:
            self._move(step)

    @rule(count=st.integers(1, 3))
    def ask_for_jobs(self, count: int) -> None:
        jobs = [new_job("work", {"number": len(self.asked) + number}) for number in range(count)]
        self.asked += [job.id or "" for job in jobs]
        question = enqueue(jobs)

        def done(pending: Pending) -> None:
            self.accepted += question.read(pending.ok())

        self.core.ask(question.request, done)

    @precondition(lambda self: self.accepted)
    @rule(choice=st.integers(0, 1000), known=st.booleans(), count=st.integers(1, 3))
    def wait(self, choice: int, known: bool, count: int) -> None:
        chosen = [self.accepted[(choice + step) % len(self.accepted)] for step in range(count)]
        waiting = [Waiting(job.job_id, job.lsn if known else None) for job in chosen]
        self.waiting += waiting
        self.watcher.add([one.wish for one in waiting])

    @precondition(lambda self: self.waiting)
    @rule(choice=st.integers(0, 1000))
    def give_up(self, choice: int) -> None:
        one = self.waiting[choice % len(self.waiting)]
        one.given_up = True
        self.watcher.give_up([one.wish])

    @precondition(lambda self: len(self.streams) < 3)
    @rule(from_start=st.booleans())
    def stream(self, from_start: bool) -> None:
        subscription = EventSubscription(None, 1 if from_start else None, lambda: None)
        seen: list[tuple[int, int]] = []
        subscription.notify = lambda: self._see(subscription, seen)
        self.streams.append((subscription, seen))
        self.core.subscribe(subscription)

    @precondition(lambda self: self.streams)
    @rule(choice=st.integers(0, 2))
    def leave_stream(self, choice: int) -> None:
        subscription, seen = self.streams.pop(choice % len(self.streams))
        self.core.unsubscribe(subscription)
        self._check_row(seen)

    @rule(count=st.integers(1, 3), succeeds=st.booleans())
    def run_jobs(self, count: int, succeeds: bool) -> None:
        for lease in self.book.lease(count):
            self.book.finish(lease, Succeeded(lease.args) if succeeds else Rejected(ERROR))

    @precondition(lambda self: self.accepted)
    @rule(choice=st.integers(0, 1000), delete=st.booleans())
    def retry_or_delete(self, choice: int, delete: bool) -> None:
        job_ids = (self.accepted[choice % len(self.accepted)].job_id,)
        self.book.do(Delete(job_ids) if delete else Retry(job_ids))

    @rule()
    def trim(self) -> None:
        self.server.trimmed_lsn = len(self.book.log)

    def teardown(self) -> None:
        if not self.connected:
            self.connect()
        self._settle()
        self.run_jobs(1000, succeeds=True)
        self._settle()
        made = [fact.job_id for fact in self.book.log if isinstance(fact, JobEnqueued)]
        assert sorted(made) == sorted(self.asked) == sorted(job.job_id for job in self.accepted)
        for one in self.waiting:
            self._check_wait(one)
        for subscription, seen in self.streams:
            assert subscription.error is None
            self._check_row(seen)
            assert seen[-1][1] == len(self.book.log), "the newest events did not come"
            self.core.unsubscribe(subscription)
        self._settle()
        assert not self.server.subscriptions, "a subscription was left behind"

    def _see(self, subscription: EventSubscription, seen: list[tuple[int, int]]) -> None:
        if subscription.opened and not seen:
            assert subscription.position is not None
            seen.append((0, subscription.position))  # what lies before the stream
        while items := subscription.take():
            for item in items:
                span = (item.from_lsn, item.to_lsn) if isinstance(item, GapPush) else (item.lsn, item.lsn)
                seen.append(span)
        self.core.resume(subscription)

    def _check_row(self, seen: list[tuple[int, int]]) -> None:
        for (_, before), (after, _) in pairwise(seen):
            assert after == before + 1, f"a hole or a repetition: {seen}"

    def _check_wait(self, one: Waiting) -> None:
        if one.given_up:
            assert len(one.outcomes) <= 1
            return
        assert len(one.outcomes) == 1, f"{one.wish.job_id} has the outcomes {one.outcomes}"
        outcome = one.outcomes[0]
        assert isinstance(outcome, FinishedJob)
        kinds: dict[JobState | None, type[Any]] = {
            JobState.COMPLETED: JobCompleted,
            JobState.DEAD: JobDied,
            None: JobDeleted,
        }
        kind = kinds[outcome.state]
        assert any(isinstance(fact, kind) and fact[0] == one.wish.job_id for fact in self.book.log)
        if outcome.state is JobState.COMPLETED:
            assert outcome.result == {"number": self.asked.index(one.wish.job_id)}
        if outcome.state is JobState.DEAD:
            assert outcome.errors[-1].message == "no"

    def _settle(self) -> None:
        """Let everything arrive that is on its way."""
        moved = True
        while moved:
            moved = [step for step in STEPS if self._move(step)] != []

    def _move(self, step: str) -> bool:
        server = self.server
        if step == "send":
            data = self.core.next_message()
            if data is None:
                return False
            assert isinstance(data, str)
            server.to_server.append(data)
            return True
        if step == "take" and server.to_server:
            server.take()
            return True
        if step == "answer" and server.line:
            server.answer()
            return True
        if step == "receive" and server.to_client:
            self.core.received(server.to_client.popleft())
            return True
        if step == "push":
            before = dict(server.subscriptions)
            server.push(2)
            return server.subscriptions != before
        return False


TestBreaking = Breaking.TestCase
TestBreaking.settings = settings(stateful_step_count=40)
