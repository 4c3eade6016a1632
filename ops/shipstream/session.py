"""Runs one operation against ShipStream for the command line; with --verbose, shows each request."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from ops import screen
from ops.event_loop import run
from ops.shipstream.client import Account, Api, Exchange, open_api
from ops.shipstream.operations import create
from ops.shipstream.webhooks import NewWebhook, Webhook

Result = TypeVar("Result")


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
