"""`dropstream`: assembles every verb into one program; what a verb does stands in its own file.

Exit codes: 0 done, 1 the operation failed, 2 usage or configuration, 130 Ctrl-C.
"""

import logging
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from ops import doctor, drain, screen
from ops.audit import command as audit_command
from ops.configuration import verb_group
from ops.console import command as console_command
from ops.docs import command as schemas_command
from ops.endpoints import add as endpoints_add
from ops.endpoints import command as endpoints_command
from ops.inspect import gaps, tail_command, trace_command
from ops.kafka import offsets_command, topics_command
from ops.local import kafka_command, up
from ops.replay import command as replay_command
from ops.send import command as send_command
from ops.service import ingest_command, process_command
from ops.shipstream import command as shipstream_command
from schemas.errors import ConfigurationError, DropstreamError, UsageError

app = verb_group("Dropship webhooks in, kept, and turned exactly once into events other services can trust.")
app.command("up")(up.up)
app.add_typer(kafka_command.kafka, name="kafka")
app.add_typer(schemas_command.app, name="schemas")
app.add_typer(topics_command.app, name="topics")
app.command("ingest")(ingest_command.ingest)
app.command("drain")(drain.drain)
app.command("process")(process_command.process)
app.command("send", no_args_is_help=True)(send_command.send)
app.command("gaps")(gaps.gaps)
app.command("audit")(audit_command.audit_topics)
app.command("replay", no_args_is_help=True)(replay_command.replay)
app.command("redrive")(replay_command.redrive)
app.command("trace", no_args_is_help=True)(trace_command.trace_entity)
app.command("tail", no_args_is_help=True)(tail_command.tail)
app.add_typer(offsets_command.app, name="offsets")
app.command("console")(console_command.console)
app.add_typer(endpoints_command.app, name="endpoints")
endpoints_command.app.command("add", no_args_is_help=True)(endpoints_add.add_endpoint)
app.add_typer(shipstream_command.app, name="shipstream")
app.command("doctor")(doctor.doctor)


@app.callback(invoke_without_command=True)
def show_version(
    *,
    version_only: Annotated[bool, typer.Option("--version", help="Show the version and stop.")] = False,
) -> None:
    """Dropship webhooks in, kept, and turned exactly once into events other services can trust."""
    if version_only:
        screen.write_line(version("dropstream"))
        raise typer.Exit


def main() -> None:
    """Runs the verb that the command line names and ends the process with its exit code."""
    # Log lines of aiokafka would stand before our one sentence; a verb that logs sets handlers at the root.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    try:
        app(prog_name="dropstream")
    except screen.ReaderGoneError:
        sys.exit(0)
    except (ConfigurationError, UsageError) as error:
        screen.complain(str(error))
        sys.exit(2)
    except DropstreamError as error:
        screen.complain(str(error))
        sys.exit(1)
