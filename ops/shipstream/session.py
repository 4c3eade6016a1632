"""Chooses the account for a verb, and runs its operation against ShipStream; with --verbose, shows each request."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from ops import screen
from ops.event_loop import run
from ops.shipstream.client import Account, Api, Exchange, open_api
from ops.shipstream.operations import create
from ops.shipstream.webhooks import NewWebhook, Webhook
from ops.suggest import nearest_or_all
from schemas.errors import ConfigurationError
from schemas.secrets import resolve
from schemas.settings import Settings

Result = TypeVar("Result")

_EXAMPLE = (
    'add [shipstream.NAME] with url = "https://NAME.shipstream.app", username and api_key = "env:SHIPSTREAM_API_KEY"'
)


def choose_account(settings: Settings, name: str | None, *, source: str, environ: Mapping[str, str]) -> Account:
    """The account to work with, ready to call.

    Raises:
        ConfigurationError: no account is configured, or several and none is named, or its key cannot be resolved.
    """
    accounts = settings.shipstream
    if not accounts:
        raise ConfigurationError(source, (f"shipstream: no account is configured; {_EXAMPLE}",))
    if name is None and len(accounts) > 1:
        raise ConfigurationError(source, (f"shipstream: name one with --account: {', '.join(sorted(accounts))}",))
    chosen = next(iter(accounts)) if name is None else name
    if chosen not in accounts:
        raise ConfigurationError(source, (f"shipstream.{chosen}: no such account{nearest_or_all(chosen, accounts)}",))
    account = accounts[chosen]
    try:
        api_key = resolve(account.api_key.reference, environ).value.decode()
    except UnicodeDecodeError:
        raise ConfigurationError(
            source, (f"shipstream.{chosen}.api_key: {account.api_key} is not UTF-8 text",)
        ) from None
    except ValueError as error:
        raise ConfigurationError(source, (f"shipstream.{chosen}.api_key: {error}",)) from error
    return Account(
        url=account.url,
        username=account.username,
        api_key=api_key,
        authentication=account.authentication,
        answer_timeout_s=account.answer_timeout_ms / 1000,
    )


def perform(account: Account, operation: Callable[[Api], Awaitable[Result]], *, verbose: bool) -> Result:
    """The result of `operation`.

    Raises:
        ShipstreamError: the operation failed.
    """

    def show(exchange: Exchange) -> None:
        if verbose:
            answer = "no answer" if exchange.status is None else f"{exchange.status}, {exchange.answer_bytes} bytes"
            screen.note(f"{account.url} {exchange.method}: {answer}")

    async def operate() -> Result:
        async with open_api(account, show) as api:
            return await operation(api)

    return run(operate())


def register(account: Account, new: NewWebhook, *, verbose: bool) -> Webhook:
    """The webhook as it is listed once it was made, with a warning for what is not as it was asked for.

    Raises:
        ShipstreamError: as `create` does.
    """
    made = perform(account, lambda api: create(api, new), verbose=verbose)
    missing = [topic for topic in new.topics if topic not in made.topics]
    if missing:
        screen.note(f"warning: ShipStream lists it without {', '.join(missing)}")
    if not made.has_secret:
        screen.note("warning: ShipStream lists it without a secret, so its deliveries may be unsigned")
    return made
