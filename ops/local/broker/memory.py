"""The in-memory broker: librdkafka's mock cluster, in a child process that ends with its parent.

It takes and gives records, which is enough for a first look on a machine with neither Java nor Docker. It makes a topic
of 4 partitions when one is first named and keeps nothing on disk; what it cannot show is said in MEMORY_BROKER_LIMITS.
Its readers need `check_crcs=False`, for it moves batches without renewing their checksums.
"""

import asyncio
import contextlib
import importlib.util
import subprocess
import sys
from collections.abc import AsyncIterator

from ops.local.processes import first_line
from ops.parent import follow_parent
from schemas.errors import DropstreamError

MEMORY_BROKER_LIMITS = (
    "In-memory broker: records go when it ends, no look-up by time, no retention or compaction, and no fail-over; "
    "it proves nothing about Apache Kafka."
)
_START_DEADLINE_S = 20.0
_STOP_DEADLINE_S = 5.0


@contextlib.asynccontextmanager
async def memory_broker() -> AsyncIterator[str]:
    """The `host:port` of an in-memory broker that lives as long as the block.

    Raises:
        DropstreamError: `confluent-kafka` is missing, or the broker did not start.
    """
    if importlib.util.find_spec("confluent_kafka") is None:
        raise DropstreamError("the in-memory broker needs confluent-kafka: install dropstream[in-memory]")
    host = _start()
    try:
        async with asyncio.timeout(_START_DEADLINE_S):
            address = await asyncio.to_thread(first_line, host)
        if not address:
            raise DropstreamError("the in-memory broker ended while starting")
        yield address
    finally:
        _end(host)


def _start() -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-I", "-m", "ops.local.broker.memory"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # The caller turns Ctrl-C into an orderly end.
    )


def _end(host: "subprocess.Popen[bytes]") -> None:
    """Closes the host's input, which ends it; by force when that does not."""
    if host.stdin:
        host.stdin.close()
    try:
        host.wait(_STOP_DEADLINE_S)
    except subprocess.TimeoutExpired:
        host.kill()
        host.wait()
    if host.stdout:
        host.stdout.close()


def host_broker() -> None:
    """Hosts a broker, writes its address as one line, and returns when the parent is gone or closes the input."""
    from confluent_kafka import Producer  # noqa: PLC0415 optional, and needed in this process alone

    # The address is replaced by the mock's own; level 3 (errors) keeps its greeting off the terminal.
    producer = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "replaced", "log_level": 3})
    node = next(iter(producer.list_topics(timeout=_START_DEADLINE_S).brokers.values()))
    print(f"{node.host}:{node.port}", flush=True)  # noqa: T201 the answer to the parent
    follow_parent()


if __name__ == "__main__":
    host_broker()
