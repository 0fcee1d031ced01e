"""What a server does with the process that it has for itself, before anything else."""

from __future__ import annotations

from beaver_actors.config import Config
from beaver_actors.kernel.posix import allow_descriptors, empty_input
from beaver_actors.observe.log import get_logger

WORKER_DESCRIPTORS = 8
"""For one worker process: two pipes, a file for its last words, what the system needs to wait for it, and a
connection or a file that the job opens in the server's own process."""

OTHER_DESCRIPTORS = 256
"""For the log and its snapshots, scrapes of the metrics port, clients that are being turned away, the modules
that an app loads."""

log = get_logger("beaver_actors.node")


def settle_in(config: Config) -> None:
    """Empty the standard input, which jobs would otherwise share with the terminal, and see to it that there
    are descriptors for all the connections that the settings allow."""
    empty_input()
    connections_max = config.server.connections_max
    others = WORKER_DESCRIPTORS * config.workers.count + OTHER_DESCRIPTORS
    limit = allow_descriptors(connections_max + others)
    if limit is not None:
        log.warning(
            "the limit of open files is too low for server.connections_max: raise it (ulimit -n, "
            "LimitNOFILE) or lower the setting; connections beyond it will have to wait",
            limit=limit,
            needed=connections_max + others,
            connections_max=connections_max,
            fitting_connections_max=max(1, limit - others),
        )
