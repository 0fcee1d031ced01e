"""Folding: the previous snapshot and the sealed segments after it become the next snapshot.

It reads through the same code as recovery, so a snapshot is what recovery would have come to. It touches no
file that a running server writes, except that it may spend the ballast; deleting segments is the server's
work, and comes after (what is deleted last is never missed).
"""

from __future__ import annotations

from typing import NamedTuple

from beaver_actors.journal.disk import Disk
from beaver_actors.journal.replay import replay
from beaver_actors.journal.reserve import spend_ballast
from beaver_actors.journal.snapshots import prune_snapshots, remove_temporaries, save_snapshot


class Folded(NamedTuple):
    """A new snapshot is durable."""

    lsn: int
    """It holds the state after this fact."""
    keep_from_lsn: int
    """The first fact that the oldest kept snapshot does not hold: older segments may go."""
    bytes: int
    """The size of the file; 0 if there was nothing to do."""
    jobs: int
    facts: int
    """How many were folded in."""
    refused: tuple[str, ...]
    """Older snapshots that could not be read, each with the reason."""


def fold_snapshot(disk: Disk, through_lsn: int, keep: int, owner: str) -> Folded:
    """Make the snapshot of the state after `through_lsn`, and delete those that are not to be kept.

    Args:
        through_lsn: the last fact in sealed segments.
        keep: how many snapshots to keep, the new one included.
        owner: as in `save_snapshot`.

    Raises:
        Damaged, UnknownFormat: the log or the snapshots cannot be read.
        NoSpace: the disk is full, and even the ballast was not enough.
    """
    remove_temporaries(disk)
    replayed = replay(disk, through_lsn)
    size = 0
    if replayed.snapshot_lsn != through_lsn:
        size = save_snapshot(
            disk,
            replayed.state,
            epoch=replayed.epoch,
            chain=replayed.chain,
            owner=owner,
            # This snapshot is what lets the log be cut, so it is worth the ballast.
            make_room=lambda: spend_ballast(disk),
        )
    return Folded(
        lsn=through_lsn,
        keep_from_lsn=prune_snapshots(disk, keep, [refused.lsn for refused in replayed.refused]),
        bytes=size,
        jobs=len(replayed.state.jobs),
        facts=replayed.facts,
        refused=tuple(f"{refused.name}: {refused.reason}" for refused in replayed.refused),
    )
