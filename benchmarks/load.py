"""The clients of a measurement, in a process of their own: `python -m benchmarks.load '{"task": …}'`.

A task connects, prints `ready`, waits for a line on standard input, works, and prints one JSON object: what
it did, between which moments of the monotonic clock (which all processes of a machine share), and the
processor time that it took, so that a reader can see that the clients were not the limit.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from benchmarks.disk import SyncFile
from benchmarks.redis_stream import RedisStream, consume
from benchmarks.websocket import WebSocket, WebSocketError, frame

PAD = "x" * 85
"""Makes about 100 bytes of arguments: `{"pad":"xxx…"}`."""


class Connection(Protocol):
    """What a closed loop needs of a connection: to Beaver, to the echo server, to a Redis stream."""

    def fileno(self) -> int: ...
    def send(self, prepared: bytes) -> None: ...
    def receive_some(self) -> list[bytes]: ...


def enqueue_message(kind: str, batch: int, request_id: str = "1") -> bytes:
    """The text of one request. Replies come in order, so all may bear the same id."""
    job = json.dumps({"kind": kind, "args": {"pad": PAD}}, separators=(",", ":"))
    jobs = ",".join([job] * batch)
    return f'{{"type":"enqueue","id":"{request_id}","jobs":[{jobs}]}}'.encode()


def closed_loop(
    *, url: str, kind: str, batch: int, clients: int, window: int, messages: int, keep: bool = False
) -> dict[str, Any]:
    """Each of `clients` connections keeps `window` messages under way until `messages` were answered in all.

    With `keep` every latency is returned with the moment of its answer.
    """
    connections: list[Connection]
    if url.startswith("redis:"):
        connections = [RedisStream(url, batch) for _ in range(clients)]
        prepared = RedisStream.enqueue(PAD, batch)
    else:
        connections = [WebSocket(url) for _ in range(clients)]
        prepared = frame(enqueue_message(kind, batch))
    to_send = messages
    sent: list[deque[int]] = [deque() for _ in range(clients)]
    latencies: list[int] = []
    moments: list[int] = []
    poll = select.epoll()
    by_descriptor: dict[int, int] = {}
    for number, connection in enumerate(connections):
        poll.register(connection.fileno(), select.EPOLLIN)
        by_descriptor[connection.fileno()] = number
    wait_for_go()
    cpu = time.process_time()
    began = time.monotonic_ns()
    for number, connection in enumerate(connections):
        share = min(window, to_send)
        to_send -= share
        sent[number].extend([time.monotonic_ns()] * share)
        connection.send(prepared * share)
    while len(latencies) < messages:
        for descriptor, _ in poll.poll():
            number = by_descriptor[descriptor]
            connection = connections[number]
            replies = connection.receive_some()
            now = time.monotonic_ns()
            for reply in replies:
                if b'"error"' in reply[:40]:
                    raise WebSocketError(f"refused: {reply[:500]!r}")
                latencies.append(now - sent[number].popleft())
                moments.append(now)
            share = min(len(replies), to_send)
            if share:
                to_send -= share
                sent[number].extend([now] * share)
                connection.send(prepared * share)
    result = span(began, cpu) | {"jobs": messages * batch, "messages": messages} | quantiles(latencies)
    if keep:
        result |= {"moments_ns": moments, "latencies_ns": latencies}
    return result


def side_by_side(
    *, server: str, echo: str, directory: str, kind: str, rounds: int, block: int
) -> dict[str, Any]:
    """One client, one job a message: a few enqueues, echoes and syncs in turn, for one mood of the disk."""
    ours, floor = WebSocket(server), WebSocket(echo, subprotocol="")
    prepared = frame(enqueue_message(kind, 1))
    times: dict[str, list[int]] = {"enqueue": [], "echo": [], "sync": []}
    wait_for_go()
    cpu, began = time.process_time(), time.monotonic_ns()
    with SyncFile(Path(directory), rounds * block) as file:
        for number in range(rounds + 1):
            for name, connection in (("enqueue", ours), ("echo", floor)):
                for _ in range(block):
                    sent = time.monotonic_ns()
                    connection.send(prepared)
                    reply = connection.receive()
                    times[name].append(time.monotonic_ns() - sent)
                    assert b'"ok"' in reply[:40], reply
            for _ in range(block if number else 0):
                times["sync"].append(file.sync_ns())
            if number == 0:  # a round to warm up
                for values in times.values():
                    values.clear()
    return span(began, cpu) | {name: quantiles(values) for name, values in times.items()}


def starts(*, url: str, directory: str, jobs: int, pause: float) -> dict[str, Any]:
    """One job at a time on an idle server: from before the send to the first line of its handler.

    A sync is timed in each pause, for comparison.
    """
    connection = WebSocket(url)
    prepared = frame(enqueue_message("bench.stamp", 1))
    sent: dict[str, int] = {}
    syncs: list[int] = []
    wait_for_go()
    cpu, began = time.process_time(), time.monotonic_ns()
    with SyncFile(Path(directory), jobs) as file:
        for _ in range(jobs):
            now = time.monotonic_ns()
            connection.send(prepared)
            sent[json.loads(connection.receive())["jobs"][0]["id"]] = now
            time.sleep(pause / 2)
            syncs.append(file.sync_ns())
            time.sleep(pause / 2)
    latencies = []
    for job_id, moment in sent.items():
        job = json.loads(connection.ask(json.dumps({"type": "get", "id": "g", "job_id": job_id}).encode()))
        latencies.append(job["job"]["result"] - moment)
    return span(began, cpu) | {"start": quantiles(latencies), "sync": quantiles(syncs)}


def watch(*, url: str, batch: int) -> dict[str, Any]:
    """Take every event that happens until a line comes on standard input; tell how many there were."""
    connection = WebSocket(url)
    wish = {"type": "subscribe", "id": "w", "topic": "events", "batch": batch}
    assert b'"ok"' in (reply := connection.ask(json.dumps(wish).encode())), reply
    events = gaps = 0
    wait_for_go()
    cpu, began = time.process_time(), time.monotonic_ns()
    poll = select.epoll()
    poll.register(connection.fileno(), select.EPOLLIN)
    poll.register(sys.stdin.fileno(), select.EPOLLIN)
    last = b""
    stop = False
    while not stop:
        for descriptor, _ in poll.poll():
            if descriptor == sys.stdin.fileno():
                stop = True
                continue
            for message in connection.receive_some():
                events += message.count(b'"lsn":')
                gaps += message.startswith(b'{"type":"gap"')
                last = message
    lsn = int(last.rpartition(b'"lsn":')[2].partition(b",")[0]) if last else 0
    return span(began, cpu) | {"events": events, "gaps": gaps, "lsn": lsn}


def read_stream(*, url: str, jobs: int) -> dict[str, Any]:
    """Take so many entries out of a Redis stream."""
    wait_for_go()
    cpu, began = time.process_time(), time.monotonic_ns()
    consume(url, jobs=jobs, on_entries=lambda count: None)
    return span(began, cpu) | {"jobs": jobs}


def wait_for_go() -> None:
    """Tell the runner that all is prepared, and wait for its word."""
    print("ready", flush=True)
    # Past Python's buffer, so that a later line can be waited for with `select`.
    while os.read(sys.stdin.fileno(), 1) not in (b"\n", b""):
        pass


def span(began_ns: int, cpu_seconds: float) -> dict[str, Any]:
    """When a task worked, and what it cost."""
    return {
        "began_ns": began_ns,
        "ended_ns": time.monotonic_ns(),
        "cpu_seconds": time.process_time() - cpu_seconds,
    }


def quantiles(nanoseconds: list[int]) -> dict[str, float]:
    """The median and the 99th percentile, ms."""
    ordered = sorted(nanoseconds)
    last = len(ordered) - 1
    return {
        "p50_ms": ordered[last * 50 // 100] / 1e6,
        "p99_ms": ordered[last * 99 // 100] / 1e6,
        "count": len(ordered),
    }


TASKS: dict[str, Callable[..., dict[str, Any]]] = {
    "closed_loop": closed_loop,
    "side_by_side": side_by_side,
    "starts": starts,
    "watch": watch,
    "read_stream": read_stream,
}


def main() -> None:
    """Run the task that the command line names."""
    options = json.loads(sys.argv[1])
    task = TASKS[options.pop("task")]
    print(json.dumps(task(**options)))


if __name__ == "__main__":
    main()
