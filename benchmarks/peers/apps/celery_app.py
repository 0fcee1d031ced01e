"""Celery on Redis: prefork, results ignored, acknowledged after the work, so that a crash loses no job."""

from celery import Celery

from benchmarks.peers.apps.shared import PAD, URL, count

app = Celery("bench", broker=URL)
app.conf.update(task_ignore_result=True, task_acks_late=True, broker_connection_retry_on_startup=True)


@app.task(name="bench.noop")
def noop(pad: str) -> None:
    """Do nothing."""
    count()


class Producer:
    """Hands in jobs."""

    def one(self) -> None:
        """Hand in one."""
        noop.delay(pad=PAD)
