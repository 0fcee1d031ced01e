"""What a client can ask about schedules: `questions.py` says what a question is."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET

from beaver_actors.client.arguments import text, whole
from beaver_actors.client.errors import ProtocolError
from beaver_actors.client.questions import Accepted, Question, changed
from beaver_actors.client.views import (
    Change,
    ScheduleInfo,
    read_part,
)
from beaver_actors.codec.wire import Ok
from beaver_actors.codec.wire_fields import NEXT_MAX
from beaver_actors.codec.wire_job_objects import Receipt
from beaver_actors.codec.wire_schedule_messages import (
    DeleteScheduleRequest,
    PauseScheduleRequest,
    ResumeScheduleRequest,
    SchedulesRequest,
    SetScheduleRequest,
    TriggerScheduleRequest,
)
from beaver_actors.codec.wire_schedule_objects import NewScheduleObject

ScheduleWord = Literal["delete", "pause", "resume"]


def schedules(name: str | None, next_times: int) -> Question[tuple[ScheduleInfo, ...]]:
    """Show all schedules, or one, each with so many of its next times."""
    request = SchedulesRequest(id="", name=name, next=whole("next", next_times, 0, NEXT_MAX))
    return Question(request, lambda ok: read_part(tuple[ScheduleInfo, ...], ok.schedules))


def set_schedule(schedule: NewScheduleObject) -> Question[Change]:
    """Have this schedule."""
    return Question(SetScheduleRequest(id="", schedule=schedule), lambda ok: changed(ok)[0])


def schedule_change(word: ScheduleWord, name: str) -> Question[Change]:
    """Delete, pause or resume a schedule."""
    requests: dict[str, type[DeleteScheduleRequest | PauseScheduleRequest | ResumeScheduleRequest]] = {
        "delete": DeleteScheduleRequest,
        "pause": PauseScheduleRequest,
        "resume": ResumeScheduleRequest,
    }
    return Question(requests[word](id="", name=text("name", name)), lambda ok: changed(ok)[0])


def trigger_schedule(name: str, job_id: str) -> Question[Accepted]:
    """Bring a job of this schedule now, under this id."""

    def read(ok: Ok) -> Accepted:
        (receipt,) = read_part(tuple[Receipt, ...], ok.jobs)
        if ok.lsn is UNSET:
            raise ProtocolError("the server accepted a job without saying where")
        # Its `job_enqueued` comes before the `schedule_fired` that tells of it.
        return Accepted(receipt.id, receipt.duplicate, None if receipt.duplicate else ok.lsn)

    return Question(TriggerScheduleRequest(id="", name=text("name", name), job_id=job_id), read)
