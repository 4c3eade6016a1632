"""Runs one or three nodes as one broker: formats and launches them, and waits until every node knows all of them.

The caller of `open_cluster` stops the cluster; `local.local_broker` does that with a context manager.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ops.local.broker.data import ClusterPlan, check_folder, lock_file, plan_cluster
from ops.local.broker.install import Progress
from ops.local.broker.node import BrokerNode
from ops.local.broker.runtime import Runtime
from ops.local.broker.tool import locked
from schemas.errors import DropstreamError

# A node that has ended is reported at once; one on a busy machine takes its time.
_READY_DEADLINE_S = 180.0
_READY_POLL_S = 0.05


class BrokerCluster:
    """The nodes of one local broker. `nodes[0]` is node 1."""

    def __init__(self, plan: ClusterPlan, *, runtime: Runtime, detached: bool = False) -> None:
        self.bootstrap_servers = plan.bootstrap_servers
        self.nodes = tuple(BrokerNode(node, plan, runtime=runtime, detached=detached) for node in plan.nodes)

    async def start(self, progress: Progress) -> None:
        """Starts every node and waits until the cluster serves. On failure nothing of it is left running.

        Raises:
            DropstreamError: says what is wrong and what to do.
        """
        progress("preparing the data folder")
        await _all(node.format() for node in self.nodes)
        progress("starting Apache Kafka")
        try:
            for node in self.nodes:
                node.launch()
            await self.ready()
        except BaseException:
            await self.kill()
            raise

    async def restart(self, node: BrokerNode) -> None:
        """Launches an ended node on its data and waits until it serves with all that run."""
        node.launch()
        await self.ready()

    async def ready(self) -> None:
        """Waits until every launched node knows every launched node.

        Raises:
            DropstreamError: a node ended by itself, or the deadline passed.
        """
        launched = waiting = [node for node in self.nodes if node.launched]
        expected = {node.plan.id for node in launched}
        try:
            async with asyncio.timeout(_READY_DEADLINE_S):
                while waiting:
                    seen = {node.plan.id: await node.nodes_seen() for node in launched}
                    waiting = [node for node in waiting if not expected <= seen[node.plan.id]]
                    if waiting:
                        await asyncio.sleep(_READY_POLL_S)
        except TimeoutError as error:
            ids = ", ".join(str(node.plan.id) for node in waiting)
            raise DropstreamError(
                f"the broker did not get ready in {_READY_DEADLINE_S:.0f} s (node {ids})\nSee {waiting[0].log}."
            ) from error

    async def stop(self) -> None:
        """Ends every node in order; all have ended on return."""
        await _all(node.stop() for node in self.nodes)

    async def kill(self) -> None:
        """Ends every node at once, as kill -9 does."""
        await _all(node.kill() for node in self.nodes)


async def open_cluster(
    data: Path,
    *,
    nodes: int,
    port: int,
    runtime: Runtime,
    progress: Progress,
    detached: bool = False,
    more: Mapping[str, str] | None = None,
) -> BrokerCluster:
    """A started cluster on `data`: clients on `port` and up, controllers on the ports after those.

    `more` is settings of Kafka beyond ours, or instead of them.

    Raises:
        DropstreamError: says what is wrong and what to do.
    """
    if nodes > runtime.nodes_max:
        raise DropstreamError(
            f"{nodes} nodes need Java 17 or newer with Maven: in Docker the local broker has one node"
        )
    data = check_folder(data)
    async with locked(lock_file(data)):
        plan = plan_cluster(data, nodes=nodes, port=port, bind_host=runtime.bind_host)
        plan = replace(plan, more=more or {})
        cluster = BrokerCluster(plan, runtime=runtime, detached=detached)
        await cluster.start(progress)
    return cluster


async def _all(steps: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Runs every step at once; the first failure ends the others and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for step in steps:
                group.create_task(step)
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from failures
