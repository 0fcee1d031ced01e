"""The documents: what they show is what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *(ROOT / "docs").glob("*.md"),
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_to_a_file_leads_somewhere(document: Path) -> None:
    text = document.read_text()
    links = re.findall(r"\]\(([^)#\s]+)", text) + re.findall(r'(?:src|srcset)="([^"]+)"', text)
    missing = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_to_a_section_leads_to_one(document: Path) -> None:
    """As GitHub makes names of headings."""
    missing = []
    for file, section in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", document.read_text()):
        target = document.parent / file if file else document
        headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
        names = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
        if section not in names:
            missing.append(f"{file}#{section}")
    assert missing == []


def test_the_readme_shows_the_app_that_is_in_the_examples() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    shown = next(block for block in blocks if "@app.job" in block)
    example = (ROOT / "examples" / "hello.py").read_text()
    code = [line for line in example.split('"""', 2)[2].splitlines() if "__future__" not in line]
    assert [line for line in shown.splitlines() if line] == [line for line in code if line]


def test_tests_of_jobs_that_are_shown_are_in_the_examples() -> None:
    example = (ROOT / "examples" / "shop" / "test_jobs.py").read_text()
    blocks = []
    for document in ("docs/testing-your-jobs.md", "README.md"):
        blocks += re.findall(r"```python\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)
    shown = [block for block in blocks if re.search(r"^def test_|^@pytest", block)]
    assert len(shown) > 6
    assert [block for block in shown if block not in example] == []


def test_every_make_target_that_the_documents_name_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for document in DOCUMENTS for name in re.findall(r"`make ([a-z-]+)`", document.read_text())}
    assert named <= targets


def test_nothing_names_a_package_registry_or_a_path_of_some_machine() -> None:
    """A clone must install anywhere."""
    for name in ("pyproject.toml", "constraints.txt", "Makefile", ".ci/run", "README.md"):
        text = (ROOT / name).read_text()
        assert not re.search(r"index.url|find.links|pypi\.", text), name
