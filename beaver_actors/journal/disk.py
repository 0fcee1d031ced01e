"""The disk port: every effect of the journal on files goes through the few calls of `Disk`.

`RealDisk` makes them on one data directory. Nothing else in this package opens, writes, renames or lists, so
a simulated disk that implements the same calls sees, and may fail, everything. Errors are `OSError`, as the
operating system raises them. Names are relative to the data directory, with `/` between their parts.
"""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from typing import Protocol

from beaver_actors.journal.errors import DirectoryLocked

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
"""The disk, or this user's share of it, is full. Every other error of a write leaves its effect unknown."""

PID_DIGITS_MAX = 9
"""The kernel counts processes to 4 million at most."""


class DiskFile(Protocol):
    """A file open for writing."""

    def write_at(self, data: bytes, offset: int) -> int:
        """Write with one call; return how many bytes were taken, which may be fewer."""
        ...

    def datasync(self) -> None:
        """Return when data and size are on disk. After an error what is there is unknown, and a further
        call must not be believed."""
        ...

    def truncate(self, size: int) -> None: ...

    def preallocate(self, size: int) -> None:
        """Make the file `size` bytes long, with room for all of them; the new ones read as zeros."""
        ...

    def close(self) -> None: ...


class DiskLock(Protocol):
    """The ownership of the data directory; ends with the process at the latest."""

    def release(self) -> None: ...


class Disk(Protocol):
    """One data directory."""

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        ...

    def make_directory(self, name: str = "") -> None:
        """Make a directory, by default the data directory itself, unless it exists. Its name is on disk when
        this returns, in any case: whoever made it may have died before that."""
        ...

    def names(self, directory: str = "") -> list[str]:
        """The names in a directory, sorted."""
        ...

    def size(self, name: str) -> int: ...

    def read(self, name: str, offset: int = 0, size: int | None = None) -> bytes:
        """Bytes from `offset` on: `size` of them, fewer only at the end; all by default."""
        ...

    def create(self, name: str) -> DiskFile:
        """Make a file that does not exist yet."""
        ...

    def open(self, name: str) -> DiskFile:
        """Open a file that exists, for writing."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Move a file, at once and over an existing one."""
        ...

    def unlink(self, name: str) -> None: ...

    def sync_directory(self, directory: str = "") -> None:
        """Return when the names in a directory are on disk: files made, renamed and unlinked."""
        ...

    def free_bytes(self) -> int:
        """Room that this user may still take."""
        ...

    def lock(self, name: str) -> DiskLock:
        """Take the ownership.

        Raises:
            DirectoryLocked: another process has it.
        """
        ...

    def lock_holder(self, name: str) -> int | None:
        """The process that seems to own the directory; takes nothing, so it is safe beside a server."""
        ...


def write_whole(file: DiskFile, data: bytes, offset: int) -> None:
    """Write all of `data` into a file that nobody reads before it is synced and renamed.

    Not for the log: there, two writes into one sector may reach the disk one without the other.
    """
    while data:
        written = file.write_at(data, offset)
        if written == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        data, offset = data[written:], offset + written


class RealDisk:
    """A directory of the file system. Job arguments may be secret: only the owner may read the files."""

    def __init__(self, path: str) -> None:
        self._path = os.path.abspath(path)

    @property
    def place(self) -> str:
        return self._path

    def make_directory(self, name: str = "") -> None:
        _make_directory(self._at(name))

    def names(self, directory: str = "") -> list[str]:
        return sorted(os.listdir(self._at(directory)))

    def size(self, name: str) -> int:
        return os.stat(self._at(name)).st_size

    def read(self, name: str, offset: int = 0, size: int | None = None) -> bytes:
        with open(self._at(name), "rb", buffering=0) as file:
            file.seek(offset)
            if size is None:
                return file.readall()
            parts: list[bytes] = []
            while size > 0 and (part := file.read(size)):
                parts.append(part)
                size -= len(part)
            return b"".join(parts)

    def create(self, name: str) -> DiskFile:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        path = self._at(name)
        return _RealFile(os.open(path, flags, 0o600), path)

    def open(self, name: str) -> DiskFile:
        path = self._at(name)
        return _RealFile(os.open(path, os.O_RDWR | os.O_CLOEXEC), path)

    def rename(self, old: str, new: str) -> None:
        os.rename(self._at(old), self._at(new))

    def unlink(self, name: str) -> None:
        os.unlink(self._at(name))

    def sync_directory(self, directory: str = "") -> None:
        _sync_directory(self._at(directory))

    def free_bytes(self) -> int:
        stats = os.statvfs(self._path)
        return stats.f_bavail * stats.f_frsize

    def lock(self, name: str) -> DiskLock:
        descriptor = os.open(self._at(name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise DirectoryLocked(self._path, _read_pid(self._at(name))) from None
        except OSError:
            os.close(descriptor)
            raise
        try:
            # For the message of a second server only; the lock itself is the kernel's.
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        except OSError as error:
            if error.errno not in NO_SPACE:
                os.close(descriptor)
                raise
        return _RealLock(descriptor)

    def lock_holder(self, name: str) -> int | None:
        pid = _read_pid(self._at(name))
        if pid is None:
            return None
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except PermissionError:
            pass  # it lives, under another user
        return pid

    def _at(self, name: str) -> str:
        return os.path.join(self._path, name) if name else self._path


class _RealFile:
    """Its errors name the file, which the system's own do not once it is open."""

    def __init__(self, descriptor: int, path: str) -> None:
        self._descriptor = descriptor
        self._path = path

    def write_at(self, data: bytes, offset: int) -> int:
        try:
            return os.pwrite(self._descriptor, data, offset)
        except OSError as error:
            raise _naming(self._path, error) from None

    def datasync(self) -> None:
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            raise _naming(self._path, error) from None

    def truncate(self, size: int) -> None:
        try:
            os.ftruncate(self._descriptor, size)
        except OSError as error:
            raise _naming(self._path, error) from None

    def preallocate(self, size: int) -> None:
        try:
            os.posix_fallocate(self._descriptor, 0, size)
        except OSError as error:
            raise _naming(self._path, error) from None

    def close(self) -> None:
        os.close(self._descriptor)


def _naming(path: str, error: OSError) -> OSError:
    return OSError(error.errno, error.strerror, path)


class _RealLock:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        """The name of the holder goes first; the file stays, because another may be waiting on it."""
        try:
            # A disk that fails keeps the name. Nobody is to be told of that instead of the first failure.
            with suppress(OSError):
                os.ftruncate(self._descriptor, 0)
        finally:
            os.close(self._descriptor)


def _make_directory(path: str) -> None:
    """Make it, and those above it that are missing, each with its name on disk."""
    above = os.path.dirname(path)
    existed = os.path.isdir(path)
    if not existed:
        if not os.path.isdir(above):
            _make_directory(above)
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            if not os.path.isdir(path):  # else another process was quicker
                raise
    try:
        _sync_directory(above)
    except PermissionError:
        if not existed:
            raise
        # Somebody else has prepared it for this user, who may not look into the directory above.


def _sync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise _naming(path, error) from None
    finally:
        os.close(descriptor)


def _read_pid(path: str) -> int | None:
    try:
        with open(path, "rb") as file:
            text = file.read(20).strip()
    except FileNotFoundError:
        return None
    # Longer ones are no process, and asking the system about such a number raises.
    return int(text) or None if text.isdigit() and len(text) <= PID_DIGITS_MAX else None
