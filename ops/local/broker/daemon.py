"""Runs the local broker as a daemon: one command starts it, others show and end it; its data folder identifies it."""

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ops.local.broker.cluster import open_cluster
from ops.local.broker.data import node_folder, nodes_of
from ops.local.broker.install import Progress
from ops.local.broker.pid import find_running, forget_running
from ops.local.broker.probe import nodes_seen
from ops.local.broker.runtime import Runtime
from ops.local.processes import end
from schemas.errors import DropstreamError

_STOP_GRACE_S = 15.0
_KILL_GRACE_S = 10.0


class NodeState(StrEnum):
    """Whether a node serves, runs without an answer, or has ended."""

    READY = "ready"
    SILENT = "not answering"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """The state of one node; `pid` and `port` are None while it is stopped."""

    id: int
    state: NodeState
    pid: int | None
    port: int | None
    folder: Path


@dataclass(frozen=True, slots=True)
class Started:
    """The broker runs at `bootstrap_servers`; `already` says that it did before."""

    bootstrap_servers: str
    already: bool


async def running_broker(data: Path, *, nodes: int, port: int) -> Started | None:
    """The broker of `data` where all of it runs already; None where none of it does.

    Raises:
        DropstreamError: it runs otherwise than asked for, or only a part of it runs.
    """
    found = await status(data)
    up = [node for node in found if node.state is not NodeState.STOPPED]
    if not up:
        return None
    if len(up) < len(found):
        ids = ", ".join(str(node.id) for node in found if node.state is NodeState.STOPPED)
        raise DropstreamError(
            f"node {ids} of the broker on {data} has ended: `dropstream kafka stop --data {data}`, then start again"
        )
    if (len(up), up[0].port) != (nodes, port):
        raise DropstreamError(
            f"a broker of {len(up)} node{'s' if len(up) > 1 else ''} on port {up[0].port} runs on {data}: "
            "stop it first, or name another folder with --data"
        )
    return Started(",".join(f"127.0.0.1:{node.port}" for node in up), already=True)


async def start(data: Path, *, nodes: int, port: int, runtime: Runtime, progress: Progress) -> Started:
    """Starts the broker of `data`, to go on after this process, and returns when it serves.

    Raises:
        DropstreamError: it cannot be started; says what to do.
    """
    cluster = await open_cluster(data, nodes=nodes, port=port, runtime=runtime, progress=progress, detached=True)
    return Started(cluster.bootstrap_servers, already=False)


async def stop(data: Path) -> int:
    """Ends the running nodes of the broker of `data`, by force where needed; returns how many there were.

    Raises:
        DropstreamError: a node did not end even by force.
    """
    running = [node for folder in _folders(data) if (node := find_running(folder))]
    ends = [end(node.process, grace_s=_STOP_GRACE_S, kill_within_s=_KILL_GRACE_S) for node in running]
    for node, has_ended in zip(running, await asyncio.gather(*ends), strict=True):
        if not has_ended:
            raise DropstreamError(f"pid {node.process.pid} (port {node.port}) does not end, not even by kill -9")
    for folder in _folders(data):
        forget_running(folder)
    return len(running)


async def status(data: Path) -> tuple[NodeStatus, ...]:
    """Every node of the broker of `data`, in order; none where there is no such broker."""
    return tuple([await _node_status(number, folder) for number, folder in enumerate(_folders(data), start=1)])


def _folders(data: Path) -> list[Path]:
    data = data.resolve()
    return [node_folder(data, number) for number in range(1, nodes_of(data) + 1)]


async def _node_status(number: int, folder: Path) -> NodeStatus:
    running = find_running(folder)
    if running is None:
        return NodeStatus(number, NodeState.STOPPED, None, None, folder)
    state = NodeState.READY if number in await nodes_seen(running.port) else NodeState.SILENT
    return NodeStatus(number, state, running.process.pid, running.port, folder)
