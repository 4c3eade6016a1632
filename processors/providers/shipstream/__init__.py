"""ShipStream: every documented topic in one table, each with the facts that it states.

Orders go by their `unique_id`, shipments and trackers by the order that they belong to, stock by SKU. Vendor pages:
https://docs.shipstream.io/ref/webhook.html (signature, sequence), https://docs.shipstream.io/ref/topics.html (topics).

`wire` shows a body, `topics` is the table, `facts` has a function for each domain; here are the signature, the keys of
a webhook, and the provider.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from processors.deliver.fields import mapping, text, whole_number
from processors.deliver.personal import PersonalFields
from processors.deliver.provider import Interpretation, Message, Provider, Sample, Setup
from processors.deliver.signatures import Claim, base64_text, single_header
from processors.deliver.times import occurred_at, read_instant
from processors.providers.shipstream.facts import READERS
from processors.providers.shipstream.fetched import interpret_fetched
from processors.providers.shipstream.samples import sample_adjustment, sample_order, sign
from processors.providers.shipstream.topics import TOPICS, UNKNOWN
from processors.providers.shipstream.wire import SIGNATURE_HEADER
from schemas.delivery import Delivery
from schemas.notes.rejections import Reason, Rejection
from schemas.retry_policy import Loss, RetryPolicy
from schemas.sections.endpoints import EndpointSettings
from schemas.times import rfc3339
from schemas.vocabulary import Domain

# The release of dropstream 0.1.0.
_COUNTED_WITH_TIME_SINCE = datetime(2026, 11, 21, tzinfo=UTC)
# A retry follows an answer that was lost by one minute, and by an hour for the sixth time in a row:
# https://docs.shipstream.io/merchant-api/webhook
_BODY_ONLY_S = 3_600


def _claim(delivery: Delivery, _endpoint: EndpointSettings) -> Claim | Rejection | None:
    """Base64 of the MAC of the whole body."""
    signature = single_header(delivery, SIGNATURE_HEADER.lower())
    if signature is None or isinstance(signature, Rejection):
        return signature
    return Claim((signature,), delivery.body, (base64_text,))


def _interpret(message: Message) -> Interpretation | Rejection:
    """What `{"topic": ..., "message": {...}}` means; other keys beside these two are allowed."""
    name = text(message.body.get("topic"))
    if name is None:
        return Rejection(Reason.BODY_UNRECOGNISED, "the body has no topic")
    fields = mapping(message.body.get("message"))
    topic = TOPICS.get(name, UNKNOWN)
    sequence, happened_at = _sequence(fields), read_instant(fields.get("event_timestamp"))
    return Interpretation(
        provider_event=name,
        natural_key=f"sha256:{message.digest}" if sequence is None else str(sequence),
        occurred=occurred_at(fields.get("event_timestamp"), received_at=message.received_at),
        facts=tuple([fact for domain in topic.domains for fact in READERS[domain](topic, fields, message)]),
        sequence=sequence,
        id_key=None if sequence is None else _id_key(sequence, happened_at),
        body_only_s=_BODY_ONLY_S if sequence is None and happened_at is None else None,
        is_test=name == "test:ping",
    )


def _id_key(sequence: int, happened_at: datetime | None) -> str | None:
    """What event ids stand on: a webhook that is made anew counts from 1 again, so the number alone names two events.

    A retry keeps both. Events of before the first version of dropstream keep the ids that the number alone gives.
    """
    if happened_at is None or happened_at < _COUNTED_WITH_TIME_SINCE:
        return None
    return f"{sequence}@{rfc3339(happened_at)}"


def _sequence(fields: Mapping[str, Any]) -> int | None:
    # Never `increment_id`: in delivery:* that is the delivery's number.
    number = whole_number(fields.get("webhook_increment_id"))
    return number if number is not None and number >= 0 else None


_ADDRESSES = ("message.address", "message.old_address")
# A carrier's words on a parcel's way, down to the town and the neighbour; `signed_by` and `gift_message` tell by name.
_TRACKED = ("new_details.location", "new_details.message", "new_details.description")
_PERSONAL = PersonalFields(
    {
        Domain.ORDER: (*_ADDRESSES, *_TRACKED),
        Domain.INCIDENT: (*_TRACKED, "message.sender_name"),
        Domain.OTHER: ("message.sender_name",),
    },
    maps=("stock_adjustments",),
)

_ADJUSTED = "dropstream.inventory.adjusted"
_CREATED = ("dropstream.order.created", _ADJUSTED, _ADJUSTED)

PROVIDER = Provider(
    name="shipstream",
    signature_policy="require",
    claim=_claim,
    interpret=_interpret,
    interpret_fetched=interpret_fetched,
    # 14 retries, the last 104 hours after the first try; then that delivery is "failed" for good. Nothing is said of
    # switching a webhook off. An answer within 5 s: https://docs.shipstream.io/merchant-api/webhook
    patience=RetryPolicy(
        loss=Loss.DELIVERY,
        source="https://docs.shipstream.io/merchant-api/webhook",
        failing_s_max=104 * 3_600,
        answer_within_s=5,
    ),
    samples=(
        Sample("shipstream-order-created", "ShipStream", sample_order, sign, _CREATED),
        Sample("shipstream-inventory-adjusted", "ShipStream", sample_adjustment, sign, (_ADJUSTED,)),
    ),
    personal=_PERSONAL,
    setup=Setup(
        page="its webhooks, or dropstream shipstream webhooks create",
        topics=tuple(name for name in TOPICS if name != "test:ping"),
    ),
)
