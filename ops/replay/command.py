"""`dropstream replay` judges a range of raw again; `redrive` makes events of what was rejected and is good today."""

import re
from typing import Annotated

import typer

from ops.configuration import ConfigFile, load_settings
from ops.replay.call import ReplayCall
from ops.suggest import check_name
from processors.providers import discover
from schemas.errors import UsageError
from schemas.notes.rejections import Reason
from schemas.notes.replays import Choice
from schemas.vocabulary import EVENT_TOPICS

# Kafka's characters for a topic's name, less the dot: it stands before the suffix.
_SUFFIX = re.compile(r"[A-Za-z0-9_-]{1,60}")

FROM = typer.Option("--from", metavar="PLACE", help="A time, 2h, or PARTITION:OFFSET; default: the beginning.")
TO = typer.Option("--to", metavar="PLACE", help="Up to and without it; default: the present end.")
ENDPOINT = typer.Option("--endpoint", metavar="E", help="Only this endpoint's.")
PROVIDER = typer.Option("--provider", metavar="P", help="Only this provider's.")
DRY_RUN = typer.Option("--dry-run", help="Write nothing; say what would be.")
YES = typer.Option("--yes", help="Do not ask.")
RATE = typer.Option("--rate", metavar="N", min=0.1, help="At most so many deliveries a second.")
JSON = typer.Option("--json", help="JSON, an object a line: plan, differences, counts.")
RESUME = typer.Option("--resume", metavar="ID", help="Go on with one that ended early.")


def replay(
    *,
    begin: Annotated[str | None, FROM] = None,
    until: Annotated[str | None, TO] = None,
    endpoint: Annotated[str | None, ENDPOINT] = None,
    provider: Annotated[str | None, PROVIDER] = None,
    topics: Annotated[
        str | None, typer.Option(metavar="T,...", help="Only events of these topics: orders,inventory,...")
    ] = None,
    into: Annotated[
        str | None, typer.Option(metavar="SUFFIX", help="Write to topics of its own: orders.SUFFIX, ...")
    ] = None,
    in_place: Annotated[bool, typer.Option("--in-place", help="Append to the live topics, marked.")] = False,
    dry_run: Annotated[bool, DRY_RUN] = False,
    yes: Annotated[bool, YES] = False,
    rate: Annotated[float | None, RATE] = None,
    resume: Annotated[str | None, RESUME] = None,
    as_json: Annotated[bool, JSON] = False,
    config: ConfigFile = None,
) -> None:
    """Judges a range of raw again by today's rules; the events have the ids that they had at first.

    Example: dropstream replay --from 2026-05-21T00:00:00Z --endpoint acme --into fixed
    """
    settings = load_settings(config)
    chosen = tuple(dict.fromkeys(name.strip() for name in topics.split(","))) if topics is not None else ()
    check_name("endpoint", endpoint, settings.endpoints)
    check_name("provider", provider, discover())
    for name in chosen:
        check_name("topic of events", name, EVENT_TOPICS)
    if into is not None and not _SUFFIX.fullmatch(into):
        raise UsageError(f"--into {into!r} is not a suffix: letters, digits, - and _, at most 60")
    if into is not None and in_place:
        raise UsageError("--into and --in-place exclude each other")
    if into is None and not (in_place or dry_run or resume):
        raise UsageError("say where the events go: --into SUFFIX, or --in-place; or look first with --dry-run")
    choice = Choice(begin=begin, until=until, endpoint=endpoint, provider=provider, topics=chosen, into=into)
    ReplayCall("replay", settings, yes=yes, rate=rate, as_json=as_json).start_or_resume(choice, resume, dry_run=dry_run)


def redrive(
    *,
    reason: Annotated[
        str | None, typer.Option(metavar="R", help="Only what was rejected for this: signature_invalid, ...")
    ] = None,
    begin: Annotated[str | None, FROM] = None,
    until: Annotated[str | None, TO] = None,
    endpoint: Annotated[str | None, ENDPOINT] = None,
    provider: Annotated[str | None, PROVIDER] = None,
    dry_run: Annotated[bool, DRY_RUN] = False,
    yes: Annotated[bool, YES] = False,
    rate: Annotated[float | None, RATE] = None,
    resume: Annotated[str | None, RESUME] = None,
    as_json: Annotated[bool, JSON] = False,
    config: ConfigFile = None,
) -> None:
    """Judges rejected deliveries again; those that are good now become events, once, however often it is called.

    Places and times are those of topic rejected. Example: dropstream redrive --reason signature_invalid --endpoint acme
    """
    settings = load_settings(config)
    check_name("reason", reason, [one.value for one in Reason])
    check_name("endpoint", endpoint, settings.endpoints)
    check_name("provider", provider, discover())
    choice = Choice(begin=begin, until=until, endpoint=endpoint, provider=provider, reason=reason)
    ReplayCall("redrive", settings, yes=yes, rate=rate, as_json=as_json).start_or_resume(
        choice, resume, dry_run=dry_run
    )
