"""The site's tasks, as Django has them. Nothing here knows of beaver_actors."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

try:
    from django.tasks import task
except ImportError:  # before Django 6
    from django_tasks import task

if TYPE_CHECKING:
    from django_tasks import TaskContext


class NoSuchAddress(Exception):
    """Nobody lives there."""


@task
def add(x: int, y: int = 0) -> int:
    return x + y


@task(queue_name="mail", priority=10)
def send(to: str) -> str:
    if "@" not in to:
        raise NoSuchAddress(f"expected an address, got {to}")
    return f"sent to {to}"


@task
async def wait(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "waited"


@task(takes_context=True)
def attempts(context: TaskContext) -> list[Any]:
    return [context.attempt, context.task_result.id]


@task
def useless() -> Any:
    return object()
