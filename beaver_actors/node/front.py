"""The front of a life: sessions and HTTP on the main port, for as long as the life lasts."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

import trio

from beaver_actors.codec.ids import JobIds
from beaver_actors.config import Config
from beaver_actors.execute.executor import Executor
from beaver_actors.kernel.clock import Chance
from beaver_actors.node import settings
from beaver_actors.node.host import Host
from beaver_actors.node.life import Access, Front
from beaver_actors.server import api
from beaver_actors.server.auth import Auth
from beaver_actors.server.http import Routes
from beaver_actors.server.listener import Listener
from beaver_actors.server.past import Look, Past
from beaver_actors.server.service import Service
from beaver_actors.server.session import Session, SessionSettings
from beaver_actors.server.websocket import WebSocket


def main_front(
    listeners: Sequence[trio.abc.Listener[trio.abc.Stream]],
    config: Config,
    executor: Executor,
    host: Host,
    auth: Auth,
    chance: Chance,
    look_back: Look,
) -> Front:
    """The front on the main port. The listeners stay open between lives: who connects meanwhile waits."""
    session_settings = SessionSettings(request_bytes_max=config.limits.message_bytes)

    async def front(access: Access, *, task_status: trio.TaskStatus[None]) -> None:
        past = Past(look_back)
        service = Service(
            access.jobs,
            access.stream,
            host,
            fleet=access.fleet,
            now_ms=access.clock.now_ms,
            wall_ms=access.wall_ms,
            ids=JobIds(access.clock.now_ms, chance.bits),
            limits=settings.wire_limits(config),
            defaults=settings.job_defaults(config, executor.app),
            past=past,
        )

        async def talk(websocket: WebSocket) -> None:
            await Session(websocket, service, session_settings).run()

        routes = Routes()
        api.add_job_routes(routes, service)
        api.add_health_routes(routes, host, host.scrape, metrics_guarded=True)
        routes.add_files(resources.files("beaver_actors.server") / "static")
        listener = Listener(
            routes,
            auth=auth,
            websocket_handler=talk,
            settings=settings.listener(config),
            on_failure=host.connection_failed,
            on_turned_away=lambda: host.refused("overloaded"),
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(past.run)
            await nursery.start(listener.serve, listeners)
            host.serving(access, listener, service)
            task_status.started()
            await access.closing.wait()
            past.stop()
            listener.stop()

    return front


async def serve_metrics(
    listeners: Sequence[trio.abc.Listener[trio.abc.Stream]],
    config: Config,
    host: Host,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve figures and health on a port of their own, over all lives of the node."""
    routes = Routes()
    api.add_health_routes(routes, host, host.scrape, metrics_guarded=False)
    listener = Listener(routes, settings=settings.listener(config), on_failure=host.connection_failed)
    await listener.serve(listeners, task_status=task_status)
