"""`dropstream kafka start/stop/status`: starts, ends and shows the local broker."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.status import Status

from ops import screen
from ops.local.broker import daemon as broker_daemon
from ops.local.broker.daemon import NodeState, NodeStatus, Started
from ops.local.broker.install import Progress
from ops.local.broker.local import DATA_FOLDER, PORT, prepare_kafka, require_kafka
from ops.verbs import verb_group

kafka = verb_group("The local broker: real Apache Kafka.")

_PORT_MAX = 65_530  # three nodes take six ports in a row

DataFolder = Annotated[Path, typer.Option("--data", help="Folder of the records.", show_default=".dropstream/broker")]
Nodes = Annotated[int, typer.Option("--nodes", help="1, or 3 for fail-over tests.")]
Port = Annotated[int, typer.Option("--port", help="First client port; the next ones follow.", min=1, max=_PORT_MAX)]

# The data folder knows both; the options are taken so that one line serves all three verbs.
AnyNodes = Annotated[int | None, typer.Option("--nodes", help="As at the start; not needed.", show_default=False)]
AnyPort = Annotated[int | None, typer.Option("--port", help="As at the start; not needed.", show_default=False)]


@kafka.command()
def start(nodes: Nodes = 1, data: DataFolder = DATA_FOLDER, port: Port = PORT) -> None:
    """Starts the broker, which goes on after this command, and waits until it serves.

    Example: dropstream kafka start --nodes 3
    """
    if nodes not in {1, 3}:
        raise typer.BadParameter(f"a local broker has 1 or 3 nodes, not {nodes}", param_hint="--nodes")
    with Console(stderr=True).status("starting the local broker") as spinner:
        started = asyncio.run(_start(data, nodes, port, _progress_shown(spinner)))
    screen.say(f"{'runs already' if started.already else 'started'}: {started.bootstrap_servers}")


async def _start(data: Path, nodes: int, port: int, progress: Progress) -> Started:
    # Asked first: a broker that runs needs no search for Java and Maven.
    running = await broker_daemon.running_broker(data, nodes=nodes, port=port)
    if running:
        return running
    runtime = require_kafka(await prepare_kafka(environ=os.environ, progress=progress))
    return await broker_daemon.start(data, nodes=nodes, port=port, runtime=runtime, progress=progress)


def _progress_shown(spinner: Status) -> Progress:
    """Shows progress beside the spinner on a terminal, as lines on stderr elsewhere."""
    if sys.stderr.isatty():
        return spinner.update
    return lambda step: typer.echo(step, err=True)


@kafka.command()
def stop(nodes: AnyNodes = None, data: DataFolder = DATA_FOLDER, port: AnyPort = None) -> None:  # noqa: ARG001 the data say it
    """Ends the broker in order; its records stay.

    Example: dropstream kafka stop
    """
    count = asyncio.run(broker_daemon.stop(data))
    screen.say(f"stopped {count} node{'s' if count > 1 else ''}" if count else f"no broker runs on {data}")


@kafka.command()
def status(
    nodes: AnyNodes = None,  # noqa: ARG001 the data say it
    data: DataFolder = DATA_FOLDER,
    port: AnyPort = None,  # noqa: ARG001 the data say it
    *,
    as_json: screen.AsJson = False,
    header: screen.Header = False,
) -> None:
    """Shows each node; the exit code is 0 when all of them serve.

    Example: dropstream kafka status
    """
    found = asyncio.run(broker_daemon.status(data))
    if not found:
        screen.say(f"no broker on {data}")
        raise typer.Exit(1)
    columns = ("node", "pid", "port", "state", "data folder")
    screen.show_table(columns, map(_cells, found), fold=("data folder",), as_json=as_json, header=header)
    if any(node.state is not NodeState.READY for node in found):
        raise typer.Exit(1)


def _cells(node: NodeStatus) -> tuple[screen.Cell, ...]:
    return node.id, node.pid, node.port, str(node.state), str(node.folder)
