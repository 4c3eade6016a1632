"""`dropstream acts`: who did what, from the console and from the command line."""

from datetime import datetime
from typing import Annotated

import typer

from ops import screen
from ops.configuration import ConfigFile, load_settings
from ops.event_loop import run
from ops.people.reading import ActQuery, acts_in_order, summary_of_act
from ops.suggest import check_name
from ops.times import parse_time
from schemas.errors import UsageError
from schemas.notes.acts import Act, ActKind, ActStage, act_record
from schemas.settings import Settings

_COLUMNS = ("time", "who", "known by", "place", "act", "stage", "what")


def acts(
    *,
    begin: Annotated[str | None, typer.Option("--from", metavar="TIME", help="Since then; default: all.")] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="TIME", help="And before this.")] = None,
    who: Annotated[str, typer.Option(metavar="NAME", help="Only of these people: a part of the name.")] = "",
    act: Annotated[str | None, typer.Option(metavar="A", help="Only this: redrive, unmask, login, ...")] = None,
    stage: Annotated[str | None, typer.Option(metavar="S", help="begun, done, failed or refused.")] = None,
    endpoint: Annotated[str | None, typer.Option(metavar="E", help="Only for this endpoint.")] = None,
    as_json: screen.AsJson = False,
    header: screen.Header = False,
    config: ConfigFile = None,
) -> None:
    """Shows who did what: redrives, replays, unmasked data, offsets, logins, wrong tokens; the oldest first.

    Example: dropstream acts --from 24h --act redrive
    """
    settings = load_settings(config, signing_secrets=False)
    check_name("act", act, [one.value for one in ActKind])
    check_name("stage", stage, [one.value for one in ActStage])
    query = ActQuery(who, act, stage, endpoint, _time("--from", begin), _time("--to", until))
    if as_json:
        run(_write_lines(settings, query))
        return
    found = run(_read(settings, query))
    if not found and screen.is_terminal():
        screen.say("No act is on record." if query == ActQuery() else "No act of this choice is on record.")
        return
    screen.show_table(_COLUMNS, map(_row, found), fold=("place", "known by"), whole=("time",), header=header)


async def _write_lines(settings: Settings, query: ActQuery) -> None:
    """Writes each as it is read, for there may be years of them."""
    async for one in acts_in_order(settings, query):
        screen.write_json(act_record(one).value.decode())


async def _read(settings: Settings, query: ActQuery) -> list[Act]:
    return [one async for one in acts_in_order(settings, query)]


def _row(one: Act) -> tuple[str, ...]:
    at = f"{datetime.fromisoformat(one.at).astimezone():%Y-%m-%d %H:%M:%S}"
    return at, one.who, one.known_by.value, one.place, one.act.value, one.stage.value, summary_of_act(one)


def _time(option: str, text: str | None) -> datetime | None:
    try:
        return None if text is None else parse_time(text)
    except ValueError as error:
        raise UsageError(f"{option} {text!r} {error}") from error
