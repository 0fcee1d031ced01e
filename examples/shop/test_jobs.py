"""How the shop's jobs are tested: docs/testing-your-jobs.md explains each of these."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from beaver_actors.client import JobFailed, JobState
from beaver_actors.testing.kit import Kit, RealServer
from examples.shop.jobs import charge, send_receipt, shop


class Outbox:
    """A mailer that keeps what it sends, and is down when it is told to."""

    def __init__(self) -> None:
        self.sent: dict[str, str] = {}
        self.down = False

    def send(self, to: str, subject: str) -> None:
        if self.down:
            raise ConnectionError("connection refused")
        self.sent[to] = subject


@pytest.fixture
def beaver_app() -> str:
    return "examples.shop.jobs:app"


@pytest.fixture
def outbox(beaver: Kit, tmp_path: Path) -> Outbox:
    shop.ledger, shop.mailer, shop.queue = tmp_path / "ledger.db", Outbox(), beaver.client
    return shop.mailer


def charges() -> list[tuple[int, int]]:
    with closing(sqlite3.connect(shop.ledger)) as database:
        return database.execute("SELECT order_number, cents FROM charges").fetchall()


def test_a_charge_asks_for_a_receipt(beaver: Kit, outbox: Outbox) -> None:
    job = beaver.client.enqueue(charge.call(order=7, cents=1250))
    beaver.drain_queue("money")
    assert job.result() == 1250
    beaver.assert_enqueued(send_receipt, args={"order": 7}, queue="mail")
    beaver.refute_enqueued(send_receipt, args={"order": 8})
    assert outbox.sent == {}


@pytest.mark.beaver(inline=True)
def test_the_whole_way_at_once(beaver: Kit, outbox: Outbox) -> None:
    beaver.client.enqueue(charge.call(order=7, cents=1250))
    assert outbox.sent == {"customer-7@example.com": "You paid 12.50 for order 7"}


def test_nothing_is_charged_for_nothing(beaver: Kit, outbox: Outbox) -> None:
    job = beaver.client.enqueue(charge.call(order=7, cents=0))
    beaver.drain_queue()
    with pytest.raises(JobFailed, match="expected a positive amount, got 0"):
        job.result()


def test_a_receipt_waits_for_the_mail_server(beaver: Kit, outbox: Outbox) -> None:
    job = beaver.client.enqueue(send_receipt.call(order=7, cents=1250))
    outbox.down = True
    beaver.drain_queue()
    assert job.status().state is JobState.SCHEDULED
    outbox.down = False
    beaver.advance("5m")
    beaver.drain_queue()
    assert job.status().state is JobState.COMPLETED


def test_an_order_is_charged_once_wherever_it_is_killed(beaver: Kit, outbox: Outbox) -> None:
    for crash in beaver.crash_at_every_step(charge.call(order=7, cents=1250)):
        assert charges() == [(7, 1250)], crash
        assert len(outbox.sent) == 1, crash
        shop.ledger.unlink()
        outbox.sent.clear()
        beaver.client.delete(["receipt-7"])


def test_a_power_cut_loses_no_order(beaver: Kit, outbox: Outbox) -> None:
    beaver.client.enqueue(charge.call(order=7, cents=1250), delay="1h")
    beaver.power_loss()
    beaver.settle()
    assert charges() == [(7, 1250)]


@pytest.mark.process
def test_on_a_real_server_that_is_killed(beaver_server: RealServer) -> None:
    jobs = beaver_server.client.enqueue_many([charge.call(order=n, cents=-1) for n in range(20)])
    beaver_server.crash()
    ended = beaver_server.client.wait_all(jobs, timeout=60)
    assert {job.reason for job in ended} == {"rejected"}
