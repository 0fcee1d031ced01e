"""How the journal uses its disk. Values come from the configuration; this file alone knows their defaults."""

from __future__ import annotations

from dataclasses import dataclass

SEGMENT_BYTES_MIN = 4096


@dataclass(frozen=True, slots=True)
class JournalSettings:
    """Sizes and numbers of files.

    Raises:
        ValueError: a value out of its range.
    """

    segment_bytes: int = 16 << 20
    """A segment is given its room in full when it is made. Small ones are deleted sooner after a snapshot,
    large ones are changed less often, which takes some syncs each time."""
    reserve_bytes: int = 64 << 20
    """Kept back for a full disk: to start on it, to record outcomes, and to fold the snapshot that lets the
    log be cut. Four segments: one for the first, one for the second, two for a small snapshot."""
    snapshots_kept: int = 2
    """With two, a rotten newest one is survived."""

    def __post_init__(self) -> None:
        _expect("segment_bytes", self.segment_bytes, SEGMENT_BYTES_MIN)
        _expect("reserve_bytes", self.reserve_bytes, self.segment_bytes)
        _expect("snapshots_kept", self.snapshots_kept, 2)


def _expect(name: str, value: int, least: int) -> None:
    if value < least:
        raise ValueError(f"{name}: expected at least {least}, got {value}")
