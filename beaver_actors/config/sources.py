"""Where settings come from: a YAML file, the environment, the command line.

Each source yields what it gives with where it stands, and a problem for everything it cannot place. Whether
a value is good is not judged here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

import yaml

from beaver_actors.config.catalogue import CATALOGUE, SECTIONS, Setting
from beaver_actors.config.units import show

ENVIRONMENT_PREFIX = "BEAVER_"
FILE_BYTES_MAX = 1024 * 1024
DEPTH_MAX = 16
"""Brackets in brackets. PyYAML builds nodes by recursion in C, where a hundred thousand of them end the
process instead of raising; settings need two."""

FORMER_NAMES = {
    "wal.path": "data_dir",
    "snapshot.path": "data_dir",
    "wal.retention": "snapshot.keep",
    "wal.buffer_size": "wal.mailbox",
    "snapshot.retention": "snapshot.keep",
    "metrics.port": "metrics.listen",
    "server.host": "server.listen",
    "server.port": "server.listen",
    "server.token": "server.token_file",
    "workers.concurrency": "workers.count",
}
"""Names that people try, and that resemble none of ours."""

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f]")
"""What is repeated of a file must neither break the line nor command the terminal."""


class Override(NamedTuple):
    """A setting given on the command line. A text is read as in the environment, other values as in YAML."""

    value: object
    origin: str
    """How to name it in an error: `--workers`."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the configuration."""

    origin: str
    """Where: `configs/default.yaml:4:3`, `environment BEAVER_WAL__MAILBOX`, `--workers`."""
    setting: str | None
    """The dotted name, where one is meant."""
    message: str

    def __str__(self) -> str:
        text = ": ".join(part for part in (self.origin, self.setting, self.message) if part)
        return _CONTROLS.sub("·", text)


@dataclass(frozen=True, slots=True)
class Given:
    """A value for a setting, as it was given."""

    setting: Setting
    raw: object
    origin: str
    places: Mapping[tuple[str, ...], str] = field(default_factory=dict)
    """Where what stands in it by names is: by name, and by name and field."""

    def place(self, message: str) -> str:
        """Where that is of which a message speaks: `nightly.cron: …`; the setting itself if nobody knows."""
        about = message.partition(": ")[0]
        name, _, rest = about.partition(".")
        for keys in ((name, rest.partition(".")[0]), (about,), (name,)):
            if keys in self.places:
                return self.places[keys]
        return self.origin


def from_file(path: Path) -> Iterator[Given | Problem]:
    """Read a YAML file of sections and settings. An empty file, and an empty section, give nothing."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            yield Problem(str(path), None, f"larger than {FILE_BYTES_MAX} bytes: this is no configuration")
            return
        content = path.read_text(encoding="utf-8")
    except OSError as error:
        yield Problem(str(path), None, f"cannot be read: {error.strerror or error}")
        return
    except UnicodeDecodeError as error:
        yield Problem(
            str(path), None, f"not UTF-8 text: byte {error.start} is 0x{error.object[error.start]:02x}"
        )
        return
    try:
        yield from _Document(str(path), content).settings()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        yield Problem(place, None, f"not valid YAML: {error.problem or error.context}")
    except (yaml.YAMLError, ValueError) as error:
        yield Problem(str(path), None, f"not valid YAML: {' '.join(str(error).split())}")


def from_environment(environ: Mapping[str, str]) -> Iterator[Given | Problem]:
    """Read `BEAVER_<SECTION>__<KEY>` and, for what stands at the top, `BEAVER_<KEY>`.

    A variable without `__` that resembles none of ours is left alone: others bear the prefix too
    (`BEAVER_TOKEN` is the client's; Kubernetes sets `BEAVER_PORT` for a service named beaver).
    """
    flat = {setting.name.replace(".", "_"): setting.name for setting in CATALOGUE.values()}
    for variable in sorted(environ):
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        name = variable.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", ".", 1)
        origin = f"environment {variable}"
        if (setting := CATALOGUE.get(name)) is not None:
            yield _from_text(setting, environ[variable], origin)
        elif "." in name:
            yield Problem(origin, name, f"unknown setting{suggestion(name)}")
        elif near := get_close_matches(name, flat, n=1, cutoff=0.85):
            meant = ENVIRONMENT_PREFIX + flat[near[0]].replace(".", "__").upper()
            yield Problem(origin, None, f"unknown setting (did you mean {meant}?)")


def from_overrides(overrides: Mapping[str, Override]) -> Iterator[Given | Problem]:
    """Read what the command line gives, by dotted name."""
    for name, (value, origin) in overrides.items():
        if (setting := CATALOGUE.get(name)) is None:
            yield Problem(origin, name, f"unknown setting{suggestion(name)}")
        elif isinstance(value, str):
            yield _from_text(setting, value, origin)
        else:
            yield Given(setting, value, origin)


def suggestion(name: str) -> str:
    """A hint at what an unknown dotted name was meant to be; empty if nothing comes near."""
    section, _, key = name.rpartition(".")
    meant: str | None = FORMER_NAMES.get(name)
    if meant is None and section in (*SECTIONS, ""):
        near = [known.key for known in CATALOGUE.values() if known.section == section]
        near += () if section else SECTIONS
        meant = next(iter(get_close_matches(key, near, n=1)), None)
    if meant is None:
        meant = next((known.name for known in CATALOGUE.values() if known.key == key), None)
    if meant is None and section not in SECTIONS:
        meant = next(iter(get_close_matches(name, CATALOGUE, n=1)), None)
    return f" (did you mean {meant!r}?)" if meant else ""


def _from_text(setting: Setting, content: str, origin: str) -> Given | Problem:
    """Take a text as YAML would, unless text is what the setting wants: `[::1]:7440` is no list then."""
    if setting.is_text and content not in ("", "~", "null"):
        return Given(setting, content, origin)
    try:
        _refuse_depth(content)
        return Given(setting, yaml.load(content, Loader=yaml.CSafeLoader), origin)
    except Exception:  # noqa: BLE001  # of a wrong value under an explicit tag, the library raises anything
        return Problem(origin, setting.name, f"not valid YAML: {show(content)}")


def _refuse_depth(content: str) -> None:
    depth = 0
    for event in yaml.parse(content, Loader=yaml.CSafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH_MAX:
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise yaml.YAMLError(f"more than {DEPTH_MAX} levels deep in line {line}")


class _Document:
    """One YAML document, read by its nodes, because they know their lines and keep duplicate keys apart."""

    def __init__(self, path: str, content: str) -> None:
        self._path = path
        self._loader = yaml.CSafeLoader(content)
        _refuse_depth(content)

    def settings(self) -> Iterator[Given | Problem]:
        root = self._loader.get_single_node()
        if root is not None:
            yield from self._mapping("", root)

    def _mapping(self, section: str, node: yaml.Node) -> Iterator[Given | Problem]:
        if _is_null(node):
            return
        if not isinstance(node, yaml.MappingNode):
            yield Problem(self._place(node), section or None, "expected settings, each as `name: value`")
            return
        seen: dict[str, str] = {}
        for key_node, value_node in node.value:
            key, place = str(key_node.value), self._place(key_node)
            name = f"{section}.{key}" if section else key
            if not isinstance(key_node, yaml.ScalarNode):
                yield Problem(place, section or None, "expected the name of a setting")
            elif key in seen:
                yield Problem(place, name, f"given twice; the first is at {seen[key]}")
            elif not section and key in SECTIONS:
                yield from self._mapping(key, value_node)
            elif (setting := CATALOGUE.get(name)) is not None:
                yield self._given(setting, value_node)
            else:
                yield Problem(place, name, f"unknown setting{suggestion(name)}")
            seen.setdefault(key, place)

    def _given(self, setting: Setting, node: yaml.Node) -> Given | Problem:
        if (twice := _named_twice(node)) is not None:
            return Problem(self._place(twice), setting.name, f"{twice.value}: given twice")
        try:
            raw = self._loader.construct_object(node, deep=True)
        except Exception:  # noqa: BLE001  # as above
            return Problem(self._place(node), setting.name, "expected a plain value")
        return Given(setting, raw, self._place(node), dict(self._places(node)))

    def _places(self, node: yaml.Node, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
        if isinstance(node, yaml.MappingNode) and len(above) < 2:
            for key_node, value_node in node.value:
                keys = (*above, str(key_node.value))
                yield keys, self._place(key_node)
                yield from self._places(value_node, keys)

    def _place(self, node: yaml.Node) -> str:
        return f"{self._path}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"


def _named_twice(root: yaml.Node) -> yaml.ScalarNode | None:
    """A key, at any depth, that its mapping has already; YAML itself would let the last one win."""
    waiting, met = [root], set[int]()
    while waiting:
        node = waiting.pop()
        if id(node) in met:
            continue  # an alias leads to a node once more, and may lead back to where it stands
        met.add(id(node))
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode):
                    if key.value in seen:
                        return key
                    seen.add(key.value)
                waiting.append(value)
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
    return None


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"
