"""Jobs are judged and named before they are sent."""

from __future__ import annotations

import pytest

from beaver_actors.cli.jobs_file import JobsFileError, read_jobs
from beaver_actors.cli.new_job import JobReader, refuse_repeated_ids


def make_reader(job_bytes_max: int = 1_000) -> JobReader:
    return JobReader(job_bytes_max)


def test_a_job_without_an_id_is_given_one() -> None:
    """P5, by example: the id is in the job that is sent, so sending it twice makes one job."""
    reader = make_reader()
    first, second = reader('{"kind": "demo.echo"}'), reader('{"kind": "demo.echo"}')
    assert first.id is not None
    assert second.id is not None
    assert first.id != second.id


def test_a_chosen_id_is_kept() -> None:
    """P5, by example."""
    assert make_reader()('{"kind": "demo.echo", "id": "invoice-7"}').id == "invoice-7"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "the job: expected JSON; it ends too early"),
        ("[]", "the job: expected object, got list"),
        ('{"args": {}}', "kind: required, but missing"),
        ('{"kind": 7}', "kind: expected text, got number"),
        ('{"kind": "two words"}', "kind: expected 1 to 200 of"),
        ('{"kind": "a", "prioritty": 1}', 'did you mean "priority"'),
        ('{"kind": "a", "args": [1]}', "args: expected object, got list"),
        ('{"kind": "a", "priority": 101}', "priority: expected"),
        ('{"kind": "a", "queue": "not good"}', "queue: expected"),
        ('{"kind": "a", "delay": -1}', "delay: expected"),
        ('{"kind": "a", "delay": 1, "run_at": "2026-09-01T08:00:00Z"}', "got both"),
        ('{"kind": "a", "run_at": "tomorrow"}', "run_at: expected a time"),
        ('{"kind": "a", "max_attempts": 0}', "max_attempts: expected"),
    ],
)
def test_a_wrong_field_is_named(text: str, message: str) -> None:
    """By example: the field, what was expected, what came."""
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the text is compared below
        make_reader()(text)
    assert message in str(raised.value)


def test_a_job_too_large_is_refused() -> None:
    """By example, on both sides of the limit."""
    reader = make_reader(job_bytes_max=20)
    assert reader('{"kind": "a", "args": {"x": "12345678901"}}').id is not None
    with pytest.raises(ValueError, match="at most 20 bytes"):
        reader('{"kind": "a", "args": {"x": "1234567890123"}}')


def test_bad_fields_are_told_with_the_line_of_the_job() -> None:
    """By example: every line that is wrong, and nothing of the file is used."""
    content = b'{"kind": "a"}\n{"kind": "b", "args": "high"}\n{"kind": "c", "dellay": 3}\n'
    with pytest.raises(JobsFileError) as raised:
        read_jobs("jobs.json", content, make_reader())
    assert str(raised.value).splitlines() == [
        "jobs.json:2: args: expected object, got text",
        'jobs.json:3: dellay: unknown field; did you mean "delay"?',
    ]


def test_an_id_that_two_jobs_claim_is_refused() -> None:
    """P5, by example: the second would be taken for the first and never run; also within one line."""
    again = b'{"kind": "a", "id": "y"}, {"kind": "b", "id": "x"}, {"kind": "a", "id": "y"}'
    content = b'[{"kind": "a", "id": "x"},\n' + again + b"]"
    jobs = read_jobs("jobs.json", content, make_reader())
    with pytest.raises(JobsFileError) as raised:
        refuse_repeated_ids("jobs.json", jobs)
    assert str(raised.value).splitlines() == [
        'jobs.json:2: id: "x" is the id of the job on line 1 already',
        'jobs.json:2: id: "y" is the id of the job on line 2 already',
    ]
