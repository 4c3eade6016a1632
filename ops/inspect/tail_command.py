"""`dropstream tail`: shows the records of a topic to its end, or until Ctrl-C."""

from collections.abc import Callable
from dataclasses import astuple
from typing import Annotated

import typer
from rich.cells import cell_len
from rich.text import Text

from ops import screen
from ops.arguments import parsed
from ops.configuration import ConfigFile, load_settings
from ops.event_loop import run
from ops.inspect.tail import RecordView, TailLine, parse_condition
from ops.kafka.reader import Start, base_name, full_name, open_reader, parse_start
from ops.table_layout import BETWEEN, wrap
from schemas.records import RawRecord
from schemas.settings import Settings

# Time, position, what, subject, origin and summary: the characters that each is padded to, and its style.
_CELLS: tuple[tuple[int | None, str], ...] = (
    *((19, "dim"), (9, "dim"), (20, "bold"), (12, "cyan"), (24, "dim")),
    (None, ""),
)
_INDENT = " " * 21


def tail(
    topic: Annotated[
        str, typer.Argument(metavar="TOPIC", help="orders, inventory, raw, rejected, ... or a full name.")
    ],
    *,
    begin: Annotated[
        str,
        typer.Option("--from", metavar="PLACE", help="beginning, latest, a time, 2h, or PARTITION:OFFSET."),
    ] = "latest",
    records_max: Annotated[
        int | None, typer.Option("--max", metavar="N", min=1, help="Stop after so many records.")
    ] = None,
    follow: Annotated[bool, typer.Option(help="Wait for new records, or stop at the present end.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, as always in a pipe.")] = False,
    where: Annotated[
        list[str] | None, typer.Option(metavar="FIELD=VALUE", help="Only these; an attribute, data.x or a header.")
    ] = None,
    bodies: Annotated[bool, typer.Option("--bodies", help="JSON of raw and rejected: with the body.")] = False,
    config: ConfigFile = None,
) -> None:
    """Reads a topic, committed records only, until Ctrl-C.

    Example: dropstream tail orders --from beginning --where data.status=shipped --json
    """
    start = parsed(parse_start, begin, "--from")
    conditions = [parsed(parse_condition, text, "--where") for text in where or []]
    settings = load_settings(config)
    view = RecordView(base_name(topic.removeprefix(settings.kafka.topic_prefix)), conditions, with_bodies=bodies)
    show = _json_printer(view) if as_json or not screen.is_terminal() else _line_printer(view)
    name = full_name(topic, settings)
    run(_read(settings, name, start, view=view, show=show, follow=follow, records_max=records_max))


async def _read(
    settings: Settings,
    topic: str,
    start: Start,
    *,
    view: RecordView,
    show: Callable[[RawRecord], None],
    follow: bool,
    records_max: int | None,
) -> None:
    left = records_max
    async with open_reader(settings, [topic], start) as reader:
        while not screen.is_reader_gone():
            # Read before the fetch: the records of that fetch are shown before the end counts.
            at_end = not follow and await reader.is_at_end()
            for record in await reader.fetch() if not at_end else []:
                if not view.wants(record):
                    continue
                show(record)
                left = None if left is None else left - 1
                if left == 0:
                    return
            if at_end:
                return


def _json_printer(view: RecordView) -> Callable[[RawRecord], None]:
    return lambda record: screen.write_json(view.json_line(record).decode())


def _line_printer(view: RecordView) -> Callable[[RawRecord], None]:
    console = screen.console()

    def show(record: RawRecord) -> None:
        for line in lines_of(view.line(record, None), console.width):
            console.print(line, no_wrap=True, crop=False, overflow="ignore")

    return show


def lines_of(shown: TailLine, width: int) -> list[Text]:
    """The cells on as few lines of `width` characters as they need, none of them cut; only the summary wraps."""
    lines = [Text()]
    for cell, (least, style) in zip(map(screen.printable, astuple(shown)), _CELLS, strict=True):
        for text in wrap(cell, max(width - len(_INDENT), 1)) if least is None else filter(None, [cell]):
            taken = cell_len(lines[-1].plain.rstrip())
            if taken and taken + len(BETWEEN) + cell_len(text) > width:
                lines.append(Text(_INDENT))
            elif cell_len(lines[-1].plain) + cell_len(text) > width:
                # The cell fits where the one before it is not padded.
                lines[-1].rstrip()
                lines[-1].append(BETWEEN)
            lines[-1].append(text, style=style).append(" " * ((least or 0) - cell_len(text)) + BETWEEN)
    for line in lines:
        line.rstrip()
    return [line for line in lines if line.plain]
