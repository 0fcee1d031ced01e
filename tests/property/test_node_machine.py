"""The whole node as a state machine: rules do something to it, and what fails shrinks to a short script.

Between two rules nothing moves: `held_node.py` lets the node go on for some steps of its tasks, or until
something has happened, and then holds it again. So a script can stop the node in the middle of anything and
kill it there. All chance is drawn in the rules; the oracle listens all the time. In the end the node is
spared, and must get everything done.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings, strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from beaver_actors.client.new_jobs import new_job
from beaver_actors.testing.customer import Word
from beaver_actors.testing.disk import CHANGES
from beaver_actors.testing.load import QUEUES
from beaver_actors.testing.machine import Death
from beaver_actors.testing.sabotage import ACTORS
from tests.property.held_node import HeldNode, Setting

MENU: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "work": ("work", {"n": 1}, {}),
    "work that takes a while": ("work", {"n": 2, "ms": 400}, {}),
    "work that comes first": ("work", {"n": 3}, {"priority": 5, "queue": "mail"}),
    "work for later": ("work", {"n": 4}, {"delay": 1}),
    "work of many sectors": ("work", {"n": 5}, {"meta": {"fill": "x" * 2000}}),
    "work in another queue": ("work", {"n": 6}, {"queue": "low"}),
    "tells": ("tell", {"ms": 300}, {}),
    "fails once": ("flaky", {"fails": 1}, {}),
    "fails for good": ("flaky", {"fails": 3}, {"max_attempts": 2, "backoff": [0.5]}),
    "snoozes": ("snooze", {}, {}),
    "rejects": ("reject", {}, {}),
    "overruns": ("slow", {}, {"queue": "mail"}),
    "expired": ("work", {"n": 7}, {"expires_at": "2020-01-01T00:00:00Z"}),
    "for nobody": ("nobody", {}, {}),
    "kills its process": ("killer", {}, {}),
}
"""Kind, arguments and options of the jobs that clients ask for."""

SETTINGS = st.builds(
    Setting,
    workers=st.sampled_from([1, 2, 4]),
    grace_seconds=st.sampled_from([30, 1, 0]),
    segment_bytes=st.sampled_from([1 << 18, 4096]),
    appends_waiting=st.sampled_from([4, 1]),
    snapshot_seconds=st.sampled_from([30, 0.5]),
    snapshot_growth=st.sampled_from([0.002, 0.0]),
    snapshot_log_bytes=st.sampled_from([1 << 20, 4096]),
    queue_jobs=st.sampled_from([1000, 1000, 4]),
    kept=st.sampled_from(["for days", "for days", "few", "shortly"]),
    publisher=st.sampled_from(["roomy", "tight"]),
    disk_seconds=st.sampled_from([0.0, 0.005, 0.3]),
    network_seconds=st.sampled_from([0.0, 0.01, 0.5]),
)
BATCH = st.lists(st.sampled_from(list(MENU)), min_size=1, max_size=4)
TURNS = st.integers(0, 1 << 16)
"""Decides which of the tasks that are ready gets its turn first; 0: that which was made first."""
LUCK = st.integers(0, 1 << 16)
STEPS = st.none() | st.integers(0, 30) | st.integers(0, 300)
"""For how many steps of tasks the node goes on after a rule; None: until what was asked for has happened."""
CALLS = st.integers(1, 12) | st.integers(1, 120)
"""The how-manieth disk call from now."""
DEATHS: st.SearchStrategy[Death] = st.sampled_from(["kill", "power"])
EITHER = st.integers(0, 1)


class NodeMachine(RuleBasedStateMachine):
    jobs = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.node: HeldNode | None = None
        self.sent: dict[str, str] = {}
        """Names of jobs, and what was ordered under them."""

    @initialize(target=jobs, setting=SETTINGS, turns=TURNS, watchers=st.integers(0, 2), order=BATCH)
    def begin(self, setting: Setting, turns: int, watchers: int, order: list[str]) -> MultipleResults[str]:
        self.node = HeldNode(setting, turns)
        self.node.boot()
        for watcher in range(watchers):
            self.node.watch(watcher)
        return self.enqueue_new(0, order, None)

    @property
    def held(self) -> HeldNode:
        assert self.node is not None
        return self.node

    def alive(self) -> bool:
        return self.node is not None and self.node.alive

    def dead(self) -> bool:
        return self.node is not None and not self.node.alive

    def asking(self) -> bool:
        return self.node is not None and bool(self.node.calls)

    def healthy(self) -> bool:
        """Nothing is wrong with the disk, and no death is planned."""
        return self.node is not None and not self.node.troubled

    # What clients do.

    @rule(target=jobs, client=EITHER, order=BATCH, steps=STEPS)
    def enqueue(self, client: int, order: list[str], steps: int | None) -> MultipleResults[str]:
        return self.enqueue_new(client, order, steps)

    def enqueue_new(self, client: int, order: list[str], steps: int | None) -> MultipleResults[str]:
        names = [f"job-{len(self.sent) + number}" for number in range(len(order))]
        self.sent.update(zip(names, order, strict=True))
        self.send(client, names, steps)
        return multiple(*names)

    @rule(client=EITHER, again=st.lists(jobs, min_size=1, max_size=3, unique=True), steps=STEPS)
    def enqueue_again(self, client: int, again: list[str], steps: int | None) -> None:
        """A client that has lost its answer, or another one with the same jobs."""
        self.send(client, again, steps)

    def send(self, client: int, names: list[str], steps: int | None) -> None:
        jobs = []
        for name in names:
            kind, args, options = MENU[self.sent[name]]
            jobs.append(new_job(kind, args, id=name, **options))
        self.held.enqueue(client, jobs, steps)

    @precondition(alive)
    @rule(client=EITHER, job=jobs)
    def enqueue_other_content(self, client: int, job: str) -> None:
        """Two programs have used the same id."""
        self.held.enqueue(client, [new_job("work", {"n": -1}, id=job)], None)

    @precondition(alive)
    @rule(
        client=EITHER,
        word=st.sampled_from(["cancel", "retry", "delete"]),
        which=st.lists(jobs, min_size=1, max_size=2, unique=True),
        steps=STEPS,
    )
    def change(self, client: int, word: Word, which: list[str], steps: int | None) -> None:
        self.held.change(client, word, which, steps)

    @precondition(alive)
    @rule(client=EITHER, queue=st.sampled_from(QUEUES), steps=STEPS)
    def pause(self, client: int, queue: str, steps: int | None) -> None:
        self.held.pause(client, queue, steps)

    @precondition(alive)
    @rule(client=EITHER, steps=STEPS)
    def look(self, client: int, steps: int | None) -> None:
        self.held.look(client, steps)

    @precondition(asking)
    @rule()
    def cancel_call(self) -> None:
        self.held.cancel_call()

    @precondition(alive)
    @rule(watcher=EITHER, what=st.sampled_from(["follow", "leave", "look away", "look again"]))
    def watch(self, watcher: int, what: str) -> None:
        """Someone follows events from where it was, or follows no more, or takes none for a while."""
        one = self.held.watchers[watcher]
        match what:
            case "follow":
                self.held.watch(watcher)
            case "leave":
                one.leave()
            case "look away":
                one.look_away()
            case _:
                one.look_again()

    # What time, disk and network do.

    @precondition(alive)
    @rule(seconds=st.sampled_from([0.1, 0.5, 3, 40]))
    def wait(self, seconds: float) -> None:
        self.held.wait(seconds)

    @precondition(alive)
    @rule(steps=st.integers(1, 300))
    def go_on(self, steps: int) -> None:
        self.held.go_on(steps)

    @precondition(alive)
    @rule(which=LUCK, silently=st.booleans())
    def break_connection(self, which: int, silently: bool) -> None:
        self.held.break_connection(which, silently=silently)

    @precondition(healthy)
    @rule(
        kinds=st.sampled_from([frozenset({"datasync"}), frozenset({"write_at"}), CHANGES]),
        number=CALLS,
        for_ever=st.booleans(),
        luck=LUCK,
    )
    def break_disk(self, kinds: frozenset[str], number: int, for_ever: bool, luck: int) -> None:
        self.held.break_disk(kinds, number, luck, for_ever=for_ever)

    @precondition(alive)
    @rule(left_bytes=st.sampled_from([None, 0, 100, 5000]))
    def fill_disk(self, left_bytes: int | None) -> None:
        """All but so many bytes are taken; None: there is room again."""
        if left_bytes is None:
            self.held.make_room()
        else:
            self.held.fill_disk(left_bytes)

    @precondition(alive)
    @rule(luck=LUCK)
    def look_at_disk(self, luck: int) -> None:
        """What if the power went now?"""
        self.held.look_at_disk(luck)

    # What befalls the process.

    @precondition(dead)
    @rule(jump_ms=st.sampled_from([0, 0, 3_600_000, -5000, -86_400_000]), steps=STEPS)
    def boot(self, jump_ms: int, steps: int | None) -> None:
        """Start a process; the wall clock may have jumped meanwhile."""
        self.held.machine.wall_offset_ms += jump_ms
        self.held.boot(steps)

    @precondition(alive)
    @rule(how=DEATHS, luck=LUCK)
    def die(self, how: Death, luck: int) -> None:
        self.held.die(how, luck)

    @precondition(healthy)
    @rule(number=CALLS, how=DEATHS, luck=LUCK)
    def die_in_call(self, number: int, how: Death, luck: int) -> None:
        self.held.die_in_call(number, how, luck)

    @precondition(healthy)
    @rule(number=st.integers(1, 40) | st.integers(1, 1000), how=DEATHS, luck=LUCK)
    def die_in_step(self, number: int, how: Death, luck: int) -> None:
        self.held.die_in_step(number, how, luck)

    @precondition(healthy)
    @rule(number=st.integers(1, 12))
    def kill_fold(self, number: int) -> None:
        self.held.kill_fold(number)

    @precondition(alive)
    @rule(actor=st.sampled_from(list(ACTORS)), which=EITHER, steps=st.integers(0, 60))
    def fail(self, actor: str, which: int, steps: int) -> None:
        self.held.fail(actor, which)
        self.held.go_on(steps)

    @precondition(alive)
    @rule(hurry=st.booleans(), steps=STEPS)
    def stop(self, hurry: bool, steps: int | None) -> None:
        self.held.stop(hurry=hurry, steps=steps)

    def teardown(self) -> None:
        if self.node is not None:
            try:
                if not self.node.failed:
                    self.node.see_it_done()
            finally:
                self.node.close()


@pytest.mark.timeout(1800)  # a failure takes minutes to shrink
def test_whatever_befalls_a_node_it_keeps_its_promises() -> None:
    """P1–P12, by a state machine over the running node; a failure is printed as a script of rules."""
    examples = settings(
        stateful_step_count=30,
        report_multiple_bugs=False,
        # No phase that explains: it runs hundreds of examples more, and the script says it all.
        phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.target, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    run_state_machine_as_test(NodeMachine, settings=examples)
