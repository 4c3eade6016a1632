"""`dropstream endpoints add`: makes the files of a new endpoint; for ShipStream registers its webhook over the API.

Standard output gets the lines of the configuration and nothing else, so that they can go into the file as they are.
"""

import os
import secrets
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from ops import screen
from ops.configuration import ConfigFile, configuration_file, load_settings
from ops.endpoints.files import NewEndpoint, checked_base_url, plan, remove_files, write_files
from ops.send.client import delivery_url
from ops.shipstream.errors import ShipstreamError
from ops.shipstream.session import choose_account, register
from ops.shipstream.topics import chosen_topics
from ops.shipstream.webhooks import NewWebhook, Webhook
from ops.suggest import nearest_or_all
from processors.providers import discover
from schemas.errors import DropstreamError
from schemas.secrets import resolve
from schemas.sections.endpoints import EndpointSettings
from schemas.settings import Settings

_SECRET_BYTES = 32

BaseUrl = Annotated[
    str, typer.Option("--url", metavar="BASE", help="Where the ingress is reached from outside.", show_default=False)
]
Topics = Annotated[
    list[str] | None,
    typer.Option("--topics", metavar="LIST", help="ShipStream's topics, with commas; or all.", show_default=False),
]
AccountName = Annotated[
    str | None,
    typer.Option("--account", metavar="A", help="[shipstream.A]; default: the only one.", show_default=False),
]
Folder = Annotated[Path, typer.Option("--secrets-dir", metavar="DIR", help="Where the files of secrets go.")]
ShowSecret = Annotated[bool, typer.Option("--show-secret", help="Print the new secret, to paste it somewhere.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Tell each request on standard error.")]


def add_endpoint(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The endpoint's name, a part of its URL.")],
    *,
    provider: Annotated[str, typer.Option(metavar="P", help="dreamship, shipstream, ...", show_default=False)],
    url: BaseUrl,
    topics: Topics = None,
    secret: Annotated[
        str | None, typer.Option(metavar="REF", help="What signs, as env:NAME or file:PATH.", show_default=False)
    ] = None,
    account: AccountName = None,
    secrets_dir: Folder = Path("secrets"),
    show_secret: ShowSecret = False,
    verbose: Verbose = False,
    config: ConfigFile = None,
) -> None:
    """Makes files of secret and token, and prints the lines for the configuration.

    With --topics it registers the webhook at ShipStream too.

    Example: dropstream endpoints add acme --provider shipstream --url https://hooks.example --topics all
    """
    providers = discover()
    if provider not in providers:
        raise typer.BadParameter(f"no such provider{nearest_or_all(provider, providers)}", param_hint="--provider")
    if topics and provider != "shipstream":
        raise typer.BadParameter(f"{provider} takes no subscriptions from here; leave it out", param_hint="--topics")
    settings = _settings(config, needed=bool(topics))
    new = _planned(name, provider, settings, url=url, secret=secret, folder=secrets_dir)
    call: Callable[[], Webhook] | None = None
    if topics:
        chosen = chosen_topics(topics, providers[provider].setup.topics)
        where = choose_account(settings, account, source=str(configuration_file(config)), environ=os.environ)
        webhook = NewWebhook(new.url, chosen, _signing_text(new))
        call = partial(register, where, webhook, verbose=verbose)
    made = make(new, call)
    show_new(new, made, show_secret=show_secret, config=config)


def make(new: NewEndpoint, call: Callable[[], Webhook] | None) -> Webhook | None:
    """Makes the files, then registers the webhook by `call` and returns it; None without `call`.

    Raises:
        DropstreamError: says what was made and how to undo it; where nothing was registered, the files are removed.
    """
    write_files(new.files)
    if call is None:
        return None
    paths = " and ".join(str(file.path) for file in new.files)
    try:
        return call()
    except ShipstreamError as error:
        if error.outcome == "undone":
            remove_files(new.files)
            raise DropstreamError(f"{error}\nNothing was made.") from error
        raise DropstreamError(
            f"{error}\nMade: {paths}. To undo it, delete the webhook if it is listed, then these files."
        ) from error
    except BaseException:
        screen.note(f"Broken off. Made: {paths}; ShipStream may have the webhook: dropstream shipstream webhooks list")
        raise


def show_new(new: NewEndpoint, made: Webhook | None, *, show_secret: bool, config: Path | None) -> None:
    """Writes the configuration's lines to standard output; to standard error, what was made and what is left to do."""
    lines = "\n".join(new.configuration())
    for file in new.files:
        screen.note(f"made {file.path} (for its owner alone)")
    if made:
        state = "active" if made.is_active else "INACTIVE"
        screen.note(f"registered webhook {made.webhook_id} ({state}, {len(made.topics)} topics) at {made.shown_url}")
    else:
        screen.note(f"give {new.provider.name} this URL ({new.provider.setup.page}): {new.url}")
        _show_secret(new, show_secret=show_secret)
    if made and show_secret:
        screen.note(f"secret: {_signing_text(new)}")
    screen.note(f"add these lines to {configuration_file(config)}, then send SIGHUP to ingest and process:")
    try:
        screen.write_line(lines)
    except (DropstreamError, screen.ReaderGoneError):
        screen.note(lines)
        raise


def _show_secret(new: NewEndpoint, *, show_secret: bool) -> None:
    if new.provider.setup.signed_with:
        return
    if show_secret:
        screen.note(f"and this secret: {_signing_text(new)}")
    else:
        screen.note(f"and the secret in {new.secret_reference.removeprefix('file:')}; --show-secret would print it")


def _settings(config: Path | None, *, needed: bool) -> Settings:
    """The settings so far; none where there is no file yet and none is named or `needed`."""
    if (
        config is None
        and not needed
        and not configuration_file(None).exists()
        and not os.environ.get("DROPSTREAM_CONFIG")
    ):
        return Settings(endpoints={})
    return load_settings(config, signing_secrets=False, endpoints_required=False)


def _planned(
    name: str, provider: str, settings: Settings, *, url: str, secret: str | None, folder: Path
) -> NewEndpoint:
    if name in settings.endpoints:
        raise typer.BadParameter(f"endpoint {name} is configured already; take another name", param_hint="NAME")
    try:
        base_url = checked_base_url(url)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--url") from error
    try:
        if secret is not None:
            _text_of(secret)
        return plan(
            name,
            discover()[provider],
            base_url=base_url,
            folder=folder,
            token=secrets.token_urlsafe(_SECRET_BYTES),
            own_secret=secrets.token_urlsafe(_SECRET_BYTES),
            given_secret=secret,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _signing_text(new: NewEndpoint) -> str:
    own = [file.value for file in new.files if file.reference == new.secret_reference]
    return own[0] if own else _text_of(new.secret_reference)


def _text_of(reference: str) -> str:
    """The secret as text, for JSON; a fault's sentence holds nothing of it."""
    try:
        return resolve(reference, os.environ).value.decode()
    except UnicodeDecodeError:
        raise ValueError(f"{reference} is not UTF-8 text") from None


def configured_webhook(name: str, endpoint: EndpointSettings, *, base_url: str, topics: tuple[str, ...]) -> NewWebhook:
    """The webhook for an endpoint that is configured: its newest token and secret.

    Raises:
        ValueError: with a sentence, where it cannot be.
    """
    if not endpoint.secrets:
        raise ValueError(f"endpoint {name} has no secret to sign with")
    secret = _text_of(endpoint.secrets[0].value.reference)
    return NewWebhook(str(delivery_url(base_url, name, endpoint)), topics, secret)
