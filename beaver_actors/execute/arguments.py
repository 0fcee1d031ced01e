"""The parameters of a handler: named arguments to and from the JSON object that a job carries.

This file reads a function's signature once, and from it makes the encoder that callers use and the decoder
that runs before every attempt. It calls no handler and knows no queue.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from types import GenericAlias
from typing import Any

import msgspec

from beaver_actors.codec.json_text import changed_by_writing, encode_json, write_json
from beaver_actors.execute.annotations import UNRESOLVED, resolved
from beaver_actors.execute.context import Context
from beaver_actors.execute.outcomes import BadArguments

_MISSING = object()
"""Stands for an argument that was not sent, so that the function's own default applies."""

_MISFITS = (msgspec.MsgspecError, ValueError, RecursionError)
"""What decoding raises about the text; what else comes is from classes of the user, and a failure."""

_PLAIN_VALUES: tuple[object, ...] = (None, True, 0, 0.0, "", [], {})
"""One of each kind of value that JSON knows."""


class Parameters:
    """What a handler takes.

    Args:
        function: its parameters have names (no `*args`, none positional-only); the first may be a `Context`.
            Annotations are what msgspec understands; without one any JSON value fits.

    Raises:
        TypeError: a parameter cannot be filled from JSON; the message names it.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        parameters = list(inspect.signature(function).parameters.values())
        types = {parameter.name: _type_of(function, parameter) for parameter in parameters}
        self.takes_context = bool(parameters) and types[parameters[0].name] is Context
        self._context_name = parameters.pop(0).name if self.takes_context else None
        self._signature = inspect.Signature(parameters)
        self._rest: str | None = None
        fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
        for parameter in parameters:
            _check_parameter(parameter, types[parameter.name])
            if parameter.kind is parameter.VAR_KEYWORD:
                self._rest = parameter.name
            elif parameter.default is parameter.empty:
                fields.append((parameter.name, types[parameter.name]))
            else:
                fields.append((parameter.name, types[parameter.name], _MISSING))
        self._names = [field[0] for field in fields]
        self._optional = [field[0] for field in fields if len(field) == 3]
        self._struct = _decoder(fields, forbid_unknown_fields=self._rest is None)
        self._others = (
            None if self._rest is None else msgspec.json.Decoder(GenericAlias(dict, (str, types[self._rest])))
        )
        self._raw = msgspec.json.Decoder(dict[str, msgspec.Raw])
        self.decode = self._decode_closed if self._rest is None else self._decode_open

    def encode(self, args: Sequence[object], kwargs: Mapping[str, object]) -> bytes:
        """Write a call as the JSON object that a job carries.

        Raises:
            TypeError: an argument is missing, unknown, of the wrong type, or nothing JSON can carry; the
                message names it.
        """
        arguments = dict(self._signature.bind(*args, **kwargs).arguments)
        if self._rest is not None:
            arguments |= arguments.pop(self._rest, {})
        parts: list[bytes] = []
        for name, value in arguments.items():
            try:
                parts.append(encode_json(name) + b":" + write_json(value))
            except (TypeError, ValueError) as reason:
                raise TypeError(f"argument '{name}' cannot be written as JSON: {reason}") from None
        text = b"{" + b",".join(parts) + b"}"
        try:
            read = self.decode(text)
        except BadArguments as misfit:
            raise TypeError(str(misfit)) from None
        for name, value in arguments.items():
            # Where the annotation says set, it is one again; elsewhere the handler would get a list.
            if not _same(read[name], value) and (change := changed_by_writing(value)) is not None:
                raise TypeError(f"argument '{name}' cannot be written as JSON: {change}")
        return text

    def _decode_closed(self, text: bytes) -> dict[str, Any]:
        """Read a job's arguments into keyword arguments. Raises BadArguments."""
        try:
            arguments = msgspec.structs.asdict(self._struct.decode(text))
        except _MISFITS as error:
            raise BadArguments(self._explain(error)) from None
        for name in self._optional:
            if arguments[name] is _MISSING:
                del arguments[name]
        return arguments

    def _decode_open(self, text: bytes) -> dict[str, Any]:
        """The same for a function that takes `**others`."""
        if self._names:
            arguments = self._decode_closed(text)
            others = {name: raw for name, raw in self._raw.decode(text).items() if name not in self._names}
            text = msgspec.json.encode(others)
        else:
            arguments = {}
        assert self._others is not None, "the decoder of the rest belongs to functions with **others"
        try:
            arguments |= self._others.decode(text)
        except _MISFITS as error:
            raise BadArguments(self._explain(error)) from None
        if self._context_name in arguments:
            raise BadArguments(f"argument '{self._context_name}': this name is the Context's")
        return arguments

    def _explain(self, error: Exception) -> str:
        """Say msgspec's words in ours: which argument, what was expected, what came."""
        message = str(error)
        where = re.search(r" - at `\$\.?(.*)`$", message)
        path = where[1] if where else ""
        if where:
            message = message[: where.start()]
        if not isinstance(error, msgspec.ValidationError):
            return f"the arguments are no JSON object: {message}"
        if not path and (missing := re.fullmatch(r"Object missing required field `(.*)`", message)):
            return f"argument '{missing[1]}' is missing"
        if not path and (unknown := re.fullmatch(r"Object contains unknown field `(.*)`", message)):
            known = ", ".join(self._names) or "none"
            return f"argument '{unknown[1]}' is unknown; the function takes: {known}"
        if not path:
            return f"the arguments are no JSON object with names: {message[:1].lower()}{message[1:]}"
        return f"argument '{path}': {message[:1].lower()}{message[1:].replace('`', '')}"


def _same(read: object, given: object) -> bool:
    try:
        return bool(read == given)
    except Exception:  # noqa: BLE001  # a comparison of the user's classes may raise anything
        return False


def _decoder(fields: list[Any], *, forbid_unknown_fields: bool) -> msgspec.json.Decoder[Any]:
    struct = msgspec.defstruct("Arguments", fields, kw_only=True, forbid_unknown_fields=forbid_unknown_fields)
    try:
        return msgspec.json.Decoder(struct)
    except TypeError as error:
        raise TypeError(f"the parameters cannot be filled from JSON: {error}") from None


def _type_of(function: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    if parameter.annotation is parameter.empty:
        return Any
    try:
        return resolved(function, parameter.annotation)
    except UNRESOLVED as error:
        raise TypeError(
            f"parameter '{parameter.name}': the annotation {parameter.annotation!r} cannot be resolved "
            f"({type(error).__name__}: {error}); the server needs it at run time, in the module itself"
        ) from None


def _check_parameter(parameter: inspect.Parameter, annotation: Any) -> None:
    if parameter.kind is parameter.POSITIONAL_ONLY:
        raise TypeError(f"parameter '{parameter.name}' is positional-only; arguments of a job have names")
    if parameter.kind is parameter.VAR_POSITIONAL:
        raise TypeError(f"parameter '*{parameter.name}' cannot be filled; arguments of a job have names")
    if annotation is Context:
        raise TypeError(f"parameter '{parameter.name}': a Context can only be the first parameter")
    try:
        stranger = _stranger(msgspec.inspect.type_info(annotation), set())
    except TypeError as error:
        raise TypeError(f"parameter '{parameter.name}': {error}") from None
    if stranger is not None:
        raise TypeError(
            f"parameter '{parameter.name}': no JSON value becomes a {stranger.__qualname__}; "
            "take plain values, dataclasses or msgspec Structs, or leave the annotation out"
        )


def _stranger(node: object, seen: set[int]) -> type | None:
    """A class somewhere in a type description that msgspec cannot make from JSON."""
    if id(node) in seen:
        return None
    seen.add(id(node))
    if isinstance(node, msgspec.inspect.CustomType):
        return None if any(isinstance(value, node.cls) for value in _PLAIN_VALUES) else node.cls
    children: Sequence[object] = ()
    if isinstance(node, tuple):
        children = node
    elif isinstance(node, msgspec.inspect.Type | msgspec.inspect.Field):
        children = [getattr(node, name) for name in node.__struct_fields__]
    return next((found for child in children if (found := _stranger(child, seen)) is not None), None)
