"""The README's app: start it with `python -m beaver_actors run --app examples.hello:app`."""

from __future__ import annotations

import trio

from beaver_actors import App, Context, Retry

app = App()


@app.job("greet", queue="mail", timeout="30s", max_attempts=5)
async def greet(ctx: Context, name: str) -> str:
    if ctx.attempt == 1:
        raise Retry("1s", "the mail server is busy")
    await trio.sleep(0.1)
    return f"hello {name}, at attempt {ctx.attempt}"


@app.job("shout")
def shout(text: str) -> str:  # a plain function: runs in a thread
    return text.upper()
