"""Jobs that block the event loop or the drain, in a real server process: told of, and never in the way of its
end."""

from __future__ import annotations

import signal
from pathlib import Path
from urllib.request import urlopen

import pytest

from beaver_actors.client.sync import connect
from tests.node.own import WAIT_SECONDS, Server, serving

pytestmark = pytest.mark.process

APP = """\
import sys, time
from pathlib import Path
import trio
from beaver_actors import App

app = App()

@app.job("spin")
async def spin(until: str) -> str:
    print('{"event": "spinning"}', file=sys.stderr, flush=True)
    while not Path(until).exists():
        pass
    return "done"

@app.job("nap")
async def nap() -> None:
    time.sleep(3600)

@app.job("stay")
async def stay() -> None:
    print('{"event": "staying"}', file=sys.stderr, flush=True)
    with trio.CancelScope(shield=True):
        await trio.sleep_forever()
"""


def enqueue(server: Server, kind: str, **args: object) -> str:
    """With a delay: a job that blocks the loop at once is in the way of the answer."""
    with connect(server.url) as client:
        return client.enqueue(kind, args, delay="500ms").id


def test_a_job_that_blocks_the_loop_is_named_and_when_it_ends_all_goes_on(tmp_path: Path) -> None:
    """In a real process, with a job that computes until it is told not to."""
    flag = tmp_path / "flag"
    with serving(tmp_path, APP) as server:
        job = enqueue(server, "spin", until=str(flag))
        told = server.line("the event loop is blocked")
        assert (told["level"], told["jobs"]) == ("error", [f"spin {job}"])
        assert "jobs_here.py" in told["stack"]
        assert "in spin" in told["stack"]
        flag.touch()
        seconds = server.line("the event loop turns again")["seconds"]
        assert seconds >= told["seconds"]
        with connect(server.url) as client:
            assert client.job(job).result(WAIT_SECONDS) == "done"
        with urlopen(f"http{server.url.removeprefix('ws')}/metrics", timeout=WAIT_SECONDS) as response:
            (figure,) = [line for line in response if line.startswith(b"beaver_loop_blocked_seconds_total ")]
        assert float(figure.split()[1]) == pytest.approx(seconds, abs=0.06)
        server.process.terminate()
        assert server.end() == 0


def test_two_signals_end_a_server_whose_loop_is_blocked(tmp_path: Path) -> None:
    """P3, in a real process: the first is answered by a line in the log; the next start rescues the job."""
    with serving(tmp_path, APP) as server:
        enqueue(server, "nap")
        server.line("the event loop is blocked")
        server.process.send_signal(signal.SIGINT)
        assert server.line("told to stop, but")["signal"] == "SIGINT"
        server.process.send_signal(signal.SIGINT)
        assert server.end() == 130
    with serving(tmp_path, APP) as server:
        assert server.ready["recovery"]["rescued"] == 1


def test_two_signals_that_come_before_the_loop_is_known_to_be_blocked_end_it_too(tmp_path: Path) -> None:
    """P3, in a real process: nobody has to wait with the second one, and the job is named first."""
    with serving(tmp_path, APP) as server:
        job = enqueue(server, "spin", until=str(tmp_path / "never"))
        server.line("spinning")
        server.process.send_signal(signal.SIGTERM)
        server.process.send_signal(signal.SIGINT)
        assert server.line("the event loop is blocked")["jobs"] == [f"spin {job}"]
        assert server.end() in (130, 143)  # two signals that come at once may be heard in either order
    with serving(tmp_path, APP) as server:
        assert server.ready["recovery"]["rescued"] == 1


def test_a_third_signal_ends_a_server_that_waits_for_a_job_in_vain(tmp_path: Path) -> None:
    """P3, in a real process, with a job that cannot be cancelled: killed by the signal itself."""
    with serving(tmp_path, APP) as server:
        enqueue(server, "stay")
        server.line("staying")
        server.process.send_signal(signal.SIGTERM)
        server.line("stopping: running jobs may finish")
        server.process.send_signal(signal.SIGINT)
        assert server.line("stopping at once")["signal"] == "SIGINT"
        server.line("handlers go on although they were cancelled")
        server.process.send_signal(signal.SIGINT)
        assert server.end() == -signal.SIGINT
    with serving(tmp_path, APP) as server:
        assert server.ready["recovery"]["rescued"] == 1
