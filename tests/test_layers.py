"""The house stands: imports point down only, the core is pure, and no package is left out of the rules."""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from importlinter.cli import EXIT_STATUS_ERROR, EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).parent.parent
PYPROJECT = ROOT / "pyproject.toml"

UPSIDE_DOWN = """\
[importlinter]
root_package = beaver_actors

[importlinter:contract:1]
name = upside down
type = layers
layers =
    beaver_actors.core
    beaver_actors.actors
"""


@pytest.fixture(autouse=True)
def loggers_go_on() -> Iterator[None]:
    """The linter sets up logging such that every logger there is falls silent, for the tests to come too."""
    speaking = [
        logger
        for logger in logging.root.manager.loggerDict.values()
        if isinstance(logger, logging.Logger) and not logger.disabled
    ]
    yield
    for logger in speaking:
        logger.disabled = False


def contracts() -> list[dict[str, Any]]:
    linter: dict[str, Any] = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["tool"]["importlinter"]
    found: list[dict[str, Any]] = linter["contracts"]
    return found


def test_imports_keep_to_the_contracts() -> None:
    """Method: import-linter on the contracts of pyproject.toml, as `make vet` runs it."""
    assert lint_imports(config_filename=str(PYPROJECT), no_cache=True) == EXIT_STATUS_SUCCESS


def test_a_broken_contract_is_noticed(tmp_path: Path) -> None:
    """Method: one contract upside down. A linter that reads nothing would pass for a clean house."""
    config = tmp_path / "upside-down.ini"
    config.write_text(UPSIDE_DOWN)
    assert lint_imports(config_filename=str(config), no_cache=True) == EXIT_STATUS_ERROR


def test_every_package_is_named_in_a_contract() -> None:
    """Method: each package and module at the top stands on a floor, or is a wing with rules of its own."""
    named = set()
    for contract in contracts():
        for layer in contract.get("layers", []):
            named |= set(layer.split(" | "))
        named |= set(contract.get("source_modules", [])) | set(contract.get("forbidden_modules", []))
    package = ROOT / "beaver_actors"
    ours = {path.name for path in package.iterdir() if (path / "__init__.py").exists()}
    ours |= {path.stem for path in package.glob("*.py")} - {"__init__"}
    assert {f"beaver_actors.{name}" for name in ours} <= named
