"""Jobs as asked for: what each field means, and what no job may have."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, strategies as st

from beaver_actors.codec.ids import JobIds
from beaver_actors.codec.wire_commands import to_command
from beaver_actors.codec.wire_decode import Limits, decode_request
from beaver_actors.codec.wire_errors import WireError
from beaver_actors.codec.wire_jobs import Defaults, backoff_from, backoff_object
from beaver_actors.core.commands import Enqueue, NewJob
from beaver_actors.core.job import Backoff, Extras, Terms
from beaver_actors.testing.strategies import durations_ms

LIMITS = Limits(job_bytes=2000)
DAY_MS = 24 * 3_600_000


def enqueue(*jobs: str, limits: Limits = LIMITS, defaults: Defaults | None = None) -> tuple[NewJob, ...]:
    """What the jobs of one message become; each is JSON text."""
    ids = JobIds(lambda: 1_788_249_600_000, random.Random(1).getrandbits)
    request = decode_request('{"type":"enqueue","id":"7","jobs":[' + ",".join(jobs) + "]}", limits)
    command = to_command(request, ids, limits, defaults or Defaults())  # type: ignore[arg-type]  # an enqueue
    assert isinstance(command, Enqueue)
    return command.jobs


def one(**fields: Any) -> NewJob:
    """What a job with these fields becomes."""
    (job,) = enqueue(json.dumps({"kind": "k", "id": "j", **fields}))
    return job


def test_a_job_that_says_only_its_kind_gets_the_servers_settings() -> None:
    """The defaults of the documentation, and an id of our own."""
    (job,) = enqueue('{"kind":"k"}')
    assert job == NewJob(job.job_id, Terms("k"), b"{}")
    assert len(job.job_id) == 36
    (job,) = enqueue('{"kind":"k","timeout":null}', defaults=Defaults(3, 5_000, Backoff("fixed", 1)))
    assert job.terms == Terms("k", max_attempts=3, timeout_ms=None, backoff=Backoff("fixed", 1))


def test_null_is_the_same_as_leaving_the_field_out() -> None:
    """As the documentation has it, for every field but `timeout`; for arguments and meta too."""
    names = (
        "args",
        "queue",
        "priority",
        "max_attempts",
        "backoff",
        "retention",
        "tags",
        "meta",
        "delay",
        "run_at",
    )
    (job,) = enqueue(json.dumps({"kind": "k", **dict.fromkeys(("id", "expires_at", *names))}))
    assert job == NewJob(job.job_id, Terms("k"), b"{}")


def test_a_kind_with_a_definition_gives_its_jobs_what_it_names() -> None:
    """The job's own word goes before the kind's, and the kind's before the server's."""
    defaults = Defaults(max_attempts=3, kinds={"k": {"queue": "slow", "timeout_ms": None, "priority": 5}})
    plain, own = enqueue(
        '{"kind":"k"}', '{"kind":"k","queue":"default","priority":0,"timeout":"1s"}', defaults=defaults
    )
    assert plain.terms == Terms("k", "slow", 5, 3, None)
    assert own.terms == Terms("k", "default", 0, 3, 1_000)


@pytest.mark.parametrize(
    ("fields", "meant"),
    [
        ({"priority": -100}, {"priority": -100}),
        ({"max_attempts": 1}, {"max_attempts": 1}),
        ({"timeout": 0.001}, {"timeout_ms": 1}),
        ({"timeout": "5m"}, {"timeout_ms": 300_000}),
        ({"retention": 0}, {"retention_ms": 0}),
        ({"tags": ["a", "ü" * 100]}, {"tags": ("a", "ü" * 100)}),
        ({"meta": {"a": 1}}, {"meta": b'{"a": 1}'}),
        ({"meta": {}}, {"meta": b""}),
        ({"queue": None, "priority": None, "tags": None, "backoff": None}, {}),
        ({"backoff": {"kind": "polynomial"}}, {"backoff": Backoff()}),
        (
            {"backoff": {"kind": "polynomial", "exponent": 2, "base": 0, "cap": "1h", "jitter": False}},
            {"backoff": Backoff("polynomial", 0, 2.0, 3_600_000, False)},
        ),
        (
            {"backoff": {"kind": "exponential"}},
            {"backoff": Backoff("exponential", 1_000, 2.0, 600_000, True)},
        ),
        (
            {"backoff": {"kind": "fixed", "delay": "30s"}},
            {"backoff": Backoff("fixed", 30_000, 1.0, 30_000, False)},
        ),
        (
            {"backoff": {"kind": "list", "delays": [10, "1m"]}},
            {"backoff": Backoff("list", 10_000, 1.0, 60_000, False, (10_000, 60_000))},
        ),
    ],
)
def test_options_become_terms(fields: dict[str, Any], meant: dict[str, Any]) -> None:
    """Every option, at its edges."""
    assert one(**fields).terms == Terms("k")._replace(**meant)


def test_times_become_milliseconds() -> None:
    """A time in the past is kept as it is: the core runs such a job now."""
    assert one(run_at="1999-01-01T00:00:00Z").run_at_ms == 915_148_800_000
    assert one(delay="1.5s").delay_ms == 1_500
    assert one(expires_at="2026-09-01T10:00:00+02:00").extras == Extras(1_788_249_600_000)


def test_args_are_kept_byte_for_byte() -> None:
    """Spaces, the order of keys, large numbers and escapes are the client's business."""
    args = '{ "b" : 1.0, "a":123456789012345678901234567890, "a":"\\u00e9é" }'
    (job,) = enqueue('{"kind":"k","args":  ' + args + "  }")
    assert job.args == args.encode()


def test_jobs_with_the_same_options_share_their_terms() -> None:
    """One object for a whole message, however many jobs."""
    jobs = enqueue(*['{"kind":"k","timeout":5}'] * 3, '{"kind":"k","timeout":6}')
    assert len({id(job.terms) for job in jobs}) == 2


def test_the_same_message_means_the_same_jobs() -> None:
    """P5: what a client sends again under its own ids is recognised, field for field."""
    message = '{"kind":"k","id":"mine","args":{"a":1},"backoff":{"kind":"fixed","delay":1},"tags":["x"]}'
    assert enqueue(message) == enqueue(message)


NAME = "of the characters A-Z a-z 0-9 _ . : -"
JOB_ID = "expected 1 to 200 printable ASCII characters without spaces"
TIME = "expected a time such as 2026-09-01T08:00:00Z"
DURATION = 'expected a number of seconds, or text such as "250ms", "30s", "5m", "1h", "7d"'
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"id": ""}, f'id: {JOB_ID}, got ""'),
    ({"id": "a b"}, f'id: {JOB_ID}, got "a b"'),
    ({"id": "é"}, f'id: {JOB_ID}, got "é"'),
    ({"id": "a\n"}, f'id: {JOB_ID}, got "a\\n"'),
    ({"id": "x" * 201}, f'id: {JOB_ID}, got "{"x" * 60}…"'),
    ({"kind": ""}, f'kind: expected 1 to 200 {NAME}, got ""'),
    ({"kind": "a/b"}, f'kind: expected 1 to 200 {NAME}, got "a/b"'),
    ({"queue": "a b"}, f'queue: expected 1 to 128 {NAME}, got "a b"'),
    ({"queue": "x" * 129}, f'queue: expected 1 to 128 {NAME}, got "{"x" * 60}…"'),
    ({"priority": 101}, "priority: expected a number from -100 to 100, got 101"),
    ({"priority": -(10**30)}, "priority: expected a number from -100 to 100, got a longer number"),
    ({"max_attempts": 0}, "max_attempts: expected a number from 1 to 1000, got 0"),
    ({"max_attempts": 1001}, "max_attempts: expected a number from 1 to 1000, got 1001"),
    ({"timeout": 0}, "timeout: expected more than 0, or null for no limit, got 0"),
    ({"timeout": "0s"}, 'timeout: expected more than 0, or null for no limit, got "0s"'),
    ({"timeout": -1}, "timeout: expected a duration from 0 to 36500 days, or null for no limit, got -1"),
    ({"delay": -0.5}, "delay: expected a duration from 0 to 36500 days, got -0.5"),
    ({"delay": "soon"}, f'delay: {DURATION}, got "soon"'),
    ({"delay": 1, "run_at": "2026-09-01T08:00:00Z"}, "delay: expected run_at or delay, got both"),
    ({"run_at": "tomorrow"}, f'run_at: {TIME}, got "tomorrow"'),
    ({"expires_at": ""}, f'expires_at: {TIME}, got ""'),
    ({"retention": "x"}, f'retention: {DURATION}, got "x"'),
    ({"tags": ["a"] * 21}, "tags: expected at most 20 tags, got 21"),
    ({"tags": ["a", ""]}, "tags[1]: expected 1 to 100 characters, got 0"),
    ({"tags": ["x" * 101]}, "tags[0]: expected 1 to 100 characters, got 101"),
    ({"args": []}, "args: expected object, got list"),
    ({"args": "x"}, "args: expected object, got text"),
    ({"args": -1}, "args: expected object, got number"),
    ({"meta": [1]}, "meta: expected object, got list"),
    ({"backoff": {"kind": "list", "delays": []}}, "backoff.delays: expected 1 to 1000 delays, got 0"),
    ({"backoff": {"kind": "list", "delays": [1, "x"]}}, f'backoff.delays[1]: {DURATION}, got "x"'),
    (
        {"backoff": {"kind": "polynomial", "exponent": 11}},
        "backoff.exponent: expected a number from 0 to 10, got 11",
    ),
    (
        {"backoff": {"kind": "exponential", "factor": 0.5}},
        "backoff.factor: expected a number from 1 to 100, got 0.5",
    ),
    (
        {"backoff": {"kind": "exponential", "initial": -1}},
        "backoff.initial: expected a duration from 0 to 36500 days, got -1",
    ),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=range(len(REFUSED)))
def test_a_job_that_cannot_be_is_refused_with_the_reason(fields: dict[str, Any], message: str) -> None:
    """Every check with the exact text; the path names the second job of the message."""
    bad = json.dumps({"kind": "k", **fields}, ensure_ascii=False)
    with pytest.raises(WireError) as caught:
        enqueue('{"kind":"k"}', bad)
    error = caught.value
    assert (error.code, error.message, error.request_id) == ("bad_request", f"jobs[1].{message}", "7")


def test_too_much_is_too_large() -> None:
    """Bytes of a job, bytes of its meta, jobs in a message; at the limit all is well."""
    args = {"x": "y" * (2000 - len('{"x": ""}'))}
    assert len(one(args=args).args) == 2000
    for jobs, message in [
        (
            [json.dumps({"kind": "k", "args": args, "meta": {"a": 1}})],
            "jobs[0].args: expected at most 2000 bytes of args and meta, got 2008",
        ),
        (
            [json.dumps({"kind": "k", "meta": {"x": "y" * 16384}})],
            "jobs[0].meta: expected at most 16384 bytes, got 16393",
        ),
        (['{"kind":"k"}'] * 1001, "jobs: expected at most 1000 jobs, got 1001"),
    ]:
        with pytest.raises(WireError) as caught:
            enqueue(*jobs)
        assert (caught.value.code, caught.value.message) == ("too_large", message)
    with pytest.raises(WireError, match="jobs: expected at least 1 job, got none"):
        enqueue()


@pytest.mark.parametrize("field", ["args", "meta"])
def test_args_may_be_nested_only_so_deeply(field: str) -> None:
    """64 levels pass and 65 do not; brackets inside texts do not count."""

    def nested(levels: int) -> str:
        return '{"a":' + "[" * (levels - 1) + r'"{[[\"[["' + "]" * (levels - 1) + "}"

    def with_field(value: str) -> str:
        return f'{{"kind":"k","{field}":{value}}}'

    enqueue(with_field(nested(64)))
    enqueue(with_field('{"a":"' + "[" * 200 + '","b":[' + ",".join(["{}"] * 200) + "]}"))
    with pytest.raises(WireError) as caught:
        enqueue(with_field(nested(65)))
    assert caught.value.message == (
        f"jobs[0].{field}: expected at most 64 levels of objects and lists, got more"
    )


backoffs = st.one_of(
    st.builds(
        Backoff,
        st.just("polynomial"),
        durations_ms,
        st.floats(0, 10),
        durations_ms,
        st.booleans(),
        st.just(()),
    ),
    st.builds(
        Backoff,
        st.just("exponential"),
        durations_ms,
        st.floats(1, 100),
        durations_ms,
        st.booleans(),
        st.just(()),
    ),
    durations_ms.map(lambda delay_ms: Backoff("fixed", delay_ms, 1.0, delay_ms, False)),
    st.lists(durations_ms, min_size=1, max_size=5).map(
        lambda delays: Backoff("list", delays[0], 1.0, max(delays), False, tuple(delays))
    ),
)


@given(backoffs)
def test_a_back_off_that_is_shown_is_read_back(backoff: Backoff) -> None:
    """Round trip over every kind and value."""
    assert backoff_from(backoff_object(backoff)) == backoff


@pytest.mark.parametrize("field", ["args", "meta"])
@pytest.mark.parametrize("number", ["1e999", "-1E+400", "9" * 400 + ".5", '[1, {"a": 2e308}]'])
def test_a_number_that_nobody_could_read_back_is_refused(field: str, number: str) -> None:
    """By its text: a job that is stored with one would hide the page of the listing that it stands on."""
    with pytest.raises(WireError, match=rf"jobs\[0\]\.{field}: expected numbers that fit a double"):
        enqueue(f'{{"kind":"k","{field}":{{"x":{number}}}}}')


@pytest.mark.parametrize("value", ['"1e999"', f'"{"9" * 400}"', "1e-999", "1.7e308", "9" * 400])
def test_what_only_looks_too_large_is_accepted(value: str) -> None:
    (job,) = enqueue(f'{{"kind":"k","args":{{"x":{value}}}}}')
    assert job.args == f'{{"x":{value}}}'.encode()
