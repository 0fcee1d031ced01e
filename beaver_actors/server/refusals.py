"""Refusals as HTTP says them: the status code, and when to come again."""

from __future__ import annotations

from math import ceil
from typing import Final

from beaver_actors.core.answers import RefusalCode, Refused
from beaver_actors.server.http import HeaderPairs, Response, error_response
from beaver_actors.server.service import Service

STATUS_BY_CODE: Final[dict[RefusalCode, int]] = {
    "bad_request": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "conflict": 409,
    "not_unique": 409,
    "lease_lost": 409,
    "too_large": 413,
    "queue_full": 429,
    "overloaded": 429,
    "unsupported": 400,
    "storage_full": 503,
    "draining": 503,
    "not_leader": 503,
}


def refused_response(service: Service, refused: Refused) -> Response:
    """The answer to a request that was refused; it is counted."""
    service.node.refused(refused.code)
    headers: HeaderPairs = ()
    if refused.retry_after_ms is not None:
        headers = (("Retry-After", str(ceil(refused.retry_after_ms / 1_000))),)
    return error_response(STATUS_BY_CODE[refused.code], refused.code, refused.message, headers)
