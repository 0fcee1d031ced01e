"""Rules of queues in the configuration, over several starts of a real server on the same directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from beaver_actors.client import Conflict, connect
from tests.node.home import config, node


async def test_rules_of_the_configuration_hold_from_the_start_until_they_stand_there_no_more(
    tmp_path: Path,
) -> None:
    """P3: refused to others, kept over a restart without being written again, and taken away."""
    data_dir = tmp_path / "data"
    mail = {"mail": {"concurrency": 2, "rate": "5/1m"}}
    async with node(config(data_dir, queues=mail)) as home, connect(home.url) as client:
        await client.configure("mail", jobs_max=7)
        with pytest.raises(Conflict, match="rule concurrency of queue mail"):
            await client.configure("mail", concurrency=3)
        before = await client.status()
    async with node(config(data_dir, queues=mail)) as home, connect(home.url) as client:
        again = await client.status()
        assert again.lsn == before.lsn
        queue = again.queues["mail"]
        assert queue.declared == ("concurrency", "rate")
        assert (queue.rules.concurrency, queue.rules.jobs_max) == (2, 7)
    async with node(config(data_dir)) as home, connect(home.url) as client:
        queue = (await client.status()).queues["mail"]
        assert (queue.rules.concurrency, queue.rules.rate, queue.rules.jobs_max) == (None, None, 7)
        await client.configure("mail", concurrency=3)
