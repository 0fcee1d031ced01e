"""The load of a simulation: job kinds that do everything a job can do, and programs that want everything.

The programs use the real client over the simulated network. What they ask for and hear goes to the oracle;
they check nothing themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any, Final

import trio

from beaver_actors.client.job_questions import JobFilter
from beaver_actors.client.new_jobs import NewJob, new_job
from beaver_actors.client.rules import QueueOptions
from beaver_actors.codec.wire_schedule_objects import NewScheduleObject
from beaver_actors.core.job import UNIQUE_UNTIL
from beaver_actors.core.operation import OPERATION_WORDS, OperationWord
from beaver_actors.execute.app import App
from beaver_actors.execute.context import Context, Reject, Retry, Snooze
from beaver_actors.testing.customer import PATIENCE_SECONDS, Customer, Surroundings, Word

QUEUES: Final = ("default", "mail", "low")
SWEEPS: Final = 0.04
"""Of what a program asks for, in simulations with operations."""
LIMITED: Final = "low"
"""The queue that may have limits."""


def simulated_app(die: Callable[[], None]) -> App:
    """Jobs of every kind. `die` ends the process that runs them."""
    app = App("simulated")
    naps: Counter[str] = Counter()

    @app.job("work")
    async def work(n: int, ms: int = 0) -> int:
        await trio.sleep(ms / 1000)
        return n

    @app.job("long")
    async def long(ms: int) -> str:
        await trio.sleep(ms / 1000)  # longer than a lease
        return "at last"

    @app.job("tell")
    async def tell(context: Context, ms: int) -> str:
        for part in range(3):
            context.progress(percent=part * 33)
            await trio.sleep(ms / 3000)
        return "told"

    @app.job("flaky", max_attempts=6, backoff=[0.5, 3])
    async def flaky(context: Context, fails: int) -> int:
        await trio.lowlevel.checkpoint()
        if context.attempt <= fails:
            raise ValueError(f"failure {context.attempt}")
        if context.attempt == fails + 1:
            raise Retry(in_=1, message="once more")
        return context.attempt

    @app.job("snooze")
    async def snooze(context: Context) -> str:
        await trio.lowlevel.checkpoint()
        naps[context.job_id] += 1
        if naps[context.job_id] % 3:
            raise Snooze(1)
        return "awake"

    @app.job("reject")
    async def reject() -> None:
        await trio.lowlevel.checkpoint()
        raise Reject("never")

    @app.job("slow", timeout=2, max_attempts=2, backoff=[1])
    async def slow() -> None:
        await trio.sleep(3600)

    @app.job("killer")
    async def killer() -> None:
        await trio.lowlevel.checkpoint()
        die()
        await trio.sleep_forever()

    return app


@dataclass(slots=True)
class Stage(Surroundings):
    """What all programs of a simulation share."""

    random: Random = field(kw_only=True)
    killers: int = field(kw_only=True)
    """Jobs yet to be sent that kill their process."""
    schedules: list[NewScheduleObject] = field(default_factory=list)
    """Schedules that every program asks for."""
    rules: QueueOptions = field(default_factory=QueueOptions)
    """What every program sets for the queue that has limits."""
    sweeps: bool = False
    """Whether programs have all jobs of a kind retried or deleted, now and then."""
    closing: bool = False
    """No program begins anything new: what is left to do gets done in peace."""


class Program(Customer):
    """A customer that draws what it does.

    Args:
        number: tells it from the others.
    """

    def __init__(self, stage: Stage, number: int) -> None:
        self._stage = stage
        self._random = Random(stage.random.getrandbits(64))
        super().__init__(stage, f"p{number}", self._random.choice(("json", "cbor")), self._random.random)
        self._made = 0

    async def produce(self, wishes: int) -> None:
        """Connect, ask for up to so many things, each until it is granted or refused for good, and close."""
        pace = self._random.choice((0.5, 1, 4))  # wishes a second
        async with trio.open_nursery() as nursery:
            await self.begin(nursery)
            for schedule in self._stage.schedules:
                await self.set_schedule(schedule)
            if self._stage.rules:
                await self.configure(LIMITED, self._stage.rules)
            while wishes and not self._stage.closing:
                await trio.sleep(self._random.expovariate(pace))
                await self._wish()
                wishes -= 1
            await self.close()
            nursery.cancel_scope.cancel()

    async def watch(self) -> None:
        """Follow all events until cancelled, with pauses, leaving and coming back."""
        random = self._random
        async with trio.open_nursery() as nursery:
            await self.begin(nursery)
            while True:
                async with self.client.subscribe_events(self.next_lsn) as events:
                    self.subscribed()
                    for _ in range(random.randint(1, 60)):
                        for item in await events.batch():
                            self.take(item)
                        if random.random() < 0.2:
                            await trio.sleep(random.random() * 5)
                await trio.sleep(random.random())

    async def _wish(self) -> None:
        random, known = self._random, self._stage.known
        choice = random.random()
        if self._stage.sweeps and choice < SWEEPS:
            await self._sweep()
        elif choice < 0.6 or not known:
            jobs = [self._new_job() for _ in range(random.randint(1, 6))]
            await self.enqueue(jobs, self._patience())
        elif choice < 0.68:
            again = {job.id: job for job in random.choices(known, k=3)}
            await self.enqueue(list(again.values()), self._patience())
        elif choice < 0.71:
            other = new_job("work", {"n": -1}, id=random.choice(known).id)
            await self.enqueue([other], self._patience())
        elif choice < 0.85:
            word: Word = random.choice(("cancel", "retry", "delete"))
            job_ids = sorted({str(job.id) for job in random.choices(known, k=2)})
            await self.change(word, job_ids, self._patience())
        elif choice < 0.91:
            queue = random.choice(QUEUES[1:])
            await self.pause(queue, self._patience())
            await trio.sleep(random.random() * 3)
            await self.resume(queue)
        else:
            job_id = str(random.choice(known).id)
            look = partial(self.look, job_id) if random.random() < 0.5 else self.look_around
            await look(self._patience())

    async def _sweep(self) -> None:
        """All failures of a kind, or all that was cancelled; or what has become of those before."""
        random = self._random
        if random.random() < 0.3:
            await self.look_at_operations(self._patience())
            return
        self._made += 1
        wanted: JobFilter = {"state": random.choice(("dead", "dead", "cancelled"))}
        if random.random() < 0.8:
            wanted["kind"] = random.choice(("reject", "slow", "flaky"))
        word: OperationWord = random.choice(OPERATION_WORDS)
        await self.operate(word, f"{self.name}-{self._made}", wanted, self._patience())

    def _patience(self) -> float:
        """Now and then it has none."""
        return self._random.random() * 0.2 if self._random.random() < 0.1 else PATIENCE_SECONDS

    def _key(self) -> dict[str, Any]:
        """A key of which there are few, so that jobs meet."""
        random = self._random
        until = random.choice(UNIQUE_UNTIL)
        held = random.choice((0.5, 5, 60)) if until == "window" else random.choice((None, 5))
        conflict = random.choice((None, "return_existing", "return_existing", "replace", "replace"))
        key = random.choice(("k", "l"))
        return {"unique_key": key, "unique_until": until, "unique_for": held, "on_conflict": conflict}

    def _parents(self) -> dict[str, Any]:
        """One or two of the latest jobs to wait for; none that nobody can run, so the wait has an end."""
        random = self._random
        latest = [str(job.id) for job in self._stage.known[-4:] if job.kind != "nobody"]
        if not latest:
            return {}
        parents = sorted({random.choice(latest) for _ in range(random.randint(1, 2))})
        return {"depends_on": parents, "on_parent_failure": random.choice(("cancel", "cancel", "continue"))}

    def _new_job(self) -> NewJob:
        random, stage = self._random, self._stage
        self._made += 1
        job_id = f"{self.name}-{self._made}"
        options: dict[str, Any] = {"queue": random.choice(QUEUES), "priority": random.choice((0, 0, 5))}
        if random.random() < 0.2:
            options["delay"] = random.choice((0.05, 1, 7))
        if random.random() < 0.1:
            options["expires_at"] = f"20{random.choice(('20', '60'))}-01-01T00:00:00Z"
        if random.random() < 0.3:
            options["max_attempts"] = random.randint(1, 4)
        if random.random() < 0.3:
            options["backoff"] = [0.5, 2]
        if random.random() < 0.15:
            options |= self._key()
        if random.random() < 0.15:
            options |= self._parents()
        if options["queue"] == LIMITED and random.random() < 0.7:
            options["concurrency_key"] = random.choice(("k", "l"))
        if stage.killers and random.random() < 0.1:
            stage.killers -= 1
            return self._remember(new_job("killer", {}, id=job_id, **options))
        kind = random.choice(
            ("work", "work", "work", "tell", "flaky", "snooze", "reject", "slow", "long", "nobody")
        )
        args: dict[str, Any] = {
            "work": {"n": self._made, "ms": random.choice((0, 0, 3, 400))},
            "tell": {"ms": random.choice((10, 900))},
            "long": {"ms": random.choice((4_000, 25_000))},
            "flaky": {"fails": random.randint(0, 3)},
        }.get(kind, {})
        if kind == "work" and random.random() < 0.05:
            args["n"] = 7
            options["meta"] = {"fill": "x" * random.randint(1, 3000)}  # some take many sectors
        return self._remember(new_job(kind, args, id=job_id, **options))

    def _remember(self, job: NewJob) -> NewJob:
        self._stage.known.append(job)
        return job
