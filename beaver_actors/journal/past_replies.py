"""Questions about the past, answered from a data directory in the words of the protocol; what both the
command line and a server's child process say. Whatever is wrong is told in the reply, but for a failing disk.
"""

from __future__ import annotations

from beaver_actors.codec.wire_past import (
    Moment,
    PastReply,
    Wish,
    past_job,
    past_life,
    past_refused,
    past_status,
)
from beaver_actors.codec.wire_times import time_text
from beaver_actors.core import views
from beaver_actors.core.commands import Policy
from beaver_actors.core.state import State
from beaver_actors.journal.disk import Disk
from beaver_actors.journal.errors import JournalError
from beaver_actors.journal.past import NotYet, PastGone, life_of, state_at


def past_reply(disk: Disk, wish: Wish, now_ms: int) -> PastReply:
    """Answer from what the directory holds.

    Args:
        disk: the data directory.
        wish: what is asked.
        now_ms: the time by the wall clock, milliseconds UTC: later than this, and than what is on record,
            nothing is known yet.

    Raises:
        OSError: the disk failed.
    """
    try:
        if wish.moment is not None:
            return _then(state_at(disk, wish.moment, now_ms), wish.job_id, wish.moment)
        assert wish.job_id is not None, "a life is somebody's"
        life = life_of(disk, wish.job_id)
    except PastGone as error:
        since = "" if error.oldest_ms is None else f" ({time_text(error.oldest_ms)})"
        return past_refused("not_found", f"{error}{since}")
    except NotYet as error:
        return past_refused("bad_request", str(error))
    except JournalError as error:
        return past_refused("not_found", f"the history cannot be read: {error}")
    if not life.facts:
        text = f"job {wish.job_id} is not in the log, which is kept from LSN {life.complete_from} on"
        return past_refused("not_found", text)
    return past_life(life.facts, life.complete_from)


def _then(state: State, job_id: str | None, moment: Moment) -> PastReply:
    # Which workers there were is not on record, so that none is missed.
    policy = Policy(served_kinds=frozenset(job.terms.kind for job in state.jobs.values()))
    at_ms = state.time_ms if moment.at_ms is None else moment.at_ms
    if job_id is None:
        return past_status(views.status(state, policy), at_ms)
    job = state.jobs.get(job_id)
    if job is None:
        return past_refused("not_found", f"job {job_id} did not exist after LSN {state.lsn}")
    return past_job(state.lsn, views.found(state, job, at_ms, policy).job)
