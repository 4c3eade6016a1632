"""`dropstream kafka`: the life of a local broker as a person sees it, verb by verb."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from ops.cli import main
from tests.support.ports import free_ports

Called = Callable[..., tuple[object, str, str]]


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Called:
    """Exit code, output and error output of a verb of the group."""

    def called(*arguments: str) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["dropstream", "kafka", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return (ended.value.code or 0, *capsys.readouterr())

    return called


@pytest.mark.usefixtures("kafka_runtime")
def test_a_broker_is_started_once_shown_and_stopped_once(kafka: Called, tmp_path: Path) -> None:
    """Each verb twice; a frozen node and one that has ended are not called ready, and the exit code says so."""
    folder, port = tmp_path / "data", free_ports(2)
    data, node = ("--data", str(folder)), folder / "node-1"
    assert kafka("status", *data)[:2] == (1, f"no broker on {folder}\n")
    try:
        assert kafka("start", *data, "--port", str(port))[:2] == (0, f"started: 127.0.0.1:{port}\n")
        assert kafka("start", *data, "--port", str(port)) == (0, f"runs already: 127.0.0.1:{port}\n", "")
        code, out, _ = kafka("start", *data, "--port", str(port), "--nodes", "3")
        assert (code, out) == (1, "")
        code, out, _ = kafka("status", *data, "--json")
        shown = orjson.loads(out)
        pid = shown["pid"]
        assert (code, shown) == (
            0,
            {"node": 1, "pid": pid, "port": port, "state": "ready", "data_folder": str(node)},
        )
        os.kill(pid, signal.SIGSTOP)
        assert kafka("status", *data) == (1, f"1\t{pid}\t{port}\tnot answering\t{node}\n", "")
    finally:
        assert kafka("stop", *data) == (0, "stopped 1 node\n", "")
    assert kafka("stop", *data) == (0, f"no broker runs on {folder}\n", "")
    code, out, _ = kafka("status", *data)
    assert (code, out.split("\t")[3]) == (1, "stopped")


def test_two_nodes_are_refused_before_anything_is_prepared(kafka: Called, tmp_path: Path) -> None:
    """Two nodes have no majority when one is away; nothing is left in the folder."""
    code, out, err = kafka("start", "--nodes", "2", "--data", str(tmp_path / "data"))
    assert (code, out) == (2, "")
    assert "a local broker has 1 or 3 nodes, not 2" in err
    assert not (tmp_path / "data").exists()
