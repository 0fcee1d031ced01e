"""From all sources to one `Config`: defaults, then the file, then the environment, then the command line.

Everything wrong is told at once. A value that is wrong is told even where a later source overrides it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
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
from beaver_actors.config.units import Several


class ConfigError(Exception):
    """The configuration cannot be used; `problems` says all that is wrong, one line each as text."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def load(
    path: str | PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Override] | None = None,
    check_schedule: Callable[[str, object], None] | None = None,
) -> Config:
    """Read the configuration. The disk is read here, once; call it before the server starts.

    Args:
        path: a YAML file; None for none.
        environ: environment variables, as `os.environ`; those that are no settings are left alone.
        overrides: settings from the command line by dotted name, such as
            `{"workers.count": Override(4, "--workers")}`.
        check_schedule: judges a schedule by its name and fields, its job too, which nothing here knows;
            raises ValueError, whose text begins with the name.

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
        found = _take(item, values, origins)
        if item.setting.name == "schedules" and isinstance(item.raw, dict) and check_schedule is not None:
            found += _others(item, found, check_schedule)
        problems += found
        if found:
            doubtful.add(item.setting.name)
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
) -> list[Problem]:
    name = given.setting.name
    try:
        values[name] = given.setting.read(given.raw)
        origins[name] = given.origin
    except Several as error:
        return [Problem(given.place(one), name, one) for one in error.problems]
    except ValueError as error:
        return [Problem(given.origin, name, str(error))]
    return []


def _others(given: Given, found: list[Problem], check: Callable[[str, object], None]) -> Iterator[Problem]:
    """What else is wrong with schedules. Of one field, or of what is none at all, one problem is enough."""
    told = {problem.message.partition(": ")[0] for problem in found}
    assert isinstance(given.raw, dict)
    for name, fields in given.raw.items():
        if not isinstance(name, str) or name in told:
            continue
        try:
            check(name, fields)
        except ValueError as error:
            if str(error).partition(": ")[0] not in told:
                yield Problem(given.place(str(error)), given.setting.name, str(error))


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
