"""The process that looks into the past beside a running server: `python -m beaver_actors.journal.past_child`.

It gives way to the server and dies with it (`journal/beside.py`), and prints one line of JSON. The work
itself is `journal/past_replies.py`.
"""

from __future__ import annotations

import argparse
import sys
import time

import msgspec

from beaver_actors.codec.wire_past import Moment, Wish
from beaver_actors.journal.beside import give_way
from beaver_actors.journal.disk import RealDisk
from beaver_actors.journal.past_replies import past_reply


def arguments(data_dir: str, wish: Wish) -> list[str]:
    """The command line that asks for this, without the interpreter."""
    told = ["-m", "beaver_actors.journal.past_child", f"--data-dir={data_dir}"]
    if wish.job_id is not None:
        told.append(f"--job={wish.job_id}")
    if wish.moment is not None:
        told += [f"--{name}={value}" for name, value in wish.moment._asdict().items() if value is not None]
    return told


def main(given: list[str] | None = None) -> int:
    """Look, print the reply, return the exit code: 0, or 1 if the disk failed."""
    parser = argparse.ArgumentParser(prog="python -m beaver_actors.journal.past_child", description=__doc__)
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--job")
    parser.add_argument("--lsn", type=int)
    parser.add_argument("--at_ms", type=int)
    options = parser.parse_args(given)
    give_way()
    now_ms = time.time_ns() // 1_000_000
    moment = None
    if options.lsn is not None or options.at_ms is not None:
        moment = Moment(options.lsn, options.at_ms)
    try:
        reply = past_reply(RealDisk(options.data_dir), Wish(options.job, moment), now_ms)
    except OSError as error:
        print(error, file=sys.stderr)  # noqa: T201  # the last words to the parent
        return 1
    sys.stdout.buffer.write(msgspec.json.encode(reply))
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
