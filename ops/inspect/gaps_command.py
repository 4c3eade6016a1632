"""`dropstream gaps`: which sequence ids are missing, endpoint by endpoint."""

import json
from collections.abc import Sequence
from typing import Annotated

import typer

from ops import screen
from ops.configuration import ConfigFile, load_settings
from ops.event_loop import run
from ops.inspect.gaps import MissingRun, read_runs

_COLUMNS = ("endpoint", "epoch", "first", "last", "count", "state", "since")


def gaps(
    endpoint: Annotated[str | None, typer.Option(metavar="E", help="Only this endpoint's.", show_default=False)] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    config: ConfigFile = None,
) -> None:
    """Lists the gaps that are open, and those that are lost. Example: dropstream gaps --endpoint shipstream-acme"""
    settings = load_settings(config, signing_secrets=False)
    runs = run(read_runs(settings, endpoint))
    if not runs and endpoint is not None and endpoint not in settings.endpoints:
        raise typer.BadParameter(
            f"no endpoint is called {endpoint!r}; dropstream endpoints list shows them", param_hint="--endpoint"
        )
    show(runs, as_json=as_json)


def show(runs: Sequence[MissingRun], *, as_json: bool) -> None:
    """Writes the runs to standard output: a table, plain lines in a pipe, or JSON lines."""
    if as_json:
        for one in runs:
            # Not orjson: an id that another producer made up may be longer than 64 bits.
            screen.write_line(json.dumps(dict(zip(_COLUMNS, _values(one), strict=True)), separators=(",", ":")))
    elif not runs and screen.is_terminal():
        screen.say("No id is missing.", style="green")
    else:
        screen.show_table(_COLUMNS, [[str(value) for value in _values(one)] for one in runs])


def _values(one: MissingRun) -> tuple[str | int, ...]:
    return one.endpoint, one.epoch, one.first, one.last, one.count, one.state.value, one.since
