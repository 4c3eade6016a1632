"""`dropstream audit`: proves from the topics alone that every delivery led to what it ought to, once and in order."""

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Annotated

import typer

from ops import screen
from ops.arguments import parsed
from ops.audit.reading.snapshot import AuditScope
from ops.audit.run import MEMORY_BYTES_MAX, AuditRequest, audit_within
from ops.audit.state import read_state, write_state
from ops.audit.verdict import ADVICE, AuditVerdict, FindingKind
from ops.configuration import ConfigFile, load_settings
from ops.event_loop import run
from ops.kafka.reader import parse_start
from ops.progress import ProgressBar
from ops.progress_shown import progress_shown
from ops.times import parse_time
from schemas.errors import DropstreamError
from schemas.settings import Settings
from schemas.times import timestamp_ms

_LISTED_MAX = 50
_STYLES = {"clean": "green", "exceptions": "bold red", "unknown": "yellow"}


def audit_topics(
    *,
    start: Annotated[
        str, typer.Option("--from", metavar="PLACE", help="beginning, a time, 2h, yesterday, or PARTITION:OFFSET.")
    ] = "beginning",
    end: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Only what was received before.")] = None,
    since_last: Annotated[
        bool, typer.Option("--since-last", help="Only what came since the last clean audit of everything.")
    ] = False,
    accept: Annotated[
        bool,
        typer.Option("--accept", help="You have judged the exceptions; later audits --since-last go on behind them."),
    ] = False,
    workers: Annotated[int, typer.Option(metavar="N", min=1, max=64, help="Processes that share the work.")] = 1,
    memory: Annotated[
        int, typer.Option(metavar="MB", min=128, help="Memory that each process may take, in megabytes.")
    ] = MEMORY_BYTES_MAX // 1_000_000,
    as_json: Annotated[bool, typer.Option("--json", help="The verdict as one JSON object.")] = False,
    config: ConfigFile = None,
) -> None:
    """Judges every delivery of raw again and compares every record that it led to; 1 on any exception or doubt.

    Example: dropstream audit --from 2026-05-21T00:00:00Z --workers 2
    """
    if since_last and (start != "beginning" or end is not None):
        raise typer.BadParameter("says where to begin itself; leave out --from and --to", param_hint="--since-last")
    if accept and (start != "beginning" or end is not None):
        raise typer.BadParameter("is for an audit of everything; leave out --from and --to", param_hint="--accept")
    begin = parsed(parse_start, start, "--from")
    end_ms = timestamp_ms(parsed(parse_time, end, "--to")) if end else None
    settings = load_settings(config)
    with progress_shown("audit", 0, 0, in_pipes=not as_json) as bar:
        request = AuditRequest(AuditScope(begin, end_ms), workers, memory * 1_000_000)
        verdict, not_recorded = run(_audit(settings, request, bar, since_last=since_last, accept=accept))
    if as_json:
        screen.write_json(json.dumps(verdict_for_programs(verdict), separators=(",", ":"), ensure_ascii=False))
    else:
        show(verdict)
    if not_recorded is not None:
        raise DropstreamError(f"the verdict is not recorded in audit-state: {not_recorded}")
    if accept and verdict.unknown:
        (screen.note if as_json else screen.say)("nothing is accepted while something is not known")
    raise typer.Exit(0 if verdict.clean else 1)


async def _audit(
    settings: Settings, request: AuditRequest, bar: ProgressBar, *, since_last: bool, accept: bool
) -> tuple[AuditVerdict, DropstreamError | None]:
    """The verdict; that of an audit of everything is written to `audit-state`, else the error says why it is not."""
    if since_last and (checkpoint := (await read_state(settings)).checkpoint) is not None:
        request = replace(request, scope=AuditScope(checkpoint))
    verdict, next_one = await audit_within(settings, request, bar)
    try:
        if request.scope.is_everything:
            await write_state(settings, verdict, next_one, accept=accept)
    except DropstreamError as error:
        return verdict, error
    return verdict, None


def verdict_for_programs(verdict: AuditVerdict) -> dict[str, object]:
    """Every fact of the verdict by the name of its attribute; each finding with what to do about its kind."""
    findings = [asdict(one) | {"what_to_do": ADVICE[one.kind]} for one in verdict.findings]
    return {"verdict": verdict.status, "pending": verdict.pending, **asdict(verdict), "findings": findings}


def show(verdict: AuditVerdict) -> None:
    """Shows the counts, then what is wrong and what to do, then what cannot be known, then the verdict."""
    screen.show_table(("deliveries", "count"), _counts(verdict))
    if verdict.found:
        rows = [
            (kind, str(verdict.found.get(kind, 0)), ADVICE[kind]) for kind in FindingKind if verdict.found.get(kind)
        ]
        screen.show_table(("exception", "count", "what to do"), rows)
    for finding in verdict.findings[:_LISTED_MAX]:
        where = " ".join(filter(None, (finding.raw, finding.record and f"record {finding.record}")))
        screen.say(f"{finding.kind}\t{where}\t{screen.printable(finding.detail)}")
    if (more := sum(verdict.found.values()) - min(len(verdict.findings), _LISTED_MAX)) > 0:
        screen.say(f"and {more} more; a smaller range with --from and --to shows others")
    for pending in verdict.waiting:
        line = f"pending\tpartition {pending.partition}, offsets {pending.first} to {pending.end - 1}\t{pending.why}"
        screen.say(line)
    for sentence in verdict.remarks:
        screen.say(f"remark\t{sentence}")
    for sentence in verdict.unknown:
        screen.say(f"unknown\t{sentence}")
    screen.say(f"verdict\t{verdict.status}", style=_STYLES[verdict.status])


def _counts(verdict: AuditVerdict) -> Iterator[tuple[str, str]]:
    yield "judged again", str(verdict.deliveries)
    yield "pending", str(verdict.pending)
    for topic, count in sorted(verdict.outputs.items()):
        yield f"records of {topic}", str(count)
    for plan, count in verdict.replays.items():
        yield f"events of {plan}", str(count)
    for rules, count in sorted(verdict.other_rules.items()):
        yield f"judged otherwise by {rules}", str(count)
    for topic, count in sorted(verdict.beyond_proof.items()):
        yield f"not provable, {topic} begins later", str(count)
    if verdict.forgotten:
        yield "retries that a full memory let through", str(verdict.forgotten)
    if verdict.refused:
        yield "rejected because Kafka refused the records", str(verdict.refused)
    if verdict.gaps_due:
        yield "gaps due, not reported yet", str(verdict.gaps_due)
    if verdict.gaps_unjudged:
        yield "gaps from before what is known", str(verdict.gaps_unjudged)
    if verdict.unjudged:
        yield "retries of what came before the range", str(verdict.unjudged)
