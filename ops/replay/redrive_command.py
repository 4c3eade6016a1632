"""`dropstream redrive`: what was rejected and is good by today's rules becomes events."""

from typing import Annotated

import typer

from ops.configuration import ConfigFile, load_settings
from ops.replay.command import DRY_RUN, ENDPOINT, FROM, PROVIDER, RATE, RESUME, TO, YES
from ops.replay.verb import Verb
from ops.suggest import check_name
from processors.providers import discover
from schemas.errors import UsageError
from schemas.notes.rejections import Reason
from schemas.notes.replays import Choice


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
    verb = Verb("redrive", settings, yes=yes, rate=rate)
    if resume is None:
        verb.begin(choice, dry_run=dry_run)
    elif dry_run:
        raise UsageError("--dry-run and --resume exclude each other")
    else:
        verb.resume(resume, choice)
