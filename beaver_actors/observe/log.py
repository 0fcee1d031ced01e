"""Log lines: what the server tells about itself, for people on a terminal and for machines elsewhere.

Everything goes through the standard library's logging, so a program that embeds the server keeps its own
set-up. `configure`, which only our own command line calls, has structlog write the lines; it is imported
there, because that takes a tenth of a second. A line is a short lower-case sentence and fields:
`log.info("recovered", jobs=500, seconds=0.04)`.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, MutableMapping
from typing import IO, Any, Literal

Style = Literal["auto", "console", "json"]
Level = Literal["debug", "info", "warning", "error"]
LEVELS: dict[str, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


class Logger:
    """Writes lines under one name. Each method takes a sentence and, by name, what belongs to it.

    Args:
        name: the module, or another dotted name below `beaver_actors`.
    """

    __slots__ = ("_logger",)

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, event: str, /, **fields: object) -> None:
        """What only someone who looks for a fault wants to know."""
        self._write(logging.DEBUG, event, fields)

    def info(self, event: str, /, **fields: object) -> None:
        """What an operator may want to know."""
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, /, *, error: BaseException | None = None, **fields: object) -> None:
        """What an operator should know; the server copes. With an error, its traceback is written too."""
        self._write(logging.WARNING, event, fields, error)

    def error(self, event: str, /, *, error: BaseException | None = None, **fields: object) -> None:
        """What an operator must act on. With an error, its traceback is written too."""
        self._write(logging.ERROR, event, fields, error)

    def _write(
        self, level: int, event: str, fields: Mapping[str, object], error: BaseException | None = None
    ) -> None:
        # Asked first: most lines are debug lines that nobody wants, and a record is costly to build.
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s", event, extra={"fields": fields}, exc_info=error)


def get_logger(name: str) -> Logger:
    """Return the logger of a module: `log = get_logger(__name__)`."""
    return Logger(name)


def configure(style: Style = "auto", level: Level = "info", stream: IO[str] | None = None) -> None:
    """Set up how this process writes its log. A second call replaces the first.

    Args:
        style: console for people, json for machines; auto is console where `stream` is a terminal. Colours
            are left out where the environment has NO_COLOR.
        level: the least weighty line that is written.
        stream: where to; None for standard error.
    """
    import structlog
    from structlog.stdlib import ProcessorFormatter

    target = sys.stderr if stream is None else stream
    terminal = target.isatty()
    if style == "console" or (style == "auto" and terminal):
        renderer: Any = structlog.dev.ConsoleRenderer(
            colors=terminal and not os.environ.get("NO_COLOR"),
            # Not rich's, which would print the values of local variables, tokens and arguments among them.
            exception_formatter=structlog.dev.plain_traceback,
        )
        last = [renderer]
    else:
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    formatter = ProcessorFormatter(
        foreign_pre_chain=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _lift_fields,
        ],
        processors=[ProcessorFormatter.remove_processors_meta, *last],
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(formatter)
    handler.set_name(_HANDLER_NAME)
    root = logging.getLogger()
    for old in [old for old in root.handlers if old.get_name() == _HANDLER_NAME]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(LEVELS[level])


_HANDLER_NAME = "beaver_actors"


def _lift_fields(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Bring the fields of our own lines into the line; none takes the place of what every line has."""
    fields = getattr(event["_record"], "fields", None)
    if isinstance(fields, Mapping):
        for name, value in fields.items():
            event.setdefault(name, value)
    return event
