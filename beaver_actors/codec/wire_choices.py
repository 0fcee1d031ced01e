"""The words that a field of a request can have: read off the types of the requests, so that an error can list
them and none is forgotten.

It checks nothing; the decoder does, and `wire_errors` says what it found.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any, Literal, get_args, get_origin, get_type_hints

from msgspec import Struct

from beaver_actors.codec.wire import Request


def _choices(type_: Any, name: str, seen: set[object]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The enumerations in a type, each with the field that they are for: Literals, enums, and the tags that
    tell the members of a union apart."""
    parts = get_args(type_)
    if get_origin(type_) is Literal:
        yield name, parts
    elif isinstance(type_, type) and issubclass(type_, Enum):
        yield name, tuple(str(choice.value) for choice in type_)
    elif isinstance(type_, type) and issubclass(type_, Struct):
        if type_ not in seen:
            seen.add(type_)
            for field, inner in get_type_hints(type_).items():
                yield from _choices(inner, field, seen)
    else:
        configs = [part.__struct_config__ for part in parts if hasattr(part, "__struct_config__")]
        if len(configs) > 1:
            yield str(configs[0].tag_field), tuple(str(config.tag) for config in configs)
        for part in parts:
            yield from _choices(part, name, seen)


CHOICES: dict[str, tuple[str, ...]] = dict(_choices(Request, "", set()))
"""The words by the name of their field, in the order in which the type lists them."""
