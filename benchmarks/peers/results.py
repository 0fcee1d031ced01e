"""The table of peers, and how we stand in it."""

from __future__ import annotations

from statistics import median
from typing import Any

from benchmarks.figures import Target, at_least, number
from benchmarks.peers.catalogue import SYNCED, Peer
from benchmarks.peers.visit import Visit

OURS = "beaver"
STREAM = "redis_stream_always"


def as_json(peer: Peer, visits: list[Visit]) -> dict[str, Any]:
    """For the file of results."""
    return {
        "name": peer.name,
        "title": peer.title,
        "acknowledged": peer.acknowledged,
        "framework": peer.framework and not peer.ours,
        "visits": [
            {key: None if value is None else round(value, 3) for key, value in seen._asdict().items()}
            for seen in visits
        ],
    }


def table(peers: list[dict[str, Any]]) -> str:
    """All peers, the fastest end to end first."""
    lines = [
        "| | an answer means | end to end | one job a call | handed in, one job a call, 8 clients "
        "| … a hundred a call | one client, p50 |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for peer in sorted(peers, key=lambda peer: _middle(peer, "end_to_end") or 0, reverse=True):
        p50 = _middle(peer, "one_p50_ms")
        cells = [
            peer["title"],
            peer["acknowledged"],
            _rate(peer, "end_to_end"),
            _rate(peer, "end_to_end_one"),
            _rate(peer, "one_by_one"),
            _rate(peer, "batches"),
            "failed" if p50 is None else f"{p50:.2f} ms",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def targets(peers: list[dict[str, Any]]) -> list[tuple[str, Target]]:
    """What was asked of us in comparison, judged round by round; each with the row that it belongs to."""
    by_name = {peer["name"]: peer for peer in peers}
    judged: list[tuple[str, Target]] = []
    if OURS not in by_name:
        return judged
    frameworks = [peer for peer in peers if peer["framework"]]
    synced = [peer for peer in frameworks if peer["acknowledged"] == SYNCED]
    for others, what in ((synced, " that syncs, too"), (frameworks, ", whether it syncs or not")):
        if others:
            shares = _shares(by_name[OURS], others, "end_to_end")
            asked = f"10 × the fastest Python framework{what}"
            judged.append(("end_to_end", at_least("must", asked, shares, 10)))
    if STREAM in by_name:
        shares = _shares(by_name[OURS], [by_name[STREAM]], "end_to_end")
        judged.append(("end_to_end", at_least("wish", "bare Redis stream, AOF always", shares, 1)))
        shares = _shares(by_name[OURS], [by_name[STREAM]], "batches")
        judged.append(("enqueue_100", at_least("must", "bare Redis stream, AOF always", shares, 1)))
    return judged


def verdicts(peers: list[dict[str, Any]]) -> list[str]:
    """The same in words."""
    return [
        f"{row}: {target.kind} {target.text}: {number(target.measured)} {'met' if target.met else 'NOT MET'}"
        for row, target in targets(peers)
    ]


def _shares(ours: dict[str, Any], others: list[dict[str, Any]], key: str) -> list[float]:
    """Ours by the best of the others, for each round in which all were visited."""
    rounds = min(len(peer["visits"]) for peer in (ours, *others))
    return [
        ours["visits"][number][key] / max(peer["visits"][number][key] for peer in others)
        for number in range(rounds)
    ] or [0.0]


def _middle(peer: dict[str, Any], key: str) -> float | None:
    values = [seen[key] for seen in peer["visits"] if seen[key] is not None]
    return median(values) if values else None


def _rate(peer: dict[str, Any], key: str) -> str:
    values = [seen[key] for seen in peer["visits"] if seen[key] is not None]
    if not values:
        return "–"
    spread = f" ({number(min(values))} – {number(max(values))})" if len(values) > 1 else ""
    return f"{number(median(values))}{spread}"
