"""What the protocol says to workers, as checks. Each check is a function whose first line says what it holds
the server to; it raises `Unfit` with what came instead. It is a worker itself, of kinds that nobody else
has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import trio

from beaver_actors.testing.conformance_clients import hold
from beaver_actors.testing.conformance_peer import Message, Peer, Target, Unfit, expect

ERROR = {"type": "Error", "message": "no good", "traceback": "at the end"}
LEASE_SECONDS_MAX = 15.0
"""Where a lease lasts longer, its end is not waited for."""


class Held(NamedTuple):
    """A worker that holds a job."""

    peer: Peer
    worker_id: str
    kind: str
    job: Message

    @property
    def fence(self) -> int:
        fence: int = self.job["fence"]
        return fence

    def report(self, outcome: str = "succeeded", **fields: Any) -> Message:
        """How its attempt ended, as a report."""
        return {"job_id": self.job["job_id"], "fence": self.fence, "outcome": outcome, **fields}


@asynccontextmanager
async def holding(target: Target, **options: Any) -> AsyncIterator[Held]:
    """A worker that was given the one job of its kind; afterwards neither is left."""
    kind, name, worker_id = target.fresh("kind"), target.fresh("job"), target.fresh("worker")
    async with target.connect() as peer, target.connect() as client:
        await peer.done("register", worker_id=worker_id, kinds=[kind], slots=1, host="conformance", pid=1)
        await client.done("enqueue", jobs=[{"kind": kind, "id": name, "args": {"n": 1}, **options}])
        lease = await peer.push("lease")
        expect(len(lease["jobs"]) == 1, f"one slot, and {len(lease['jobs'])} jobs")
        yield Held(peer, worker_id, kind, lease["jobs"][0])
    async with target.connect() as client:
        await client.done("cancel", job_ids=[name])
        await client.done("delete", job_ids=[name])


async def _state_of(target: Target, held: Held) -> Message:
    async with target.connect() as client:
        job: Message = (await client.done("get", job_id=held.job["job_id"]))["job"]
    return job


async def _recorded(held: Held, *reports: Message) -> list[Message]:
    reply = await held.peer.done("report", reports=list(reports))
    receipts: list[Message] = reply["reports"]
    expect(len(receipts) == len(reports), f"{len(reports)} reports, and {len(receipts)} receipts")
    return receipts


async def registering(target: Target) -> None:
    """Register tells lease, heartbeat, limits and standing; the worker is shown with what it said."""
    async with target.connect() as peer:
        worker_id = target.fresh("worker")
        said = {
            "worker_id": worker_id,
            "kinds": [target.fresh("kind")],
            "queues": {"q": 2},
            "host": "here",
            "pid": 7,
        }
        reply = await peer.done("register", **said, slots=3, version="1.0", fences=[1])
        for name in ("lease", "heartbeat"):
            expect(isinstance(reply[name], int | float) and reply[name] > 0, f"{name}: {reply[name]!r}")
        limits = {"message_bytes", "result_bytes", "error_message_chars", "traceback_chars"}
        expect(reply["limits"].keys() >= limits, f"limits: {reply['limits']!r}")
        expect(reply["lost"] == [1], f"a lease that it never had: expected lost [1], got {reply['lost']!r}")
        shown = [one for one in (await peer.done("workers"))["workers"] if one["worker_id"] == worker_id]
        expect(len(shown) == 1, f"shown {len(shown)} times")
        wanted = {**said, "slots": 3, "version": "1.0", "state": "ready", "in_flight": 0}
        wrong = {name: shown[0].get(name) for name, value in wanted.items() if shown[0].get(name) != value}
        expect(not wrong, f"shown otherwise: {wrong}")
        await peer.done("deregister")
        rest = [one["worker_id"] for one in (await peer.done("workers"))["workers"]]
        expect(worker_id not in rest, "it is still shown after its goodbye")


async def leases_come_as_asked(target: Target) -> None:
    """A worker gets as many jobs as it has slots for, of its kinds and queues; a report makes room."""
    async with target.connect() as peer, target.connect() as client:
        kind, queue = target.fresh("kind"), target.fresh("queue")
        names = [target.fresh("job") for _ in range(3)]
        await client.done("enqueue", jobs=[{"kind": kind, "id": name, "queue": queue} for name in names])
        await client.done("enqueue", jobs=[{"kind": kind, "id": (other := target.fresh("job"))}])
        await peer.done("register", worker_id=target.fresh("worker"), kinds=[kind], queues={queue: 1})
        await peer.done("ready", slots=2)
        held: list[Message] = []
        while len(held) < 2:
            held += (await peer.push("lease"))["jobs"]
        await peer.done("status")
        expect(len(held) == 2 and not peer.pushes, f"two slots, and more than two jobs: {held!r:.300}")
        for job in held:
            expect(job["kind"] == kind and job["queue"] == queue and job["attempt"] == 1, f"leased {job!r}")
            expect(job["args"] == {} and job["max_attempts"] > 0 and "deadline" in job, f"leased {job!r}")
        first = {"job_id": held[0]["job_id"], "fence": held[0]["fence"], "outcome": "succeeded"}
        await peer.done("report", reports=[first])
        third = (await peer.push("lease"))["jobs"]
        expect({job["job_id"] for job in held + third} == set(names), "not the jobs of its queue")
        expect(third[0]["fence"] > held[1]["fence"], "a later lease with a smaller fence")
        await peer.done("deregister")
        await client.done("cancel", job_ids=[*names, other])
        await client.done("delete", job_ids=[*names, other])


async def reports_bring_jobs(target: Target) -> None:
    """Jobs in a report come with the completion, once, and find their parents' results; those that cannot
    come fail the attempt."""
    async with holding(target) as held:
        other, name = target.fresh("kind"), held.job["job_id"]
        jobs = [{"kind": other, "id": name + "-child", "depends_on": [name]}, {"kind": other}]
        report = held.report(result={"sum": 3}, jobs=jobs)
        early = held.report("stopped", jobs=jobs)
        await held.peer.refused("bad_request", "report", "reports[0].jobs", reports=[early])
        await held.peer.refused(
            "bad_request", "report", "reports[0].jobs[0].kind", reports=[held.report(jobs=[{"kind": "a b"}])]
        )
        for _ in range(2):
            (receipt,) = await _recorded(held, report)
            expect(receipt["recorded"] is True, f"it was not recorded: {receipt!r}")
        names = [name + "-child", f"{name}.{held.fence}.1"]
        shown = (await held.peer.done("list", kind=other))["jobs"]
        expect(sorted(job["id"] for job in shown) == sorted(names), f"it brought {shown!r:.300}")
        expect({job["state"] for job in shown} == {"pending"}, f"its children are {shown!r:.300}")
        await held.peer.done("register", worker_id=held.worker_id, kinds=[other], slots=2)
        await held.peer.done("ready", slots=2)
        leased: list[Message] = []
        while len(leased) < 2:
            leased += (await held.peer.push("lease"))["jobs"]
        parents = [job["parents"] for job in leased if job["job_id"] == names[0]]
        wanted = [{"id": name, "state": "completed", "result": {"sum": 3}}]
        expect(parents == [wanted], f"the parents of the leased job: {parents!r:.300}")
        fences = {job["job_id"]: job["fence"] for job in leased}
        refused = {"job_id": names[0], "fence": fences[names[0]], "outcome": "succeeded"}
        bad = {"kind": other, "depends_on": ["nobody.at.all"]}
        await held.peer.done("report", reports=[{**refused, "jobs": [bad]}])
        state = (await held.peer.done("get", job_id=names[0]))["job"]
        expect(state["errors"][-1]["type"] == "ChildrenRefused", f"its errors: {state['errors']!r:.300}")
        await held.peer.done("deregister")
        await held.peer.done("cancel", job_ids=names)
        await held.peer.done("delete", job_ids=names)


async def every_outcome(target: Target) -> None:
    """Each outcome leads where the protocol says, and using an attempt or not is as it says."""
    for outcome, fields, state, attempt in (
        ("succeeded", {"result": {"sum": 3}}, "completed", 1),
        ("failed", {"error": ERROR, "delay": "1h"}, "scheduled", 1),
        ("timed_out", {"error": ERROR}, "scheduled", 1),
        ("rejected", {"error": ERROR}, "dead", 1),
        ("snoozed", {"delay": "1h"}, "scheduled", 0),
        ("released", {}, "pending", 0),
        ("stopped", {}, "pending", 0),
        ("crashed", {"error": ERROR}, "pending", 1),
    ):
        async with holding(target, backoff={"kind": "fixed", "delay": "1h"}) as held:
            await held.peer.done("ready", slots=0)
            (receipt,) = await _recorded(held, held.report(outcome, **fields))
            expect(receipt["recorded"] is True and receipt["code"] is None, f"{outcome}: {receipt!r}")
            job = await _state_of(target, held)
            found = job["state"], job["attempt"]
            expect(found == (state, attempt), f"{outcome}: expected {(state, attempt)}, got {found}")
            if outcome == "succeeded":
                expect(job["result"] == {"sum": 3}, f"the result is {job['result']!r}")
            if "error" in fields:
                told = {name: job["errors"][-1][name] for name in ERROR}
                expect(told == ERROR, f"{outcome}: the error is {told!r}")


async def outcomes_once(target: Target) -> None:
    """The same report again is recorded as before; another one is lease_lost, and nothing changes (P4,
    P5)."""
    async with holding(target) as held:
        await held.peer.done("ready", slots=0)
        good, other = held.report(result=1), held.report(result=2)
        receipts = await _recorded(held, good, good, other)
        told = [receipt["recorded"] for receipt in receipts]
        expect(told == [True, True, False], f"expected [true, true, false], got {told}")
        expect(receipts[2]["code"] == "lease_lost", f"the other outcome: {receipts[2]!r}")
        lsn = (await _state_of(target, held))["lsn"]
        expect(
            [one["recorded"] for one in await _recorded(held, good, other)] == [True, False],
            "told otherwise later",
        )
        job = await _state_of(target, held)
        expect((job["lsn"], job["result"]) == (lsn, 1), f"a repeated report changed the job: {job!r:.300}")


async def liars_change_nothing(target: Target) -> None:
    """Another worker's job, a fence that never was, another job's fence: lease_lost with the current fence
    (P4)."""
    async with holding(target) as held, target.connect() as liar:
        await liar.done("register", worker_id=target.fresh("worker"), kinds=[target.fresh("kind")])
        before = await _state_of(target, held)
        lies = [
            held.report(),
            {**held.report(), "fence": held.fence + 1_000_000},
            {**held.report(), "job_id": "nobody.at.all"},
        ]
        word = {"job_id": held.job["job_id"], "fence": held.fence, "progress": "a lie"}
        reply = await liar.done("report", reports=lies, progress=[word])
        told = [(one["recorded"], one["code"], one["current_fence"]) for one in reply["reports"]]
        wanted = [(False, "lease_lost", held.fence)] * 2 + [(False, "lease_lost", 0)]
        expect(told == wanted, f"expected {wanted}, got {told}")
        beat = await liar.done("heartbeat", fences=[held.fence])
        expect(beat["lost"] == [held.fence], f"another's lease, and lost is {beat['lost']!r}")
        expect(await _state_of(target, held) == before, "a lie changed the job")
        await liar.done("deregister")
        (receipt,) = await _recorded(held, held.report())
        expect(receipt["recorded"], "the honest worker was refused")


async def heartbeats_and_progress(target: Target) -> None:
    """Heartbeats tell lost leases; progress is kept, and dropped without a word where it comes too late."""
    async with holding(target) as held:
        beat = await held.peer.done("heartbeat", fences=[held.fence, held.fence + 1_000_000])
        wanted = {"lost": [held.fence + 1_000_000], "cancel": [], "overdue": []}
        expect({name: beat[name] for name in wanted} == wanted, f"expected {wanted}, got {beat!r}")
        word = {"job_id": held.job["job_id"], "fence": held.fence, "progress": {"percent": 50}}
        reply = await held.peer.done("report", progress=[word])
        expect(reply["reports"] == [], f"progress alone, and receipts {reply['reports']!r}")
        job = await _state_of(target, held)
        expect(job["progress"] == {"percent": 50}, f"the progress is {job['progress']!r}")
        late = {**word, "fence": held.fence + 1_000_000, "progress": "late"}
        await held.peer.done("report", progress=[late])
        expect((await _state_of(target, held))["progress"] == {"percent": 50}, "a stale progress was kept")


async def cancels_are_pushed(target: Target) -> None:
    """A cancel request comes as a notice, again with each heartbeat, and ends the job when it is answered
    (P3)."""
    async with holding(target) as held, target.connect() as client:
        await client.done("cancel", job_ids=[held.job["job_id"]])
        notice = await held.peer.push("notice")
        expect(notice.get("cancel") == [held.fence], f"the notice is {notice!r}")
        beat = await held.peer.done("heartbeat", fences=[held.fence])
        expect(beat["cancel"] == [held.fence], f"the heartbeat was answered with {beat!r}")
        await held.peer.done("ready", slots=0)
        (receipt,) = await _recorded(held, held.report("stopped"))
        expect(receipt["recorded"], f"stopped was refused: {receipt!r}")
        expect((await _state_of(target, held))["state"] == "cancelled", "it is not cancelled")


async def timeouts_are_warned_of(target: Target) -> None:
    """When a job's timeout has passed, its worker is told, before the job is taken."""
    async with holding(target, timeout=0.5, max_attempts=1) as held:
        expect(held.job["timeout"] == 0.5 and held.job["deadline"], f"leased {held.job!r}")
        message = await held.peer.push("notice")
        expect(
            message.get("overdue") == [held.fence] or message.get("lost") == [held.fence],
            f"the notice is {message!r}",
        )


async def reconnecting(target: Target) -> None:
    """A worker that comes back keeps the leases it names; those that it does not name go back unused (P4)."""
    async with holding(target) as held:
        await held.peer.leave()
        async with target.connect() as back:
            said = {"worker_id": held.worker_id, "kinds": [held.kind]}
            reply = await back.done("register", **said, slots=0, fences=[held.fence])
            expect(reply["lost"] == [], f"its own lease is called lost: {reply!r}")
            expect((await _state_of(target, held))["state"] == "in_flight", "it is not its own any more")
            async with target.connect() as second:
                await second.done("register", **said, slots=0, fences=[])
                job = await _until(target, held, "pending")
                expect(job["attempt"] == 0, f"a lease lost on the way used an attempt: {job['attempt']}")
                await back.refused("conflict", "heartbeat", fences=[held.fence])
                await second.done("deregister")


async def _until(target: Target, held: Held, state: str) -> Message:
    with trio.move_on_after(target.patience):
        while (job := await _state_of(target, held))["state"] != state:  # noqa: ASYNC110  # a server is asked
            await trio.sleep(0.05)
        return job
    raise Unfit(f"the job does not become {state}")


async def goodbyes(target: Target) -> None:
    """Deregister gives back what is held without using an attempt; the connection is nobody's afterwards."""
    async with holding(target) as held:
        await held.peer.done("deregister")
        job = await _state_of(target, held)
        expect(
            (job["state"], job["attempt"]) == ("pending", 0),
            f"it is {job['state']}, attempt {job['attempt']}",
        )
        await held.peer.refused("conflict", "ready", slots=1)


async def leases_end(target: Target) -> None:
    """A lease that is not renewed ends: the job goes back with a rescue used, and late words change
    nothing."""
    async with target.connect() as peer:
        lease = (await peer.done("register", worker_id=target.fresh("worker"), kinds=["x"]))["lease"]
        await peer.done("deregister")
    if lease > LEASE_SECONDS_MAX:
        raise Skipped(f"a lease lasts {lease:g} s here; not waited for")
    async with holding(target) as held:
        await held.peer.done("ready", slots=0)
        with trio.move_on_after(lease + target.patience):
            while (job := await _state_of(target, held))["state"] != "pending":  # noqa: ASYNC110  # a server is asked
                await trio.sleep(0.1)
        expect(
            (job["state"], job["rescues"]) == ("pending", 1),
            f"it is {job['state']}, rescues {job['rescues']}",
        )
        (receipt,) = await _recorded(held, held.report())
        expect(receipt["code"] == "lease_lost", f"the late report: {receipt!r}")


class Skipped(Exception):
    """This cannot be held against this server."""


def _registration(**fields: Any) -> dict[str, Any]:
    return {"worker_id": "conformance.refused", "kinds": ["conformance.refused"], **fields}


REFUSED_REGISTRATIONS: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("ready", "conflict", "register", {"slots": 1}),
    ("heartbeat", "conflict", "register", {"fences": []}),
    ("report", "conflict", "register", {"reports": [{"job_id": "x", "fence": 1, "outcome": "released"}]}),
    ("deregister", "conflict", "register", {}),
    ("register", "bad_request", "worker_id", {"kinds": ["x"]}),
    ("register", "bad_request", "worker_id", _registration(worker_id="")),
    ("register", "bad_request", "worker_id", _registration(worker_id="x" * 201)),
    ("register", "bad_request", "kinds", _registration(kinds=[])),
    ("register", "bad_request", "kinds", _registration(kinds=["x"] * 1001)),
    ("register", "bad_request", "kinds[0]", _registration(kinds=["a b"])),
    ("register", "bad_request", "queues", _registration(queues={})),
    ("register", "bad_request", "queues", _registration(queues={"q": 0})),
    ("register", "bad_request", "queues", _registration(queues={"q": 1001})),
    ("register", "bad_request", "queues", _registration(queues={f"q{number}": 1 for number in range(101)})),
    ("register", "bad_request", "slots", _registration(slots=-1)),
    ("register", "bad_request", "slots", _registration(slots=10_001)),
    ("register", "bad_request", "fences[0]", _registration(fences=[0])),
    ("register", "bad_request", "fences", _registration(fences=[1] * 10_001)),
    ("register", "bad_request", "host", _registration(host="x" * 201)),
    ("register", "bad_request", "version", _registration(version="x" * 201)),
    ("register", "bad_request", "pid", _registration(pid=-1)),
)


async def refused_words(target: Target) -> None:
    """Each wrong value of a worker is refused with its code, in a message that names the field."""
    async with target.connect() as peer:
        await hold(peer, REFUSED_REGISTRATIONS)
    async with holding(target) as held:
        limits = (await held.peer.done("register", worker_id=held.worker_id, kinds=[held.kind], slots=1,
                                       fences=[held.fence]))["limits"]  # fmt: skip
        text = "x" * limits["result_bytes"]
        other = {"worker_id": target.fresh("worker"), "kinds": ["x"]}
        wrong: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
            ("register", "conflict", "worker_id", other),
            ("ready", "bad_request", "slots", {}),
            ("ready", "bad_request", "slots", {"slots": 10_001}),
            ("heartbeat", "bad_request", "fences", {}),
            ("heartbeat", "bad_request", "fences", {"fences": [1] * 10_001}),
            ("report", "bad_request", "reports", {}),
            ("report", "bad_request", "reports", {"reports": [held.report()] * 1001}),
            ("report", "bad_request", "reports[0].outcome", {"reports": [held.report("finished")]}),
            ("report", "bad_request", "reports[0].fence", {"reports": [{**held.report(), "fence": 0}]}),
            ("report", "bad_request", "reports[0].job_id", {"reports": [{**held.report(), "job_id": ""}]}),
            ("report", "bad_request", "reports[0].error", {"reports": [held.report("failed")]}),
            ("report", "bad_request", "reports[0].error", {"reports": [held.report(error=ERROR)]}),
            ("report", "bad_request", "reports[0].result", {"reports": [held.report("released", result=1)]}),
            ("report", "bad_request", "reports[0].delay", {"reports": [held.report("snoozed")]}),
            ("report", "bad_request", "reports[0].delay", {"reports": [held.report(delay=1)]}),
            ("report", "too_large", "reports[0].result", {"reports": [held.report(result=text)]}),
            ("report", "too_large", "reports[0].error.message", {"reports": [held.report(
                "failed", error={"type": "E", "message": "x" * (limits["error_message_chars"] + 1)})]}),
            ("report", "too_large", "reports[0].error.traceback", {"reports": [held.report(
                "failed", error={"type": "E", "traceback": "x" * (limits["traceback_chars"] + 1)})]}),
            ("report", "too_large", "progress[0].progress", {"progress": [
                {"job_id": held.job["job_id"], "fence": held.fence, "progress": "x" * 65_536}]}),
        )  # fmt: skip
        await hold(held.peer, wrong)
        good_and_bad = [held.report(), held.report("failed")]
        await held.peer.refused("bad_request", "report", "reports[1].error", reports=good_and_bad)
        state = (await _state_of(target, held))["state"]
        expect(state == "in_flight", f"a report in a refused message was recorded: {state}")


CHECKS = (
    registering, leases_come_as_asked, reports_bring_jobs, every_outcome, outcomes_once, liars_change_nothing,
    heartbeats_and_progress, cancels_are_pushed, timeouts_are_warned_of, reconnecting, goodbyes,
    refused_words, leases_end,
)  # fmt: skip
