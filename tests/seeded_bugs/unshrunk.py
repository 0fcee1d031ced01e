"""A pytest plugin: a random test that fails is not made smaller. That it fails is all that is asked here."""

from __future__ import annotations

import pytest
from hypothesis import Phase, settings


@pytest.hookimpl(trylast=True)
def pytest_configure() -> None:
    """After `tests/conftest.py` has chosen how hard to try, before tests are collected and take it over."""
    chosen = settings.get_profile(settings.get_current_profile_name())
    phases = (Phase.explicit, Phase.reuse, Phase.generate)
    settings.register_profile("unshrunk", chosen, phases=phases, report_multiple_bugs=False)
    settings.load_profile("unshrunk")
