"""The worker process: loads the app, then runs the attempts that the server sends, one after another.

It speaks frames over what were its standard input and output (`process_line.py`); user code gets an empty
input, and its output goes to standard error. When the server is gone, however it went, the process and its
whole group are killed at once: nothing runs on without a server that knows of it.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import signal
import sys
import threading
from contextlib import suppress

from beaver_actors.core.job import JobError
from beaver_actors.core.outcome import Failed, Outcome
from beaver_actors.execute.app import AppError, Handler
from beaver_actors.execute.calling import call_plain
from beaver_actors.execute.frames import Ready, Run, Unavailable, done
from beaver_actors.execute.loading import load_app, with_demo
from beaver_actors.execute.outcomes import LIMITS, describe
from beaver_actors.execute.process_line import Line

READ_BYTES = 65_536


def main() -> int:
    """Serve until told to exit. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="beaver_actors.execute.process_child")
    parser.add_argument("--stderr", type=int, required=True, help="descriptor of the server's standard error")
    parser.add_argument("--app", help="module:attribute of the app")
    options = parser.parse_args()
    _stand_up_to_signals()
    line = Line.take_over_stdio()
    threading.Thread(target=line.listen, name="watchdog", daemon=True).start()
    try:
        app = load_app(options.app) if options.app is not None else None
        handlers = with_demo(app).handlers()
    except AppError as error:
        line.send(Unavailable(JobError("AppError", str(error))))
        return 1
    except BaseException as error:  # noqa: BLE001 whatever importing user code raises
        line.send(Unavailable(describe(error, LIMITS)))
        return 1
    notes = _hand_over_stderr(options.stderr)
    line.notes = notes
    faulthandler.enable(notes)
    line.send(Ready())
    while (run := line.runs.get()) is not None:
        line.send(done(_run(run, handlers, line)))
    return 0


def _run(run: Run, handlers: dict[str, Handler], line: Line) -> Outcome:
    attempt = run.attempt
    handler = handlers.get(attempt.kind)
    if handler is None:
        message = f"a worker process does not know the kind '{attempt.kind}': it is not in the app it loaded"
        return Failed(JobError("WorkerUnavailable", message))
    link = line.begin(attempt)
    try:
        if handler.asynchronous:
            # Trio takes longer to import than all the rest, and plain functions do without it.
            from beaver_actors.execute.trio_in_process import run_with_trio

            return run_with_trio(attempt, handler, run.limits, link.report, link.when_stopped)
        return call_plain(handler, attempt, link, run.limits)
    finally:
        line.end()


def _stand_up_to_signals() -> None:
    """A service manager that stops the server may signal every process of the service. Running attempts end
    when the server says so, so it is ignored here, but not in the processes that user code forks."""
    own = os.getpid()

    def ignore(number: int, _frame: object) -> None:
        if os.getpid() != own:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, ignore)
    signal.signal(signal.SIGINT, ignore)


def _hand_over_stderr(stderr: int) -> int:
    """Once the app is loaded, standard error is the server's own; what loading printed is printed there after
    all. Returns the descriptor of the notes, emptied."""
    notes = os.dup(2)
    os.dup2(stderr, 2)
    os.dup2(stderr, 1)
    os.close(stderr)
    os.lseek(notes, 0, os.SEEK_SET)
    while printed := os.read(notes, READ_BYTES):
        with suppress(OSError):
            os.write(2, printed)
    os.ftruncate(notes, 0)
    os.lseek(notes, 0, os.SEEK_SET)
    return notes


if __name__ == "__main__":
    sys.exit(main())
