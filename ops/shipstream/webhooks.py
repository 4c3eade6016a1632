"""Reads the webhooks that ShipStream's API lists, and makes the calls that change them. Pure.

https://docs.shipstream.io/merchant-api/webhook. The list holds secrets and tokens in clear; none of them
is kept but the token in `url`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ops.screen import printable
from ops.shipstream.errors import ShipstreamError
from ops.shipstream.protocol import ApiCall
from processors.deliver.fields import whole_number

LIST = ApiCall("webhook.list")
_MASK = "***"
# The least that an unguessable token has: 16 random bytes as base64.
_TOKEN = re.compile(r"[A-Za-z0-9._~=-]{22,}")
# A topic is written resource:event. Wildcards were taken out of the API in September 2021 (history of
# github.com/ShipStream/shipstream.github.io).
TOPIC_PATTERN = re.compile(r"[a-z][a-z0-9_]*:[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook as ShipStream lists it. `url` is exact and may hold a token: `shown_url` is for people.

    `last_number` is the number of its last delivery, where the list tells it.
    """

    webhook_id: int
    is_active: bool
    topics: tuple[str, ...]
    url: str = field(repr=False)
    header_names: tuple[str, ...]
    has_secret: bool
    last_number: int | None

    @property
    def shown_url(self) -> str:
        """The URL without everything that may be a secret."""
        return masked_url(self.url)


@dataclass(frozen=True, slots=True)
class NewWebhook:
    """A webhook to be made."""

    url: str = field(repr=False)
    topics: tuple[str, ...]
    secret: str = field(repr=False)
    is_active: bool = True


def create_call(webhook: NewWebhook) -> ApiCall:
    """The call that makes `webhook`; its answer is `true` and not the id."""
    fields = {
        "is_active": int(webhook.is_active),
        "topics": list(webhook.topics),
        "url": webhook.url,
        "extra_headers": "",
        "secret_key": webhook.secret,
    }
    return ApiCall("webhook.create", (fields,), (webhook.secret, *_tokens_of(webhook.url)))


def status_call(topic: str, *, is_active: bool) -> ApiCall:
    """The call that switches what is subscribed to `topic`, in the order of its documented signature.

    The documented example holds a status alone: that names no webhook, and could switch all, so it is never sent.
    """
    return ApiCall("webhook.update_status", (topic, int(is_active)))


def delete_call(webhook_id: int) -> ApiCall:
    """The call that deletes one webhook, by its id as a number."""
    return ApiCall("webhook.delete", (webhook_id,))


def read_webhooks(result: Any) -> tuple[Webhook, ...]:
    """The webhooks of a list's result, in its order.

    PHP writes an array whose numbers have holes as a map, so a map's values count; `[]` is a list of none.

    Raises:
        ShipstreamError: it is no list of webhooks.
    """
    rows = list(result.values()) if isinstance(result, dict) else result
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ShipstreamError(
            "webhook.list gave no list of webhooks: is it another version of the API?", outcome="undone"
        )
    return tuple(_webhook(row, number) for number, row in enumerate(rows, start=1))


def is_done(result: Any) -> bool:
    """Whether a result is the documented `true`; PHP may write it 1."""
    return result is True or result in (1, "1")


def masked_url(url: str) -> str:
    """`url` less user, password, query, fragment, tokens, and all behind an endpoint's name."""
    try:
        parts = urlsplit(url)
        netloc = parts.netloc
    except ValueError:
        return _MASK
    if not parts.scheme or not netloc:
        return _MASK if url else "-"
    user, at, host = netloc.rpartition("@")
    segments = parts.path.split("/")
    secret_from = segments.index("webhooks") + 2 if "webhooks" in segments else len(segments)
    path = "/".join(
        _MASK if (number >= secret_from and segment) or _TOKEN.fullmatch(segment) else segment
        for number, segment in enumerate(segments)
    )
    hidden = (
        f"{_MASK}@" if at and user else "",
        f"?{_MASK}" if parts.query else "",
        f"#{_MASK}" if parts.fragment else "",
    )
    return printable(f"{parts.scheme}://{hidden[0]}{host}{path}{hidden[1]}{hidden[2]}")


def _webhook(row: Mapping[str, Any], number: int) -> Webhook:
    webhook_id = whole_number(row.get("webhook_id"))
    is_active = _flag(row.get("is_active"))
    if webhook_id is None or is_active is None:
        wrong = "webhook_id" if webhook_id is None else "is_active"
        raise ShipstreamError(f"webhook.list: entry {number} has no {wrong} that can be read", outcome="undone")
    url = row.get("url")
    return Webhook(
        webhook_id=webhook_id,
        is_active=is_active,
        topics=_topics(row.get("topics")),
        url=url if isinstance(url, str) else "",
        header_names=_header_names(row.get("extra_headers")),
        has_secret=bool(row.get("secret_key")),
        # An entity property that the documented example of the list does not show.
        last_number=whole_number(row.get("increment_id")),
    )


def _flag(value: Any) -> bool | None:
    """Documented as "0" or "1" and shown as a number; JSON's own words count too."""
    if isinstance(value, bool):
        return value
    return {0: False, 1: True}.get(number) if (number := whole_number(value)) is not None else None


def _topics(value: Any) -> tuple[str, ...]:
    """The topics from a text with commas or an array; none from anything else."""
    names = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else []
    return tuple(printable(name.strip()) for name in names if isinstance(name, str) and name.strip())


def _header_names(value: Any) -> tuple[str, ...]:
    """The names before the colons; what stands behind may be a token (how lines are parted is not documented)."""
    if isinstance(value, dict):
        return tuple(printable(str(name)) for name in value)
    lines: Sequence[Any] = value.splitlines() if isinstance(value, str) else value if isinstance(value, list) else ()
    names = (line.partition(":") for line in lines if isinstance(line, str) and line.strip())
    return tuple(printable(name.strip()) if colon else _MASK for name, colon, _ in names)


def _tokens_of(url: str) -> tuple[str, ...]:
    return tuple(segment for segment in urlsplit(url).path.split("/") if _TOKEN.fullmatch(segment))
