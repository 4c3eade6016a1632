"""Changes webhooks: reads the list, makes the change, and reads the list again to see whether it took effect.

ShipStream answers `true` where something was done, without saying what. So the list decides; an operation that ends in
the middle says what is known and how to go on.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol
from urllib.parse import urlsplit

from ops.shipstream.errors import ShipstreamError
from ops.shipstream.protocol import ApiCall
from ops.shipstream.webhooks import (
    LIST,
    NewWebhook,
    Webhook,
    create_call,
    delete_call,
    is_done,
    masked_url,
    read_webhooks,
    status_call,
)

_LOOK = "look with dropstream shipstream webhooks list"


class Caller(Protocol):
    """The API of an account: `ops.shipstream.client.Api`."""

    async def call(self, call: ApiCall) -> Any:
        """The result of `call`, or a `ShipstreamError`."""


async def listed(api: Caller) -> tuple[Webhook, ...]:
    """Every webhook that the account sees."""
    return read_webhooks(await api.call(LIST))


async def create(api: Caller, new: NewWebhook) -> Webhook:
    """The webhook as ShipStream lists it after it was made; an answer that got lost is replaced by the list.

    Raises:
        ShipstreamError: `undone` where nothing was made for sure, `unknown` where it may have been.
    """
    try:
        before = await listed(api)
    except ShipstreamError as error:
        # Whatever became of that call, it makes nothing.
        raise ShipstreamError(str(error), outcome="undone", code=error.code) from error
    for one in before:
        if _endpoint_path(one.url) == _endpoint_path(new.url):
            raise ShipstreamError(
                f"webhook {one.webhook_id} sends to {one.shown_url} already, and two would mix their sequences\n"
                f"Delete it with dropstream shipstream webhooks delete {one.webhook_id}, or take another name.",
                outcome="undone",
            )
    failure = await _failure_of(api, create_call(new))
    made = [one for one in await _seen_after(api, failure, "webhook.create") if one.url == new.url]
    if made:
        return made[0]
    outcome = failure or "ShipStream answered webhook.create with true"
    raise ShipstreamError(f"{outcome}\nIts list does not show {masked_url(new.url)} (yet): {_LOOK}.", outcome="unknown")


async def find(api: Caller, webhook_id: int) -> Webhook:
    """The webhook of this id.

    Raises:
        ShipstreamError: the account has no webhook of this id.
    """
    return _find(await listed(api), webhook_id)


async def delete(api: Caller, webhook_id: int) -> Webhook:
    """The webhook that was deleted.

    Raises:
        ShipstreamError: the account has no webhook of this id, or it is still listed.
    """
    target = await find(api, webhook_id)
    failure = await _failure_of(api, delete_call(webhook_id))
    if any(one.webhook_id == webhook_id for one in await _seen_after(api, failure, "webhook.delete")):
        outcome = failure or "ShipStream answered webhook.delete with true"
        raise ShipstreamError(f"{outcome}\nWebhook {webhook_id} is still listed (yet): {_LOOK}.", outcome="unknown")
    return target


async def switch(api: Caller, webhook_id: int, *, is_active: bool) -> Webhook:
    """The webhook as it is listed once it is switched, or was in that state before.

    The call names a topic and no webhook, so a topic is taken that switches nothing else, and the list is compared.

    Raises:
        ShipstreamError: there is no such webhook or no such topic; it is not switched; another one is too.
    """
    before = await listed(api)
    target = _find(before, webhook_id)
    if target.is_active == is_active:
        return target
    topic = _topic_of_its_own(target, before)
    failure = await _failure_of(api, status_call(topic, is_active=is_active))
    after = await _seen_after(api, failure, "webhook.update_status")
    now = _find(after, webhook_id)
    others = _switched_besides(target, before, after)
    if others:
        ids = ", ".join(str(one) for one in others)
        raise ShipstreamError(
            f"webhook {webhook_id} is {_state(now.is_active)}, and so is what was not asked for: webhook {ids}\n"
            f"Switch it back: dropstream shipstream webhooks {'disable' if is_active else 'enable'} {others[0]}.",
            outcome="unknown",
        )
    if now.is_active != is_active:
        outcome = failure or "ShipStream answered webhook.update_status with true"
        raise ShipstreamError(
            f"{outcome}\nWebhook {webhook_id} is still {_state(now.is_active)}: switch it on ShipStream's own page.",
            outcome="unknown",
        )
    return now


async def _failure_of(api: Caller, call: ApiCall) -> ShipstreamError | None:
    """Makes the change `call`; None where it was answered with `true`, an error where it may have been carried out.

    Raises:
        ShipstreamError: it was surely not carried out.
    """
    try:
        done = is_done(await api.call(call))
    except ShipstreamError as error:
        if error.outcome == "undone":
            raise
        return error
    return None if done else ShipstreamError(f"ShipStream answered {call.method} without its true", outcome="unknown")


async def _seen_after(api: Caller, failure: ShipstreamError | None, method: str) -> tuple[Webhook, ...]:
    """The list after a change.

    Raises:
        ShipstreamError: it cannot be had, so what is known is the answer to the change alone.
    """
    try:
        return await listed(api)
    except ShipstreamError as error:
        outcome = failure or f"ShipStream answered {method} with true"
        sentence = f"{outcome}\nWhat there is now could not be read ({error}): {_LOOK} before trying again."
        raise ShipstreamError(sentence, outcome="unknown") from error


def _find(webhooks: Sequence[Webhook], webhook_id: int) -> Webhook:
    for one in webhooks:
        if one.webhook_id == webhook_id:
            return one
    ids = ", ".join(str(one.webhook_id) for one in webhooks) or "none"
    raise ShipstreamError(f"ShipStream has no webhook {webhook_id} for this account; there is: {ids}", outcome="undone")


def _topic_of_its_own(target: Webhook, webhooks: Iterable[Webhook]) -> str:
    """A topic of `target` by which no webhook would be switched but those that are in the wanted state already."""
    rivals = [one for one in webhooks if one.webhook_id != target.webhook_id and one.is_active == target.is_active]
    for topic in target.topics:
        if not any(topic in one.topics for one in rivals):
            return topic
    sharing = ", ".join(str(one.webhook_id) for one in rivals if set(one.topics) & set(target.topics))
    why = f"webhook {sharing} would be switched too" if sharing else "it has no topic"
    raise ShipstreamError(
        f"webhook {target.webhook_id} cannot be switched alone: ShipStream's call names a topic, and {why}\n"
        "Switch it on ShipStream's own page, or delete it.",
        outcome="undone",
    )


def _switched_besides(target: Webhook, before: Iterable[Webhook], after: Iterable[Webhook]) -> list[int]:
    was = {one.webhook_id: one.is_active for one in before if one.webhook_id != target.webhook_id}
    return [one.webhook_id for one in after if was.get(one.webhook_id, one.is_active) != one.is_active]


def _state(is_active: bool) -> str:
    return "active" if is_active else "inactive"


def _endpoint_path(url: str) -> tuple[str, str]:
    """Host and path of a URL up to the endpoint's name: a token behind it makes no other endpoint."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "", parts.port or 443)
    except ValueError:
        return "", url
    head, found, tail = parts.path.partition("/webhooks/")
    path = f"{head}{found}{tail.partition('/')[0]}" if found else parts.path
    return f"{host[0]}:{host[1]}", path
