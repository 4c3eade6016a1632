"""`dropstream shipstream webhooks`: lists, makes, switches and deletes webhooks over ShipStream's API."""

import os
from pathlib import Path
from typing import Annotated

import orjson
import typer

from ops import screen
from ops.configuration import ConfigFile, configuration_file, load_settings
from ops.endpoints.add import (
    AccountName,
    BaseUrl,
    Folder,
    ShowSecret,
    Topics,
    Verbose,
    add_endpoint,
    configured_webhook,
)
from ops.endpoints.files import checked_base_url
from ops.shipstream.client import Account
from ops.shipstream.operations import delete, find, listed, switch
from ops.shipstream.session import choose_account, perform, register
from ops.shipstream.topics import chosen_topics
from ops.shipstream.webhooks import Webhook
from ops.verbs import verb_group
from processors.providers import discover
from schemas.errors import DropstreamError
from schemas.settings import Settings

app = verb_group("ShipStream's management API.")
webhooks = verb_group("Lists, makes, switches and deletes webhooks.")
app.add_typer(webhooks, name="webhooks")

WebhookId = Annotated[int, typer.Argument(metavar="ID", min=0, help="As dropstream shipstream webhooks list shows it.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line, as always in a pipe.")]


@webhooks.command("list")
def list_webhooks(
    *, account: AccountName = None, as_json: AsJson = False, verbose: Verbose = False, config: ConfigFile = None
) -> None:
    """Shows every webhook of the account; secrets and tokens are masked.

    Example: dropstream shipstream webhooks list --account acme
    """
    found = perform(_account(config, account), listed, verbose=verbose)
    if as_json or not screen.is_terminal():
        for one in found:
            screen.write_json(_json(one))
    elif not found:
        screen.say("There is no webhook.")
    else:
        screen.show_table(
            ("id", "active", "url", "secret", "last", "headers", "topics"),
            (_cells(one) for one in found),
            fold=("headers", "last", "secret"),
        )


@webhooks.command("create", no_args_is_help=True)
def create_webhook(
    endpoint: Annotated[str, typer.Argument(metavar="ENDPOINT", help="A new endpoint's name, or one configured.")],
    *,
    url: BaseUrl,
    topics: Topics = None,
    account: AccountName = None,
    secrets_dir: Folder = Path("secrets"),
    show_secret: ShowSecret = False,
    verbose: Verbose = False,
    config: ConfigFile = None,
) -> None:
    """Registers a webhook for an endpoint; makes a new endpoint's files and prints its lines.

    Example: dropstream shipstream webhooks create acme --url https://hooks.example --topics all
    """
    settings = _settings(config)
    if endpoint not in settings.endpoints:
        add_endpoint(
            endpoint,
            provider="shipstream",
            url=url,
            topics=topics or [""],
            account=account,
            secrets_dir=secrets_dir,
            show_secret=show_secret,
            verbose=verbose,
            config=config,
        )
        return
    configured = settings.endpoints[endpoint]
    if configured.provider != "shipstream":
        raise typer.BadParameter(f"endpoint {endpoint} is one of {configured.provider}", param_hint="ENDPOINT")
    chosen = chosen_topics(topics or [], discover()["shipstream"].setup.topics)
    try:
        new = configured_webhook(endpoint, configured, base_url=checked_base_url(url), topics=chosen)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    made = register(_account(config, account), new, verbose=verbose)
    _show_changed(made, f"Registered webhook {made.webhook_id} for endpoint {endpoint}, which is configured already.")


@webhooks.command("enable", no_args_is_help=True)
def enable_webhook(
    webhook_id: WebhookId, *, account: AccountName = None, verbose: Verbose = False, config: ConfigFile = None
) -> None:
    """Switches a webhook on, and looks whether it is.

    Example: dropstream shipstream webhooks enable 3
    """
    _switch(_account(config, account), webhook_id, is_active=True, verbose=verbose)


@webhooks.command("disable", no_args_is_help=True)
def disable_webhook(
    webhook_id: WebhookId,
    *,
    yes: Yes = False,
    account: AccountName = None,
    verbose: Verbose = False,
    config: ConfigFile = None,
) -> None:
    """Switches a webhook off after a question, and looks whether it is.

    Example: dropstream shipstream webhooks disable 3 --yes
    """
    chosen = _account(config, account, needs_answer=not yes)
    if not yes:
        later = "Whether ShipStream sends later what happens meanwhile is not documented."
        _ask(chosen, webhook_id, "Disable", later, verbose=verbose)
    _switch(chosen, webhook_id, is_active=False, verbose=verbose)


@webhooks.command("delete", no_args_is_help=True)
def delete_webhook(
    webhook_id: WebhookId,
    *,
    yes: Yes = False,
    account: AccountName = None,
    verbose: Verbose = False,
    config: ConfigFile = None,
) -> None:
    """Deletes a webhook after a question, and looks whether it is gone.

    Example: dropstream shipstream webhooks delete 3 --yes
    """
    chosen = _account(config, account, needs_answer=not yes)
    if not yes:
        _ask(chosen, webhook_id, "Delete", "A new one may begin a new sequence.", verbose=verbose)
    gone = perform(chosen, lambda api: delete(api, webhook_id), verbose=verbose)
    _show_changed(gone, f"Deleted webhook {webhook_id}; its endpoint stays in the configuration.")


def _switch(account: Account, webhook_id: int, *, is_active: bool, verbose: bool) -> None:
    now = perform(account, lambda api: switch(api, webhook_id, is_active=is_active), verbose=verbose)
    _show_changed(now, f"Webhook {webhook_id} is {'active' if is_active else 'inactive'}.")


def _ask(account: Account, webhook_id: int, verb: str, remark: str, *, verbose: bool) -> None:
    """Returns if the person agrees; asked between two connections, for nobody knows how long they think.

    Raises:
        DropstreamError: they do not.
    """
    target = perform(account, lambda api: find(api, webhook_id), verbose=verbose)
    try:
        agreed = typer.confirm(f"{verb} webhook {webhook_id} ({target.shown_url})? {remark}", err=True)
    except typer.Abort:
        raise KeyboardInterrupt from None
    if not agreed:
        raise DropstreamError("nothing was changed")


def _settings(config: Path | None) -> Settings:
    return load_settings(config, signing_secrets=False, endpoints_required=False)


def _account(config: Path | None, name: str | None, *, needs_answer: bool = False) -> Account:
    if needs_answer and not screen.can_ask():
        raise typer.BadParameter("is needed where nobody can be asked", param_hint="--yes")
    return choose_account(_settings(config), name, source=str(configuration_file(config)), environ=os.environ)


def _show_changed(webhook: Webhook, sentence: str) -> None:
    if screen.is_terminal():
        screen.say(sentence, style="green")
    else:
        screen.write_json(_json(webhook))


def _json(webhook: Webhook) -> str:
    facts = {
        "webhook_id": webhook.webhook_id,
        "is_active": webhook.is_active,
        "url": webhook.shown_url,
        "topics": webhook.topics,
        "header_names": webhook.header_names,
        "has_secret": webhook.has_secret,
        "increment_id": webhook.last_number,
    }
    return orjson.dumps(facts).decode()


def _cells(webhook: Webhook) -> tuple[str, ...]:
    return (
        str(webhook.webhook_id),
        "yes" if webhook.is_active else "no",
        webhook.shown_url,
        "yes" if webhook.has_secret else "no",
        "-" if webhook.last_number is None else str(webhook.last_number),
        ", ".join(webhook.header_names) or "-",
        ", ".join(webhook.topics) or "-",
    )
