"""Annotations of user functions, as types: also those that are written as text, or that `from __future__
import annotations` has made text."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final

UNRESOLVED: Final = (NameError, AttributeError, TypeError, SyntaxError)
"""What comes of an annotation that means nothing at run time."""


def resolved(function: Callable[..., Any], annotation: object) -> Any:
    """An annotation of a function as a type, with what `Annotated` adds to it.

    Raises:
        NameError, AttributeError, TypeError, SyntaxError: it cannot be resolved.
    """
    holder = SimpleNamespace(__annotations__={"it": annotation})
    scope = getattr(inspect.unwrap(function), "__globals__", {})
    return typing.get_type_hints(holder, scope, {}, include_extras=True)["it"]
