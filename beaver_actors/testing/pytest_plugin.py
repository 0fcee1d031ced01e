"""The pytest plugin: fixtures for tests of jobs. Loaded by every pytest that has beaver_actors installed, so
it imports nothing until a fixture is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from beaver_actors.execute.app import App
    from beaver_actors.testing.kit import Kit, RealServer


def pytest_addoption(parser: pytest.Parser) -> None:
    """Settings of pytest's own configuration file."""
    parser.addini("beaver_app", "module:attr of the app that the fixtures of beaver_actors serve", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Tell pytest of the marker."""
    marks = "beaver(inline=False, schedules=False): how the `beaver` fixture runs jobs, and when"
    config.addinivalue_line("markers", marks)


@pytest.fixture(name="beaver_app")
def _beaver_app(pytestconfig: pytest.Config) -> App | str | None:
    """The app that the other fixtures serve: what the setting `beaver_app` names. Override it to choose
    another; for `beaver_server` it must be text, or None for the demo jobs."""
    spec: str = pytestconfig.getini("beaver_app")
    return spec or None


@pytest.fixture(name="beaver")
def _beaver(beaver_app: App | str | None, request: pytest.FixtureRequest) -> Kit:
    """A queue inside this test. `@pytest.mark.beaver(inline=True)` runs jobs as they are enqueued."""
    from beaver_actors.testing.kit import Kit

    marker = request.node.get_closest_marker("beaver")
    return Kit(beaver_app, **(marker.kwargs if marker is not None else {}))


@pytest.fixture(name="beaver_server")
def _beaver_server(
    beaver_app: App | str | None, tmp_path: Path, pytestconfig: pytest.Config
) -> Iterator[RealServer]:
    """A real server in a process of its own, on a temporary directory, at a free port."""
    from beaver_actors.testing.kit import RealServer

    if not (beaver_app is None or isinstance(beaver_app, str)):
        pytest.fail(
            f"beaver_server: expected beaver_app as text, module:attr, got {beaver_app!r}", pytrace=False
        )
    server = RealServer(tmp_path / "beaver", beaver_app, working_directory=pytestconfig.rootpath)
    try:
        server.start()
        yield server
    finally:
        server.close()
