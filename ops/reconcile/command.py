"""`dropstream reconcile`: fetches from a provider's API what webhooks lost."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from ops.configuration import ConfigFile, configuration_file, load_settings
from ops.event_loop import run as run_loop
from ops.people.writing import NotRecordedError
from ops.reconcile.outage import begin_of_last_outage
from ops.reconcile.plan import find_gaps, new_run, parse_gap
from ops.reconcile.screen import show_plan, show_progress, show_result
from ops.reconcile.source import SourceKind
from ops.reconcile.sources import api_key, source_of
from ops.reconcile.store import new_run_id, read_reconcile_state
from ops.reconcile.watching import watch_and_reconcile
from ops.reconcile.work import carry_out
from ops.screen import complain, confirm, say
from ops.service.run import run_service
from ops.service.source import SettingsSource
from ops.suggest import check_name
from ops.times import parse_time
from schemas.errors import DropstreamError, UsageError
from schemas.notes.gaps import Gap
from schemas.notes.reconciliations import ReconcileRun
from schemas.settings import Settings

_DRY_RUN = typer.Option("--dry-run", help="Ask and write nothing; say what the API cannot give back.")
_OUTAGE = typer.Option(metavar="last", help="What changed since we last failed to answer 200.")
_WATCH = typer.Option("--watch", help='Run on, and fetch what is lost where reconcile = "automatic".')

_WHOSE = "say whose, and for what: --endpoint E, and --gap FIRST-LAST, --from TIME or --outage last"


def reconcile(
    *,
    endpoint: Annotated[
        str | None, typer.Option(metavar="E", help="Whose provider to ask.", show_default=False)
    ] = None,
    gap: Annotated[
        str | None, typer.Option(metavar="FIRST-LAST", help="Lost ids, as dropstream gaps shows them.")
    ] = None,
    begin: Annotated[str | None, typer.Option("--from", metavar="TIME", help="What changed since then.")] = None,
    until: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="And not after; default: the present.")
    ] = None,
    outage: Annotated[str | None, _OUTAGE] = None,
    dry_run: Annotated[bool, _DRY_RUN] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    watch: Annotated[bool, _WATCH] = False,
    resume: Annotated[str | None, typer.Option(metavar="ID", help="Go on with one that ended early.")] = None,
    config: ConfigFile = None,
) -> None:
    """Fetches from a provider's API what webhooks lost; adds the newest states as events, each once.

    Example: dropstream reconcile --endpoint shipstream-acme --gap 41-43
    """
    if (watch or resume) and (endpoint or gap or begin or until or outage or dry_run or (watch and resume)):
        raise UsageError("--watch and --resume need no other option: endpoint and run say what they are for")
    if watch:
        _watch(configuration_file(config))
        return
    settings = load_settings(config)
    source = str(configuration_file(config))
    check_name("endpoint", endpoint, settings.endpoints)
    if resume is not None:
        _resume(settings, resume, source)
        return
    if endpoint is None or [gap, begin, outage].count(None) != 2 or outage not in {None, "last"}:
        raise UsageError(_WHOSE)
    kind = source_of(settings, endpoint)
    if outage:
        begin = run_loop(begin_of_last_outage(settings, endpoint)).isoformat()
    planned = _plan(settings, endpoint, gap, begin, until)
    show_plan(settings, kind, planned, dry_run=dry_run)
    if not dry_run:
        key = api_key(settings, endpoint, source=source)
        confirm(f"Ask {kind.provider}, and publish what {endpoint} does not know?", yes=yes)
        _run(settings, kind, key, planned)


def _watch(file: Path) -> None:
    source = SettingsSource(file, signing_secrets=True)
    first = source.read()
    run_service(lambda signals: watch_and_reconcile(source, first, signals), first.settings, reloads=True)


def _plan(settings: Settings, endpoint: str, gap: str | None, begin: str | None, until: str | None) -> ReconcileRun:
    now = datetime.now(UTC)
    since = _time(begin, "--from")
    gaps: tuple[Gap, ...] = ()
    if gap is not None:
        found = run_loop(find_gaps(settings, endpoint, *parse_gap(gap)))
        since, gaps = found.begin, found.gaps
    return new_run(new_run_id(now), endpoint, begin=since or now, end=_time(until, "--to"), gaps=gaps, now=now)


def _time(text: str | None, option: Literal["--from", "--to"]) -> datetime | None:
    try:
        return None if text is None else parse_time(text)
    except ValueError as error:
        raise UsageError(f"{option} {text!r} {error}") from error


def _resume(settings: Settings, run_id: str, source: str) -> None:
    run = run_loop(read_reconcile_state(settings)).find(run_id)
    if run.finished:
        say(f"{run.id} was finished already")
        show_result(run)
        return
    if run.endpoint not in settings.endpoints:
        raise UsageError(f"{run.id} is of endpoint {run.endpoint}, which is not configured")
    kind = source_of(settings, run.endpoint)
    _run(settings, kind, api_key(settings, run.endpoint, source=source), run)


def _run(settings: Settings, kind: SourceKind, key: str, run: ReconcileRun) -> None:
    again = f"dropstream reconcile --resume {run.id}"
    say(f"{run.id}; should it end early, go on with: {again}")
    try:
        finished = run_loop(carry_out(settings, kind, key, run, show_progress))
    except KeyboardInterrupt:
        complain(f"interrupted; nothing is lost, go on with: {again}")
        raise typer.Exit(130) from None
    except NotRecordedError:
        raise
    except DropstreamError as error:
        raise DropstreamError(f"{error}\ngo on with: {again}") from error
    show_result(finished)
