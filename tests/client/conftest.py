"""Each test that asks for `connect` runs twice: with the client on Trio, and with the one on asyncio."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TypeAlias

import pytest

from beaver_actors import client
from beaver_actors.client import Client
from tests.client import bridge

Connect: TypeAlias = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture(params=["trio", "asyncio"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    if request.param == "trio":
        yield client.connect
        return
    loop = bridge.Loop()
    yield partial(bridge.connect, loop)
    loop.close()
