"""Handlers that end in exceptions made to break whoever catches them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NoReturn


def catch(function: Callable[[], object]) -> BaseException:
    """What a function raises."""
    try:
        function()
    except BaseException as error:  # noqa: BLE001 that is what it is for
        return error
    raise AssertionError(f"{function} did not raise")


def plain_error() -> NoReturn:
    raise ValueError("plain")


def system_exit() -> NoReturn:
    sys.exit(3)


def keyboard_interrupt() -> NoReturn:
    raise KeyboardInterrupt


def generator_exit() -> NoReturn:
    raise GeneratorExit


def stop_iteration() -> NoReturn:
    raise StopIteration(1)


def stop_async_iteration() -> NoReturn:
    raise StopAsyncIteration(1)


def memory_error() -> NoReturn:
    raise MemoryError


def base_exception_group() -> NoReturn:
    raise BaseExceptionGroup("several", [KeyboardInterrupt(), SystemExit(1), ValueError("x")])


def recursion() -> object:
    return recursion()


class _StrRaises(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def str_raises() -> NoReturn:
    raise _StrRaises


class _StrExits(BaseException):
    def __str__(self) -> str:
        raise SystemExit(4)

    __repr__ = __str__


def str_exits() -> NoReturn:
    raise _StrExits


class _StrIsNoText(Exception):
    def __str__(self) -> Any:
        return 3  # noqa: PLE0307 that is the point


def str_is_no_text() -> NoReturn:
    raise _StrIsNoText


class _LyingClass(Exception):
    @property  # type: ignore[misc]  # an attribute that raises is the point
    def __class__(self) -> Any:
        raise RuntimeError("no class")


def lying_class() -> NoReturn:
    raise _LyingClass


class _RaisingAttributes(Exception):
    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("no attributes")


def raising_attributes() -> NoReturn:
    raise _RaisingAttributes


def strange_notes() -> NoReturn:
    error = ValueError("x")
    error.__notes__ = 3  # type: ignore[assignment]  # as it comes
    raise error


def huge_message() -> NoReturn:
    raise ValueError("x" * 5_000_000)


def huge_name() -> NoReturn:
    raise type("N" * 100_000, (Exception,), {})("x")


def lone_surrogates() -> NoReturn:
    raise ValueError("\ud800" * 20_000)


def own_cause() -> NoReturn:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    raise first


def wide_group() -> NoReturn:
    raise ExceptionGroup("wide", [ValueError(str(number)) for number in range(5000)])


def deep_group() -> NoReturn:
    error: Exception = ValueError("x")
    for _ in range(3000):
        error = ExceptionGroup("deep", [error])
    raise error


def long_chain() -> NoReturn:
    error = ValueError("0")
    for number in range(2000):
        following = ValueError(str(number))
        following.__context__ = error
        error = following
    raise error


HOSTILE: tuple[Callable[[], object], ...] = (
    plain_error,
    system_exit,
    keyboard_interrupt,
    generator_exit,
    stop_iteration,
    stop_async_iteration,
    memory_error,
    base_exception_group,
    recursion,
    str_raises,
    str_exits,
    str_is_no_text,
    lying_class,
    raising_attributes,
    strange_notes,
    huge_message,
    huge_name,
    lone_surrogates,
    own_cause,
    wide_group,
    deep_group,
    long_chain,
)
