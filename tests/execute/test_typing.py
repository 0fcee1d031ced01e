"""The types of job functions, proved by running mypy over right and wrong calls."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

SNIPPET = """\
from beaver_actors import App, Context, Retry, Snooze, Reject

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


add("1")  # wrong: str for int
add.call("1")  # wrong: str for int
add.call(1, z=2)  # wrong: no such argument
add.call()  # wrong: x is missing
text: str = add(1)  # wrong: the result is an int
thumbnail.call(3)  # wrong: int for str
thumbnail("a.png")  # wrong: the Context is missing
app.job("x", isolation="fork")  # wrong: no such isolation
"""


def test_a_decorated_function_keeps_its_types(tmp_path: Path) -> None:
    """mypy --strict accepts the right calls and refuses each wrong one, on its line."""
    path = tmp_path / "snippet.py"
    path.write_text(SNIPPET)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-pretty", "--no-error-summary", str(path)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    refused = {int(line) for line in re.findall(r"snippet\.py:(\d+): error", done.stdout)}
    wrong = {number for number, line in enumerate(SNIPPET.splitlines(), 1) if "# wrong" in line}
    assert refused == wrong, done.stdout + done.stderr
