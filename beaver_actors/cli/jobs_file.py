"""Reading a file of jobs: a JSON array, or JSON lines. All of it is judged before any of it is used, and
whatever is wrong is told with its line. It submits nothing and knows no field of a job: `parse` does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

from beaver_actors.cli.text import cut

Job = TypeVar("Job")

PROBLEMS_SHOWN = 20
"""More than a screen of problems helps nobody; the rest is counted."""


class Entry(NamedTuple):
    """The JSON text of one value of the file, and the line it begins on, counted from 1."""

    line: int
    text: str


class Problem(NamedTuple):
    """Something wrong on a line."""

    line: int
    message: str


class Read(NamedTuple, Generic[Job]):
    """A job that was read, and its line."""

    line: int
    job: Job


class JobsFileError(Exception):
    """The file cannot be used; `problems` names every line that is wrong."""

    def __init__(self, name: str, problems: Iterable[Problem]) -> None:
        self.problems = sorted(problems)
        # What a file says is repeated in problems, and it may say anything.
        lines = [
            f"{name}:{problem.line}: {cut(problem.message)}" for problem in self.problems[:PROBLEMS_SHOWN]
        ]
        if len(self.problems) > PROBLEMS_SHOWN:
            lines.append(f"… and {len(self.problems) - PROBLEMS_SHOWN:,} more")
        super().__init__("\n".join(lines))


def read_jobs(name: str, content: bytes, parse: Callable[[str], Job]) -> list[Read[Job]]:
    """Read all jobs of a file, or none.

    Args:
        name: how the file is called in problems.
        content: its bytes, UTF-8; the first character other than white space tells an array from lines.
        parse: makes a job of the JSON text of one value; raises ValueError with what is wrong.

    Raises:
        JobsFileError: any of it cannot be read.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start]
        raise JobsFileError(name, [Problem(line, f"not UTF-8 text: found the byte 0x{byte:02x}")]) from None
    jobs: list[Read[Job]] = []
    problems: list[Problem] = []
    for item in _array(text) if text.lstrip(_WHITE).startswith("[") else _lines(text):
        if isinstance(item, Problem):
            problems.append(item)
            continue
        try:
            jobs.append(Read(item.line, parse(item.text)))
        except ValueError as error:
            problems.append(Problem(item.line, str(error)))
    if problems:
        raise JobsFileError(name, problems)
    return jobs


_WHITE = " \t\r\n"
_decoder = json.JSONDecoder()


def _lines(text: str) -> Iterator[Entry | Problem]:
    """One value on each line; empty lines are passed over."""
    # Not str.splitlines: JSON text may hold U+2028 and its like, which are no ends of lines here.
    for line, content in enumerate(text.split("\n"), 1):
        if stripped := content.strip(_WHITE):
            yield Entry(line, stripped)


def _array(text: str) -> Iterator[Entry | Problem]:
    """The elements of one array. After a mistake in the JSON itself the rest cannot be made out."""
    line, counted = 1, 0

    def line_at(position: int) -> int:
        nonlocal line, counted
        line += text.count("\n", counted, position)
        counted = position
        return line

    position = _skip_white(text, _skip_white(text, 0) + 1)
    if text[position : position + 1] == "]":
        yield from _nothing_after(text, position + 1, line_at)
        return
    while True:
        try:
            _, end = _decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            what = "the array is not closed" if error.pos >= len(text) else error.msg
            yield Problem(line_at(error.pos), f"not valid JSON: {what}")
            return
        except RecursionError:
            yield Problem(line_at(position), "not valid JSON: nested too deeply")
            return
        yield Entry(line_at(position), text[position:end])
        position = _skip_white(text, end)
        follows = text[position : position + 1]
        if follows == "]":
            yield from _nothing_after(text, position + 1, line_at)
            return
        if follows != ",":
            expected = "the array is not closed" if not follows else f"expected , or ] but found {follows!r}"
            yield Problem(line_at(position), f"not valid JSON: {expected}")
            return
        position = _skip_white(text, position + 1)


def _nothing_after(text: str, position: int, line_at: Callable[[int], int]) -> Iterator[Problem]:
    position = _skip_white(text, position)
    if position < len(text):
        yield Problem(line_at(position), "not valid JSON: there is more after the end of the array")


def _skip_white(text: str, position: int) -> int:
    while position < len(text) and text[position] in _WHITE:
        position += 1
    return position
