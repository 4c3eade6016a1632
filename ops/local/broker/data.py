"""The data folder of a local broker: its owner, whether it is complete, and the settings of each node in it.

    <data>/cluster.json           cluster id and number of nodes; its presence says that the folder is ours
    <data>/node-1/logs            Kafka's own; appears by a rename, only when the format went through
    <data>/node-1/broker.json     pid and port while the node runs

Removes what we made and did not complete; refuses, with what to do, any folder that could hold somebody's records.
"""

import base64
import json
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from schemas.errors import DropstreamError

_CLUSTER_FILE = "cluster.json"
_LOCK_FILE = "lock"
_RECORD_BYTES_MAX = 16_777_216
_NODES = (1, 3)


@dataclass(frozen=True, slots=True)
class NodePlan:
    """A node of a cluster: the folder of its data and the ports that it listens on, clients on `port`."""

    id: int
    folder: Path
    port: int
    controller_port: int
    advertised_port: int | None = None  # where clients are sent to instead of `port`


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """A whole cluster; `bind_host` is what client listeners bind to.

    `more` is settings of Kafka beyond ours, or instead of them; `log_levels` levels of its loggers.
    """

    cluster_id: str
    bind_host: str
    nodes: tuple[NodePlan, ...]
    more: Mapping[str, str] = field(default_factory=dict)
    log_levels: Mapping[str, str] = field(default_factory=dict)

    @property
    def bootstrap_servers(self) -> str:
        return ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)


def check_folder(data: Path) -> Path:
    """`data` as an absolute path, made where it is new, when it is empty or ours.

    Raises:
        DropstreamError: it is something else's, or cannot be.
    """
    data = data.resolve()
    try:
        data.mkdir(parents=True, exist_ok=True)
        found = {entry.name for entry in data.iterdir()}
    except OSError as error:
        raise DropstreamError(f"{data} cannot be used ({error.strerror}): name another folder with --data") from error
    # A start that was killed before the cluster file was written leaves these two at most.
    ours = {_LOCK_FILE, f"{_CLUSTER_FILE}.partial", _CLUSTER_FILE}
    if _CLUSTER_FILE not in found and not found <= ours:
        raise DropstreamError(f"{data} holds files that no local broker of ours wrote: name another folder with --data")
    return data


def plan_cluster(data: Path, *, nodes: int, port: int, bind_host: str) -> ClusterPlan:
    """The cluster of `data`, made if new: clients on `port` and up, then the controllers' ports.

    Raises:
        DropstreamError: the folder is broken or holds another number of nodes.
    """
    if nodes not in _NODES:
        raise DropstreamError(f"a local broker has 1 or 3 nodes, not {nodes}")
    cluster_id = _claim(data, nodes)
    plan = ClusterPlan(
        cluster_id,
        bind_host,
        tuple(
            NodePlan(number, node_folder(data, number), port + number - 1, port + nodes + number - 1)
            for number in range(1, nodes + 1)
        ),
    )
    for node in plan.nodes:
        check_node(node, cluster_id)
    return plan


def nodes_of(data: Path) -> int:
    """How many nodes the cluster in `data` has; 0 where there is none.

    Raises:
        DropstreamError: the folder's cluster file is broken.
    """
    cluster = _read_cluster(data)
    return cluster[1] if cluster else 0


def _claim(data: Path, nodes: int) -> str:
    cluster = _read_cluster(data)
    if cluster is None:
        return _make_cluster(data, nodes)
    cluster_id, held = cluster
    if held != nodes:
        raise DropstreamError(
            f"{data} holds a broker of {held} node{'s' if held > 1 else ''}, not {nodes}: "
            f"start it with --nodes {held}, or name another folder with --data"
        )
    return cluster_id


def _read_cluster(data: Path) -> tuple[str, int] | None:
    try:
        held = json.loads((data / _CLUSTER_FILE).read_bytes())
        return str(held["cluster_id"]), int(held["nodes"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DropstreamError(f"{data} cannot be read ({error.strerror}): name another folder with --data") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DropstreamError(
            f"{data / _CLUSTER_FILE} is broken: remove {data} if its records may go, or name another folder with --data"
        ) from error


def _make_cluster(data: Path, nodes: int) -> str:
    # The form that Kafka asks for: 16 bytes in URL-safe base64 without padding.
    cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    partial = data / f"{_CLUSTER_FILE}.partial"
    partial.write_text(json.dumps({"cluster_id": cluster_id, "nodes": nodes}) + "\n")
    partial.rename(data / _CLUSTER_FILE)
    return cluster_id


def check_node(node: NodePlan, cluster_id: str) -> bool:
    """Whether `node` is formatted; clears away a format that was interrupted.

    Raises:
        DropstreamError: its logs are of another cluster or node, or have lost Kafka's own description.
    """
    shutil.rmtree(formatting_folder(node), ignore_errors=True)
    logs = logs_folder(node)
    if not logs.is_dir() or not any(logs.iterdir()):
        return False
    remedy = f"remove {node.folder.parent} if its records may go, or name another folder with --data"
    try:
        described = _read_properties(logs / "meta.properties")
    except FileNotFoundError as error:
        raise DropstreamError(f"{logs} is half written: its meta.properties is missing; {remedy}") from error
    found = described.get("cluster.id")
    if found != cluster_id:
        raise DropstreamError(f"{logs} belongs to another cluster ({found}, not {cluster_id}); {remedy}")
    if described.get("node.id") != str(node.id):
        raise DropstreamError(f"{logs} belongs to node {described.get('node.id')}, not {node.id}; {remedy}")
    return True


def _read_properties(path: Path) -> dict[str, str]:
    lines = path.read_text(errors="replace").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def node_folder(data: Path, number: int) -> Path:
    return data / f"node-{number}"


def logs_folder(node: NodePlan) -> Path:
    return node.folder / "logs"


def formatting_folder(node: NodePlan) -> Path:
    """The folder that a format writes to until it is complete."""
    return node.folder / "logs.formatting"


def lock_file(data: Path) -> Path:
    """Held while a broker of `data` is being started."""
    return data / _LOCK_FILE


def server_properties(node: NodePlan, cluster: ClusterPlan, logs: Path) -> str:
    """Kafka's settings for `node`, its records in `logs`."""
    several = len(cluster.nodes) > 1
    settings = {
        "process.roles": "broker,controller",
        "node.id": node.id,
        "controller.quorum.voters": ",".join(f"{peer.id}@127.0.0.1:{peer.controller_port}" for peer in cluster.nodes),
        "listeners": f"CLIENTS://{cluster.bind_host}:{node.port},CONTROLLER://127.0.0.1:{node.controller_port}",
        "advertised.listeners": f"CLIENTS://127.0.0.1:{node.advertised_port or node.port}",
        "listener.security.protocol.map": "CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "CLIENTS",
        "log.dirs": logs,
        "auto.create.topics.enable": "false",
        "default.replication.factor": len(cluster.nodes),
        "group.initial.rebalance.delay.ms": 0,
        "message.max.bytes": _RECORD_BYTES_MAX,
        "replica.fetch.max.bytes": _RECORD_BYTES_MAX,
        # Compaction's memory is taken at start; state topics here are small.
        "log.cleaner.dedupe.buffer.size": 33_554_432,
        # A killed node is let in again only when its old session is over, and until then nobody leads in its place.
        # Alone it has no place to give away: the default, for on a busy machine a heartbeat comes seconds late.
        "broker.session.timeout.ms": 3_000 if several else 9_000,
        "broker.heartbeat.interval.ms": 500,
        # Else it notes in its metadata twice a second that it lives, a third of what an idle broker does.
        "metadata.max.idle.interval.ms": 0,
    }
    for topic in ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic"):
        # Few partitions start fast; the defaults are 50 each.
        settings |= {f"{topic}.num.partitions": 4, f"{topic}.replication.factor": len(cluster.nodes)}
    for topic in ("transaction.state.log", "share.coordinator.state.topic"):
        settings[f"{topic}.min.isr"] = 2 if several else 1
    return "".join(f"{key}={value}\n" for key, value in {**settings, **cluster.more}.items())


def log_properties(cluster: ClusterPlan, shipped: str) -> str:
    """What Kafka logs: as `shipped`, a log4j2.properties, says, and the levels that this cluster is to have."""
    lines = (
        f"logger.own{number}.name = {name}\nlogger.own{number}.level = {level}\n"
        for number, (name, level) in enumerate(cluster.log_levels.items())
    )
    return shipped + "".join(lines)
