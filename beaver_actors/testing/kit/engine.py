"""The queue of a test kit: the real core on the real journal, on a disk and a clock that belong to the test.

A command is decided, its facts are folded, appended and synced: what is answered is on disk (P1), here too.
It runs no jobs and speaks no protocol. Everything happens at once, in the caller's thread.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from beaver_actors.almanac.timing import due_times, next_times
from beaver_actors.codec.wire_past import PastReply, Wish
from beaver_actors.core.answers import Answer, Recovered
from beaver_actors.core.carry import carry_out
from beaver_actors.core.commands import Command, Fire, Policy, Recover
from beaver_actors.core.decide import decide
from beaver_actors.core.facts import Fact
from beaver_actors.core.fires import CATCH_UP_MAX
from beaver_actors.core.state import State, advance
from beaver_actors.journal.past_replies import past_reply
from beaver_actors.journal.recovery import open_journal
from beaver_actors.journal.settings import JournalSettings
from beaver_actors.testing.disk import SimulatedDisk

SETTINGS: Final = JournalSettings(segment_bytes=1 << 18, reserve_bytes=1 << 18)
"""Small, as each test has a disk of its own in memory."""


class Engine:
    """One queue.

    Args:
        policy: the rules that commands are judged by.
        now_ms: the time at the start, milliseconds UTC.
    """

    def __init__(self, policy: Policy, now_ms: int) -> None:
        self.policy = policy
        self.now_ms = now_ms
        self.listeners: list[Callable[[], None]] = []
        """Called after each command that has changed something."""
        self._disk = SimulatedDisk()
        self._state, self._journal, _ = open_journal(self._disk, SETTINGS)

    @property
    def head(self) -> int:
        """The position of the last fact."""
        return self._journal.head

    @property
    def state(self) -> State:
        """What the facts so far make."""
        return self._state

    def do(self, command: Command) -> Answer:
        """Carry out a command, and return its answer once it is on disk."""
        advance(self._state, self.now_ms)
        facts, answer = decide(self._state, command, self.now_ms, self.policy)
        if facts:
            self._journal.append(carry_out(self._state, facts, self.now_ms))
            if self._journal.wants_replenishing:
                self._journal.replenish()
            for listener in tuple(self.listeners):
                listener()
        return answer

    def fire_due(self) -> int | None:
        """Bring the jobs of schedules whose times have come, as the server's scheduler does; returns when the
        next one comes, milliseconds UTC, None for never."""
        ahead: list[int] = []
        for schedule in list(self._state.schedules.values()):
            if schedule.paused:
                continue
            plan, now_ms = schedule.plan, self.now_ms
            times_ms, earlier = due_times(plan, schedule.through_ms, now_ms, CATCH_UP_MAX + 1)
            if times_ms:
                self.do(Fire(schedule.name, schedule.revision, times_ms, now_ms, earlier))
            ahead += next_times(plan, max(schedule.through_ms, now_ms))
        return min(ahead, default=None)

    def look_back(self, wish: Wish) -> PastReply:
        """Answer a question about the past."""
        return past_reply(self._disk, wish, self.now_ms)

    def facts_after(self, lsn: int) -> list[tuple[int, Fact]]:
        """The facts after a position, with their own, read back from the log."""
        return self._journal.read_from(lsn + 1, self.head - lsn)

    def die(self, running: frozenset[int], power: Random | None = None) -> Recovered:
        """End the server's process without warning, and recover from what is on disk.

        Args:
            running: fences of the attempts that had begun.
            power: if given, the power goes too, and this draws what has reached the disk of what was not
                synced.
        """
        if power is None:
            self._disk.kill()
        else:
            self._disk.power_loss(power)
        self._state, self._journal, _ = open_journal(self._disk, SETTINGS)
        answer = self.do(Recover(running))
        assert isinstance(answer, Recovered)
        return answer
