"""Chooses the account that a verb works with: the named one, or the only one; resolves its key."""

from collections.abc import Mapping

from ops.shipstream.client import Account
from ops.suggest import nearest_or_all
from schemas.errors import ConfigurationError
from schemas.secrets import resolve
from schemas.settings import Settings

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
