"""Version 1 of Dropea's webhooks: flat, in Madrid wall time, perhaps unsigned.

Vendor page: https://support.dropea.com/portal/en/kb/articles/user-guide-webhooks.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import TypedDict, cast
from zoneinfo import ZoneInfo

import orjson

from processors.deliver.fields import text, text_id
from processors.deliver.provider import Fact, Interpretation, Message
from processors.deliver.signatures import Claim, base64_text, hex_text, mac, single_header
from processors.deliver.times import occurred_at_wall_time
from processors.providers.dropea.identity import digest_of, unknown_fact
from processors.providers.dropea.statuses import incident_status_of, order_status_of
from schemas.delivery import Delivery
from schemas.event_data import IncidentData, OrderData
from schemas.notes.rejections import Rejection
from schemas.times import timestamp_ms
from schemas.vocabulary import Domain


class DropeaV1Body(TypedDict, total=False):
    """A body of version 1 on the wire: flat, with `order_id` or `incidence_id`.

    {"topic": "order:status_update", "order_id": 265494, "prev_status": "confirmed", "new_status": "cancelled",
     "updated_at": "2025-05-29 14:14:58"}
    """

    topic: str
    order_id: int
    incidence_id: int
    prev_status: str
    new_status: str
    updated_at: str


V1_SIGNATURE = "X-Dropea-Hmac-Sha256"
# Version 1 documents no retries; version 2 retries 1, 5 and 15 minutes after a failure, which is over in 21 minutes.
# Below the hour after which the autumn clocks show a time again.
_BODY_ONLY_S = 1_800
_MADRID = ZoneInfo("Europe/Madrid")


def claim_v1(delivery: Delivery) -> Claim | Rejection | None:
    """The MAC of the body in hex or base64, for the vendor's page does not say which; it may be absent."""
    signature = single_header(delivery, V1_SIGNATURE.lower())
    if signature is None or isinstance(signature, Rejection):
        return signature
    return Claim((signature,), delivery.body, (hex_text, base64_text))


def _order(message: Message) -> Fact:
    order_id, word, old_word = (text_id(message.body.get("order_id")), *_statuses(message))
    data = OrderData(
        order_id=order_id,
        status=order_status_of(word),
        provider_status=word,
        previous_status=order_status_of(old_word),
        provider_previous_status=old_word,
        payload=message.payload,
    )
    return Fact(Domain.ORDER, "status_changed", order_id, data)


def _incident(message: Message) -> Fact:
    incident_id, word, old_word = (text_id(message.body.get("incidence_id")), *_statuses(message))
    data = IncidentData(
        incident_id=incident_id,
        status=incident_status_of(word),
        provider_status=word,
        previous_status=incident_status_of(old_word),
        provider_previous_status=old_word,
        payload=message.payload,
    )
    return Fact(Domain.INCIDENT, "status_changed", incident_id, data)


def _statuses(message: Message) -> tuple[str | None, str | None]:
    return text(message.body.get("new_status")), text(message.body.get("prev_status"))


V1_TOPICS: Mapping[str, Callable[[Message], Fact]] = {
    "order:status_update": _order,
    "incidence:status_update": _incident,
}


def interpret_v1(topic: str, message: Message) -> Interpretation:
    """What a body of version 1 means; an unknown topic is an event of `other`."""
    body, fact = message.body, V1_TOPICS.get(topic, unknown_fact)(message)
    new, previous = _statuses(message)
    # The time as it is written: the instant that it resolves to may differ from one receipt to the next.
    parts = (message.endpoint, topic, fact.entity_id, previous, new, text(body.get("updated_at")))
    return Interpretation(
        provider_event=topic,
        natural_key=digest_of(parts, message),
        occurred=occurred_at_wall_time(body.get("updated_at"), zone=_MADRID, received_at=message.received_at),
        facts=(fact,),
        body_only_s=_BODY_ONLY_S,
    )


def sign_v1(body: bytes, secret: bytes, _at: datetime) -> Mapping[str, str]:
    """The headers of a webhook that version 1 has signed."""
    return {V1_SIGNATURE: base64_text(mac(secret, body)).decode()}


def _sample(topic: str, id_field: str, status: str, number: int, at: datetime) -> bytes:
    change = {id_field: timestamp_ms(at) * 1_000 + number, "prev_status": "pending", "new_status": status}
    body = {"topic": topic, **change, "updated_at": f"{at.astimezone(_MADRID):%Y-%m-%d %H:%M:%S}"}
    return orjson.dumps(cast(DropeaV1Body, body))


# An order that is confirmed, and an incident that the client manages, by number and time.
sample_order_v1 = partial(_sample, "order:status_update", "order_id", "confirmed")
sample_incident_v1 = partial(_sample, "incidence:status_update", "incidence_id", "client_managed")
