"""What a field of the protocol is called on the command line: a refusal that names `schedule.cron` is about
`--cron` for whoever typed that. One place for all commands; it judges nothing."""

from __future__ import annotations

import re

import click

_PATH = re.compile(r"[a-z_]+(\[[0-9]+\])?(\.[a-z_]+(\[[0-9]+\])?)*")
_SEVERAL = {"queue": "names", "name": "names"}
"""Fields of one name, where the command takes several."""


def on_the_command_line(message: str) -> str:
    """An error's text in the words of the command that runs, if it was that which gave the field.

    Args:
        message: begins with a field's path and a colon, or with something else and stays as it is.
    """
    context = click.get_current_context(silent=True)
    path, colon, rest = message.partition(": ")
    if context is None or not colon or not _PATH.fullmatch(path):
        return message
    given = {
        name: parameter
        for parameter in context.command.params
        if parameter.name is not None and context.params.get(parameter.name) not in (None, ())
        for name in (parameter.name, *_long_options(parameter))
    }
    parts = path.split(".")
    for place, part in enumerate(parts, 1):
        name = part.partition("[")[0]
        if parameter := given.get(name) or given.get(_SEVERAL.get(name, "")):
            inner = "".join(f"{field}: " for field in (".".join(parts[place:]),) if field)
            return f"{_spelled(parameter)}: {inner}{rest}".replace("or null for", "or none for")
    return message


def _long_options(parameter: click.Parameter) -> list[str]:
    """`--max-attempts` as a field would be called: `max_attempts`."""
    return [text[2:].replace("-", "_") for text in parameter.opts if text.startswith("--")]


def _spelled(parameter: click.Parameter) -> str:
    if isinstance(parameter, click.Argument):
        return parameter.make_metavar(click.get_current_context()).strip("[].")
    return max(parameter.opts, key=len)
