"""Makes the tables and pictures of docs/benchmarks.md, and the figures of README.md, from what was measured:
`python -m benchmarks.report`. Takes the latest complete runs of this checkout over into benchmarks/results/,
and writes between markers such as `<!-- targets -->` and `<!-- /targets -->`; the prose around them stays.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

from benchmarks.about import LATEST, RESULTS, ROOT
from benchmarks.chart import Bar, Line, bars, lines
from benchmarks.figures import Figure, Target, figure_from_json, number, table
from benchmarks.peers import results as peers_results

DOCUMENT, README, DOCS = ROOT / "docs" / "benchmarks.md", ROOT / "README.md", ROOT / "docs"
RUNS = ("bench.json", "peers.json", "scale.json", "profile.json", "profile.svg")
HEADLINES = {
    "end_to_end": "enqueue to recorded completion, built-in workers, batches of 100",
    "enqueue_100": "enqueue in batches of 100",
    "messages_32": "enqueue one by one, 32 clients",
    "start_p50": "enqueue to the first line of the job, idle server, median",
    "memory": "memory of a waiting job with 100 bytes of arguments",
    "restart": "start with 1,000,000 waiting jobs, to the first acknowledgement",
}
"""Rows that the README shows, and how it calls them."""
SLICES_OF_TEN = 10


def main() -> None:
    """Take over, draw, write."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name in RUNS:
        if (LATEST / name).exists():
            shutil.copyfile(LATEST / name, RESULTS / name)
    bench, peers, scale, profile = (_load(name) for name in RUNS[:4])
    sections: dict[str, str] = {}
    if bench:
        figures = with_comparison([figure_from_json(given) for given in bench["figures"]], peers)
        sections["run"] = _run(bench)
        sections["targets"] = table(figures)
        headlines = {figure.name: figure for figure in figures}
        rows = [
            f"| {text} | {number(headlines[name].median)} {headlines[name].unit} |"
            for name, text in HEADLINES.items()
            if name in headlines
        ]
        _write(README, {"figures": "\n".join(["| | |", "|---|---:|", *rows])})
    if peers:
        picture = "![jobs a second, end to end, of this project and its peers](benchmarks.svg)"
        sections["peers"] = f"{picture}\n\n{_run(peers)}\n\n{peers_results.table(peers['peers'])}"
        (DOCS / "benchmarks.svg").write_text(peers_chart(peers))
    if scale:
        picture = "![jobs a second, latency, memory and log over the run](benchmarks-scale.svg)"
        sections["scale"] = f"{picture}\n\n{scale_section(scale)}"
        (DOCS / "benchmarks-scale.svg").write_text(scale_chart(scale))
    if profile:
        picture = "![flame graph of the server under full load](profile.svg)"
        sections["profile"] = f"{picture}\n\n{profile_section(profile)}"
        shutil.copyfile(RESULTS / "profile.svg", DOCS / "profile.svg")
    _write(DOCUMENT, sections)


def with_comparison(figures: list[Figure], peers: dict[str, Any] | None) -> list[Figure]:
    """Add what was asked in comparison with the peers, judged in the run that had them."""
    more: dict[str, list[Target]] = {}
    for row, target in peers_results.targets(peers["peers"]) if peers else []:
        more.setdefault(row, []).append(target._replace(text=f"{target.text} (in the run with the peers)"))
    return [figure._replace(targets=(*figure.targets, *more.get(figure.name, []))) for figure in figures]


def peers_chart(peers: dict[str, Any]) -> str:
    """Jobs a second end to end."""
    given = []
    for peer in peers["peers"]:
        rates = sorted(seen["end_to_end"] for seen in peer["visits"])
        if not rates or rates[0] <= 0:
            continue  # it failed, as the table says
        colour = "synced" if peer["acknowledged"] == "synced" else "unsynced"
        colour = "ours" if peer["name"].startswith(peers_results.OURS) else colour
        label = peer["title"].replace("*", "")
        given.append(Bar(label, rates[len(rates) // 2], rates[0], rates[-1], colour))
    legend = [
        ("ours", "this project, synced"),
        ("synced", "an answer means synced"),
        ("unsynced", "it does not"),
    ]
    return bars("No-op jobs a second, from the first enqueue to the last run", legend, given)


def scale_chart(scale: dict[str, Any]) -> str:
    """The course of the long run."""
    slices = scale["slices"]
    panels = [
        Line("jobs a second, end to end", [seen["rate"] for seen in slices], "/s"),
        Line("answer to a batch of 100, p99", [seen["p99_ms"] for seen in slices], "ms"),
        Line("memory", [seen["rss_mb"] for seen in slices], "MB"),
        Line("log on disk", [seen["log_mb"] for seen in slices], "MB"),
    ]
    return lines(f"{scale['completed']:,} jobs through one server", f"{scale['completed']:,} jobs", panels)


def scale_section(scale: dict[str, Any]) -> str:
    """Ten rows of the long run, and its end."""
    slices = scale["slices"]
    step = max(1, len(slices) // SLICES_OF_TEN)
    rows = [
        "| jobs | jobs/s | batch p50 | batch p99 | memory | log | snapshots |",
        "|--:|--:|--:|--:|--:|--:|--:|",
    ]
    rows += [
        f"| {seen['jobs']:,.0f} | {seen['rate']:,.0f} | {seen['p50_ms']:.1f} ms | {seen['p99_ms']:.1f} ms "
        f"| {seen['rss_mb']:.0f} MB | {seen['log_mb']:.0f} MB | {seen['snapshots_mb']:.0f} MB |"
        for seen in slices[step - 1 :: step]
    ]
    ending = (
        f"{scale['completed']:,} jobs in {scale['seconds']:,.0f} s. Then `kill -9` and a restart of "
        f"{scale['restart_seconds']:.2f} s: {scale['completed_after_restart']:,} are known to be completed, "
        f"{scale['unfinished_after_restart']:,} unfinished."
    )
    return "\n".join([_run(scale), "", *rows, "", ending])


def profile_section(profile: dict[str, Any]) -> str:
    """Own time by module."""
    rows = [f"| `{share['module']}` | {share['share']:.1%} |" for share in profile["own_time"][:15]]
    return "\n".join([_run(profile), "", "| module | of all samples |", "|---|--:|", *rows])


def _run(run: dict[str, Any]) -> str:
    kind = "; a quick run, one round and a tenth of the backlog" if run.get("quick") else ""
    return (
        f"*{run['date']}, {run['machine']}, {run['file_system']}, commit {run['commit']}; "
        f"load average before: {run['load_before']:g}{kind}*"
    )


def _load(name: str) -> dict[str, Any] | None:
    path = RESULTS / name
    return json.loads(path.read_text()) if path.exists() else None


def _write(path: Path, sections: dict[str, str]) -> None:
    text = path.read_text()
    for name, body in sections.items():
        pattern = re.compile(f"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if not pattern.search(text):
            raise ValueError(f"{path.name}: expected the markers <!-- {name} --> and <!-- /{name} -->")
        text = pattern.sub(lambda match, body=body: f"{match[1]}{body}\n{match[2]}", text)  # type: ignore[misc]  # body is bound now
    path.write_text(text)


if __name__ == "__main__":
    main()
