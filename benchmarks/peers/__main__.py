"""Measures the peers and us in one run, in turns: `python -m benchmarks.peers [--only NAME,…]`."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.about import LATEST, ROOT, circumstances, tidy_on_sigterm
from benchmarks.figures import number
from benchmarks.peers.catalogue import PEERS, PEERS_PYTHON
from benchmarks.peers.results import as_json, table, verdicts
from benchmarks.peers.visit import Visit, visit

ROUNDS = 3


def main() -> None:
    """Visit each peer in each round."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    names = [peer.name for peer in PEERS]
    parser.add_argument("--only", metavar="NAME,…", help=f"some of: {', '.join(names)}")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help=f"default {ROUNDS}")
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="for the figures (complete runs: build/bench/peers.json)",
    )
    parser.add_argument(
        "--directory", type=Path, default=ROOT / "build", help="on the disk to measure (default: build/)"
    )
    options = parser.parse_args()
    wanted = names if options.only is None else options.only.split(",")
    if unknown := [name for name in wanted if name not in names]:
        parser.error(f"--only: expected some of {', '.join(names)}, got {', '.join(unknown)}")
    if not Path(PEERS_PYTHON).exists():
        parser.error("the peers are not installed; `make bench-peers` does that")
    options.directory.mkdir(parents=True, exist_ok=True)
    tidy_on_sigterm()
    about = circumstances(options.directory)
    began = time.monotonic()
    peers = [peer for peer in PEERS if peer.name in wanted]
    visits: dict[str, list[Visit]] = {peer.name: [] for peer in peers}
    with tempfile.TemporaryDirectory(prefix="bench-", dir=options.directory) as directory:
        for round_number in range(options.rounds):
            for peer in peers:
                try:
                    seen = visit(peer, Path(directory))
                except (OSError, RuntimeError, TimeoutError, subprocess.SubprocessError) as error:
                    text = f"FAILED: {error}"  # the others are still worth knowing
                else:
                    visits[peer.name].append(seen)
                    text = f"end to end {number(seen.end_to_end)} jobs/s"
                said = f"{time.monotonic() - began:6.1f} s  round {round_number + 1}, {peer.name}: {text}"
                print(said, file=sys.stderr, flush=True)
    document = about | {
        "seconds": round(time.monotonic() - began),
        "rounds": options.rounds,
        "peers": [as_json(peer, visits[peer.name]) for peer in peers],
    }
    kept = options.json or (LATEST / "peers.json" if wanted == names else None)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    print(table(document["peers"]))
    for verdict in verdicts(document["peers"]):
        print(f"\n{verdict}")
    if any(len(seen) < options.rounds for seen in visits.values()):
        sys.exit("some of the peers failed, see above")


if __name__ == "__main__":
    main()
