"""A FastAPI application that hands in jobs: one client for its whole life, opened and closed by the lifespan.

    beaver run --app examples.fastapi_app.jobs:app
    uvicorn examples.fastapi_app.main:api

`POST /reports` answers when the job is on the server's disk; `GET /reports/…` shows how far it is, and its
result.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request

from beaver_actors.client import BadRequest, NotFound
from beaver_actors.client.aio import Client, connect
from examples.fastapi_app.jobs import Report, write_report


@asynccontextmanager
async def lifespan(api: FastAPI) -> AsyncIterator[dict[str, Client]]:
    """The client lives as long as the application. After a lost connection it connects again by itself."""
    async with connect(os.environ.get("BEAVER_URL", "ws://127.0.0.1:7440"), patience=10) as client:
        yield {"beaver": client}


api = FastAPI(lifespan=lifespan)


def beaver(request: Request) -> Client:
    """The client, for whoever depends on it; a test overrides this with the client of a kit."""
    client: Client = request.state.beaver
    return client


Beaver = Annotated[Client, Depends(beaver)]


@api.post("/reports", status_code=202)
async def order_report(month: str, client: Beaver) -> dict[str, Any]:
    """Have a report written. Asking twice for one month gives the same job."""
    job = await client.enqueue(write_report.call(month), id=f"report-{month}")
    return {"id": job.id, "duplicate": job.duplicate}


@api.get("/reports/{job_id}")
async def show_report(job_id: str, client: Beaver) -> dict[str, Any]:
    """How far a report is."""
    try:
        job = await client.get(job_id)
    except (NotFound, BadRequest):
        raise HTTPException(404, "no such report") from None
    return {"state": job.state, "progress": job.progress, "report": job.result}


@api.get("/reports/{job_id}/wait")
async def wait_for_report(job_id: str, client: Beaver) -> Report:
    """The report, as soon as it is there. Waiting costs neither a thread nor polling."""
    return Report(**await client.job(job_id).result())
