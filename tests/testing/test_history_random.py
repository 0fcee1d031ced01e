"""The history checker against rehearsals: what really happened passes, with one lie in it it does not."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from beaver_actors.testing.history import Began, Call, Ended, Entry, History, Seen
from beaver_actors.testing.history_check import Rules, check, explain
from tests.testing.rehearsal import Rehearsal, rehearsals, rehearse

RULES = Rules(handlers=True)


@given(rehearsals())
def test_what_really_happened_is_in_order(play: Rehearsal) -> None:
    """P1-P12: random requests that overlap, repeat and get lost, crashes, slow watchers, stale handlers."""
    violations = check(play.history, Rules(forgets=play.oracle.notes.retention, handlers=True))
    assert not violations, explain(play.history, violations)


@given(rehearsals())
@settings(max_examples=10)
def test_a_history_can_be_written_and_read(play: Rehearsal) -> None:
    """P3: what is read back is what was written, and is judged the same."""
    again = copied(play.history)
    assert again.entries == play.history.entries
    rules = Rules(forgets=play.oracle.notes.retention, handlers=True)
    assert check(again, rules) == check(play.history, rules)


def test_a_line_that_is_no_entry_is_named() -> None:
    """P6: damage to a history is told with its line."""
    with pytest.raises(ValueError, match=r"line 2: .*entry"):
        History.read([b'{"entry":"began","job_id":"a","at":1,"attempt":1,"fence":1}', b'{"job_id":"a"}'])


class Liar:
    """Puts one lie into a history. A lie that finds nothing to lie about returns False.

    Most lies are told in the last look at everything, which overlaps with nothing, so that they are certain.
    """

    def __init__(self, history: History, random: Random) -> None:
        self.entries = history.entries
        self.random = random
        self.asked = {
            wish: {job_id for call in self.calls(wish) for job_id in call.request["job_ids"]}
            for wish in ("cancel", "retry", "delete")
        }

    def calls(self, kind: str) -> Iterator[Call]:
        return (entry for entry in self.entries if isinstance(entry, Call) and entry.request["type"] == kind)

    def granted(self, kind: str) -> list[Call]:
        return [call for call in self.calls(kind) if (call.answer or {}).get("type") == "ok"]

    def seen(self, name: str) -> dict[int, list[Seen]]:
        """Events of that name, by LSN, as everybody was told."""
        found: dict[int, list[Seen]] = {}
        for entry in self.entries:
            if isinstance(entry, Seen) and entry.event["event"] == name:
                found.setdefault(entry.event["lsn"], []).append(entry)
        return found

    def last_view(self, state: str | None = None) -> dict[str, Any] | None:
        """A job as shown in the end, if nobody ever asked to delete it: there is only one of its id."""
        last: dict[str, dict[str, Any]] = {}
        for call in self.calls("get"):
            if call.answer is not None:
                last[call.request["job_id"]] = call.answer
        views = [answer["job"] for answer in last.values() if answer["type"] == "ok"]
        views = [view for view in views if view["id"] not in self.asked["delete"]]
        views = [view for view in views if state is None or view["state"] == state]
        return self.random.choice(views) if views else None

    def last_listing(self) -> list[dict[str, Any]]:
        jobs: list[dict[str, Any]] = self.granted("list")[-1].answer["jobs"]  # type: ignore[index]  # granted
        return jobs

    def a_job_is_lost(self) -> bool:
        view, acknowledged = self.last_view(), set()
        for call in self.granted("enqueue"):
            acknowledged |= {job["id"] for job in (call.answer or {})["jobs"]}
        if view is None or view["id"] not in acknowledged:
            return False
        listing = self.last_listing()
        listing[:] = [job for job in listing if job["id"] != view["id"]]
        return True

    def a_stranger_is_listed(self) -> bool:
        listing = self.last_listing()
        listing.extend([job | {"id": "stranger"} for job in listing[:1]])
        return bool(listing)

    def other_content_is_shown(self) -> bool:
        return self.in_last_view({"args": {"n": 99}})

    def an_outcome_is_undone(self) -> bool:
        return self.in_last_view({"state": "pending"}, "completed")

    def a_result_changes(self) -> bool:
        return self.in_last_view({"result": "another"}, "completed")

    def a_dead_job_was_cancelled(self) -> bool:
        return self.in_last_view({"state": "cancelled"}, "dead")

    def a_view_is_from_the_past(self) -> bool:
        view = self.last_view()
        if view is None or not view["fence"]:
            return False
        listing = [job for call in self.granted("list")[:-1] for job in (call.answer or {})["jobs"]]
        old = [job for job in listing if job["id"] == view["id"] and job["lsn"] < view["lsn"]]
        view.update(self.random.choice(old) if old else {"lsn": view["lsn"] - 1})
        return True

    def in_last_view(self, change: dict[str, Any], state: str | None = None) -> bool:
        view = self.last_view(state)
        if view is not None:
            view.update(change)
        return view is not None

    def an_event_is_left_out(self) -> bool:
        told = [entry for entry in self.entries if isinstance(entry, Seen) and entry.watcher == "second"]
        if len(told) < 2:
            return False
        gone = self.random.choice(told[:-1])
        self.entries[:] = [entry for entry in self.entries if entry is not gone]
        return True

    def an_event_is_told_twice(self) -> bool:
        told = [entry for entry in self.entries if isinstance(entry, Seen) and entry.watcher == "second"]
        if told:
            self.entries.append(told[-1])
        return bool(told)

    def an_event_is_told_in_two_ways(self) -> bool:
        told = [entry for entry in self.entries if isinstance(entry, Seen) and entry.watcher == "second"]
        if told:
            self.random.choice(told).event["at"] = "2000-01-01T00:00:00Z"
        return bool(told)

    def a_job_is_completed_twice(self) -> bool:
        completed = self.seen("job_completed")
        later = [lsn for lsn in self.seen("job_enqueued") if completed and lsn > min(completed)]
        if not later:
            return False
        first = completed[min(completed)][0].event
        self.replace(self.random.choice(later), first)
        return True

    def a_stale_outcome_is_recorded(self) -> bool:
        completed = self.seen("job_completed")
        if not completed:
            return False
        lsn = self.random.choice(sorted(completed))
        event = completed[lsn][0].event
        self.replace(lsn, event | {"fence": event["fence"] - 1})
        return True

    def an_unlogged_job_runs(self) -> bool:
        begun = {entry.fence for entry in self.entries if isinstance(entry, Began)}
        if not begun:
            return False
        self.replace(self.random.choice(sorted(begun)), {"event": "queue_paused", "queue": "q", "at": ""})
        return True

    def replace(self, lsn: int, event: dict[str, Any]) -> None:
        """The same lie to all watchers."""
        for entry in self.entries:
            if isinstance(entry, Seen) and entry.event["lsn"] == lsn:
                entry.event = event | {"lsn": lsn}

    def a_fence_is_given_twice(self) -> bool:
        begun = [entry for entry in self.entries if isinstance(entry, Began)]
        self.entries += begun[:1]
        return bool(begun)

    def a_handler_never_said_so(self) -> bool:
        fences = {entries[0].event["fence"] for entries in self.seen("job_completed").values()}
        ends = [entry for entry in self.entries if isinstance(entry, Ended) and entry.fence in fences]
        if ends:
            self.random.choice(ends).outcome = "failed"
        return bool(ends)

    def the_log_goes_back(self) -> bool:
        status = (self.granted("status")[-1].answer or {})["status"]
        status["lsn"] -= 1
        return bool(status["lsn"] >= 0)

    def an_acknowledgement_was_a_refusal(self) -> bool:
        sent: dict[str, int] = {}
        for call in self.calls("enqueue"):
            for job in call.request["jobs"]:
                sent[job["id"]] = sent.get(job["id"], 0) + 1
        calls = [
            call for call in self.granted("enqueue") if all(sent[j["id"]] == 1 for j in call.request["jobs"])
        ]
        if calls:
            refusal = {"type": "error", "re": "1", "code": "queue_full", "message": "", "retry_after": 1}
            self.random.choice(calls).answer = refusal
        return bool(calls)

    def a_first_is_called_a_duplicate(self) -> bool:
        return self.flip(duplicate=False)

    def a_duplicate_is_called_a_first(self) -> bool:
        return self.flip(duplicate=True)

    def flip(self, *, duplicate: bool) -> bool:
        """Of jobs that nobody asked to delete, and whose other answers, or their lack, prove it a lie."""
        sent = [job["id"] for call in self.calls("enqueue") for job in call.request["jobs"]]
        receipts = [receipt for call in self.granted("enqueue") for receipt in (call.answer or {})["jobs"]]
        taken = {receipt["id"] for receipt in receipts if not receipt["duplicate"]}
        fit = [
            receipt
            for receipt in receipts
            if receipt["duplicate"] is duplicate
            and receipt["id"] not in self.asked["delete"]
            and (receipt["id"] in taken if duplicate else sent.count(receipt["id"]) == 1)
        ]
        if fit:
            self.random.choice(fit)["duplicate"] = not duplicate
        return bool(fit)


LIES: list[Callable[[Liar], bool]] = [
    lie for name, lie in vars(Liar).items() if name.startswith(("a_", "an_", "other_", "the_"))
]


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_a_lie_is_found(lie: Callable[[Liar], bool]) -> None:
    """P1-P12: one lie in a history that is true otherwise, of which there must be many."""
    told = 0

    @settings(max_examples=20)
    @given(st.integers(0, 2**32), st.integers(40, 120))
    def look(seed: int, steps: int) -> None:
        nonlocal told
        history = copied(rehearse(seed, steps, retention=False).history)
        if lie(Liar(history, Random(seed))):
            told += 1
            assert check(history, RULES), f"nobody noticed: {lie.__name__}"

    look()
    assert told, "there was never anything to lie about"


def copied(history: History) -> History:
    """The same, by way of a file; nothing in it is shared."""
    file = io.BytesIO()
    history.write(file)
    copy = History.read(file.getvalue().splitlines(keepends=True))
    entries: list[Entry] = copy.entries
    assert len(entries) == len(history.entries)
    return copy
