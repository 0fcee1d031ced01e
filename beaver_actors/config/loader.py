"""From all sources to one `Config`: defaults, then the file, then the environment, then the command line.

Everything wrong is told at once. A value that is wrong is told even where a later source overrides it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike, fspath
from pathlib import Path

import msgspec

from beaver_actors.config.catalogue import CATALOGUE
from beaver_actors.config.checks import conflicts
from beaver_actors.config.settings import Config
from beaver_actors.config.sources import (
    Given,
    Override,
    Problem,
    from_environment,
    from_file,
    from_overrides,
)


class ConfigError(Exception):
    """The configuration cannot be used; `problems` says all that is wrong, one line each as text."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def load(
    path: str | PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Override] | None = None,
) -> Config:
    """Read the configuration. The disk is read here, once; call it before the server starts.

    Args:
        path: a YAML file; None for none.
        environ: environment variables, as `os.environ`; those that are no settings are left alone.
        overrides: settings from the command line by dotted name, such as
            `{"workers.count": Override(4, "--workers")}`.

    Returns:
        The settings, complete.

    Raises:
        ConfigError: names every problem with its place.
    """
    items = [
        *(from_file(Path(fspath(path))) if path is not None else ()),
        *from_environment(environ or {}),
        *from_overrides(overrides or {}),
    ]
    problems: list[Problem] = []
    values: dict[str, object] = {}
    origins: dict[str, str] = {}
    doubtful: set[str] = set()
    for item in items:
        if isinstance(item, Problem):
            problems.append(item)
            continue
        _take(item, values, origins, doubtful, problems)
    config = _build(values)
    for conflict in conflicts(config):
        if doubtful.isdisjoint(conflict.settings):
            to_blame = next((name for name in conflict.settings if name in origins), conflict.settings[0])
            origin = origins.get(to_blame, "default settings")
            problems.append(Problem(origin, conflict.settings[0], conflict.message))
    if problems:
        raise ConfigError(problems)
    return config


def _take(
    given: Given,
    values: dict[str, object],
    origins: dict[str, str],
    doubtful: set[str],
    problems: list[Problem],
) -> None:
    name = given.setting.name
    try:
        values[name] = given.setting.read(given.raw)
        origins[name] = given.origin
    except ValueError as error:
        problems.append(Problem(given.origin, name, str(error)))
        doubtful.add(name)


def _build(values: Mapping[str, object]) -> Config:
    config = Config()
    for name, value in values.items():
        setting = CATALOGUE[name]
        change = {setting.attribute: value}
        if setting.section:
            section = getattr(config, setting.section)
            change = {setting.section: msgspec.structs.replace(section, **change)}
        config = msgspec.structs.replace(config, **change)
    return config
