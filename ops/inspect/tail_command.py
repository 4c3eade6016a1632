"""`dropstream tail`: shows the records of a topic to its end, or until Ctrl-C."""

from collections.abc import Callable
from dataclasses import astuple
from typing import Annotated, TypeVar

import typer
from rich.text import Text

from ops import screen
from ops.configuration import ConfigFile, load_settings
from ops.event_loop import run
from ops.inspect.tail import RecordView, parse_condition
from ops.kafka.reader import Start, base_name, full_name, open_reader, parse_start
from schemas.records import RawRecord
from schemas.settings import Settings

_STYLES = ("dim", "bold", "cyan", "dim", "")
_TIME_CHARACTERS = 19
# Below this width the origin (provider and endpoint) is left out.
_WIDE_CHARACTERS = 110

Parsed = TypeVar("Parsed")


def tail(
    topic: Annotated[
        str, typer.Argument(metavar="TOPIC", help="orders, inventory, raw, rejected, ... or a full name.")
    ],
    *,
    begin: Annotated[
        str, typer.Option("--from", metavar="PLACE", help="beginning, latest, a time, or PARTITION:OFFSET.")
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
    start = _parsed(parse_start, begin, "--from")
    conditions = [_parsed(parse_condition, text, "--where") for text in where or []]
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
    return lambda record: screen.write_line(view.json_line(record).decode())


def _line_printer(view: RecordView) -> Callable[[RawRecord], None]:
    console = screen.console()

    def show(record: RawRecord) -> None:
        line = Text(no_wrap=True)
        for cell, width, style in zip(astuple(view.line(record, None)), _widths(console.width), _STYLES, strict=True):
            if width:
                text = Text(screen.printable(cell), style=style)
                text.truncate(width, overflow="ellipsis", pad=True)
                line.append_text(text).append(" ")
        line.rstrip()
        console.print(line, no_wrap=True, crop=True)

    return show


def _widths(terminal: int) -> tuple[int, int, int, int, int]:
    """Characters for time, what, subject, origin and glance, each with a blank after it, on one line of a terminal."""
    left = max(terminal - _TIME_CHARACTERS - 5, 30)
    origin = left // 5 if terminal >= _WIDE_CHARACTERS else 0
    what, subject = 3 * (left - origin) // 10, (left - origin) // 4
    return _TIME_CHARACTERS, what, subject, origin, left - origin - what - subject


def _parsed(parse: Callable[[str], Parsed], text: str, option: str) -> Parsed:
    try:
        return parse(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} {error}", param_hint=option) from error
