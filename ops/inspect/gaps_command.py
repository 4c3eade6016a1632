"""`dropstream gaps`: lists what is missing in the sequences; `dismiss` puts a person's judgement on record."""

import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer

from ops import screen
from ops.configuration import ConfigFile, load_settings
from ops.event_loop import run
from ops.inspect.gaps import MissingRun, offers, read_runs, read_states, suspected, unjudged
from ops.kafka.writing import write_record
from ops.people.person import own_name
from ops.people.writing import recorded_call
from ops.screen import confirm
from ops.verbs import verb_group
from processors.sequence.state import Hole, SequenceState
from schemas.errors import DropstreamError, UsageError
from schemas.notes.acts import ActFacts, ActKind
from schemas.notes.dismissals import TEXT_CHARACTERS_MAX, Dismissal, dismissal_record
from schemas.notes.gaps import GapState
from schemas.settings import Settings
from schemas.times import rfc3339

_COLUMNS = ("endpoint", "epoch", "first", "last", "count", "state", "since")
_IDS = re.compile(r"(\d{1,20})(?:-(\d{1,20}))?", re.ASCII)

app = verb_group(
    "Lists the gaps that are open, those that are lost, and holes in their grace time.\n\n"
    "Example: dropstream gaps --endpoint shipstream-acme"
)


@app.callback(invoke_without_command=True, no_args_is_help=False)
def gaps(
    context: typer.Context,
    endpoint: Annotated[str | None, typer.Option(metavar="E", help="Only this endpoint's.", show_default=False)] = None,
    *,
    as_json: screen.AsJson = False,
    header: screen.Header = False,
    config: ConfigFile = None,
) -> None:
    """Lists them, where no other verb of this group is called."""
    if context.invoked_subcommand is not None:
        context.obj = config
        return
    settings = load_settings(config, signing_secrets=False)
    runs, holes, doubt = run(_read(settings, endpoint))
    if not runs and not holes and endpoint is not None and endpoint not in settings.endpoints:
        raise typer.BadParameter(
            f"no endpoint is called {endpoint!r}; dropstream endpoints list shows them", param_hint="--endpoint"
        )
    show(runs, holes, as_json=as_json, header=header)
    if not as_json:
        for line in offers(runs, settings):
            screen.note(line)
    if doubt:
        typer.echo(f"more may be missing: {doubt}", err=True)
    elif not runs and not holes and screen.is_terminal() and not as_json:
        screen.say("No id is missing.", style="green")


@app.command("dismiss")
def dismiss(
    context: typer.Context,
    endpoint: Annotated[str, typer.Argument(metavar="ENDPOINT", help="Whose gap it is.")],
    ids: Annotated[str, typer.Argument(metavar="IDS", help="One id, or FIRST-LAST; all of them open or lost.")],
    *,
    why: Annotated[str, typer.Option(metavar="TEXT", help="Why nobody need look for them any more.")],
    by: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who judged it; default: who you are here.", show_default=False)
    ] = None,
    epoch: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Of which epoch; default: the newest.", show_default=False)
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: ConfigFile = None,
) -> None:
    """Puts on record that missing ids need not be looked for any more; nothing can take it back.

    Example: dropstream gaps dismiss shipstream-acme 41-43 --why "a test of ours, order 958 was seen in the shop"
    """
    first, last = _parsed(ids)
    who = by or own_name(os.environ)
    for name, text in (("--why", why), ("--by", who)):
        if not 0 < len(text.strip()) <= TEXT_CHARACTERS_MAX:
            raise UsageError(f"{name} wants 1 to {TEXT_CHARACTERS_MAX} characters")
    # The file may be named before the word `dismiss`, too.
    settings = load_settings(config or context.obj, signing_secrets=False)
    judged = run(_judged(settings, endpoint, first, last, epoch))
    screen.show_table(_COLUMNS, map(_values, judged))
    confirm(f"Dismiss {last - first + 1} id{'s' if last > first else ''} of {endpoint}, as {who}?", yes=yes)
    now = rfc3339(datetime.now(UTC))
    dismissal = Dismissal(
        endpoint=endpoint,
        epoch=judged[0].epoch,
        first=first,
        last=last,
        suspected_at=judged[0].suspected_at,
        dismissed_at=now,
        by=who.strip(),
        why=why.strip(),
        seen_in=judged[0].raw,
    )
    run(_write(settings, dismissal))
    screen.say("dismissed; group sequence writes it to gaps", style="green")


async def _read(
    settings: Settings, endpoint: str | None
) -> tuple[list[MissingRun], list[tuple[SequenceState, Hole]], str]:
    doubt = await unjudged(settings)
    return await read_runs(settings, endpoint), suspected(await read_states(settings), endpoint), doubt


def show(
    runs: Sequence[MissingRun], holes: Sequence[tuple[SequenceState, Hole]], *, as_json: bool, header: bool = False
) -> None:
    """Writes runs and holes to standard output: a table, plain lines in a pipe, or JSON lines; nothing for none."""
    rows = [*map(_values, runs), *(_hole_values(state, hole) for state, hole in holes)]
    if rows or header or not screen.is_terminal() or as_json:
        screen.show_table(_COLUMNS, rows, fold=("since", "count"), as_json=as_json, header=header)


def _values(one: MissingRun) -> tuple[str | int, ...]:
    return one.endpoint, one.epoch, one.first, one.last, one.count, one.state.value, one.since


def _hole_values(state: SequenceState, hole: Hole) -> tuple[str | int, ...]:
    count = hole.last - hole.first + 1
    return state.endpoint, state.epoch, hole.first, hole.last, count, "suspected", rfc3339(hole.suspected_at)


def _parsed(ids: str) -> tuple[int, int]:
    match = _IDS.fullmatch(ids)
    first = int(match[1]) if match else 0
    last = int(match[2] or match[1]) if match else -1
    if not first <= last < 2**64:
        raise UsageError(f"{ids!r} is neither an id nor FIRST-LAST, such as 41-43")
    return first, last


async def _judged(settings: Settings, endpoint: str, first: int, last: int, epoch: int | None) -> list[MissingRun]:
    """The open and lost runs that have these ids.

    Raises:
        DropstreamError: an id of them is neither open nor lost; names what is.
    """
    judged = {GapState.OPEN, GapState.LOST}
    runs = [one for one in await read_runs(settings, endpoint) if one.state in judged]
    wanted = epoch or max((one.epoch for one in runs), default=1)
    mine = [one for one in runs if one.epoch == wanted]
    found = [one for one in mine if one.first <= last and first <= one.last]
    covered = sum(min(one.last, last) - max(one.first, first) + 1 for one in found)
    if covered != last - first + 1:
        there = ", ".join(f"{one.first}-{one.last}" if one.count > 1 else str(one.first) for one in mine[:10])
        raise DropstreamError(
            f"not every id from {first} to {last} of {endpoint} is open or lost in epoch {wanted}; "
            f"what is: {there or 'none'}"
        )
    return found


async def _write(settings: Settings, dismissal: Dismissal) -> None:
    """Puts the act on record, and writes the dismissal to `sequence`; it is on all in-sync replicas on return."""
    record = dismissal_record(dismissal)
    facts = ActFacts(endpoint=dismissal.endpoint, about=f"{dismissal.first}-{dismissal.last}")
    async with recorded_call(settings, ActKind.DISMISS, facts) as ending:
        await write_record(settings, record.topic, record.value, key=record.key)
        ending.counts["ids"] = dismissal.last - dismissal.first + 1
