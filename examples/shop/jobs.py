"""The jobs of a small shop: an order is charged, then its receipt is sent. Tested in `test_jobs.py`."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Protocol

from beaver_actors import App, Context, Reject, Retry
from beaver_actors.client import sync

app = App("shop")


class Mailer(Protocol):
    """Whoever sends mail for us; the same subject to the same address is sent once."""

    def send(self, to: str, subject: str) -> None: ...


class Shop:
    """What the jobs work with, set up by whoever serves them."""

    ledger = Path(os.environ.get("SHOP_LEDGER", "ledger.db"))
    mailer: Mailer
    queue: sync.Client


shop = Shop()


@app.job("shop.charge", queue="money", max_attempts=5, backoff=["1m", "10m", "1h"], timeout="30s")
def charge(context: Context, order: int, cents: int) -> int:
    """Charge an order once, whatever happens, and have the receipt sent. Returns the shop's total."""
    if cents <= 0:
        raise Reject(f"order {order}: expected a positive amount, got {cents}")
    with closing(sqlite3.connect(shop.ledger)) as database, database:
        database.execute(
            "CREATE TABLE IF NOT EXISTS charges (order_number INTEGER PRIMARY KEY, cents INTEGER)"
        )
        database.execute("INSERT INTO charges VALUES (?, ?) ON CONFLICT DO NOTHING", (order, cents))
        (total,) = database.execute("SELECT sum(cents) FROM charges").fetchone()
    shop.queue.enqueue(send_receipt.call(order, cents), id=f"receipt-{order}")
    return int(total)


@app.job("shop.receipt", queue="mail", retention="7d")
def send_receipt(order: int, cents: int) -> None:
    """Send the customer a receipt."""
    try:
        shop.mailer.send(f"customer-{order}@example.com", f"You paid {cents / 100:.2f} for order {order}")
    except ConnectionError as error:
        raise Retry("5m", "the mail server is down") from error
