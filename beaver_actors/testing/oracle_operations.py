"""Operations on many jobs, as the oracle sees them: a wish about every job that fits, carried out in the
background, which a crash may interrupt and must not lose, and which passes over no job.
"""

from __future__ import annotations

from beaver_actors.client.views import OperationInfo
from beaver_actors.core.operation import Operation, OperationWord, Wanted, fits
from beaver_actors.core.state import State
from beaver_actors.testing.oracle_notes import Broken, Notes, Sweep


class Sweeps:
    """All operations that were ever asked for.

    Args:
        notes: the oracle's, which are told whom an operation may be about.
    """

    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    def sent(self, operation_id: str, word: OperationWord, wanted: Wanted) -> None:
        """An operation is asked for, or again."""
        sweep = self._notes.sweeps.setdefault(operation_id, Sweep(word, wanted))
        sweep.open += 1
        for known in self._notes.jobs.values():
            sweep.mark(known)

    def answered(self, info: OperationInfo | None, operation_id: str) -> None:
        """The request was granted, or refused (None)."""
        sweep = self._notes.sweeps[operation_id]
        sweep.open -= 1
        if info is not None:
            sweep.granted = True
            self.shown(info)

    def shown(self, info: OperationInfo) -> None:
        """A client was shown an operation."""
        sweep = self._notes.sweeps.get(info.id)
        if sweep is None:
            raise Broken("P3", None, f"operation {info.id} was shown, and nobody asked for it")
        sweep.granted = True
        told = info.state != "running", info.looked_at, info.changed, info.refused
        sweep.told = tuple(map(max, sweep.told, told))

    def check(self, state: State) -> None:
        """Every operation is there that must be, as far as was told, and has left no job behind.

        Raises:
            Broken: the first thing that is otherwise.
        """
        for operation_id, sweep in self._notes.sweeps.items():
            operation = state.operations.get(operation_id)
            if operation is None:
                if sweep.granted:
                    raise Broken("P3", None, f"operation {operation_id} was acknowledged, and is lost")
                continue
            if not sweep.granted and sweep.open <= 0:
                raise Broken("P1", None, f"operation {operation_id} is there, and was refused")
            if (operation.word, operation.wanted) != (sweep.word, sweep.wanted):
                raise Broken("P3", None, f"operation {operation_id} is there with other content: {operation}")
            reached = operation.state != "running", operation.looked_at, operation.changed, operation.refused
            if any(now < told for now, told in zip(reached, sweep.told, strict=True)):
                text = f"operation {operation_id} was told to have come to {sweep.told}, and is at {reached}"
                raise Broken("P1", None, text)
            _check_reach(operation, state)
        strange = state.operations.keys() - self._notes.sweeps.keys()
        if strange:
            raise Broken("P3", None, f"operation {min(strange)} is there, and nobody asked for it")

    def check_finished(self, state: State) -> None:
        """In the end every operation has come to its end.

        Raises:
            Broken: one has not.
        """
        for operation in state.operations.values():
            if operation.state == "running":
                raise Broken("P3", None, f"operation {operation.id} still runs in the end: {operation}")


def _check_reach(operation: Operation, state: State) -> None:
    """Of the jobs that it has passed, those that are meant and unchanged since were refused, and counted."""
    reach = operation.lsn if operation.state == "completed" else operation.cursor
    left = [
        job.id
        for job in state.jobs.values()
        if job.order <= reach and job.lsn <= operation.lsn and fits(job, operation.wanted)
    ]
    if len(left) > operation.refused:
        text = f"operation {operation.id} refused {operation.refused} jobs, and left {len(left)} as they were"
        raise Broken("P3", left[-1], text)
