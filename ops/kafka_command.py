"""`dropstream kafka start/stop/status`: the local broker as a person starts, ends and looks at it."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.status import Status
from rich.table import Table

from ops.broker import daemon as broker_daemon
from ops.broker.daemon import NodeState, NodeStatus, Started
from ops.broker.install import Progress
from ops.broker.local import DATA_FOLDER, PORT, prepare_kafka, require_kafka

kafka = typer.Typer(name="kafka", help="The local broker: real Apache Kafka.", no_args_is_help=True)

_PORT_MAX = 65_530  # three nodes take six ports in a row

Data = Annotated[Path, typer.Option("--data", help="Folder of the records.", show_default=".dropstream/broker")]
Nodes = Annotated[int, typer.Option("--nodes", help="1, or 3 for fail-over tests.")]
Port = Annotated[int, typer.Option("--port", help="First client port; the next ones follow.", min=1, max=_PORT_MAX)]


@kafka.command()
def start(nodes: Nodes = 1, data: Data = DATA_FOLDER, port: Port = PORT) -> None:
    """Starts the broker, which goes on after this command, and waits until it serves."""
    if nodes not in {1, 3}:
        raise typer.BadParameter(f"a local broker has 1 or 3 nodes, not {nodes}", param_hint="--nodes")
    with Console(stderr=True).status("starting the local broker") as spinner:
        started = asyncio.run(_start(data, nodes, port, _teller(spinner)))
    typer.echo(f"{'runs already' if started.already else 'started'}: {started.bootstrap_servers}")


async def _start(data: Path, nodes: int, port: int, progress: Progress) -> Started:
    # Asked first: what runs needs neither Java nor Maven to be found again.
    running = await broker_daemon.running_broker(data, nodes=nodes, port=port)
    if running:
        return running
    runtime = require_kafka(await prepare_kafka(environ=os.environ, progress=progress))
    return await broker_daemon.start(data, nodes=nodes, port=port, runtime=runtime, progress=progress)


def _teller(spinner: Status) -> Progress:
    """Shows progress beside the spinner on a terminal, as lines on stderr elsewhere."""
    if sys.stderr.isatty():
        return spinner.update
    return lambda step: typer.echo(step, err=True)


@kafka.command()
def stop(data: Data = DATA_FOLDER) -> None:
    """Ends the broker in order; its records stay."""
    count = asyncio.run(broker_daemon.stop(data))
    typer.echo(f"stopped {count} node{'s' if count > 1 else ''}" if count else f"no broker runs on {data}")


@kafka.command()
def status(data: Data = DATA_FOLDER) -> None:
    """Shows each node; the exit code is 0 when all of them serve."""
    nodes = asyncio.run(broker_daemon.status(data))
    if not nodes:
        typer.echo(f"no broker on {data}")
        raise typer.Exit(1)
    if sys.stdout.isatty():
        Console().print(_table(nodes))
    else:
        for node in nodes:
            typer.echo("\t".join(_cells(node)))
    if any(node.state is not NodeState.READY for node in nodes):
        raise typer.Exit(1)


def _table(nodes: tuple[NodeStatus, ...]) -> Table:
    table = Table("node", "pid", "port", "state", "data folder")
    for node in nodes:
        table.add_row(*_cells(node))
    return table


def _cells(node: NodeStatus) -> tuple[str, ...]:
    pid = "-" if node.pid is None else str(node.pid)
    port = "-" if node.port is None else str(node.port)
    return (str(node.id), pid, port, node.state, str(node.folder))
