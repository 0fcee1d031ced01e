"""The jobs of the FastAPI example, run by a beaver_actors server, not by the web application."""

from __future__ import annotations

from dataclasses import dataclass

import trio

from beaver_actors import App, Context

app = App("reports")


@dataclass
class Report:
    """What comes of it."""

    month: str
    pages: int


@app.job("report.write", queue="reports", timeout="10m")
async def write_report(context: Context, month: str) -> Report:
    """Write a report, page by page."""
    for page in range(3):
        context.progress(100 * page / 3, f"page {page + 1}")
        await trio.sleep(0.01)
    return Report(month, 3)
