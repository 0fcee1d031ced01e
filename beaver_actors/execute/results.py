"""The result of a handler, read back by the one who waits for it: from JSON to what the function is said to
return.

This file reads the annotation; it runs nothing.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn, Union

import msgspec

from beaver_actors.execute.annotations import UNRESOLVED, resolved
from beaver_actors.execute.context import Verdict


def as_it_is(result: Any) -> Any:
    """The reader of results of which nothing is known."""
    return result


def result_reader(function: Callable[..., Any]) -> Callable[[Any], Any]:
    """Make the reader of a function's results.

    Where the annotation is missing, cannot be resolved, or is nothing that comes out of JSON (an abstract
    class, say), results are given as JSON has them.

    Returns:
        A function that takes the result as plain values and returns it as the annotation has it. It raises
        ValueError if the result does not fit.
    """
    annotation = inspect.signature(function).return_annotation
    try:
        wanted = Any if annotation is inspect.Signature.empty else _value_part(resolved(function, annotation))
        if wanted is Any:
            return as_it_is
        msgspec.json.Decoder(wanted)
    except UNRESOLVED:
        return as_it_is
    return partial(_read, wanted)


def is_read_back(function: Callable[..., Any], text: bytes, result: object) -> bool:
    """Whether a result's JSON text is read as this result again, by the function's annotation."""
    try:
        return bool(result_reader(function)(msgspec.json.decode(text)) == result)
    except Exception:  # noqa: BLE001  # a comparison of the user's classes may raise anything
        return False


def _read(wanted: Any, result: Any) -> Any:
    try:
        return msgspec.convert(result, wanted, str_keys=True)
    except msgspec.ValidationError as error:
        raise ValueError(str(error).replace("`", "")) from None


def _value_part(annotation: Any) -> Any:
    """The annotation without the verdicts that may be returned in the result's place."""
    if annotation is NoReturn or _is_verdict(annotation):
        return Any
    if typing.get_origin(annotation) in (Union, types.UnionType):
        parts = [part for part in typing.get_args(annotation) if not _is_verdict(part)]
        return Union[tuple(parts)] if parts else Any  # noqa: UP007  # the parts are known at run time only
    return annotation


def _is_verdict(part: object) -> bool:
    return isinstance(part, type) and issubclass(part, Verdict)
