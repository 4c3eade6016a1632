"""`dropstream trace`: shows the life of one entity in order."""

from typing import Annotated

import orjson
import typer

from ops import screen
from ops.configuration import ConfigFile, load_settings
from ops.event_loop import run
from ops.inspect.tail import RecordView
from ops.inspect.trace import Moment, trace
from ops.progress_shown import progress_shown
from ops.suggest import check_name
from processors.groups import deliver_rules
from processors.providers import discover
from schemas.errors import DropstreamError


def trace_entity(
    entity: Annotated[str, typer.Argument(metavar="ENTITY", help="An order's id, a SKU: an event's subject.")],
    *,
    endpoint: Annotated[str | None, typer.Option(metavar="E", help="Only at this endpoint.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, as always in a pipe.")] = False,
    config: ConfigFile = None,
) -> None:
    """Tells one entity's life: deliveries, events, retries, rejections, replays.

    A rejected delivery is told by what it says of itself; nobody has proven it. Example: dropstream trace SO-100071
    """
    settings = load_settings(config, signing_secrets=False)
    check_name("endpoint", endpoint, settings.endpoints)
    rules = deliver_rules(settings.endpoints, settings, discover())
    with progress_shown("read", 0, 0, in_pipes=False) as bar:
        moments = run(trace(settings, rules, entity, endpoint, bar))
    if not moments:
        where = f"at endpoint {endpoint}" if endpoint else "at any configured endpoint"
        raise DropstreamError(
            f"nothing is known of {screen.printable(entity)} {where}; dropstream tail orders shows what ids look like"
        )
    if as_json or not screen.is_terminal():
        for moment in moments:
            screen.write_json(orjson.dumps(moment.as_json()).decode())
    else:
        screen.show_table(
            ("time", "kind", "endpoint", "what", "summary", "raw"),
            map(_row, moments),
            fold=("raw", "endpoint"),
            whole=("time",),
        )


def _row(moment: Moment) -> tuple[str, ...]:
    position = "/".join(moment.raw.split("/")[-2:])
    at = f"{moment.at.astimezone():%Y-%m-%d %H:%M:%S}"
    if moment.event is None:
        return at, moment.kind, moment.endpoint, moment.what, moment.delivery, position
    summary = RecordView("orders", [], with_bodies=False).line(moment.event, None).summary.removeprefix("replayed: ")
    what = moment.what.removeprefix("dropstream.")
    return at, moment.kind, moment.endpoint, what, f"{summary} {moment.replay or ''}".rstrip(), position
