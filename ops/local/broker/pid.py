"""The note beside a running node that lets another process find and end it: `broker.json` in the node's folder."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ops.local.processes import DetachedProcess, HeldProcess


@dataclass(frozen=True, slots=True)
class RunningNode:
    """The process of a node that runs, and its client port."""

    process: DetachedProcess
    port: int


def settings_file(folder: Path) -> Path:
    """The node's settings for Kafka; its path among a process's arguments says that the process is this node."""
    return folder / "server.properties"


def note_running(folder: Path, process: HeldProcess, *, port: int, instead: Mapping[str, list[str]]) -> None:
    """Notes that `process` is the node in `folder`."""
    note = {"pid": process.pid, "port": port, "instead": instead}
    partial = folder / "broker.json.partial"
    partial.write_text(json.dumps(note) + "\n")
    partial.rename(_note(folder))


def forget_running(folder: Path) -> None:
    """Removes the note of the node in `folder`."""
    _note(folder).unlink(missing_ok=True)


def find_running(folder: Path) -> RunningNode | None:
    """The node that runs in `folder`, whichever process started it; None where none runs, whatever an old note says."""
    try:
        note = json.loads(_note(folder).read_bytes())
        process = DetachedProcess(int(note["pid"]), marker=str(settings_file(folder)), instead=dict(note["instead"]))
        port = int(note["port"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return RunningNode(process, port) if process.running() else None


def _note(folder: Path) -> Path:
    return folder / "broker.json"
