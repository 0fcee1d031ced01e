"""Finding the user's app: from the text `module:attr` to an `App`, or to an error that says what to do.

This file alone imports user code. Importing runs that code, so everything that can go wrong in it is told
with its traceback.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from types import TracebackType

from beaver_actors.execute.app import App, AppError
from beaver_actors.execute.demo import app as demo


def load_app(spec: str) -> App:
    """Import the app that a text names. The working directory is put on the import path first.

    Args:
        spec: `module:attr`, such as "shop.jobs:app"; `attr` may have dots.

    Raises:
        AppError: the text has no colon, the module is not there or fails, the attribute is missing, is no
            `App`, or has a job that cannot be served.
    """
    module_name, colon, attribute = spec.partition(":")
    if not (colon and module_name and attribute):
        raise AppError(f"app '{spec}': expected module:attribute, such as shop.jobs:app")
    directory = os.getcwd()
    if directory not in sys.path:
        sys.path.insert(0, directory)
    found: object = _imported(spec, module_name)
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise AppError(f"app '{spec}': module '{module_name}' has no attribute '{attribute}'") from None
    if not isinstance(found, App):
        raise AppError(f"app '{spec}': expected a beaver_actors.App, got a {type(found).__name__}")
    found.handlers()
    return found


def with_demo(app: App | None) -> App:
    """A user's app and the built-in demo kinds, served together."""
    whole = App(app.name if app is not None else demo.name)
    whole.include(demo)
    if app is not None:
        whole.include(app)
    return whole


def _imported(spec: str, module_name: str) -> object:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # Missing may be the module itself (a slip of the pen), or one that it imports (its own affair).
        if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
            raise AppError(
                f"app '{spec}': no module '{error.name}' in {os.getcwd()} or on the import path"
            ) from None
        raise AppError(_failed(spec, module_name, error)) from error
    except AppError as error:
        # Ours to explain, and it does: what remains to be said is where. A traceback would bury it.
        raise AppError(f"app '{spec}': {_user_place(error)}{error}") from error
    except (Exception, SystemExit) as error:
        raise AppError(_failed(spec, module_name, error)) from error


def _failed(spec: str, module_name: str, error: BaseException) -> str:
    text = "".join(traceback.format_exception(type(error), error, _user_part(error.__traceback__)))
    return f"app '{spec}': importing module '{module_name}' failed:\n{text.rstrip()}"


def _user_place(error: AppError) -> str:
    """File and line of the user's code that asked for what cannot be."""
    theirs = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "importlib" not in frame.filename and not frame.filename.startswith(_PACKAGE)
    ]
    return f"{theirs[-1].filename}, line {theirs[-1].lineno}: " if theirs else ""


_PACKAGE = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")
"""Where our own code is."""


def _user_part(where: TracebackType | None) -> TracebackType | None:
    """The traceback from the first frame that is neither ours nor the import machinery's."""
    while where is not None and (
        where.tb_frame.f_code.co_filename == __file__ or "importlib" in where.tb_frame.f_code.co_filename
    ):
        where = where.tb_next
    return where
