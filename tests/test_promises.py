"""The page of promises names real files, and tests that do cite the promise they stand under."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
SECTION = re.compile(r"^## (P\d+)\. .*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
SECTIONS = {match[1]: match[0] for match in SECTION.finditer(PAGE)}
NUMBERS = [f"P{number}" for number in range(1, 13)]


def paths(text: str) -> list[str]:
    return re.findall(r"`((?:tests|beaver_actors|docs)/[\w/.]+)`", text)


def test_there_are_twelve_promises_in_order() -> None:
    """P1 to P12, each once."""
    assert list(SECTIONS) == NUMBERS


@pytest.mark.parametrize("number", NUMBERS)
def test_a_promise_says_what_it_does_not_say_and_how_it_is_kept(number: str) -> None:
    """Each section has its four parts, and every file it names is there."""
    section = SECTIONS[number]
    for part in ("**Says.**", "**Does not say**", "**Kept by**", "**Tests:**"):
        assert section.count(part) == 1, part
    named = paths(section)
    assert any(path.startswith("beaver_actors/") for path in named)
    assert [path for path in named if not (ROOT / path).is_file()] == []


@pytest.mark.parametrize("number", NUMBERS)
def test_the_tests_under_a_promise_cite_it(number: str) -> None:
    """By its number, in the first line of a docstring or in the text of the file."""
    tests = paths(SECTIONS[number].split("**Tests:**")[1])
    assert len(tests) >= 2
    for path in tests:
        assert re.search(rf"\b{number}\b", (ROOT / path).read_text(encoding="utf-8")), path
