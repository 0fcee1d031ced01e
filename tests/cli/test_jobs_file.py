"""Reading a file of jobs: nothing is used unless everything can be."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, strategies as st

from beaver_actors.cli.jobs_file import PROBLEMS_SHOWN, JobsFileError, Problem, Read, read_jobs


def parse(text: str) -> Any:
    """Stands for a job's fields: an object with a kind."""
    value = json.loads(text)
    if not isinstance(value, dict) or "kind" not in value:
        raise ValueError("expected a job")
    return value


def problems(content: bytes) -> list[Problem]:
    with pytest.raises(JobsFileError) as raised:
        read_jobs("jobs.json", content, parse)
    return raised.value.problems


def test_an_array_of_jobs_is_read() -> None:
    """By example: each job with the line it begins on."""
    content = b'\n[\n  {"kind": "a"},\n\n  {"kind":\n   "b"}, {"kind": "c"}\n]\n'
    assert read_jobs("jobs.json", content, parse) == [
        Read(3, {"kind": "a"}),
        Read(5, {"kind": "b"}),
        Read(6, {"kind": "c"}),
    ]


def test_json_lines_are_read() -> None:
    """By example: with Windows' ends of lines, empty lines, a byte order mark and no newline at the end."""
    content = b'\xef\xbb\xbf{"kind": "a"}\r\n\r\n{"kind": "b"}'
    assert read_jobs("jobs.json", content, parse) == [Read(1, {"kind": "a"}), Read(3, {"kind": "b"})]


@pytest.mark.parametrize("content", [b"", b"\n \n", b"[]", b" [ ] "])
def test_a_file_without_jobs_holds_none(content: bytes) -> None:
    """By example."""
    assert read_jobs("jobs.json", content, parse) == []


def test_every_bad_line_is_named() -> None:
    """By example: the good lines around them are not used either."""
    content = b'{"kind": "a"}\n{"kind": \n[1]\n{"kind": "b"}\nnot json\n'
    assert [problem.line for problem in problems(content)] == [2, 3, 5]


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (b'[\n{"kind": "a"},\n{"kind" "b"}\n]', 3, "delimiter"),
        (b'[\n{"kind": "a"}\n{"kind": "b"}\n]', 3, "expected , or ]"),
        (b'[{"kind": "a"},\n\n{"kind": "b"}', 3, "not closed"),
        (b'[{"kind": "a"},\n', 2, "not closed"),
        (b"[", 1, "not closed"),
        (b'[{"kind": "a"}]\n\n{"kind": "b"}', 3, "after the end"),
        (b'[{"kind": "a"},\n]', 2, "Expecting value"),
        (b"[" * 100_000, 1, "deeply"),
        (b'{"kind": "a"}\n{"kind": "\xff"}', 2, "0xff"),
    ],
)
def test_broken_json_is_told_with_its_line(content: bytes, line: int, message: str) -> None:
    """By example: what a slip of the pen or a cut-off file leads to."""
    (problem,) = problems(content)
    assert problem.line == line
    assert message in problem.message


def test_a_problem_is_one_line_whatever_the_file_says() -> None:
    """By example: what is repeated of the file breaks no line, and reaches the terminal not as a command."""

    def refuse(text: str) -> dict[str, Any]:
        raise ValueError(f'kind: got "{json.loads(text)}"')

    with pytest.raises(JobsFileError) as raised:
        read_jobs("jobs.json", rb'"\n\u001b[2Jgone"', refuse)
    assert str(raised.value) == 'jobs.json:1: kind: got " ⏎ ·[2Jgone"'


def test_a_long_list_of_problems_is_cut_and_counted() -> None:
    """By example: the first are shown with file and line, the rest is a number."""
    with pytest.raises(JobsFileError) as raised:
        read_jobs("jobs.json", b"1\n" * (PROBLEMS_SHOWN + 1_234), parse)
    text = str(raised.value).splitlines()
    assert text[0] == "jobs.json:1: expected a job"
    assert len(text) == PROBLEMS_SHOWN + 1
    assert text[-1] == "… and 1,234 more"


jobs = st.lists(
    st.builds(lambda kind, text: {"kind": kind, "args": {"text": text}}, st.text(), st.text()), max_size=5
)


@given(jobs, st.sampled_from([None, 0, 2]), st.booleans())
def test_what_was_written_is_read(written: list[dict[str, Any]], indent: int | None, escaped: bool) -> None:
    """By property: an array in any layout and lines give the same jobs back."""
    array = json.dumps(written, indent=indent, ensure_ascii=escaped)
    lines = "\n".join(json.dumps(job, ensure_ascii=escaped) for job in written)
    for text in (array, lines):
        read = read_jobs("jobs.json", text.encode("utf-8", "surrogatepass"), parse)
        assert [entry.job for entry in read] == written


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    """By property: no content leads to anything but jobs or a `JobsFileError`."""
    with suppress(JobsFileError):
        read_jobs("jobs.json", content, parse)
