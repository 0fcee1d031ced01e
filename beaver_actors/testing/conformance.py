"""`python -m beaver_actors.testing.conformance ws://…`: holds a server against the protocol, check by check.

For authors of clients and workers, to see what they may rely on, and for authors of servers. Every message,
every refusal and every limit of `docs/protocol.md` is asked for, in kinds, queues and jobs of its own, which
it removes; it may be run beside other clients. A check says what it expected and what came; the exit code is
0 if all hold."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import NamedTuple, TextIO, TypeAlias

import trio

from beaver_actors.client.errors import ConnectFailed
from beaver_actors.testing import conformance_clients, conformance_workers
from beaver_actors.testing.conformance_peer import Target, Unfit
from beaver_actors.testing.conformance_workers import Skipped

Check: TypeAlias = Callable[[Target], Awaitable[None]]
CHECKS: tuple[Check, ...] = (*conformance_clients.CHECKS, *conformance_workers.CHECKS)
CHECK_SECONDS = 300.0
"""For one check, whatever it waits for."""


class Finding(NamedTuple):
    """What came of one check."""

    name: str
    promise: str
    """What the server is held to."""
    problem: str | None
    """What it did instead; None if it does as it must."""
    skipped: str | None = None


async def examine(
    url: str,
    *,
    token: str | None = None,
    patience: float = 20.0,
    checks: Sequence[Check] = CHECKS,
    told: Callable[[Finding], None] = lambda finding: None,
) -> list[Finding]:
    """Run the checks one after the other.

    Args:
        url: of the server.
        token: for a server that asks for one.
        patience: seconds to wait for anything.
        checks: which.
        told: called with each finding as it comes.

    Raises:
        ConnectFailed: there is no server.
    """
    target = Target(url, token, patience, f"conformance.{secrets.token_hex(4)}")
    async with target.connect():
        pass
    findings: list[Finding] = []
    for check in checks:
        finding = await _examined(check, target)
        findings.append(finding)
        told(finding)
    return findings


async def _examined(check: Check, target: Target) -> Finding:
    name = check.__name__.replace("_", " ")
    promise = " ".join((check.__doc__ or "").split())
    try:
        with trio.fail_after(CHECK_SECONDS):
            await check(target)
    except BaseException as error:  # whatever it is, it is told; but for being cancelled
        if isinstance(error, trio.Cancelled | KeyboardInterrupt):
            raise
        inner = error
        while isinstance(inner, BaseExceptionGroup) and inner.exceptions:
            inner = inner.exceptions[0]
        if isinstance(inner, Skipped):
            return Finding(name, promise, None, str(inner))
        told = str(inner) if isinstance(inner, Unfit) else f"{type(inner).__name__}: {inner}"
        return Finding(name, promise, told)
    return Finding(name, promise, None)


def main(arguments: list[str] | None = None) -> int:
    """Run; returns the exit code: 0 if the server does all as it must, 1 if not, 3 without a server."""
    parser = argparse.ArgumentParser(
        prog="python -m beaver_actors.testing.conformance", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "url", help="of the server, such as ws://127.0.0.1:7440; BEAVER_TOKEN holds its token"
    )
    parser.add_argument("--patience", type=float, default=20.0, help="seconds to wait for anything (20)")
    parser.add_argument("--only", default="", help="only the checks whose names contain this")
    options = parser.parse_args(arguments)
    checks = [check for check in CHECKS if options.only in check.__name__]

    def told(finding: Finding) -> None:
        mark = "FAIL" if finding.problem else ("skip" if finding.skipped else "ok")
        _say(f"{mark:4}  {finding.name}: {finding.promise}")
        if finding.problem or finding.skipped:
            _say(f"      {finding.problem or finding.skipped}")

    run = partial(
        examine, options.url, token=os.environ.get("BEAVER_TOKEN") or None, patience=options.patience,
        checks=checks, told=told,
    )  # fmt: skip
    try:
        findings = trio.run(run)
    except ConnectFailed as error:
        _say(str(error), sys.stderr)
        return 3
    failed = sum(finding.problem is not None for finding in findings)
    _say(f"{len(findings)} checks, {failed} failed" if failed else f"{len(findings)} checks, all hold")
    return 1 if failed else 0


def _say(text: str, file: TextIO | None = None) -> None:
    print(text, file=file or sys.stdout, flush=True)  # a command


if __name__ == "__main__":
    sys.exit(main())
