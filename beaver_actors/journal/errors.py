"""What can go wrong with a data directory, each with a message that says what to do.

`OSError` is not wrapped: a disk that fails is told by the operating system's own words, and ends the run.
"""

from __future__ import annotations


class JournalError(Exception):
    """The data directory cannot be used as it is."""


class DirectoryUnusable(JournalError):
    """The data directory cannot be made, read or written."""


class DirectoryLocked(JournalError):
    """Another process owns the data directory (P9).

    Attributes:
        pid: the process that holds the lock, None if it did not say.
    """

    def __init__(self, place: str, pid: int | None) -> None:
        owner = "another process" if pid is None else f"process {pid}"
        super().__init__(
            f"{place} is in use by {owner}. Stop it first, or start this server with another data directory."
        )
        self.pid = pid


class UnknownFormat(JournalError):
    """Written by a newer version of the program: older formats go on being read. Nothing is damaged.

    Attributes:
        file: where it was seen.
        found: the version that is written there.
        supported: the one that this program reads.
        reason: both, in words.
    """

    def __init__(self, file: str, found: int, supported: int) -> None:
        self.file = file
        self.found = found
        self.supported = supported
        self.reason = f"has format version {found}; this program reads version {supported}"
        super().__init__(
            f"{file} {self.reason}. A newer version of beaver_actors wrote it: "
            "use that one or a later one. Nothing is damaged."
        )


class Damaged(JournalError):
    """Something that was written whole cannot be read (P6). Nothing has been changed.

    Attributes:
        file: its name inside the data directory.
        offset: where in it, in bytes; None where that says nothing.
        lsn: the first fact that cannot be read.
        reason: what is wrong there.
    """

    def __init__(self, place: str, file: str, offset: int | None, lsn: int, reason: str) -> None:
        where = f"{place}/{file}" + ("" if offset is None else f" at offset {offset}")
        super().__init__(
            f"{where}: {reason}. Facts from LSN {lsn} on cannot be read. Look closer with\n"
            f"  python -m beaver_actors verify --data-dir {place}\n"
            "and restore a copy of the directory, or give up what is lost with\n"
            f"  python -m beaver_actors verify --data-dir {place} --repair --accept-loss"
        )
        self.file = file
        self.offset = offset
        self.lsn = lsn
        self.reason = reason


class NoSpace(JournalError):
    """The disk is full, and what was tried could not do without space."""


class AppendRefused(JournalError):
    """The disk is full beyond the reserve: these facts are definitely not written, and the log goes on."""


class JournalPoisoned(JournalError):
    """An earlier write or sync failed; what is on disk is unknown until the next start (P8)."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(
            f"the journal ended with an earlier failure: {cause}. The process must be restarted."
        )


class HistoryGone(JournalError):
    """These facts were deleted; a snapshot stands for them.

    Attributes:
        oldest_lsn: the oldest fact that can still be read.
    """

    def __init__(self, lsn: int, oldest_lsn: int) -> None:
        super().__init__(f"LSN {lsn} is gone; the log begins with LSN {oldest_lsn}")
        self.oldest_lsn = oldest_lsn
