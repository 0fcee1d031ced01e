"""The past from snapshots and log: the same as folding the facts up to then, as far back as they are kept."""

from __future__ import annotations

import json
import subprocess
import sys
from random import Random

import pytest
from msgspec import UNSET

from beaver_actors.codec.wire_past import Moment, Wish
from beaver_actors.core.facts import JobFact
from beaver_actors.core.state import State, advance
from beaver_actors.journal.disk import RealDisk
from beaver_actors.journal.folding import fold_snapshot
from beaver_actors.journal.journal import FileJournal
from beaver_actors.journal.past import NotYet, PastGone, life_of, state_at
from beaver_actors.journal.past_child import arguments
from beaver_actors.journal.past_replies import past_reply
from beaver_actors.journal.recovery import open_journal
from beaver_actors.journal.settings import JournalSettings
from beaver_actors.testing.disk import SimulatedDisk
from tests.journal.happenings import essence, happen, state_after

SETTINGS = JournalSettings(segment_bytes=4096, reserve_bytes=4096)
FACTS = happen(Random(12), 300)
NOW_MS = FACTS[-1][1] + 60_000


def fill(memory: SimulatedDisk | RealDisk, *, trimmed: bool = False) -> FileJournal:
    """300 facts, with snapshots after 100 and 200; if trimmed, only the newer one and the log after it."""
    journal = open_journal(memory, SETTINGS).journal
    for begin in range(0, 300, 10):
        journal.append(FACTS[begin : begin + 10])
        if begin in (90, 190):
            folded = fold_snapshot(memory, journal.rotate(), 1 if trimmed else 2, "me")
            if trimmed:
                journal.trim(folded.keep_from_lsn)
    return journal


def then(lsn: int, at_ms: int | None = None) -> State:
    state = state_after(FACTS[:lsn])
    advance(state, state.time_ms if at_ms is None else max(at_ms, state.time_ms))
    return state


def test_every_position_can_be_asked_for(memory: SimulatedDisk) -> None:
    """P3: before, between and after the snapshots, within a commit, and before anything happened."""
    fill(memory)
    for lsn in (0, 1, 5, 99, 100, 101, 155, 200, 203, 300):
        assert essence(state_at(memory, Moment(lsn=lsn), NOW_MS)) == essence(then(lsn)), lsn
    assert essence(state_at(memory, Moment(), NOW_MS)) == essence(then(300))


def test_every_time_can_be_asked_for(memory: SimulatedDisk) -> None:
    """P3: all that had happened by then, and what is due by then."""
    fill(memory)
    times = [fact[1] for fact in FACTS]
    for at_ms in (0, times[0], times[0] - 1, times[120], times[120] + 1, times[210], times[-1] + 5_000):
        lsn = sum(time_ms <= at_ms for time_ms in times)
        assert essence(state_at(memory, Moment(at_ms=at_ms), NOW_MS)) == essence(then(lsn, at_ms)), at_ms


def test_what_is_gone_is_refused_with_what_there_is(memory: SimulatedDisk) -> None:
    """P6: never a guess: the oldest position and time that can be asked for are named."""
    fill(memory, trimmed=True)
    oldest_ms = state_after(FACTS[:200]).time_ms
    for moment in (Moment(lsn=199), Moment(lsn=0), Moment(at_ms=1)):
        with pytest.raises(PastGone) as caught:
            state_at(memory, moment, NOW_MS)
        assert (caught.value.oldest_lsn, caught.value.oldest_ms) == (200, oldest_ms)
    assert essence(state_at(memory, Moment(lsn=200), NOW_MS)) == essence(then(200))
    assert essence(state_at(memory, Moment(at_ms=oldest_ms), NOW_MS)).__class__ is tuple
    with pytest.raises(NotYet, match="ends with LSN 300"):
        state_at(memory, Moment(lsn=301), NOW_MS)
    told = past_reply(memory, Wish(None, Moment(lsn=3)), NOW_MS)
    assert told.code == "not_found"
    assert "LSN 3: history is kept from LSN 200 on (" in told.message


def test_a_time_that_has_yet_to_come_is_refused(memory: SimulatedDisk) -> None:
    """P6: never a guess: neither the clock nor the log has come so far."""
    fill(memory)
    state_at(memory, Moment(at_ms=NOW_MS), NOW_MS)
    for job_id in (None, "a"):
        told = past_reply(memory, Wish(job_id, Moment(at_ms=NOW_MS + 1)), NOW_MS)
        assert told.code == "bad_request"
        assert "has yet to come, it is 20" in told.message
    last_ms = state_at(memory, Moment(), 0).time_ms
    state_at(memory, Moment(at_ms=last_ms), 0)  # the clock was set back, and the log knows better


def test_a_life_is_every_fact_about_the_job(memory: SimulatedDisk) -> None:
    """P10: all of them and no others, and from where on that is so."""
    fill(memory)
    names = {fact.job_id for fact in FACTS if isinstance(fact, JobFact)}
    assert len(names) > 20
    for name in names:
        facts = [
            (lsn, fact)
            for lsn, fact in enumerate(FACTS, 1)
            if isinstance(fact, JobFact) and fact.job_id == name
        ]
        assert life_of(memory, name) == (facts, 1)
    assert past_reply(memory, Wish("nobody"), NOW_MS).code == "not_found"


def test_a_life_says_from_where_on_it_is_complete(memory: SimulatedDisk) -> None:
    """P10: what was trimmed is not passed over in silence."""
    journal = fill(memory, trimmed=True)
    name = next(fact.job_id for fact in reversed(FACTS) if isinstance(fact, JobFact))
    life = life_of(memory, name)
    assert life.complete_from > 1
    assert journal.read_from(life.complete_from, 1)
    assert all(lsn >= life.complete_from for lsn, _ in life.facts)


def test_the_child_answers_with_one_line(tmp_path: object) -> None:
    """P3, in a process of its own: the same answers as in this one."""
    disk = RealDisk(str(tmp_path))
    fill(disk).close()
    name = next(fact.job_id for fact in reversed(FACTS) if isinstance(fact, JobFact))
    for wish in (Wish(name), Wish(None, Moment(lsn=150)), Wish(name, Moment(at_ms=FACTS[-1][1]))):
        command = [sys.executable, *arguments(str(tmp_path), wish)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            told = json.loads(child.stdout.read())
        here = past_reply(disk, wish, NOW_MS)
        assert told.get("lsn") == here.lsn
        for part in ("job", "status", "events"):
            there = getattr(here, part)
            assert told.get(part) == (None if there is UNSET else json.loads(bytes(there)))
