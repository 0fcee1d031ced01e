"""The roster: who holds what and until when, as a script of words and times."""

from __future__ import annotations

from collections.abc import Iterable

from beaver_actors.actors.roster import EARLY_CANCELS_MAX, Roster, Timing, Worker
from beaver_actors.core.answers import LeasedJob
from beaver_actors.core.commands import Report
from beaver_actors.core.job import Terms
from beaver_actors.core.outcome import Succeeded
from beaver_actors.core.workers import FleetCount, Registration, Standing
from beaver_actors.testing.playbook import NOON_MS, Playbook

TIMING = Timing(lease_ms=60_000, heartbeat_ms=15_000, timeout_grace_ms=10_000)


class Outlet:
    """Remembers what it was given."""

    def __init__(self) -> None:
        self.leases: list[LeasedJob] = []
        self.notices: list[Standing] = []

    def lease(self, jobs: tuple[LeasedJob, ...]) -> None:
        self.leases += jobs

    def notice(self, standing: Standing) -> None:
        self.notices.append(standing)


def registered(
    roster: Roster, outlet: Outlet, now_ms: int = 0, fences: Iterable[int] = (), slots: int = 4
) -> Worker:
    registration = Registration("far", frozenset({"work"}), None, slots)
    roster.register(registration, outlet, tuple(fences), now_ms)
    return roster.workers["far"]


def leased(*fences: int, deadline_ms: int | None = None) -> tuple[LeasedJob, ...]:
    return tuple(LeasedJob(f"job-{fence}", fence, 1, Terms("work"), b"{}", deadline_ms) for fence in fences)


def test_a_lease_ends_unless_it_is_named_in_a_heartbeat() -> None:
    """P4: after its full time and no sooner; the worker is told, should it listen after all."""
    roster, outlet = Roster(TIMING), Outlet()
    worker = registered(roster, outlet)
    roster.granted(worker, leased(7, 8), 0)
    assert roster.renew(worker, [7], 15_000) == Standing()
    assert roster.next_ms(15_000) == 15_000 + TIMING.silence_ms
    assert roster.expired(59_999) == []
    assert [held.fence for held in roster.expired(60_000)] == [8]
    assert outlet.notices == [Standing(lost=(8,))]
    assert [held.fence for held in roster.expired(75_000)] == [7]
    assert roster.expired(10**9) == []


def test_a_worker_is_told_of_leases_that_it_does_not_hold() -> None:
    """P4: those of others, those that have ended, and those that never were."""
    roster = Roster(TIMING)
    worker = registered(roster, Outlet())
    roster.granted(worker, leased(7), 0)
    assert roster.renew(worker, [6, 7, 99], 1) == Standing(lost=(6, 99))


def test_a_lease_lost_on_the_way_is_given_back_at_once() -> None:
    """P3: the worker is back, and does not name it; so it never came, and no attempt has begun."""
    roster = Roster(TIMING)
    worker = registered(roster, Outlet())
    roster.granted(worker, leased(7, 8), 0)
    again = Outlet()
    standing, unknown = roster.register(worker.registration, again, (8,), 1_000)
    assert standing == Standing()
    assert [held.fence for held in unknown] == [7]
    assert list(worker.leases) == [8]
    assert worker.leases[8].until_ms == 61_000


def test_a_worker_without_a_connection_is_suspect_at_once_and_keeps_its_leases() -> None:
    """P4: nothing more for it; what it holds is its own until the leases end."""
    roster, outlet = Roster(TIMING), Outlet()
    worker = registered(roster, outlet)
    roster.granted(worker, leased(7), 0)
    assert roster.count(1) == FleetCount(1, 0, 3, 1)
    assert roster.left("far", outlet) is worker
    assert roster.state(worker, 1) == "suspect"
    assert roster.count(1) == FleetCount(0, 1, 0, 1)
    assert roster.wanted(worker, 1) == 0
    assert roster.crew() == ()
    assert registered(roster, Outlet(), 2, [7]) is worker
    assert roster.state(worker, 2) == "ready"


def test_the_old_connection_of_a_worker_speaks_for_it_no_more() -> None:
    """P4: neither its words nor its end count."""
    roster, old, new = Roster(TIMING), Outlet(), Outlet()
    registered(roster, old)
    worker = registered(roster, new)
    assert roster.speaker("far", old) is None
    assert roster.left("far", old) is None
    assert worker.outlet is new


def test_a_silent_worker_is_suspect_and_gets_nothing_more() -> None:
    """P4: its connection stands, but it has missed two heartbeats."""
    roster = Roster(TIMING)
    worker = registered(roster, Outlet())
    assert roster.next_ms(0) == TIMING.silence_ms
    assert roster.wanted(worker, TIMING.silence_ms - 1) == 4
    assert roster.wanted(worker, TIMING.silence_ms) == 0
    assert roster.state(worker, TIMING.silence_ms) == "suspect"
    roster.renew(worker, (), TIMING.silence_ms)
    assert roster.wanted(worker, TIMING.silence_ms) == 4


def test_a_worker_that_is_gone_is_forgotten_when_its_last_lease_has_ended() -> None:
    """P11: names of workers do not pile up."""
    roster, outlet = Roster(TIMING), Outlet()
    worker = registered(roster, outlet)
    roster.granted(worker, leased(7), 30_000)
    roster.left("far", outlet)
    roster.expired(60_000)
    assert "far" in roster.workers
    roster.expired(90_000)
    assert roster.workers == {}
    assert roster.next_ms(90_000) is None


def test_a_report_makes_room_unless_it_names_another_job() -> None:
    """P4: such a report will be refused, and the lease must still end."""
    roster = Roster(TIMING)
    worker = registered(roster, Outlet())
    roster.granted(worker, leased(7), 0)
    roster.reported(worker, [Report("other", 7, Succeeded()), Report("job-99", 99, Succeeded())], 1)
    assert list(worker.leases) == [7]
    roster.reported(worker, [Report("job-7", 7, Succeeded())], 1)
    assert worker.leases == {}


def test_a_cancel_reaches_the_worker_now_and_with_each_heartbeat() -> None:
    """P3: it may have been lost once."""
    roster, outlet = Roster(TIMING), Outlet()
    worker = registered(roster, outlet)
    roster.granted(worker, leased(7), 0)
    roster.cancelled(7)
    assert outlet.notices == [Standing(cancel=(7,))]
    assert roster.renew(worker, [7], 1).cancel == (7,)
    assert roster.renew(worker, [7], 2).cancel == (7,)


def test_a_cancel_may_come_before_the_lease() -> None:
    """P3: one commit can let go of both, in either order; what is kept for that is bounded."""
    roster = Roster(TIMING)
    worker = registered(roster, Outlet())
    for fence in range(EARLY_CANCELS_MAX + 1):
        roster.cancelled(fence)
    granted = roster.granted(worker, leased(0, EARLY_CANCELS_MAX), 0)
    assert granted == Standing(cancel=(EARLY_CANCELS_MAX,))
    assert roster.renew(worker, [EARLY_CANCELS_MAX], 1).cancel == (EARLY_CANCELS_MAX,)


def test_a_worker_is_warned_once_when_a_timeout_has_passed() -> None:
    """P4: the grace is for it to end the attempt; heartbeats repeat the warning."""
    roster, outlet = Roster(TIMING), Outlet()
    worker = registered(roster, outlet)
    roster.granted(worker, leased(7, deadline_ms=15_000), 0)
    assert roster.next_ms(0) == 5_000
    roster.warn(4_999)
    assert outlet.notices == []
    roster.warn(5_000)
    roster.warn(6_000)
    assert outlet.notices == [Standing(overdue=(7,))]
    assert roster.renew(worker, [7], 7_000).overdue == (7,)


def test_a_job_that_time_has_taken_is_lost_to_its_worker() -> None:
    """P4: the job manager decided so; unknown fences are those of the server's own workers."""
    roster, outlet = Roster(TIMING), Outlet()
    worker = registered(roster, outlet)
    roster.granted(worker, leased(7), 0)
    roster.taken(7)
    roster.taken(8)
    assert worker.leases == {}
    assert outlet.notices == [Standing(lost=(7,))]


def test_a_node_that_stood_still_blames_nobody() -> None:
    """P4: nobody could renew anything meanwhile."""
    roster = Roster(TIMING)
    worker = registered(roster, Outlet())
    roster.granted(worker, leased(7), 0)
    roster.forgive(70_000)
    assert roster.expired(70_000) == []
    assert roster.state(worker, 70_000) == "ready"
    assert [held.fence for held in roster.expired(130_000)] == [7]


def test_a_new_life_knows_the_leases_of_the_log_and_waits_a_full_time() -> None:
    """P4: only those of workers on other machines; a cancel request is not forgotten."""
    book = Playbook()
    book.enqueue("here", "a", "b")
    book.lease()
    a, b = book.lease(2, worker_id="far", lease_ms=60_000)
    roster = Roster(TIMING)
    roster.inherit(book.state.in_flight.values(), NOON_MS + 1_000_000)
    (worker,) = roster.workers.values()
    assert (roster.state(worker, NOON_MS), worker.known) == ("suspect", False)
    assert [held.until_ms for held in worker.leases.values()] == [NOON_MS + 1_060_000] * 2
    registered(roster, Outlet(), NOON_MS + 1_001_000, [a.fence, b.fence])
    assert list(worker.leases) == [a.fence, b.fence]
    assert worker.known


def test_a_worker_that_says_goodbye_leaves_what_it_holds() -> None:
    """P4: its leases go back at once."""
    roster = Roster(TIMING)
    worker = registered(roster, Outlet())
    roster.granted(worker, leased(7, 8), 0)
    assert [held.fence for held in roster.retire(worker)] == [7, 8]
    assert roster.workers == {}


def test_what_a_worker_wants_is_what_it_can_hold_and_does_not() -> None:
    """P11: never more than it has asked for; one that drains is shown so."""
    roster = Roster(TIMING)
    worker = registered(roster, Outlet(), slots=2)
    assert roster.wanted(worker, 0) == 2
    roster.granted(worker, leased(7, 8), 0)
    assert roster.wanted(worker, 0) == 0
    worker.registration = worker.registration._replace(slots=0)
    assert (roster.wanted(worker, 0), roster.state(worker, 0)) == (0, "draining")
    (view,) = roster.views(0)
    assert (view.state, view.in_flight, view.connected_ms, view.seen_ms) == ("draining", 2, 0, 0)
