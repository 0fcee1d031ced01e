#!/usr/bin/env bash
# Submits 2,000 jobs, kills the server with SIGKILL twice on the way, and reports what was lost: nothing.
# Options: --jobs N, --kills N, --deadline SECONDS, --json. Exits non-zero if a job is lost or recorded twice.
set -euo pipefail
cd "$(dirname "$0")/.."
exec "${PYTHON:-.venv/bin/python}" scripts/demo.py "$@"
