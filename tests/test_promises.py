"""Every promise is held by a test: the numbers come from the document, the citations from docstrings."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
TESTS = ROOT / "tests"
PROMISES = ROOT / "docs" / "promises.md"
NUMBER = re.compile(r"\bP(\d+)\b")


def numbers_in(text: str) -> set[int]:
    return {int(number) for number in NUMBER.findall(text)}


def cited() -> Iterator[tuple[str, set[int]]]:
    """Each test function with a docstring, and the promises that this names."""
    for file in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield f"{file.relative_to(TESTS)}::{node.name}", numbers_in(ast.get_docstring(node) or "")


def test_every_promise_is_cited_by_a_test_and_every_citation_is_a_promise() -> None:
    """By reading; that the tests hold what they cite is their own business."""
    promised = numbers_in(PROMISES.read_text())
    assert promised == set(range(1, max(promised) + 1)), "promises are numbered from 1 on"
    by_number: dict[int, list[str]] = {number: [] for number in promised}
    for name, numbers in cited():
        assert numbers <= promised, f"{name} cites {numbers - promised}, which nobody promised"
        for number in numbers:
            by_number[number].append(name)
    nobody = [f"P{number}" for number, names in by_number.items() if not names]
    assert not nobody, f"no test cites {', '.join(nobody)}"


def test_the_tests_that_the_document_names_for_a_promise_cite_it() -> None:
    """By reading the list of tests under each heading."""
    _, *sections = re.split(r"^## P", PROMISES.read_text(), flags=re.MULTILINE)
    for section in sections:
        number = int(section.partition(".")[0])
        named = re.findall(r"`(tests/[^`]+)`", section)
        assert named, f"P{number} names no tests"
        for name in named:
            assert number in numbers_in((ROOT / name).read_text()), f"{name} does not cite P{number}"
