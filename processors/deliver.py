"""One record of `raw` becomes its events, or one rejected record: the whole middle of the system, and pure.

verify the exact bytes -> parse -> interpret (times in UTC) -> route and key. Same record and rules, same result, on any
machine and any day; nothing is lost, because every path ends in at least one record.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from processors.parse import parse
from processors.provider import Fact, Interpretation, Message, Provider
from processors.signatures import judge
from schemas.delivery import Delivery, read_record
from schemas.event_data import OtherData
from schemas.events import build_event, event_record
from schemas.observations import observation_record
from schemas.records import Position, RawRecord, Record
from schemas.rejections import Reason, Rejection, rejected_record
from schemas.settings import EndpointSettings
from schemas.vocabulary import Domain, SignatureMark


@dataclass(frozen=True, slots=True)
class Rules:
    """What a delivery is judged by; `event_bytes_max` bounds one encoded event."""

    endpoints: Mapping[str, EndpointSettings]
    providers: Mapping[str, Provider]
    event_bytes_max: int


def deliver(raw: RawRecord, rules: Rules) -> tuple[Record, ...]:
    """The records that `raw` leads to, at least one, in order."""
    delivery = read_record(raw)
    outcome = _understand(delivery, raw.position, rules)
    return (rejected_record(raw, outcome),) if isinstance(outcome, Rejection) else outcome


def _understand(delivery: Delivery, position: Position, rules: Rules) -> tuple[Record, ...] | Rejection:
    endpoint = rules.endpoints.get(delivery.endpoint)
    provider = rules.providers.get(endpoint.provider) if endpoint else None
    if endpoint is None or provider is None:
        return Rejection(Reason.ENDPOINT_UNKNOWN, "no endpoint of this name is configured")
    # What is configured counts, not what the record says of itself.
    delivery = replace(delivery, provider=provider.name)
    mark = judge(
        provider.claim(delivery, endpoint),
        secrets=endpoint.secrets,
        policy=endpoint.signature or provider.signature_policy,
        tolerance_s=endpoint.timestamp_tolerance_seconds,
        received_at=delivery.received_at,
    )
    if isinstance(mark, Rejection):
        return mark
    message = parse(delivery)
    if isinstance(message, Rejection):
        return message
    meaning = provider.interpret(message)
    if isinstance(meaning, Rejection):
        return meaning
    records = _event_records(meaning, message, delivery, mark, position)
    largest = max(len(record.value) for record in records)
    if largest > rules.event_bytes_max:
        return Rejection(
            Reason.BODY_UNRECOGNISED, f"its event would have {largest} bytes; {rules.event_bytes_max} are allowed"
        )
    return records + _observation(meaning, delivery, mark, position)


def _event_records(
    meaning: Interpretation,
    message: Message,
    delivery: Delivery,
    mark: SignatureMark,
    position: Position,
) -> tuple[Record, ...]:
    # Of two facts on one entity in one delivery the last one stands: they would share their id.
    facts = {(fact.domain, fact.entity_id or meaning.natural_key): fact for fact in _identified(meaning, message)}
    return tuple(
        event_record(
            build_event(
                data=fact.data,
                domain=fact.domain,
                what=fact.what,
                entity_id=entity_id,
                natural_key=meaning.natural_key,
                provider_event=meaning.provider_event,
                time=meaning.occurred.at,
                time_quality=meaning.occurred.quality,
                received_at=delivery.received_at,
                provider=delivery.provider,
                endpoint=delivery.endpoint,
                signature=mark,
                sequence=meaning.sequence,
                raw=position,
                delivery=delivery.id,
            ),
            domain=fact.domain,
            entity_id=entity_id,
        )
        for (_, entity_id), fact in facts.items()
    )


def _identified(meaning: Interpretation, message: Message) -> tuple[Fact, ...]:
    """The facts, each with a place to go: what names no entity goes to `other`."""
    homeless = Fact(Domain.OTHER, "unidentified", None, OtherData(payload=message.payload))
    kept = tuple(fact for fact in meaning.facts if fact.entity_id is not None or fact.domain is Domain.OTHER)
    return kept if kept and len(kept) == len(meaning.facts) else (homeless, *kept)


def _observation(
    meaning: Interpretation, delivery: Delivery, mark: SignatureMark, position: Position
) -> tuple[Record, ...]:
    if meaning.sequence is None or mark is not SignatureMark.VERIFIED:
        return ()
    return (
        observation_record(
            endpoint=delivery.endpoint,
            sequence=meaning.sequence,
            time=meaning.occurred.at,
            received_at=delivery.received_at,
            raw=position,
        ),
    )
