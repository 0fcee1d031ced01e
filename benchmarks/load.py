"""The clients of a measurement, in a process of their own: `python -m benchmarks.load '{"task": …}'`.

Plain `websockets` connections on asyncio and prepared text: what is measured is the server, not a client
library of ours. Prints one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

ARGS = {"pad": "x" * 85}
"""About 100 bytes of arguments."""


async def enqueue(
    url: str, *, jobs: int, batch: int, clients: int, window: int, wait: bool, kind: str
) -> dict[str, Any]:
    """Enqueue `jobs` jobs over `clients` connections, `batch` per message, `window` messages under way each.

    Returns seconds until the last acknowledgement, latencies, and with `wait` seconds until all are recorded
    as completed.
    """
    text = json.dumps([{"kind": kind, "args": ARGS}] * batch)
    share = jobs // batch // clients
    latencies: list[float] = []

    async def client(connection: ClientConnection) -> None:
        sent: dict[str, float] = {}
        for number in range(share + window):
            if number < share:
                sent[str(number)] = time.perf_counter()
                await connection.send(f'{{"type":"enqueue","id":"{number}","jobs":{text}}}')
            if number >= window or number >= share:
                if not sent:
                    break
                reply = json.loads(await connection.recv())
                assert reply["type"] == "ok", reply
                latencies.append(time.perf_counter() - sent.pop(reply["re"]))
        while sent:
            reply = json.loads(await connection.recv())
            latencies.append(time.perf_counter() - sent.pop(reply["re"]))

    connections = [await _open(url) for _ in range(clients)]
    base = await _completed(connections[0])
    began = time.perf_counter()
    await asyncio.gather(*(client(connection) for connection in connections))
    acknowledged = time.perf_counter() - began
    result: dict[str, Any] = {"jobs": share * batch * clients, "seconds": acknowledged}
    if wait:
        # What is waited for happens in another process.
        while await _completed(connections[0]) - base < share * batch * clients:  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # what is waited for happens in another process
        result["done_seconds"] = time.perf_counter() - began
    for connection in connections:
        await connection.close()
    return result | _quantiles(latencies)


async def start_latency(url: str, *, jobs: int, pause: float) -> dict[str, Any]:
    """Enqueue one job at a time on an idle server; from the send to the event that it has started."""
    async with await _open(url) as watcher, await _open(url) as sender:
        wanted = {"events": ["job_started"]}
        await watcher.send(json.dumps({"type": "subscribe", "id": "e", "topic": "events", "filter": wanted}))
        assert json.loads(await watcher.recv())["type"] == "ok"
        latencies = []
        for number in range(jobs):
            began = time.perf_counter()
            body = {"type": "enqueue", "id": str(number), "jobs": [{"kind": "demo.echo", "args": ARGS}]}
            await sender.send(json.dumps(body))
            await watcher.recv()
            latencies.append(time.perf_counter() - began)
            await sender.recv()
            await asyncio.sleep(pause)
    return _quantiles(latencies)


async def echo(url: str, *, messages: int, clients: int) -> dict[str, Any]:
    """Send a message of an enqueue's size and wait for the same back, again and again."""
    text = json.dumps({"type": "enqueue", "id": "1", "jobs": [{"kind": "demo.echo", "args": ARGS}]})
    latencies: list[float] = []

    async def client(connection: ClientConnection) -> None:
        for _ in range(messages // clients):
            began = time.perf_counter()
            await connection.send(text)
            await connection.recv()
            latencies.append(time.perf_counter() - began)

    connections = [await connect(url, compression=None) for _ in range(clients)]
    began = time.perf_counter()
    await asyncio.gather(*(client(connection) for connection in connections))
    seconds = time.perf_counter() - began
    for connection in connections:
        await connection.close()
    return {"jobs": messages // clients * clients, "seconds": seconds} | _quantiles(latencies)


async def _open(url: str) -> ClientConnection:
    protocols: Any = ["beaver.v1+json"]
    return await connect(url, subprotocols=protocols, compression=None, max_size=None)


async def _completed(connection: ClientConnection) -> int:
    await connection.send('{"type":"status","id":"status"}')
    return int(json.loads(await connection.recv())["status"]["totals"]["completed"])


def _quantiles(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {
        "p50_ms": ordered[len(ordered) // 2] * 1000,
        "p99_ms": ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)] * 1000,
    }


TASKS: dict[str, Callable[..., Awaitable[dict[str, Any]]]] = {
    "enqueue": enqueue,
    "start_latency": start_latency,
    "echo": echo,
}


def main() -> None:
    """Run the task that the command line names."""
    options = json.loads(sys.argv[1])
    task = TASKS[options.pop("task")]

    async def run() -> dict[str, Any]:
        return await task(**options)

    print(json.dumps(asyncio.run(run())))


if __name__ == "__main__":
    main()
