"""`dropstream audit`: proves that nothing was lost, doubled, altered or disordered."""

from typing import Annotated

import typer

from ops.audit import Verdict, audit
from ops.context import ConfigFile, load_settings
from ops.event_loop import run
from ops.reading import parse_start, parse_time
from ops.screen import say, show_table
from schemas.delivery import timestamp_ms


def audit_topics(
    start: Annotated[
        str, typer.Option("--from", metavar="PLACE", help="beginning, a time, or PARTITION:OFFSET.")
    ] = "beginning",
    end: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Only what was received before.")] = None,
    config: ConfigFile = None,
) -> None:
    """Counts every delivery of raw against what it became; 1 on any exception.

    Example: dropstream audit --from 2026-05-21T00:00:00Z
    """
    try:
        begin, end_ms = parse_start(start), timestamp_ms(parse_time(end)) if end else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--from / --to") from error
    verdict = run(audit(load_settings(config), begin, end_ms))
    _show(verdict)
    raise typer.Exit(0 if verdict.clean else 1)


def _show(verdict: Verdict) -> None:
    exceptions = {
        "lost": verdict.lost,
        "doubled": verdict.doubled,
        "altered": verdict.altered,
        "disordered": verdict.disordered,
        "foreign": verdict.foreign,
    }
    counts = {"deliveries": verdict.deliveries, "pending": verdict.pending, **verdict.outputs, **verdict.replays}
    rows = [(name, str(count), "") for name, count in counts.items()]
    rows += [(name, str(len(found)), "failed" if found else "ok") for name, found in exceptions.items()]
    show_table(("what", "count", "verdict"), rows)
    for name, found in exceptions.items():
        for one in found:
            say(f"{name}\t{one}")
