#!/usr/bin/env bash
# Runs every proof of durability for so many minutes each, and writes docs/durability-report.md from what they tell.
# Figures of earlier runs, in build/figures/ and docs/durability-figures.jsonl, are added in, each with its date.
set -uo pipefail
cd "$(dirname "$0")/.."
minutes=${1:-5}
python=.venv/bin/python
mkdir -p build/figures
export BEAVER_FIGURES="build/figures/$(date -u +%Y%m%dT%H%M%SZ).jsonl"
printf '{"kind": "run", "date": "%s", "commit": "%s"}\n' "$(date -u +%Y-%m-%d)" "$(git rev-parse --short=12 HEAD)" >"$BEAVER_FIGURES"
failed=0
$python -m beaver_actors.testing.simulate --minutes "$minutes" || failed=1
$python -m beaver_actors.testing.simulate --journal --minutes "$minutes" || failed=1
BEAVER_CRASH_KILLS=$((minutes * 60)) $python -m pytest -q tests/crash --timeout 20000 || failed=1
make --no-print-directory fuzz MINUTES=1 || failed=1
make --no-print-directory seeded-bugs || failed=1
make --no-print-directory mutants SAMPLE=30 || failed=1
$python scripts/durability_report.py docs/durability-figures.jsonl build/figures/*.jsonl || failed=1
exit $failed
