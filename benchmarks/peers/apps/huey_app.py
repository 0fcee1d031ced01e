"""Huey on SQLite with `synchronous=FULL`. It takes a job out of the database before it runs it."""

from huey import SqliteHuey

from benchmarks.peers.apps.shared import PAD, URL, count

huey = SqliteHuey("bench", filename=URL or ":memory:", fsync=True, results=False, timeout=30)


@huey.task()
def noop(pad: str) -> None:
    """Do nothing."""
    count()


class Producer:
    """Hands in jobs."""

    def one(self) -> None:
        """Hand in one."""
        noop(pad=PAD)
