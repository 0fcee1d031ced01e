"""Schedules, as synchronous programs ask about them: `client.schedules`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar, Unpack

from beaver_actors.client import schedule_questions
from beaver_actors.client.arguments import text
from beaver_actors.client.new_jobs import JobCall, new_id
from beaver_actors.client.new_schedules import ScheduleOptions, new_schedule
from beaver_actors.client.questions import Accepted, Question
from beaver_actors.client.views import Change, ScheduleInfo

J = TypeVar("J")
T = TypeVar("T")


class _Ask(Protocol):
    def __call__(self, question: Question[T]) -> T: ...


class Schedules(Generic[J]):
    """What a server does by itself at given times. Every method raises `Refused` if the server says no, and
    `ConnectionLost` if there will be no answer.

    Args:
        ask: asks the server.
        job: makes the handle of an accepted job.
    """

    def __init__(self, ask: _Ask, job: Callable[[Accepted], J]) -> None:
        self._ask = ask
        self._job = job

    def list(self) -> Sequence[ScheduleInfo]:
        """All schedules by name, each with its next time."""
        return self._ask(schedule_questions.schedules(None, 1))

    def get(self, name: str, *, next: int = 5) -> ScheduleInfo:  # noqa: A002  # the field's name
        """One schedule with its next times, up to 100. Raises NotFound if there is none."""
        return self._ask(schedule_questions.schedules(text("name", name), next))[0]

    def set(
        self,
        name: str,
        kind: str | JobCall[Any],
        args: Mapping[str, Any] | None = None,
        **options: Unpack[ScheduleOptions],
    ) -> Change:
        """Have this schedule from now on, or as this from now on.

        Args:
            name: letters, digits or any of "_.:-", up to 100.
            kind: of its jobs; or a call of an app's job function, `function.call(…)`.
            args: named arguments for the handler.
            options: `cron` (minute, hour, day of month, month, day of week, or "@daily" and the like) with
                `tz` (an IANA name; "UTC" if not given), or `every`, an interval; `catch_up`: "one" (if not
                given), "none" or "all"; `overlap`: "allow" (if not given), "skip" or "cancel_old"; `paused`;
                and for its jobs `queue`, `priority`, `timeout`, `max_attempts`, `backoff`, `retention`,
                `unique_key` (while it is held no job comes, and the time counts as skipped) with
                `unique_until`, `unique_for` and `on_conflict`, `concurrency_key`, `tags` and `meta`, as for
                `new_job`; and `expires_in`: one that still waits so long after it came has expired.

        Raises:
            Conflict: it stands in the app's code or in the server's configuration.
        """
        return self._ask(schedule_questions.set_schedule(new_schedule(name, kind, args, options)))

    def delete(self, name: str) -> Change:
        """Forget this schedule; its jobs stay."""
        return self._ask(schedule_questions.schedule_change("delete", name))

    def pause(self, name: str) -> Change:
        """Let this schedule bring no more jobs."""
        return self._ask(schedule_questions.schedule_change("pause", name))

    def resume(self, name: str) -> Change:
        """Let this schedule bring jobs again; what was due meanwhile is not made up for."""
        return self._ask(schedule_questions.schedule_change("resume", name))

    def trigger(self, name: str) -> J:
        """Bring a job of this schedule now, whether paused or not; returns its handle."""
        return self._job(self._ask(schedule_questions.trigger_schedule(name, new_id())))
