"""The watchdog: notices that the event loop has stopped turning, and tells who may be to blame.

A task beats as long as the loop turns; a thread listens, for what stands still with the loop could not tell
of it. Nothing is ended here: who has a reason to, asks `blocked`. Code that never lets go of the interpreter
stops this thread too.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import trio

from beaver_actors.kernel.stacks import stack_of
from beaver_actors.observe.log import get_logger

PATIENCE_SECONDS = 5.0
"""How long the loop may stand still before that is told: longer than anything of the server's own takes,
shorter than the time limits of clients and of probes."""

REPEAT_SECONDS = 60.0
BEATS = 10
"""Beats that have to be missing. They are counted, not timed, by a thread that stands still when the whole
process does: one that was stopped and continued (SIGSTOP) has missed one beat."""

JOBS_MAX = 20
FRAMES_MAX = 20
LOOP = ("trio._core._run",)
"""What calls the tasks: from here on outwards, stacks tell nothing."""

log = get_logger("beaver_actors.observe.watchdog")


class Watchdog:
    """One per event loop.

    Args:
        jobs: tells which jobs run on the loop; called in the watching thread.
        patience: seconds that the loop may stand still.
        repeat: seconds from one line in the log to the next, while it stands still.
    """

    def __init__(
        self,
        jobs: Callable[[], Sequence[str]],
        *,
        patience: float = PATIENCE_SECONDS,
        repeat: float = REPEAT_SECONDS,
    ) -> None:
        self.blocked = False
        """Whether the loop stands still, and for longer than it may."""
        self.beats = 0
        """So often has the loop shown that it turns."""
        self.while_blocked: Callable[[], None] = lambda: None
        """Called in the watching thread at every missing beat of a blocked loop."""
        self.turned_again: Callable[[float], None] = lambda seconds: None
        """Called on the loop when it turns again, with the seconds that it stood still."""
        self._jobs = jobs
        self._interval = patience / BEATS
        self._repeat_beats = max(1, round(repeat / self._interval))
        self._beat_at = 0.0
        self._thread = 0
        self._over = threading.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Watch the loop that this runs on, until cancelled."""
        self._beat_at = time.monotonic()
        self._thread = threading.get_ident()
        threading.Thread(target=self._listen, name="watchdog", daemon=True).start()
        try:
            task_status.started()
            while True:
                self._beat()
                await trio.sleep(self._interval)
        finally:
            self._over.set()

    def _beat(self) -> None:
        now = time.monotonic()
        seconds, self._beat_at = now - self._beat_at, now
        self.beats += 1
        if self.blocked:
            self.blocked = False
            log.warning("the event loop turns again", seconds=round(seconds, 1))
            self.turned_again(seconds)

    def _listen(self) -> None:
        heard = missing = 0
        while not self._over.wait(self._interval):
            if self.beats != heard:
                heard, missing = self.beats, 0
                continue
            missing += 1
            if missing < BEATS:
                continue
            # First the flag: the log may be what the loop stands still in.
            self.blocked = True
            if (missing - BEATS) % self._repeat_beats == 0:
                self._tell()
            self.while_blocked()

    def _tell(self) -> None:
        jobs = list(self._jobs())
        if len(jobs) > JOBS_MAX:
            jobs[JOBS_MAX:] = [f"and {len(jobs) - JOBS_MAX} more"]
        log.error(
            "the event loop is blocked: nobody is answered until the code that runs on it awaits something",
            seconds=round(time.monotonic() - self._beat_at, 1),
            jobs=jobs,
            stack=stack_of(self._thread, LOOP, FRAMES_MAX),
        )
