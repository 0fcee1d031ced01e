"""The live page: complete, served from memory, and harmless."""

from __future__ import annotations

import re
from importlib import resources

from beaver_actors.server.http import Request, Response, Routes

FOLDER = resources.files("beaver_actors.server") / "static"
SCRIPTS = "".join((FOLDER / name).read_text() for name in ("page.mjs", "draw.mjs"))


async def _get(path: str) -> Response:
    routes = Routes()
    routes.add_files(FOLDER)
    found = routes.find(Request("GET", path))
    assert not isinstance(found, Response), f"{path}: {found}"
    route, _ = found
    return await route.handler(Request("GET", path))


async def test_the_page_and_all_it_loads_are_served_under_a_policy_that_allows_nothing_foreign() -> None:
    page = await _get("/")
    text = page.body.decode()
    loaded = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert {"page.mjs", "draw.mjs", "page.css", "icon.svg"} <= set(loaded)
    imported = re.findall(r'from "\./([^"]+)"', SCRIPTS)
    assert set(imported) <= set(loaded)
    for name in loaded:
        assert (await _get(f"/{name}")).status == 200
    policy = dict(page.headers)["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_the_page_has_nothing_inline_and_writes_no_markup() -> None:
    """What a job's name says is shown as text: the policy forbids inline code, and nothing sets HTML."""
    text = (FOLDER / "index.html").read_text()
    assert not re.search(r"\son\w+=|<style|\sstyle=|<script(?![^>]*src=)", text)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", SCRIPTS)


def test_every_element_that_the_script_looks_for_is_on_the_page() -> None:
    ids = set(re.findall(r'\$\("([\w-]+)"\)', SCRIPTS))
    assert ids
    ids |= {f"{name}-{what}" for name in ("completed", "enqueued") for what in ("line", "rate", "most")}
    assert ids <= set(re.findall(r'id="([\w-]+)"', (FOLDER / "index.html").read_text()))
