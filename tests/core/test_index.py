"""The indexes by themselves: lines, lanes, timetables and the roll, against lists that are sorted anew."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from beaver_actors.core import index
from beaver_actors.core.index import SLACK, Lane, LaneKey, Lanes, Line, Roll, Timetable, place
from beaver_actors.core.job import Job, JobState, Terms, Trail

NUMBERS = st.integers(0, 10**6)


def make_job(order: int, run_at_ms: int = 0) -> Job:
    job_id = f"job-{order}"
    return Job(job_id, Terms("work"), b"{}", JobState.PENDING, 0, run_at_ms, None, order, order)


@dataclass
class Jobs:
    """Makes jobs, and lets facts happen to them: each gives its job a new LSN."""

    lsn: int = 0
    made: list[Job] = field(default_factory=list)

    def make(self, run_at_ms: int = 0) -> Job:
        self.lsn += 1
        self.made.append(make_job(self.lsn, run_at_ms))
        return self.made[-1]

    def touch(self, job: Job) -> None:
        self.lsn += 1
        job.lsn = self.lsn


class IndexMachine(RuleBasedStateMachine):
    """The limits are made small, so that few jobs reach them."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(index, "SLACK", 6)
        self.patch.setattr(index, "SEARCH_MAX", 3)

    def teardown(self) -> None:
        self.patch.undo()


class LaneMachine(IndexMachine):
    """A lane against a list. Jobs leave from anywhere and come back, later or where they were."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs = Jobs()
        self.now_ms = 0
        self.lane = Lane()
        self.standing: list[Job] = []
        self.away: list[Job] = []

    def join(self, job: Job) -> None:
        self.lane.add(job)
        self.standing.append(job)
        self.standing.sort(key=place)

    @rule(count=st.integers(1, 12), step_ms=st.integers(0, 2))
    def jobs_arrive(self, count: int, step_ms: int) -> None:
        self.now_ms += step_ms
        for _ in range(count):
            self.join(self.jobs.make(self.now_ms))

    @rule(run_at_ms=NUMBERS)
    def one_arrives_out_of_order(self, run_at_ms: int) -> None:
        self.join(self.jobs.make(run_at_ms % (self.now_ms + 1)))

    @rule(at=NUMBERS, count=st.integers(1, 12))
    def jobs_leave(self, at: int, count: int) -> None:
        for _ in range(min(count, len(self.standing) - 1)):
            job = self.standing.pop(at % len(self.standing))
            self.jobs.touch(job)
            self.lane.leave()
            self.away.append(job)

    @rule(at=NUMBERS, later=st.booleans())
    def one_comes_back(self, at: int, later: bool) -> None:
        if self.away:
            job = self.away.pop(at % len(self.away))
            self.jobs.touch(job)
            if later:
                job.run_at_ms = self.now_ms
            self.join(job)

    @invariant()
    def the_lane_is_the_list(self) -> None:
        assert [job.id for job in self.lane] == [job.id for job in self.standing]
        assert len(self.lane) == len(self.standing)
        assert len(self.lane._jobs) <= 2 * len(self.standing) + 7


TestLane = LaneMachine.TestCase
TestLane.__doc__ = "P3, P11: a lane holds who stands in it, in order of place, and little else."


def test_a_line_keeps_the_order_of_joining() -> None:
    """P11: whatever the jobs' own times; those that left are passed over."""
    jobs = Jobs()
    line = Line()
    made = [jobs.make(run_at_ms) for run_at_ms in (5, 1, 3, 2)]
    for job in made:
        line.add(job)
    jobs.touch(made[1])
    line.leave()
    assert [job.order for job in line] == [1, 3, 4]
    jobs.touch(made[0])
    line.leave()
    assert ([job.order for job in line], len(line), len(line._jobs)) == ([3, 4], 2, 2)


def test_a_lane_nobody_waits_in_is_gone() -> None:
    """P11: kinds and queues that come and go leave nothing behind."""
    jobs, lanes = Jobs(), Lanes()
    job = jobs.make()
    lanes.add(job)
    assert (len(lanes), len(list(lanes.items()))) == (1, 1)
    jobs.touch(job)
    lanes.drop(job)
    assert (len(lanes), list(lanes.items())) == (0, [])


def test_a_job_that_comes_back_does_not_stand_behind_what_it_left_in_the_lane() -> None:
    """P4, by example: its own stale entry is the last one, and one that may run later stands before that.
    (`simulate_journal(11158)` found this, with facts that the core alone would not decide on.)"""
    jobs, lane = Jobs(), Lane()
    first, gone = jobs.make(run_at_ms=1), jobs.make(run_at_ms=9)
    lane.add(first)
    lane.add(gone)
    jobs.touch(gone)
    lane.leave()
    later = jobs.make(run_at_ms=5)
    lane.add(later)
    gone.run_at_ms = 3
    jobs.touch(gone)
    lane.add(gone)
    assert list(lane) == [first, gone, later]


class TimetableMachine(IndexMachine):
    """A timetable against a dictionary of times."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs = Jobs()
        self.now_ms = 0
        self.table = Timetable()
        self.waiting: dict[str, tuple[int, Job]] = {}

    @rule(ahead_ms=st.integers(1, 9), count=st.integers(1, 12))
    def jobs_wait(self, ahead_ms: int, count: int) -> None:
        for _ in range(count):
            job = self.jobs.make()
            self.table.add(self.now_ms + ahead_ms, job)
            self.waiting[job.id] = (self.now_ms + ahead_ms, job)

    @rule(at=NUMBERS, ahead_ms=st.none() | st.integers(1, 9))
    def one_is_told_another_time_or_none(self, at: int, ahead_ms: int | None) -> None:
        if self.waiting:
            _, job = self.waiting.pop(list(self.waiting)[at % len(self.waiting)])
            self.jobs.touch(job)
            if ahead_ms is not None:
                self.table.add(self.now_ms + ahead_ms, job)
                self.waiting[job.id] = (self.now_ms + ahead_ms, job)

    @rule()
    def all_but_a_few_lose_interest(self) -> None:
        for job_id in list(self.waiting)[3:]:
            self.jobs.touch(self.waiting.pop(job_id)[1])

    @rule(time_ms=st.integers(0, 4))
    def time_passes(self, time_ms: int) -> None:
        self.now_ms += time_ms
        due = sorted((at_ms, job.lsn, job.id) for at_ms, job in self.waiting.values() if at_ms <= self.now_ms)
        popped = [job.id for job in self.table.pop_due(self.now_ms)]
        assert popped == [job_id for _, _, job_id in due]
        for job_id in popped:
            del self.waiting[job_id]

    @invariant()
    def the_table_is_the_dictionary(self) -> None:
        assert self.table.next_ms() == min((at_ms for at_ms, _ in self.waiting.values()), default=None)
        assert {job.id: (at_ms, job) for at_ms, job in self.table} == self.waiting


TestTimetable = TimetableMachine.TestCase
TestTimetable.__doc__ = "P3, P4: everyone is called once, at the latest time asked for, and nobody else."


def test_a_timetable_lets_stale_entries_go() -> None:
    """P11: a hundred thousand waits given up leave a few thousand entries at most."""
    jobs, table = Jobs(), Timetable()
    for number in range(20_000):
        job = jobs.make()
        table.add(10**9 + number, job)
        jobs.touch(job)
    assert len(table) <= SLACK
    assert table.next_ms() is None


def test_the_roll_finds_a_page_from_any_order() -> None:
    """P3: from jobs that are there, jobs that are gone, before the first and after the last."""
    jobs, held = Jobs(), dict[str, Job]()
    early, late = Roll(), Roll()
    assert list(early.before(1, held)) == []  # from here on it keeps a list; the other is made at the end
    for _ in range(5):
        job = jobs.make()
        held[job.id] = job
        for roll in (early, late):
            roll.add(job)
        jobs.lsn += 10
    orders = [job.order for job in jobs.made]
    assert [job.order for job in late.before(None, held)] == orders[::-1]
    for roll in (early, late):
        for cursor in range(60):
            expected = [order for order in reversed(orders) if order < cursor]
            assert [job.order for job in roll.before(cursor, held)] == expected
        assert [job.order for job in roll.before(None, held)] == orders[::-1]


@given(st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=8), max_size=4))
def test_lanes_that_are_filled_at_once_are_those_that_fill_job_by_job(
    groups: list[list[tuple[int, int]]],
) -> None:
    """P4: after a snapshot as before it, whatever the times, and whoever came back in between."""
    jobs, one_by_one, at_once = Jobs(), Lanes(), Lanes()
    for times in groups:
        group = [jobs.make(run_at_ms) for run_at_ms, _ in times]
        for job, (_, starts) in zip(group, times, strict=True):
            job.trail = Trail(starts, rescues=starts - 1) if starts else None
            one_by_one.add(job)
        at_once.fill(group)

    def standing(lanes: Lanes) -> dict[LaneKey, list[int]]:
        return {key: [job.order for job in lane] for key, lane in lanes.items()}

    assert standing(at_once) == standing(one_by_one)
    assert {key: len(lane) for key, lane in at_once.items()} == {
        key: len(orders) for key, orders in standing(one_by_one).items()
    }
