"""What the protocol says to clients, as checks. Each check is a function whose first line says what it holds
the server to; it raises `Unfit` with what came instead."""

from __future__ import annotations

from typing import Any

import trio

from beaver_actors.testing.conformance_peer import Message, Peer, Target, Unfit, expect

JOB_FIELDS = frozenset({
    "id", "kind", "args", "queue", "priority", "state", "run_at", "max_attempts", "timeout", "backoff",
    "expires_at", "retention", "unique_key", "unique_until", "unique_for", "concurrency_key",
    "tags", "meta", "created_at", "started_at", "finished_at", "attempt",
    "rescues", "fence", "worker_id", "cancel_requested", "reason", "waits_for", "progress", "result",
    "errors", "lsn",
})  # fmt: skip
STATES = frozenset({"scheduled", "pending", "blocked", "in_flight", "completed", "dead", "cancelled"})


async def enqueue_and_get(target: Target) -> None:
    """Enqueue answers with a receipt for each job and a position; get shows all fields; defaults hold."""
    async with target.connect() as peer:
        kind, first, second = target.fresh("kind"), target.fresh("job"), target.fresh("job")
        reply = await peer.done(
            "enqueue", jobs=[{"kind": kind, "id": first, "args": {"n": 1}}, {"kind": kind, "id": second}]
        )
        receipts = [{"id": first, "duplicate": False}, {"id": second, "duplicate": False}]
        expect(reply["jobs"] == receipts, f"expected {receipts}, got {reply['jobs']!r}")
        expect(isinstance(reply["lsn"], int), f"expected lsn to be a number, got {reply['lsn']!r}")
        job = (await peer.done("get", job_id=first))["job"]
        expect(job.keys() >= JOB_FIELDS, f"fields are missing: {sorted(JOB_FIELDS - job.keys())}")
        defaults = {
            "id": first, "kind": kind, "args": {"n": 1}, "queue": "default", "priority": 0,
            "state": "pending", "attempt": 0, "fence": 0, "tags": [], "meta": {}, "result": None,
            "waits_for": "unknown_kind",
        }  # fmt: skip
        wrong = {name: job[name] for name, value in defaults.items() if job[name] != value}
        expect(not wrong, f"a fresh job shows {wrong}")
        made = await peer.done("enqueue", jobs=[{"kind": kind}])
        expect(made["jobs"][0]["id"] != first, "an id was made up twice")
        await peer.done("delete", job_ids=[first, second, made["jobs"][0]["id"]])


async def repeating_is_harmless(target: Target) -> None:
    """The same id with the same content is a duplicate; with other content a conflict, and nothing is taken
    (P5)."""
    async with target.connect() as peer:
        kind, name, other = target.fresh("kind"), target.fresh("job"), target.fresh("job")
        job = {"kind": kind, "id": name, "args": {"a": 1}}
        await peer.done("enqueue", jobs=[job])
        again = await peer.done("enqueue", jobs=[job])
        expect(again["jobs"] == [{"id": name, "duplicate": True}], f"sent twice, answered {again['jobs']!r}")
        changed = {**job, "args": {"a": 2}}
        await peer.refused("conflict", "enqueue", jobs=[{"kind": kind, "id": other}, changed])
        await peer.refused("not_found", "get", job_id=other)
        await peer.done("delete", job_ids=[name])


async def explaining(target: Target) -> None:
    """Explain says why a job waits, with every reason, and why it ended."""
    async with target.connect() as peer:
        kind, name, queue = target.fresh("kind"), target.fresh("job"), target.fresh("queue")
        await peer.done("pause", queue=queue)
        await peer.done("enqueue", jobs=[{"kind": kind, "id": name, "queue": queue}])
        told = (await peer.done("explain", job_id=name))["explanation"]
        reasons = [one["reason"] for one in told["because"]]
        expect(reasons == ["unknown_kind", "queue_paused"], f"expected both reasons, got {reasons!r}")
        expect((told["job_id"], told["state"]) == (name, "pending"), f"explained {told!r}")
        expect(all(one["text"] and one["text"] in told["text"] for one in told["because"]), f"got {told!r}")
        expect(told["because"][1]["names"] == [queue], f"the queue is not named: {told['because'][1]!r}")
        await peer.done("cancel", job_ids=[name])
        told = (await peer.done("explain", job_id=name))["explanation"]
        expect([one["reason"] for one in told["because"]] == ["cancelled"], f"it was cancelled: {told!r}")
        await peer.done("delete", job_ids=[name])
        await peer.done("resume", queue=queue)


async def listing(target: Target) -> None:
    """List filters, shows the newest first, and pages without leaving out or repeating."""
    async with target.connect() as peer:
        kind, queue = target.fresh("kind"), target.fresh("queue")
        names = [target.fresh("job") for _ in range(5)]
        for name in names:
            job = {"kind": kind, "id": name, "queue": queue, "tags": ["conformance"]}
            await peer.done("enqueue", jobs=[job])
        filters = {"kind": kind, "queue": queue, "tag": "conformance", "state": "pending", "limit": 2}
        found: list[str] = []
        after = None
        for _ in range(20):
            page = await peer.done("list", **filters, after=after)
            found += [job["id"] for job in page["jobs"]]
            after = page["next"]
            if after is None:
                break
        expect(found == names[::-1], f"expected {names[::-1]}, got {found}")
        await peer.done("delete", job_ids=names)


async def changing(target: Target) -> None:
    """Cancel, retry and delete tell for each job, in order, what became of it."""
    async with target.connect() as peer:
        kind, name = target.fresh("kind"), target.fresh("job")
        await peer.done("enqueue", jobs=[{"kind": kind, "id": name}])
        for word, changed, code, state in (
            ("retry", False, "conflict", "pending"),
            ("cancel", True, None, "cancelled"),
            ("cancel", False, "conflict", "cancelled"),
            ("retry", True, None, "pending"),
            ("delete", True, None, None),
            ("delete", False, "not_found", None),
        ):
            reply = await peer.done(word, job_ids=[name, "nobody.at.all"])
            wanted = {"name": name, "changed": changed, "code": code, "state": state}
            expect(reply["changes"][0] == wanted, f"{word}: expected {wanted}, got {reply['changes'][0]!r}")
            expect(reply["changes"][1]["code"] == "not_found", f"{word} of nobody: {reply['changes'][1]!r}")
            expect(isinstance(reply["lsn"], int), f"{word}: expected lsn to be a number")


async def operating(target: Target) -> None:
    """An operation does what is asked to all jobs that fit and to no others, counts exactly, and is harmless
    to repeat; one that nobody knows cannot be stopped."""
    async with target.connect() as peer:
        kind, other = target.fresh("kind"), target.fresh("kind")
        names = [target.fresh("job") for _ in range(3)]
        jobs = [{"kind": each, "id": name} for each, name in zip((kind, kind, other), names, strict=True)]
        await peer.done("enqueue", jobs=jobs)
        await peer.done("cancel", job_ids=names)
        wanted = {"state": "cancelled", "kind": kind, "operation_id": target.fresh("job")}
        started = await peer.done("operate", word="delete", **wanted)
        expect(isinstance(started["lsn"], int), f"expected lsn to be a number, got {started['lsn']!r}")
        await peer.refused("conflict", "operate", word="retry", **wanted)
        shown = started["operation"]
        for _ in range(600):
            if shown["state"] != "running":
                break
            await trio.sleep(0.05)
            shown = (await peer.done("operate", word="delete", **wanted))["operation"]
        counts = (shown["state"], shown["changed"], shown["refused"])
        expect(counts == ("completed", 2, 0), f"expected two deleted jobs, got {shown!r}")
        one = (await peer.done("operations", operation_id=wanted["operation_id"]))["operations"]
        expect(one == [shown], f"expected {[shown]}, got {one!r}")
        await peer.refused("not_found", "get", job_id=names[0])
        left = (await peer.done("get", job_id=names[2]))["job"]["state"]
        expect(left == "cancelled", f"a job of another kind is {left!r}")
        stopped = (await peer.done("stop", operation_id=wanted["operation_id"]))["operation"]
        expect(stopped == shown, f"stopped after its end it is {stopped!r}")
        await peer.refused("not_found", "stop", operation_id=target.fresh("job"))
        await peer.done("delete", job_ids=[names[2]])


async def looking_back(target: Target) -> None:
    """A job has a life with every event, after its end too; at its positions it is shown as it was."""
    async with target.connect() as peer:
        kind, name = target.fresh("kind"), target.fresh("job")
        begun = (await peer.done("enqueue", jobs=[{"kind": kind, "id": name}]))["lsn"]
        await peer.done("cancel", job_ids=[name])
        ended = (await peer.done("delete", job_ids=[name]))["lsn"]
        life = await peer.done("history", job_id=name)
        told = [(event["event"], event["job_id"]) for event in life["events"]]
        wanted = [(f"job_{word}", name) for word in ("enqueued", "cancelled", "deleted")]
        expect(told == wanted, f"expected {wanted}, got {told!r}")
        expect(life["complete_from"] <= begun, f"complete from {life['complete_from']!r}, but all is there")
        then = await peer.done("past", lsn=begun, job_id=name)
        expect((then["lsn"], then["job"]["state"]) == (begun, "pending"), f"as it was: {then!r}")
        at = life["events"][-1]["at"]
        counts = (await peer.done("past", at=at))["status"]["states"]
        expect(counts.keys() >= STATES, f"states: {sorted(counts)}")
        await peer.refused("not_found", "past", lsn=ended, job_id=name)


async def pausing(target: Target) -> None:
    """A paused queue says so; an unknown one can be paused, and not resumed."""
    async with target.connect() as peer:
        queue = target.fresh("queue")
        await peer.refused("not_found", "resume", queue=queue)
        paused = await peer.done("pause", queue=queue)
        expect(paused["changes"][0]["changed"] is True, f"pause: {paused!r}")
        again = await peer.done("pause", queue=queue)
        expect(again["changes"][0]["changed"] is False, f"pause twice: {again!r}")
        status = (await peer.done("status"))["status"]
        expect(status["queues"][queue]["paused"] is True, f"the status shows {status['queues'][queue]!r}")
        await peer.done("resume", queue=queue)


SCHEDULE_FIELDS = frozenset({
    "name", "job", "cron", "every", "tz", "catch_up", "overlap", "paused", "source", "created_at", "next",
    "fired", "skipped", "last_at", "last_job_id", "last_job_state",
})  # fmt: skip


FIRE_SECONDS = 20.0
"""Within which a schedule of every second fires twice."""


async def schedules(target: Target) -> None:
    """A schedule is set once, shown with its next times, paused, resumed, triggered, and deleted; one of
    seconds fires by itself, each time once."""
    async with target.connect() as peer:
        kind, name = target.fresh("kind"), target.fresh("schedule")
        wanted = {"name": name, "cron": "30 2 * * *", "tz": "Europe/Berlin", "job": {"kind": kind}}
        for changed in (True, False):
            (change,) = (await peer.done("set_schedule", schedule=wanted))["changes"]
            expect((change["name"], change["changed"]) == (name, changed), f"set it, answered {change!r}")
        (shown,) = (await peer.done("schedules", name=name, next=3))["schedules"]
        expect(shown.keys() >= SCHEDULE_FIELDS, f"fields are missing: {SCHEDULE_FIELDS - shown.keys()}")
        expect(len(shown["next"]) == 3 and shown["next"] == sorted(shown["next"]), f"next: {shown['next']!r}")
        await peer.done("pause_schedule", name=name)
        (shown,) = (await peer.done("schedules", name=name))["schedules"]
        expect((shown["paused"], shown["next"]) == (True, []), f"paused, it shows {shown!r}")
        job_id = target.fresh("job")
        for duplicate in (False, True):
            (receipt,) = (await peer.done("trigger_schedule", name=name, job_id=job_id))["jobs"]
            expect(receipt == {"id": job_id, "duplicate": duplicate}, f"triggered, answered {receipt!r}")
        await peer.done("resume_schedule", name=name)
        every = {"name": name, "every": 1, "job": {"kind": kind, "args": {"n": 1}}}
        await peer.done("set_schedule", schedule=every)
        jobs: list[Message] = []
        with trio.fail_after(FIRE_SECONDS):
            while len(jobs) < 3:
                await trio.sleep(0.2)
                jobs = (await peer.done("list", kind=kind))["jobs"]
        own = [job["id"] for job in jobs if job["id"] != job_id]
        expect(len(set(own)) == len(own), f"fired twice for a time: {own!r}")
        expect(all(one.startswith(f"{name}@") for one in own), f"ids that do not say when: {own!r}")
        await peer.done("delete_schedule", name=name)
        await peer.refused("not_found", "schedules", name=name)
        left = (await peer.done("list", kind=kind))["jobs"]
        await peer.done("delete", job_ids=[job["id"] for job in left])


async def status_and_workers(target: Target) -> None:
    """The status has all its parts; a list of workers is a list."""
    async with target.connect() as peer:
        status = (await peer.done("status"))["status"]
        expect(status["states"].keys() >= STATES, f"states: {sorted(status['states'])}")
        for name in (
            "at",
            "lsn",
            "queues",
            "totals",
            "unknown_kinds",
            "storage_full",
            "draining",
            "version",
            "fleet",
        ):
            expect(name in status, f"the status lacks {name}")
        expect(isinstance((await peer.done("workers"))["workers"], list), "workers is no list")


async def replies_in_order(target: Target) -> None:
    """Requests sent without waiting are answered in their order, and judged in it."""
    async with target.connect() as peer:
        kind, name = target.fresh("kind"), target.fresh("job")
        sent = [await peer.post("enqueue", jobs=[{"kind": kind, "id": name}])]
        sent += [await peer.post("get", job_id=name) for _ in range(20)]
        sent.append(await peer.post("delete", job_ids=[name]))
        sent.append(await peer.post("get", job_id=name))
        replies = [await peer.reply(request_id) for request_id in sent]
        expect([reply["type"] for reply in replies] == ["ok"] * 22 + ["error"], "judged in another order")


async def events(target: Target) -> None:
    """Events come in order with their positions, from where one asks; filters, batches, resuming, an end
    (P10)."""
    async with target.connect() as peer, target.connect() as doer:
        kind, names = target.fresh("kind"), [target.fresh("job") for _ in range(4)]
        begun = await peer.done("subscribe", topic="events", filter={"job_ids": names})
        for name in names:
            await doer.done("enqueue", jobs=[{"kind": kind, "id": name}])
        await doer.done("cancel", job_ids=names[:1])
        seen = [await peer.push("event") for _ in range(5)]
        told = [(event["event"], event["job_id"]) for event in seen]
        wanted = [("job_enqueued", name) for name in names] + [("job_cancelled", names[0])]
        expect(told == wanted, f"expected {wanted}, got {told}")
        lsns = [event["lsn"] for event in seen]
        expect(lsns == sorted(set(lsns)) and lsns[0] > begun["lsn"], f"positions {lsns} after {begun['lsn']}")
        expect(
            all(event["subscription"] == begun["subscription"] for event in seen),
            "another subscription's name",
        )
        await peer.done("unsubscribe", subscription=begun["subscription"])
        await peer.refused("not_found", "unsubscribe", subscription=begun["subscription"])
        names_wanted = {"job_ids": names, "events": ["job_enqueued"]}
        again = await peer.done("subscribe", topic="events", from_lsn=lsns[1], batch=2, filter=names_wanted)
        batched: list[Message] = []
        while len(batched) < 3:
            push = await peer.push("events")
            expect(1 <= len(push["events"]) <= 2, f"a batch of {len(push['events'])}, asked for up to 2")
            batched += push["events"]
        expect([event["lsn"] for event in batched] == lsns[1:4], f"resumed with {batched!r:.300}")
        await peer.done("unsubscribe", subscription=again["subscription"])
        await peer.refused("bad_request", "subscribe", "from_lsn", topic="events", from_lsn=lsns[-1] + 10**9)
        await doer.done("delete", job_ids=names)


async def graphs(target: Target) -> None:
    """A graph is enqueued whole, in any order; its jobs wait, are shown with their relatives, and go with a
    parent that is cancelled or deleted."""
    async with target.connect() as peer:
        kind = target.fresh("kind")
        first, middle, last, free = names = [target.fresh("job") for _ in range(4)]
        await peer.done(
            "enqueue",
            jobs=[
                {"kind": kind, "id": last, "depends_on": [middle]},
                {"kind": kind, "id": free, "depends_on": [middle], "on_parent_failure": "continue"},
                {"kind": kind, "id": middle, "depends_on": [first]},
                {"kind": kind, "id": first, "delay": 3600},
            ],
        )
        shown = (await peer.done("get", job_id=middle))["job"]
        expect(shown["state"] == "blocked" and shown["waits_for"] == "parents", f"it is {shown['state']}")
        expect(shown["parents"] == [{"id": first, "kind": kind, "state": "scheduled"}], "other parents")
        expect([child["id"] for child in shown["children"]] == [last, free], "other children")
        await peer.refused(
            "bad_request",
            "enqueue",
            "depends_on",
            jobs=[
                {"kind": kind, "id": first + "-a", "depends_on": [first + "-b"]},
                {"kind": kind, "id": first + "-b", "depends_on": [first + "-a"]},
            ],
        )
        await peer.done("cancel", job_ids=[first])
        shown = (await peer.done("get", job_id=last))["job"]
        expect((shown["state"], shown["reason"]) == ("cancelled", "parent_failed"), f"it is {shown['state']}")
        shown = (await peer.done("get", job_id=free))["job"]
        expect(shown["state"] in ("pending", "scheduled"), f"it is {shown['state']}, and should go on")
        await peer.done("delete", job_ids=names)


async def status_pushes(target: Target) -> None:
    """The status is pushed at once, and then at the interval."""
    async with target.connect() as peer:
        begun = await peer.done("subscribe", topic="status", interval=0.1)
        for _ in range(3):
            push = await peer.push("status")
            expect(push["subscription"] == begun["subscription"], "another subscription's name")
            expect("states" in push["status"], "a status without states")


async def both_forms(target: Target) -> None:
    """CBOR says the same as JSON, and a reply has the form of its request."""
    async with target.connect() as peer, target.connect("cbor") as other:
        kind, name = target.fresh("kind"), target.fresh("job")
        await other.done("enqueue", jobs=[{"kind": kind, "id": name, "args": {"x": [1, 2.5, None, "ü"]}}])
        one = (await peer.done("get", job_id=name))["job"]
        two = (await other.done("get", job_id=name))["job"]
        expect(one == two, f"JSON shows {one!r}, CBOR {two!r}")
        await peer.done("delete", job_ids=[name])


async def garbage(target: Target) -> None:
    """What is no request gets an error, with the request's id where it can be read, and the connection
    lives."""
    async with target.connect() as peer:
        for text, code, re in (
            ("", "bad_request", None),
            ("[]", "bad_request", None),
            ("{", "bad_request", None),
            ('{"type":"status"}', "bad_request", None),
            ('{"type":"status","id":7}', "bad_request", None),
            ('{"type":"invented","id":"x"}', "unsupported", "x"),
            ('{"type":"get","id":"x"}', "bad_request", "x"),
            ('{"type":"get","id":"x","job_id":"a","more":1}', "bad_request", "x"),
            ('{"type":"status","id":"%s"}' % ("i" * 201), "bad_request", None),
        ):
            await peer.send_raw(text)
            error = await peer.receive()
            expect(error["type"] == "error", f"{text!r:.60} was answered with {error!r:.200}")
            expect(
                error["code"] == code and error["re"] == re,
                f"{text!r:.60}: expected {code}, got {error!r:.300}",
            )
        await peer.done("status")


async def large_messages_end_the_connection(target: Target) -> None:
    """A message beyond the server's limit is not read to its end: the connection is closed with 1009."""
    async with target.connect() as peer:
        said = {"worker_id": target.fresh("worker"), "kinds": [target.fresh("kind")]}
        limits = (await peer.done("register", **said))["limits"]
        await peer.done("deregister")
        try:
            await peer.send_raw(" " * (limits["message_bytes"] + 1))
        except trio.BrokenResourceError:
            return
        why = await peer.closed()
        expect("1009" in why or "too_large" in why or why == "broken", f"it ended otherwise: {why}")


async def subscriptions_are_bounded(target: Target) -> None:
    """A connection holds 32 subscriptions, and no more."""
    async with target.connect() as peer:
        for _ in range(32):
            await peer.done("subscribe", topic="events", filter={"kind": target.name})
        await peer.refused("overloaded", "subscribe", topic="events", filter={"kind": target.name})


def job(**fields: Any) -> dict[str, Any]:
    """An enqueue of one job with these fields."""
    return {"jobs": [{"kind": "conformance.refused", **fields}]}


def _deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"deeper": value}
    return value


def _schedule(**fields: Any) -> Message:
    return {"name": "refused", "job": {"kind": "k"}, **fields}


def _job(**fields: Any) -> Message:
    return {"kind": "k", **fields}


REFUSALS: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("enqueue", "bad_request", "jobs", {}),
    ("enqueue", "bad_request", "jobs", {"jobs": []}),
    ("enqueue", "bad_request", "jobs", {"jobs": {}}),
    ("enqueue", "too_large", "jobs", {"jobs": [{"kind": "conformance.refused"}] * 100_001}),
    ("enqueue", "bad_request", "jobs[0].kind", {"jobs": [{}]}),
    ("enqueue", "bad_request", "jobs[0].kind", job(kind=7)),
    ("enqueue", "bad_request", "jobs[0].kind", job(kind="a b")),
    ("enqueue", "bad_request", "jobs[0].kind", job(kind="x" * 201)),
    ("enqueue", "bad_request", "jobs[0].id", job(id="")),
    ("enqueue", "bad_request", "jobs[0].id", job(id="x" * 201)),
    ("enqueue", "bad_request", "jobs[0].id", job(id="a b")),
    ("enqueue", "bad_request", "jobs[0].args", job(args=[1])),
    ("enqueue", "bad_request", "jobs[0].args", job(args=_deep(65))),
    ("enqueue", "bad_request", "jobs[0].queue", job(queue="x" * 129)),
    ("enqueue", "bad_request", "jobs[0].priority", job(priority=101)),
    ("enqueue", "bad_request", "jobs[0].priority", job(priority=1.5)),
    ("enqueue", "bad_request", "jobs[0].run_at", job(run_at="tomorrow")),
    ("enqueue", "bad_request", "jobs[0].delay", job(delay="1 parsec")),
    ("enqueue", "bad_request", "jobs[0].delay", job(delay=1, run_at="2999-01-01T00:00:00Z")),
    ("enqueue", "bad_request", "jobs[0].max_attempts", job(max_attempts=0)),
    ("enqueue", "bad_request", "jobs[0].max_attempts", job(max_attempts=1001)),
    ("enqueue", "bad_request", "jobs[0].timeout", job(timeout=0)),
    ("enqueue", "bad_request", "jobs[0].backoff", job(backoff={"kind": "list", "delays": []})),
    ("enqueue", "bad_request", "jobs[0].backoff", job(backoff={"kind": "invented"})),
    ("enqueue", "bad_request", "jobs[0].backoff", job(backoff={"kind": "polynomial", "exponent": 11})),
    ("enqueue", "bad_request", "jobs[0].expires_at", job(expires_at="2026-01-01")),
    ("enqueue", "bad_request", "jobs[0].unique_key", job(unique_key="")),
    ("enqueue", "bad_request", "jobs[0].unique_key", job(unique_key="u" * 201)),
    ("enqueue", "bad_request", "jobs[0].unique_until", job(unique_key="u", unique_until="never")),
    ("enqueue", "bad_request", "jobs[0].unique_until", job(unique_until="started")),
    ("enqueue", "bad_request", "jobs[0].unique_for", job(unique_key="u", unique_for=0)),
    ("enqueue", "bad_request", "jobs[0].unique_for", job(unique_key="u", unique_until="window")),
    ("enqueue", "bad_request", "jobs[0].on_conflict", job(unique_key="u", on_conflict="ask")),
    ("enqueue", "bad_request", "jobs[0].on_conflict", job(on_conflict="replace")),
    ("enqueue", "bad_request", "jobs[0].depends_on[0]", job(depends_on=["a b"])),
    ("enqueue", "not_found", "jobs[0].depends_on[0]", job(depends_on=["nobody.at.all"])),
    ("enqueue", "bad_request", "jobs[0].depends_on[0]", job(id="self.made", depends_on=["self.made"])),
    ("enqueue", "bad_request", "jobs[0].on_parent_failure", job(on_parent_failure="cancel")),
    (
        "enqueue",
        "bad_request",
        "jobs[0].on_parent_failure",
        job(depends_on=["nobody.at.all"], on_parent_failure="wait"),
    ),
    ("enqueue", "bad_request", "jobs[0].concurrency_key", job(concurrency_key="")),
    ("enqueue", "bad_request", "jobs[0].concurrency_key", job(concurrency_key="k" * 201)),
    ("enqueue", "bad_request", "jobs[0].concurrency_key", job(concurrency_key=7)),
    ("enqueue", "bad_request", "jobs[0].retention", job(retention=-1)),
    ("enqueue", "bad_request", "jobs[0].tags", job(tags=["x"] * 21)),
    ("enqueue", "bad_request", "jobs[0].tags[0]", job(tags=["x" * 101])),
    ("enqueue", "too_large", "jobs[0].meta", job(meta={"x": "y" * 16_384})),
    ("enqueue", "bad_request", "jobs[0].prioriti", job(prioriti=1)),
    ("get", "bad_request", "job_id", {}),
    ("get", "bad_request", "job_id", {"job_id": ""}),
    ("get", "not_found", "nobody.at.all", {"job_id": "nobody.at.all"}),
    ("operate", "bad_request", "word", {}),
    ("operate", "bad_request", "word", {"word": "explode"}),
    ("operate", "bad_request", "state", {"word": "retry", "state": "pending"}),
    ("operate", "bad_request", "state", {"word": "delete", "state": "in_flight"}),
    ("operate", "bad_request", "error_type", {"word": "retry", "error_type": ""}),
    ("operate", "bad_request", "finished_after", {"word": "retry", "finished_after": "yesterday"}),
    (
        "operate",
        "bad_request",
        "created_before",
        {"word": "retry", "created_after": "2026-01-01T00:00:00Z", "created_before": "2026-01-01T00:00:00Z"},
    ),
    ("operate", "bad_request", "operation_id", {"word": "retry", "operation_id": "a b"}),
    ("operations", "not_found", "nobody.at.all", {"operation_id": "nobody.at.all"}),
    ("stop", "bad_request", "operation_id", {"operation_id": ""}),
    ("history", "bad_request", "job_id", {"job_id": ""}),
    ("history", "not_found", "nobody.at.all", {"job_id": "nobody.at.all"}),
    ("past", "bad_request", "at", {}),
    ("past", "bad_request", "at", {"lsn": 1, "at": "2026-01-01T00:00:00Z"}),
    ("past", "bad_request", "at", {"at": "yesterday"}),
    ("past", "bad_request", "lsn", {"lsn": -1}),
    ("past", "bad_request", "LSN 9000000000000000000", {"lsn": 9_000_000_000_000_000_000}),
    ("past", "bad_request", "job_id", {"lsn": 1, "job_id": "a b"}),
    ("explain", "bad_request", "job_id", {"job_id": "a b"}),
    ("set_schedule", "bad_request", "schedule.cron", {"schedule": _schedule(cron="0 0 31 2 *")}),
    ("set_schedule", "bad_request", "minute", {"schedule": _schedule(cron="61 * * * *")}),
    ("set_schedule", "bad_request", "schedule.cron", {"schedule": _schedule()}),
    ("set_schedule", "bad_request", "schedule.cron", {"schedule": _schedule(cron="@daily", every=5)}),
    ("set_schedule", "bad_request", "schedule.tz", {"schedule": _schedule(cron="@daily", tz="Mars/Base")}),
    ("set_schedule", "bad_request", "schedule.every", {"schedule": _schedule(every="1ms")}),
    ("set_schedule", "bad_request", "schedule.name", {"schedule": _schedule(every=5, name="a b")}),
    ("set_schedule", "bad_request", "catch_up", {"schedule": _schedule(every=5, catch_up="perhaps")}),
    ("set_schedule", "bad_request", "overlap", {"schedule": _schedule(every=5, overlap="perhaps")}),
    ("set_schedule", "bad_request", "kind", {"schedule": _schedule(every=5, job={"kind": "a b"})}),
    ("set_schedule", "bad_request", "delay", {"schedule": _schedule(every=5, job={"kind": "k", "delay": 1})}),
    ("set_schedule", "bad_request", "expires_in", {"schedule": _schedule(every=5, job=_job(expires_in=0))}),
    ("set_schedule", "bad_request", "unique_for", {"schedule": _schedule(every=5, job=_job(unique_for=5))}),
    ("delete_schedule", "not_found", "nobody", {"name": "nobody"}),
    ("pause_schedule", "not_found", "nobody", {"name": "nobody"}),
    ("resume_schedule", "not_found", "nobody", {"name": "nobody"}),
    ("trigger_schedule", "not_found", "nobody", {"name": "nobody"}),
    ("trigger_schedule", "bad_request", "job_id", {"name": "nobody", "job_id": "a b"}),
    ("schedules", "bad_request", "next", {"next": 2}),
    ("schedules", "bad_request", "next", {"name": "nobody", "next": 101}),
    ("explain", "not_found", "nobody.at.all", {"job_id": "nobody.at.all"}),
    ("list", "bad_request", "state", {"state": "asleep"}),
    ("list", "bad_request", "limit", {"limit": 0}),
    ("list", "bad_request", "limit", {"limit": 1001}),
    ("list", "bad_request", "after", {"after": -1}),
    ("list", "bad_request", "reason", {"reason": "bored"}),
    ("subscribe", "bad_request", "topic", {"topic": "weather"}),
    ("subscribe", "bad_request", "interval", {"topic": "status", "interval": 0.01}),
    ("subscribe", "bad_request", "interval", {"topic": "events", "interval": 1}),
    ("subscribe", "bad_request", "from_lsn", {"topic": "status", "from_lsn": 1}),
    ("subscribe", "bad_request", "from_lsn", {"topic": "events", "from_lsn": -1}),
    ("subscribe", "bad_request", "batch", {"topic": "events", "batch": 1001}),
    ("subscribe", "bad_request", "filter.events[0]", {"topic": "events", "filter": {"events": ["job_lost"]}}),
    ("subscribe", "bad_request", "filter.job_ids", {"topic": "events", "filter": {"job_ids": []}}),
    ("unsubscribe", "not_found", "s99", {"subscription": "s99"}),
    ("cancel", "bad_request", "job_ids", {"job_ids": []}),
    ("cancel", "bad_request", "job_ids", {"job_ids": ["x"] * 1001}),
    ("retry", "bad_request", "job_ids", {"job_ids": "x"}),
    ("delete", "bad_request", "job_ids[1]", {"job_ids": ["x", ""]}),
    ("pause", "bad_request", "queue", {"queue": ""}),
    ("resume", "bad_request", "queue", {}),
    ("drain", "bad_request", "queue", {"queue": "no spaces"}),
    ("delete_queue", "bad_request", "queue", {}),
    ("delete_queue", "not_found", "queue", {"queue": "nobody-has-named-it"}),
    ("configure", "bad_request", "rules", {"queue": "q"}),
    ("configure", "bad_request", "rules", {"queue": "q", "rules": {}}),
    ("configure", "bad_request", "rules.speed", {"queue": "q", "rules": {"speed": 1}}),
    ("configure", "bad_request", "rules.concurrency", {"queue": "q", "rules": {"concurrency": 0}}),
    ("configure", "bad_request", "rules.concurrency", {"queue": "q", "rules": {"concurrency": "many"}}),
    ("configure", "bad_request", "rules.jobs_max", {"queue": "q", "rules": {"jobs_max": -1}}),
    ("configure", "bad_request", "rules.rate.limit", {"queue": "q", "rules": {"rate": {}}}),
    ("configure", "bad_request", "rules.rate.limit", {"queue": "q", "rules": {"rate": {"limit": 0}}}),
    (
        "configure",
        "bad_request",
        "rules.rate.period",
        {"queue": "q", "rules": {"rate": {"limit": 1, "period": "31d"}}},
    ),
    (
        "configure",
        "bad_request",
        "rules.key_rate.burst",
        {"queue": "q", "rules": {"key_rate": {"limit": 1, "burst": 0}}},
    ),
    ("configure", "bad_request", "rules.ageing", {"queue": "q", "rules": {"ageing": 0}}),
    ("move", "bad_request", "to", {"queue": "q", "to": "q"}),
    ("move", "bad_request", "to", {"queue": "q"}),
    ("move", "bad_request", "limit", {"queue": "q", "to": "r", "limit": 1001}),
    ("move", "bad_request", "after", {"queue": "q", "to": "r", "after": -1}),
    ("move", "not_found", "queue", {"queue": "nobody-has-named-it", "to": "r"}),
)
"""Request, code, what the message names, fields."""


async def refusals(target: Target) -> None:
    """Each wrong value is refused with its code, in a message that names the field; the connection lives."""
    async with target.connect() as peer:
        await hold(peer, REFUSALS)


async def hold(peer: Peer, table: tuple[tuple[str, str, str, dict[str, Any]], ...]) -> None:
    """Have each line of a table refused."""
    for kind, code, naming, fields in table:
        try:
            await peer.refused(code, kind, naming, **fields)
        except Unfit as error:
            raise Unfit(f"{kind} with a wrong {naming}: {error}") from None


CHECKS = (
    enqueue_and_get, repeating_is_harmless, explaining, listing, changing, operating, looking_back, pausing,
    status_and_workers, schedules, replies_in_order, graphs, events, status_pushes, both_forms, garbage,
    refusals, subscriptions_are_bounded, large_messages_end_the_connection,
)  # fmt: skip
