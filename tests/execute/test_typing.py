"""The types of job functions, proved by running mypy over right and wrong calls."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

SNIPPET = """\
from beaver_actors import App, Context, Retry, Snooze, Reject
from beaver_actors.client import Client, Job, aio, new_job, sync

app = App()


@app.job("thumbnail", queue="images", timeout="30s")
async def thumbnail(context: Context, path: str, *, width: int = 100) -> str:
    context.progress(10, "reading")
    if context.cancelled:
        raise Retry(in_="5s", message="later")
    return path


@app.job("add")
def add(x: int, y: int = 0) -> int:
    if x < 0:
        raise Reject("negative")
    if y < 0:
        raise Snooze(in_=30)
    return x + y


total: int = add(1, y=2)
add.call(1, y=2)
thumbnail.call("a.png", width=3)


async def use(context: Context) -> str:
    return await thumbnail(context, "a.png", width=3)


async def hand_in(client: Client, other: aio.Client, third: sync.Client) -> None:
    number: int
    text: str
    text = await (await client.enqueue(thumbnail.call("a.png"), delay="5s", id="a")).result()
    number = await (await other.enqueue(add.call(1))).result()
    number = third.enqueue(add.call(1), priority=5).result(timeout=5)
    jobs = await client.enqueue_many([add.call(1), add.call(2)])
    number = await jobs[0].result()
    job: Job[int] = (await client.enqueue_many([new_job(add.call(1), delay="1h")]))[0]
    number = third.enqueue_many([new_job(add.call(1))])[0].result()
    anything: Job = await client.enqueue("other.kind", {"x": 1})
    text = await anything.result()
    await client.wait_all([job, anything])
    text = await (await client.enqueue(add.call(1))).result()  # wrong: the job results in an int
    text = third.enqueue(add.call(1)).result()  # wrong: the same
    number = await jobs[0].status()  # wrong: that is a JobInfo
    await client.enqueue(add.call(1), dealy="5m")  # wrong: no such option
    await client.enqueue(add.call(1), {"x": 1})  # wrong: a call brings its arguments
    await client.enqueue(add)  # wrong: a function is no call
    await other.enqueue(add(1))  # wrong: nor is its value


add("1")  # wrong: str for int
add.call("1")  # wrong: str for int
add.call(1, z=2)  # wrong: no such argument
add.call()  # wrong: x is missing
text: str = add(1)  # wrong: the result is an int
thumbnail.call(3)  # wrong: int for str
thumbnail("a.png")  # wrong: the Context is missing
app.job("x", isolation="fork")  # wrong: no such isolation
"""


def test_a_decorated_function_keeps_its_types_as_far_as_its_result(tmp_path: Path) -> None:
    """mypy --strict accepts the right calls and refuses each wrong one, on its line."""
    path = tmp_path / "snippet.py"
    path.write_text(SNIPPET)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-pretty", "--no-error-summary", str(path)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    refused = {int(line) for line in re.findall(r"snippet\.py:(\d+): error", done.stdout)}
    wrong = {number for number, line in enumerate(SNIPPET.splitlines(), 1) if "# wrong" in line}
    assert refused == wrong, done.stdout + done.stderr
