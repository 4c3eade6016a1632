"""`dropstream endpoints renew`: makes the subscriptions anew that a provider has switched off.

A provider that never switches one on again leaves two ways: its dashboard, and this. The new one is made before the
dead one is deleted, so whatever ends the verb, running it again does the rest.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlsplit

import typer

from ops import screen
from ops.configuration import ConfigFile, configuration_file, load_settings
from ops.event_loop import run
from ops.reconcile.source import ApiAccess, Subscription, Subscriptions
from ops.reconcile.sources import SOURCES, api_key
from ops.suggest import check_name
from schemas.errors import DropstreamError, UsageError
from schemas.settings import Settings

EndpointName = Annotated[str, typer.Argument(metavar="ENDPOINT", help="Whose subscriptions.", show_default=False)]

_MADE_ANEW, _DELETED = "made anew, then deleted", "deleted, for another does its work"


@dataclass(frozen=True, slots=True)
class Renewal:
    """A dead subscription of the endpoint, and whether a living one does its work already."""

    dead: Subscription
    is_replaced: bool


def renew_subscriptions(
    endpoint: EndpointName,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be made anew, and stop.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: screen.AsJson = False,
    header: screen.Header = False,
    config: ConfigFile = None,
) -> None:
    """Makes the subscriptions of an endpoint anew that its provider has switched off (Dropea does, after 3 failures).

    Example: dropstream endpoints renew dropea-es --dry-run
    """
    settings = load_settings(config, signing_secrets=False)
    check_name("endpoint", endpoint, settings.endpoints)
    kind = SOURCES.get(settings.endpoints[endpoint].provider)
    if kind is None or kind.subscriptions is None:
        able = ", ".join(sorted(name for name, one in SOURCES.items() if one.subscriptions is not None))
        raise UsageError(f"{settings.endpoints[endpoint].provider} has no such API; renewed are those of: {able}")
    access = _access(settings, endpoint, str(configuration_file(config)))
    own = [one for one in run(_listed(kind.subscriptions(access))) if leads_to(one.url, endpoint)]
    if unsaid := sorted(one.topic for one in own if one.active is None):
        raise DropstreamError(
            f"{kind.provider} does not say whether it has switched off: {', '.join(unsaid)}; look at its dashboard"
        )
    renewals = plan_renewals(own)
    screen.show_table(
        ("topic", "subscription", "what is done"),
        [(one.dead.topic, one.dead.id, _DELETED if one.is_replaced else _MADE_ANEW) for one in renewals],
        as_json=as_json,
        header=header,
    )
    tell = screen.note if as_json else screen.say
    if not renewals:
        tell(f"no subscription that leads to {endpoint} is switched off")
        return
    if dry_run:
        return
    screen.confirm(f"Change {len(renewals)} at {kind.provider}?", yes=yes)
    run(_renewed(kind.subscriptions(access), renewals))
    tell(
        "done; has the URL failed before? dropstream endpoints check looks at it, dropstream reconcile fetches the rest"
    )


def plan_renewals(own: Sequence[Subscription]) -> list[Renewal]:
    """What there is to do for the dead ones among the endpoint's own subscriptions."""
    alive = {(one.topic, one.url) for one in own if one.active}
    found: list[Renewal] = []
    for one in sorted(own, key=lambda one: (one.topic, one.id)):
        if not one.active:
            found.append(Renewal(one, (one.topic, one.url) in alive))
            # Of two dead ones alike the first is made anew.
            alive.add((one.topic, one.url))
    return found


async def renew(subscriptions: Subscriptions, renewals: Sequence[Renewal]) -> None:
    """Makes each anew where none does its work, then deletes it.

    Raises:
        DropstreamError: the API refuses, or nobody knows whether it has done it; what is done already stays.
    """
    for one in renewals:
        if not one.is_replaced:
            await subscriptions.create(one.dead.topic, one.dead.url)
        await subscriptions.delete(one.dead)


def leads_to(url: str, endpoint: str) -> bool:
    """Whether the address is the endpoint's; those of other systems are left alone."""
    try:
        path = urlsplit(url).path
    except ValueError:
        return False  # Another system's, as `https://[`; the list has all that the account has.
    return f"/webhooks/{endpoint}/" in f"{path}/"


def _access(settings: Settings, endpoint: str, source: str) -> ApiAccess:
    key = api_key(settings, endpoint, source=source)
    api = settings.endpoints[endpoint].api
    if api is None:
        raise AssertionError("without an API there is no key")
    return ApiAccess(api, key, now=lambda: datetime.now(UTC), on_request=lambda _outcome: None)


async def _listed(opened: AbstractAsyncContextManager[Subscriptions]) -> list[Subscription]:
    async with opened as subscriptions:
        return await subscriptions.listed()


async def _renewed(opened: AbstractAsyncContextManager[Subscriptions], renewals: Sequence[Renewal]) -> None:
    async with opened as subscriptions:
        await renew(subscriptions, renewals)
