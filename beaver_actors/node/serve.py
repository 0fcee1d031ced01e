"""A server from start to stop: its sockets, its signals, and its lives.

A life that fails is followed by another, which recovers from the journal, with a pause that doubles and a
limit; a failed disk, a damaged or a foreign data directory end the process at once, each with its exit code.
"""

from __future__ import annotations

import signal
from collections.abc import Callable

import trio

from beaver_actors.config import Config, parse_address
from beaver_actors.execute.app import App
from beaver_actors.execute.executor import Executor
from beaver_actors.kernel.clock import Chance, Clock
from beaver_actors.kernel.offload import threads
from beaver_actors.node import settings
from beaver_actors.node.exits import Exit
from beaver_actors.node.front import main_front, serve_metrics
from beaver_actors.node.host import Host
from beaver_actors.node.life import Orders
from beaver_actors.node.lives import Lives, Ready
from beaver_actors.observe.log import get_logger
from beaver_actors.server.auth import Auth, check_exposure, is_loopback
from beaver_actors.server.sockets import open_listeners

BLOCKING_THREADS = 8
"""For the log, history reads and figures together; handlers have threads of their own."""

log = get_logger("beaver_actors.node")


async def serve(
    config: Config,
    app: App | str | None = None,
    *,
    token: str | None = None,
    ready: Callable[[Ready], None] = lambda ready: None,
    orders: Orders | None = None,
) -> Exit:
    """Run a server until it is told to stop.

    Args:
        config: all settings.
        app: the user's jobs, as an object or as `module:attr`; None for what the configuration names.
        token: what clients must present; None lets everybody in who can reach the port.
        ready: called whenever the server accepts clients: at the start, and after each recovery.
        orders: who embeds the server stops it with these; without them, SIGINT and SIGTERM do.

    Returns:
        The exit code.

    Raises:
        ListenError: an address cannot be listened on.
        ExposureError: other machines could reach the server without a token.
        AppError: the app cannot be loaded.
    """
    by_signal = orders is None
    orders = orders or Orders()
    address = parse_address(config.server.listen)
    check_exposure(address.host, token, config.server.insecure)
    executor = Executor(
        app or config.app,
        limits=settings.outcome_limits(config),
        threads=config.workers.threads,
        processes=config.workers.count,
    )
    chance = Chance()
    host = Host(orders, config.workers.count, Clock().now_ms())
    auth = Auth(token, config.server.allowed_origins, loopback=is_loopback(address.host))
    sockets, listen = await open_listeners(address.host, address.port)
    metric_sockets: list[trio.SocketListener] = []
    metric_listen: list[str] = []
    try:
        if config.metrics.enabled:
            metric_address = parse_address(config.metrics.listen)
            metric_sockets, metric_listen = await open_listeners(metric_address.host, metric_address.port)
        front = main_front(sockets, config, executor, host, auth, chance)
        lives = Lives(config, executor, host, chance, threads(BLOCKING_THREADS), front, ready)
        async with trio.open_nursery() as nursery:
            if by_signal:
                await nursery.start(_obey_signals, orders)
            await nursery.start(executor.run)
            if metric_sockets:
                await nursery.start(serve_metrics, metric_sockets, config, host)
            code = await lives.run(orders, listen, metric_listen)
            nursery.cancel_scope.cancel()
        return code
    finally:
        for socket in (*sockets, *metric_sockets):
            socket.socket.close()


async def _obey_signals(orders: Orders, *, task_status: trio.TaskStatus[None]) -> None:
    """The first signal drains, the second hurries, the third does what signals do by themselves."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for number in signals:
            name = signal.Signals(number).name
            if orders.drain.is_set():
                log.warning("stopping at once", signal=name)
                orders.hurry.set()
                break
            log.info("stopping: running jobs may finish, a second signal stops at once", signal=name)
            orders.drain.set()
