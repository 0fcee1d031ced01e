"""The examples of docs/client.md, run in order as they stand."""

from __future__ import annotations

import ast
import re
from inspect import CO_COROUTINE
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
import trio

from beaver_actors.client import Client, Job, connect, sync
from beaver_actors.client.async_schedules import Schedules
from tests.client.real import server

PAGE = Path(__file__).parents[2] / "docs" / "client.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)


def compiled(block: str) -> CodeType:
    """The example with this test's server for the default one, and `await` allowed outside of functions."""
    text = block.replace("connect()", "connect(url)").replace("connect(on_", "connect(url, on_")
    text = text.replace("trio.run(main)", "await main()")
    code = compile(text, str(PAGE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    assert isinstance(code, CodeType)
    return code


@pytest.mark.process
async def test_the_examples_of_the_client_page_run(tmp_path: Path) -> None:
    """Every block is executed against the real server, in order, each seeing the names of those before it."""
    assert len(BLOCKS) > 8
    async with server(tmp_path) as running, connect(running.url) as client:
        names: dict[str, Any] = {"client": client, "url": running.url}
        for block in BLOCKS:
            code = compiled(block)
            if code.co_flags & CO_COROUTINE:
                await eval(code, names)
            else:
                await trio.to_thread.run_sync(exec, code, names)


def test_the_page_shows_every_method_in_its_table_and_in_an_example() -> None:
    """By the names of the classes: what is added to a client is not forgotten, and nothing is invented."""
    table = PAGE.read_text().split("## All methods")[1].split("\n## ")[0]
    named = {name.removeprefix("schedules.") for name in re.findall(r"`([a-z_.]+)`", table)}
    public = {
        name
        for kind in (Client, Job, Schedules, sync.Client)
        for name in dir(kind)
        if not name.startswith("_")
    }
    assert named == public - {"schedules"}
    shown = set(re.findall(r"\.([a-z_]+)\(", "".join(BLOCKS)))
    assert public - shown == {"schedules", "close"}
