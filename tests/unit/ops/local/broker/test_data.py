"""A data folder is used when it is whole, healed when nothing can be in it, and else refused with what to do."""

import json
from pathlib import Path

import pytest

from ops.local.broker.data import ClusterPlan, check_folder, check_node, nodes_of, plan_cluster, server_properties
from ops.local.broker.node import fault_in
from schemas.errors import DropstreamError

_CLUSTER = "MkU3OEVBNTcwNTJENDM2Qg"


def _plan(data: Path, nodes: int = 1) -> ClusterPlan:
    return plan_cluster(data, nodes=nodes, port=19_100, bind_host="127.0.0.1")


def _formatted(data: Path, *, cluster_id: str = _CLUSTER, node: int = 1) -> Path:
    logs = data / "node-1" / "logs"
    logs.mkdir(parents=True)
    (data / "cluster.json").write_text(json.dumps({"cluster_id": _CLUSTER, "nodes": 1}))
    (logs / "meta.properties").write_text(f"#\nversion=1\ncluster.id={cluster_id}\nnode.id={node}\n")
    return logs


def test_new_folder_becomes_ours(tmp_path: Path) -> None:
    """A new folder is made, keeps its cluster id, and gives each node its ports: clients first, controllers after."""
    data = check_folder(tmp_path / "data")
    plan = _plan(data, nodes=3)
    assert [(node.id, node.port, node.controller_port) for node in plan.nodes] == [
        (1, 19_100, 19_103),
        (2, 19_101, 19_104),
        (3, 19_102, 19_105),
    ]
    assert plan.bootstrap_servers == "127.0.0.1:19100,127.0.0.1:19101,127.0.0.1:19102"
    assert _plan(data, nodes=3).cluster_id == plan.cluster_id
    assert nodes_of(data) == 3


def test_foreign_folder_is_refused_untouched(tmp_path: Path) -> None:
    """A folder with files of somebody else is refused, and a file too."""
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(DropstreamError, match=r"holds files that no local broker of ours wrote: .* --data"):
        check_folder(tmp_path)
    with pytest.raises(DropstreamError, match=r"letter\.txt cannot be used \(File exists\): name another .* --data"):
        check_folder(tmp_path / "letter.txt")
    assert [entry.name for entry in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize(("folder", "why"), [("letter/below", "Not a directory"), (256 * "x", "File name too long")])
def test_a_folder_that_cannot_be_is_refused(tmp_path: Path, folder: str, why: str) -> None:
    """A mistyped folder is one sentence, whoever looks at it first."""
    (tmp_path / "letter").write_text("dear")
    with pytest.raises(DropstreamError, match=rf"cannot be used \({why}\): name another folder with --data"):
        check_folder(tmp_path / folder)


def test_a_folder_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """So it is where a broker is only asked after."""
    with pytest.raises(DropstreamError, match=r"cannot be read \(File name too long\): name another folder"):
        nodes_of(tmp_path / (256 * "x"))


def test_other_number_of_nodes_is_refused(tmp_path: Path) -> None:
    """A folder of one node is not started as three."""
    _plan(tmp_path)
    with pytest.raises(DropstreamError, match="holds a broker of 1 node, not 3: start it with --nodes 1"):
        _plan(tmp_path, nodes=3)
    with pytest.raises(DropstreamError, match="1 or 3 nodes, not 2"):
        _plan(tmp_path, nodes=2)


def test_broken_cluster_file_is_refused(tmp_path: Path) -> None:
    """A cluster file that cannot be read is named, with the remedy."""
    (tmp_path / "cluster.json").write_text("{")
    with pytest.raises(DropstreamError, match=r"cluster\.json is broken: remove .* or name another folder"):
        nodes_of(tmp_path)


def test_half_written_logs_are_refused(tmp_path: Path) -> None:
    """Logs that have lost Kafka's description may hold records: they are refused, and kept."""
    logs = _formatted(tmp_path)
    (logs / "meta.properties").unlink()
    (logs / "raw-0").mkdir()
    with pytest.raises(DropstreamError, match=r"half written: its meta\.properties is missing; remove"):
        _plan(tmp_path)
    assert (logs / "raw-0").is_dir()


def test_logs_of_another_cluster_or_node_are_refused(tmp_path: Path) -> None:
    """Logs under another cluster id or node id are refused, both ids named."""
    _formatted(tmp_path / "a", cluster_id="other")
    with pytest.raises(DropstreamError, match=rf"belongs to another cluster \(other, not {_CLUSTER}\)"):
        _plan(tmp_path / "a")
    _formatted(tmp_path / "b", node=2)
    with pytest.raises(DropstreamError, match="belongs to node 2, not 1"):
        _plan(tmp_path / "b")


def test_interrupted_format_is_cleared(tmp_path: Path) -> None:
    """What an interrupted format left is cleared; complete logs stay and count as formatted."""
    half = tmp_path / "node-1" / "logs.formatting"
    half.mkdir(parents=True)
    (half / "meta.properties").write_text("version=1\n")
    (tmp_path / "cluster.json").write_text(json.dumps({"cluster_id": _CLUSTER, "nodes": 1}))
    node = _plan(tmp_path).nodes[0]
    assert not half.exists()
    assert not check_node(node, _CLUSTER)
    _formatted(tmp_path)
    assert check_node(node, _CLUSTER)


def test_settings_bind_to_this_machine_and_replicate_thrice(tmp_path: Path) -> None:
    """Clients and controllers are on 127.0.0.1, no topic makes itself, and three nodes keep three replicas."""
    plan = _plan(tmp_path, nodes=3)
    lines = server_properties(plan.nodes[1], plan, tmp_path / "logs").splitlines()
    assert "listeners=CLIENTS://127.0.0.1:19101,CONTROLLER://127.0.0.1:19104" in lines
    assert "controller.quorum.voters=1@127.0.0.1:19103,2@127.0.0.1:19104,3@127.0.0.1:19105" in lines
    assert "auto.create.topics.enable=false" in lines
    assert "offsets.topic.replication.factor=3" in lines
    assert "transaction.state.log.min.isr=2" in lines


def test_last_words_are_the_cause() -> None:
    """Of a broker's log the innermost cause is told, else the last error, else the last line."""
    assert fault_in("x ERROR a\njava.lang.RuntimeException: b\n\tat c\nCaused by: d: e\n") == "Caused by: d: e"
    assert fault_in("x INFO a\nx ERROR b\nx INFO c\n") == "x ERROR b"
    assert fault_in("Error: Could not create the Java Virtual Machine.\n").startswith("Error: Could not create")
    assert fault_in("") == ""
