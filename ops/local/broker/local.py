"""Gives a command or a test a broker: one that runs already, real Apache Kafka started here, or one in memory.

async with local_broker(data, environ=os.environ, port=9092, progress=tell) as broker:
    broker.bootstrap_servers
"""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ops.local.broker.archive import with_archive
from ops.local.broker.cluster import BrokerCluster, open_cluster
from ops.local.broker.install import STATE_FOLDER, Progress, Unavailable, find_kafka
from ops.local.broker.memory import MEMORY_BROKER_LIMITS, memory_broker
from ops.local.broker.probe import find_free_ports
from ops.local.broker.runtime import JavaRuntime, Runtime
from schemas.errors import DropstreamError

CACHE_FOLDER = STATE_FOLDER / "kafka"
DATA_FOLDER = STATE_FOLDER / "broker"
PORT = 9092


class BrokerKind(StrEnum):
    """How a broker came to be: named by the person, real Kafka started here, or in memory."""

    GIVEN = "given"
    KAFKA = "kafka"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class Broker:
    """The address and the kind of a broker.

    `limits` is a sentence to show where it is not real Kafka, else empty; `named_by` says where a given one is named.
    """

    kind: BrokerKind
    bootstrap_servers: str
    limits: str = ""
    named_by: str = ""


@contextlib.asynccontextmanager
async def any_broker(
    data: Path, *, environ: Mapping[str, str], progress: Progress, port: int = PORT
) -> AsyncIterator[Broker]:
    """The broker of KAFKA=host:port, else real Kafka on `data`, else one in memory; one started here ends with it.

    Real Kafka listens on `port` and the one after it, or on the next two that are free.

    Raises:
        DropstreamError: a broker should start here but cannot; says what to do.
    """
    given = environ.get("KAFKA")
    if given:
        yield Broker(BrokerKind.GIVEN, given, named_by="$KAFKA")
        return
    runtime = await prepare_kafka(environ=environ, progress=progress)
    if isinstance(runtime, Unavailable):
        progress("starting the in-memory broker")
        async with memory_broker() as address:
            limits = f"No real Kafka here ({runtime.reason}). {MEMORY_BROKER_LIMITS}"
            yield Broker(BrokerKind.MEMORY, address, limits)
        return
    free = find_free_ports(2, after=port)
    async with _running(await open_cluster(data, nodes=1, port=free, runtime=runtime, progress=progress)) as cluster:
        yield Broker(BrokerKind.KAFKA, cluster.bootstrap_servers)


@contextlib.asynccontextmanager
async def local_broker(
    data: Path, *, environ: Mapping[str, str], progress: Progress, nodes: int = 1, port: int = PORT
) -> AsyncIterator[BrokerCluster]:
    """A real Apache Kafka of one or three nodes on `data`, ready, that ends with the block or this process.

    Raises:
        DropstreamError: it cannot be started; says what to do.
    """
    runtime = require_kafka(await prepare_kafka(environ=environ, progress=progress))
    async with _running(
        await open_cluster(data, nodes=nodes, port=port, runtime=runtime, progress=progress)
    ) as cluster:
        yield cluster


async def prepare_kafka(*, environ: Mapping[str, str], progress: Progress) -> Runtime | Unavailable:
    """The runtime for Kafka, fetched and prepared where that has not been done."""
    runtime = await find_kafka(CACHE_FOLDER, environ=environ, progress=progress)
    if isinstance(runtime, JavaRuntime):
        return await with_archive(runtime, CACHE_FOLDER, progress)
    return runtime


def require_kafka(runtime: Runtime | Unavailable) -> Runtime:
    """Returns `runtime` where there is one.

    Raises:
        DropstreamError: there is no runtime; says what to install.
    """
    if isinstance(runtime, Unavailable):
        raise DropstreamError(
            f"cannot run Apache Kafka here: {runtime.reason}\n"
            "Install a JDK 17 or newer and Maven, or start Docker, or set KAFKA=host:port to use a broker that runs."
        )
    return runtime


@contextlib.asynccontextmanager
async def _running(cluster: BrokerCluster) -> AsyncIterator[BrokerCluster]:
    try:
        yield cluster
    finally:
        await cluster.stop()
