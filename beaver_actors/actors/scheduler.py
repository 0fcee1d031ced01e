"""Scheduler: reckons when schedules are due, and brings the times to the job manager when they have come.

It goes by the machine's wall clock, which may jump and stand still, and looks at it every second: a machine
that was suspended, or whose clock is set forward, finds times that have passed, as after downtime; one whose
clock is set back finds none, since only times later than the last one on record count. It owns no state that
matters: what is on record says what is due, in this life as in the next.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from beaver_actors.actors.job_manager import Jobs, Signals
from beaver_actors.almanac.timing import due_times, next_times
from beaver_actors.core.answers import Fired, Refused, Schedules, ScheduleView
from beaver_actors.core.commands import Fire, ListSchedules
from beaver_actors.core.fires import CATCH_UP_MAX

POLL_SECONDS = 1.0
"""The wall clock is looked at so often, as no timer follows its jumps."""
REFUSED_SECONDS = 1.0
"""Before times that the queue had no room for are brought again."""


async def run(
    jobs: Jobs,
    *,
    wall_ms: Callable[[], int],
    signals: Signals,
    refused: Callable[[str, str], None],
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run until cancelled.

    Args:
        jobs: the job manager.
        wall_ms: the wall clock, milliseconds UTC.
        signals: rung by the job manager when a schedule is set or removed.
        refused: told the schedule and the reason, when what is due does not fit into the queue.
    """
    task_status.started()
    known: dict[str, _Ahead] = {}
    while True:
        answer = await jobs.ask(ListSchedules())
        assert isinstance(answer, Schedules), f"schedules were answered with {answer}"
        known = _reckon(answer.schedules, known)
        if await _bring(jobs, known, wall_ms, refused):
            await trio.sleep(REFUSED_SECONDS)
        await _wait(known, wall_ms, signals)


class _Ahead:
    """A schedule, and the next time on from what is on record; None if none comes."""

    __slots__ = ("next_ms", "view")

    def __init__(self, view: ScheduleView) -> None:
        self.view = view
        self.next_ms = next(iter(next_times(view.plan, view.through_ms)), None)


def _reckon(views: tuple[ScheduleView, ...], known: dict[str, _Ahead]) -> dict[str, _Ahead]:
    """What lies ahead of each schedule that is not paused; reckoned anew only where something has changed."""
    ahead: dict[str, _Ahead] = {}
    for view in views:
        if view.paused:
            continue
        before = known.get(view.name)
        same = before is not None and (before.view.revision, before.view.through_ms) == (
            view.revision,
            view.through_ms,
        )
        ahead[view.name] = before if same and before is not None else _Ahead(view)
    return ahead


async def _bring(
    jobs: Jobs, known: dict[str, _Ahead], wall_ms: Callable[[], int], refused: Callable[[str, str], None]
) -> bool:
    """Bring all times that have come, the earliest first, lest a schedule wait behind another for ever;
    returns whether some did not fit."""
    now_ms = wall_ms()
    due = [ahead for ahead in known.values() if ahead.next_ms is not None and ahead.next_ms <= now_ms]
    asked = []
    for ahead in sorted(due, key=lambda ahead: ahead.next_ms or 0):
        view = ahead.view
        # One more than one fire may bring jobs for, so that it can tell of those it leaves out.
        times_ms, earlier = due_times(view.plan, view.through_ms, now_ms, CATCH_UP_MAX + 1)
        command = Fire(view.name, view.revision, times_ms, now_ms, earlier)
        asked.append((view.name, await jobs.post(command)))
    full = False
    for name, reply in asked:
        answer = await reply.wait()
        if isinstance(answer, Refused):
            full = True
            refused(name, answer.message)
        else:
            assert isinstance(answer, Fired), f"times were answered with {answer}"
    return full


async def _wait(known: dict[str, _Ahead], wall_ms: Callable[[], int], signals: Signals) -> None:
    """Wait until something is due by the wall clock, or a schedule is set or removed."""
    next_ms = min((ahead.next_ms for ahead in known.values() if ahead.next_ms is not None), default=None)
    while True:
        seconds = float("inf")
        if next_ms is not None:
            left_ms = next_ms - wall_ms()
            if left_ms <= 0:
                return
            seconds = min(left_ms / 1000, POLL_SECONDS)
        with trio.move_on_after(seconds):
            await signals.schedules.wait()
            return
