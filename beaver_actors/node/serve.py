"""A server from start to stop: its sockets, its watchdog, and its lives.

A life that fails is followed by another, which recovers from the journal, with a pause that doubles and a
limit; a failed disk, a damaged or a foreign data directory end the process at once, each with its exit code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import trio

from beaver_actors.config import Config, parse_address
from beaver_actors.execute.app import App
from beaver_actors.execute.executor import Executor
from beaver_actors.journal.disk import RealDisk
from beaver_actors.journal.recovery import taken_by_another
from beaver_actors.kernel.clock import wall_ms
from beaver_actors.kernel.offload import own_thread
from beaver_actors.node import settings
from beaver_actors.node.exits import Exit
from beaver_actors.node.front import main_front, serve_metrics
from beaver_actors.node.host import Host
from beaver_actors.node.life import Orders
from beaver_actors.node.lives import Lives, Ready, tell_end
from beaver_actors.node.own_process import settle_in
from beaver_actors.node.signals import obey_signals
from beaver_actors.node.world import World, real_world
from beaver_actors.observe.watchdog import Watchdog
from beaver_actors.server.auth import Auth, check_exposure, is_loopback
from beaver_actors.server.sockets import ListenError, open_listeners

Listeners: TypeAlias = Sequence[trio.abc.Listener[trio.abc.Stream]]


class Doors(NamedTuple):
    """Where connections come in, and what these places are called."""

    listeners: Listeners
    listen: list[str]
    metric_listeners: Listeners
    metric_listen: list[str]


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
        orders: who embeds the server stops it with these; without them, SIGINT and SIGTERM do, and the
            process is the server's own (`own_process.py`).

    Returns:
        The exit code.

    Raises:
        ListenError: an address cannot be listened on.
        ExposureError: other machines could reach the server without a token.
        AppError: the app cannot be loaded.
    """
    if orders is None:
        settle_in(config)
    address = parse_address(config.server.listen)
    check_exposure(address.host, token, config.server.insecure)
    auth = Auth(token, config.server.allowed_origins, loopback=is_loopback(address.host))
    executor = make_executor(config, app)
    settings.declared(config, executor.app, wall_ms())  # wrong ones end it here, before anything is opened
    try:
        sockets, listen = await open_listeners(address.host, address.port)
    except ListenError:
        # Whose ports these are matters less than whose data: a second server is not to be started again.
        taken = taken_by_another(RealDisk(config.data_dir))
        if taken is None:
            raise
        tell_end(taken, Exit.LOCKED)
        return Exit.LOCKED
    metric_sockets: list[trio.SocketListener] = []
    metric_listen: list[str] = []
    try:
        if config.metrics.enabled:
            metric_address = parse_address(config.metrics.listen)
            metric_sockets, metric_listen = await open_listeners(
                metric_address.host, metric_address.port, "--metrics-listen"
            )
        doors = Doors(sockets, listen, metric_sockets, metric_listen)
        watchdog = Watchdog(executor.jobs_on_loop)
        async with trio.open_nursery() as nursery:
            await nursery.start(watchdog.run)
            if orders is None:
                orders = Orders()
                await nursery.start(obey_signals, orders, watchdog)
            with own_thread("log") as write:
                world = real_world(config.data_dir, write)
                code = await serve_in(
                    world, config, executor, doors, auth=auth, ready=ready, orders=orders, watchdog=watchdog
                )
            nursery.cancel_scope.cancel()
        return code
    finally:
        for socket in (*sockets, *metric_sockets):
            socket.socket.close()


def make_executor(config: Config, app: App | str | None) -> Executor:
    """What runs this app's jobs under these settings. Raises AppError."""
    workers = config.workers
    limits = settings.outcome_limits(config)
    processes = max(1, workers.count)
    return Executor(app or config.app, limits=limits, threads=workers.threads, processes=processes)


async def serve_in(
    world: World,
    config: Config,
    executor: Executor,
    doors: Doors,
    *,
    auth: Auth,
    ready: Callable[[Ready], None],
    orders: Orders,
    watchdog: Watchdog | None = None,
) -> Exit:
    """Run a server in this world, behind these doors, until it is told to stop; as `serve`, of which it is
    the part that touches nothing outside."""
    host = Host(orders, config.workers.count, executor, world.wall_ms())
    if watchdog is not None:
        watchdog.turned_again = host.metrics.loop_blocked
    front = main_front(doors.listeners, config, executor, host, auth, world.chance, world.look_back)
    lives = Lives(world, config, executor, host, front, ready)
    async with trio.open_nursery() as nursery:
        await nursery.start(executor.run)
        if doors.metric_listeners:
            await nursery.start(serve_metrics, doors.metric_listeners, config, host)
        code = await lives.run(orders, doors.listen, doors.metric_listen)
        nursery.cancel_scope.cancel()
    return code
