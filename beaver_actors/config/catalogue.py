"""The catalogue: every setting under its dotted name, with what is needed to read, write and describe it.

It is drawn from the annotations in `settings.py` once; nothing is listed twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import NoneType
from typing import Any, get_args

import msgspec
from msgspec import Meta
from msgspec.structs import FieldInfo

from beaver_actors.config.settings import Config, Section
from beaver_actors.config.units import show


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting."""

    name: str
    """As in YAML, with its section before it: `workers.timeout`."""
    section: str
    """Its section; empty at the top."""
    attribute: str
    """The field of the section's struct: `timeout_ms`."""
    default: object
    type: Any
    """The field's type with its annotations."""
    meta: Meta
    """The last of them: what `kinds.py` made."""

    @property
    def key(self) -> str:
        """Its name within its section."""
        return self.name.rpartition(".")[2]

    @property
    def optional(self) -> bool:
        """Whether null is a value of it."""
        return NoneType in get_args(get_args(self.type)[0])

    @property
    def is_text(self) -> bool:
        """Whether its values are free text, which is then never taken for a number or a list."""
        return bool(self._extra.get("text"))

    def read(self, raw: object) -> object:
        """Turn what YAML gave into the value that the struct holds.

        Raises:
            ValueError: says what was expected and what came.
        """
        if raw is None and self.optional:
            return None
        read: Callable[[object], object] | None = self._extra.get("read")
        if read is not None:
            return read(raw)
        try:
            return msgspec.convert(raw, self.type)
        except msgspec.ValidationError:
            raise ValueError(f"expected {self._extra['expected']}, got {show(raw)}") from None

    def write(self, value: Any) -> object:
        """Turn a value of the struct into what one would write in YAML."""
        write: Callable[[Any], object] | None = self._extra.get("write")
        return value if value is None or write is None else write(value)

    @property
    def shape(self) -> dict[str, Any] | None:
        """Its JSON Schema where msgspec's own would be wrong."""
        return self._extra.get("shape")

    @property
    def _extra(self) -> dict[str, Any]:
        return self.meta.extra or {}


def value_of(config: Config, setting: Setting) -> object:
    """The value that this setting has in `config`."""
    section = getattr(config, setting.section) if setting.section else config
    return getattr(section, setting.attribute)


def _draw() -> Iterator[Setting]:
    for field in msgspec.structs.fields(Config):
        if isinstance(field.default, Section):
            for inner in msgspec.structs.fields(type(field.default)):
                yield _setting(field.name, inner)
        else:
            yield _setting("", field)


def _setting(section: str, field: FieldInfo) -> Setting:
    meta = get_args(field.type)[-1]
    name = f"{section}.{field.encode_name}" if section else field.encode_name
    default = field.default_factory() if callable(field.default_factory) else field.default
    return Setting(name, section, field.name, default, field.type, meta)


CATALOGUE: dict[str, Setting] = {setting.name: setting for setting in _draw()}
SECTIONS: tuple[str, ...] = tuple(dict.fromkeys(s.section for s in CATALOGUE.values() if s.section))
