#!/usr/bin/env bash
# Runs the benchmark beside the peers. Installs what is missing: brokers as Debian packages (as root; they are
# not started as services), Python peers with pinned versions into an environment of their own.
set -euo pipefail
cd "$(dirname "$0")/.."
missing=()
command -v redis-server >/dev/null || missing+=(redis-server)
command -v beanstalkd >/dev/null || missing+=(beanstalkd)
command -v nats-server >/dev/null || [ -x /usr/sbin/nats-server ] || missing+=(nats-server)
compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || missing+=(postgresql)
if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "please install: ${missing[*]}" >&2
    exit 1
  fi
  apt-get update -qq
  RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi
if [ .venv-peers/.installed -ot benchmarks/peers/constraints.txt ]; then
  "${PYTHON:-python3}" -m venv .venv-peers
  .venv-peers/bin/pip install --quiet --disable-pip-version-check --requirement benchmarks/peers/constraints.txt
  touch .venv-peers/.installed
fi
exec .venv/bin/python -m benchmarks.peers "$@"
