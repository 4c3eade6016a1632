"""Each connection is an open file, and a process may have only so many: a server that runs out accepts nobody.

Raises this process's own limit as far as the system allows; what it still lacks lowers the number of connections.
"""

import dataclasses
import resource

import structlog

from ingest.http.limits import ConnectionLimits

# Kafka, the admin port, the spool, logs, refusals.
_OTHER_FILES = 256


def allowed_limits(limits: ConnectionLimits) -> ConnectionLimits:
    """`limits` with as many connections as this process may have open files for; a warning where these are fewer."""
    wanted = limits.connections_max + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return limits
    connections_max = max(soft - _OTHER_FILES, soft // 2)
    structlog.get_logger("ingest").warning(
        "open_files_limited", open_files_max=soft, connections_max=connections_max, wanted=limits.connections_max
    )
    return dataclasses.replace(limits, connections_max=connections_max)
