"""One record of `raw` becomes its events, a rejected record, or a duplicate: the middle of the system, and pure.

verify the exact bytes -> parse -> interpret (times in UTC) -> drop a retry -> redact -> route and key. The same record,
rules and store give the same result, on any machine and any day; every path ends in at least one record.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from processors.deliver.content_coding import coding_of, inflated
from processors.deliver.fetched import interpret, is_overtaken
from processors.deliver.parse import parse
from processors.deliver.personal import PersonalFields
from processors.deliver.provider import Fact, Interpretation, Message, Provider
from processors.deliver.redaction import redacted_data
from processors.deliver.repeats import Verdict, judge_repeat, possible_keys
from processors.deliver.sightings import DedupeResult, Sightings, key_of_another_body
from processors.deliver.signatures import judge
from processors.deliver.times import TimeBounds, believable
from schemas.delivery import Delivery, read_record
from schemas.event_data import OtherData
from schemas.events import event_context, event_id, event_record
from schemas.fast_frozen import fast_frozen
from schemas.notes.duplicates import duplicate_record
from schemas.notes.raw_places import position_of
from schemas.notes.rejections import Reason, Rejection, rejected_record
from schemas.notes.sequence_observations import observation_record
from schemas.records import Position, RawRecord, Record
from schemas.sections.endpoints import EndpointSettings
from schemas.vocabulary import Domain, SignatureStatus

# One delivery becomes at most so many events: they are written in one transaction, which has a time. It takes an order
# of 10,000 SKUs, and 10,000 variants that are withdrawn, with two events each; docs/decisions.md has what that costs.
_FACTS_MAX = 25_000


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules by which a delivery is judged.

    `record_bytes_max` bounds every record that it leads to, `replay` marks its events. `redact_personal_data` is for
    the endpoints that do not set it themselves. `time_bounds` says which times of a provider are believed.
    """

    endpoints: Mapping[str, EndpointSettings]
    providers: Mapping[str, Provider]
    record_bytes_max: int
    replay: str | None = None
    redact_personal_data: bool = False
    time_bounds: TimeBounds = field(default_factory=TimeBounds)


@fast_frozen()
class _Understood:
    """A delivery that is verified and interpreted, maybe a retry; `personal` None where nothing is redacted."""

    delivery: Delivery
    position: Position
    message: Message
    meaning: Interpretation
    signature: SignatureStatus
    personal: PersonalFields | None


def deliver(raw: RawRecord, rules: Rules, store: Sightings) -> tuple[Record, ...]:
    """The records that `raw` leads to, at least one, in order; `store` remembers the delivery."""
    understood = _understand(read_record(raw), raw.position, rules)
    if isinstance(understood, Rejection):
        return (rejected_record(raw, understood, rules.record_bytes_max),)
    verdict = judge_repeat(understood.delivery, understood.message, understood.meaning, raw.position, store)
    if verdict.kind is DedupeResult.RETRY:
        return (_duplicate(understood, verdict),)
    records = _event_records(understood, verdict, rules.replay)
    largest = max([record.bytes_count for record in records])
    if largest > rules.record_bytes_max:
        detail = f"its event would have {largest} bytes; {rules.record_bytes_max} are allowed"
        return (rejected_record(raw, Rejection(Reason.BODY_UNRECOGNISED, detail), rules.record_bytes_max),)
    # Only now: a retry of what was rejected is rejected too, not called a retry.
    for sighting in verdict.sightings:
        store.remember(sighting)
    return records + _observation(understood)


def possible_ids(raw: RawRecord, rules: Rules) -> frozenset[str]:
    """Every id that the delivery's events can have: as a first try, with a body that differs, as a repeat."""
    known = _understand(read_record(raw), raw.position, rules)
    if isinstance(known, Rejection):
        return frozenset()
    other_body = key_of_another_body(known.meaning.natural_key, known.message.text)
    return frozenset(
        event_id(endpoint=known.delivery.endpoint, natural_key=key, domain=domain, entity_id=entity_id)
        for key in possible_keys(known.delivery, known.meaning, other_body)
        for domain, entity_id in _placed_facts(known)
    )


def believed(raw: RawRecord, rules: Rules) -> Interpretation | None:
    """What the delivery means, retry or not; None where it is rejected."""
    known = _understand(read_record(raw), raw.position, rules)
    return None if isinstance(known, Rejection) else known.meaning


def recall(raw: RawRecord, rules: Rules, store: Sightings) -> bool:
    """`store` remembers a delivery that was accepted once, whatever today's secrets say; False if it is unreadable."""
    delivery = read_record(raw)
    claimed = _claimed(delivery, rules)
    if claimed is None:
        return False
    verdict = judge_repeat(delivery, *claimed, raw.position, store)
    if verdict.kind is not DedupeResult.RETRY:
        for sighting in verdict.sightings:
            store.remember(sighting)
    return True


def claimed_entities(raw: RawRecord, rules: Rules) -> frozenset[str]:
    """The ids of the entities that the delivery says it is about, verified or not."""
    claimed = _claimed(read_record(raw), rules)
    facts = claimed[1].facts if claimed else ()
    ids = [(fact.entity_id, fact.kind) for fact in facts if fact.entity_id is not None]
    return frozenset(id_ for id_, _ in ids) | frozenset(f"{kind}:{id_}" for id_, kind in ids if kind)


def _claimed(delivery: Delivery, rules: Rules) -> tuple[Message, Interpretation] | None:
    endpoint = rules.endpoints.get(delivery.endpoint)
    provider = rules.providers.get(endpoint.provider if endpoint else delivery.provider)
    message = parse(delivery, inflated(delivery, rules.record_bytes_max), rules.time_bounds)
    if provider is None or isinstance(message, Rejection):
        return None
    meaning = interpret(provider, message, delivery.fetched)
    return None if isinstance(meaning, Rejection) else (message, meaning)


def _understand(delivery: Delivery, position: Position, rules: Rules) -> _Understood | Rejection:
    endpoint = rules.endpoints.get(delivery.endpoint)
    provider = rules.providers.get(endpoint.provider) if endpoint else None
    if endpoint is None or provider is None:
        return Rejection(Reason.ENDPOINT_UNKNOWN, "no endpoint of this name is configured")
    if delivery.provider != provider.name:
        # The configured provider counts, not the one that the record names.
        delivery = replace(delivery, provider=provider.name)
    text = inflated(delivery, rules.record_bytes_max) if coding_of(delivery) else None
    signature = judge_signature(delivery, text, endpoint, provider)
    if isinstance(signature, Rejection):
        return signature
    message = parse(delivery, text, rules.time_bounds)
    if isinstance(message, Rejection):
        return message
    meaning = _meaning(delivery, message, signature, provider)
    if isinstance(meaning, Rejection):
        return meaning
    redacts = endpoint.redact_personal_data
    redacts = rules.redact_personal_data if redacts is None else redacts
    return _Understood(delivery, position, message, meaning, signature, provider.personal if redacts else None)


def _meaning(
    delivery: Delivery, message: Message, signature: SignatureStatus, provider: Provider
) -> Interpretation | Rejection:
    """What the message means, at a time that can be, and within the bounds of one delivery."""
    meaning = interpret(provider, message, delivery.fetched)
    if isinstance(meaning, Rejection):
        return meaning
    if meaning.signed_by is not None and signature is SignatureStatus.UNSIGNED:
        return Rejection(Reason.SIGNATURE_MISSING, f"a body of this contract is always signed, in {meaning.signed_by}")
    if len(meaning.facts) > _FACTS_MAX:
        return Rejection(Reason.BODY_UNRECOGNISED, f"it says {len(meaning.facts)} things; {_FACTS_MAX} are allowed")
    if delivery.fetched is not None:
        # A state may be years old when it is fetched.
        return meaning
    occurred = believable(meaning.occurred, received_at=message.received_at, bounds=message.bounds)
    return meaning if occurred is meaning.occurred else replace(meaning, occurred=occurred)


def judge_signature(
    delivery: Delivery, text: bytes | None, endpoint: EndpointSettings, provider: Provider
) -> SignatureStatus | Rejection:
    """What is known of the sender: by a signature over the bytes as they were sent, or over `text`, the inflated ones.

    What was fetched from an API has none: who may write to `raw` may say so.
    """
    if delivery.fetched is not None:
        return SignatureStatus.FETCHED

    def judged(delivery: Delivery) -> SignatureStatus | Rejection:
        return judge(
            provider.claim(delivery, endpoint),
            secrets=endpoint.secrets,
            policy=endpoint.signature or provider.signature_policy,
            tolerance_s=endpoint.timestamp_tolerance_seconds,
            received_at=delivery.received_at,
        )

    as_sent = judged(delivery)
    coding = coding_of(delivery)
    if coding is None or not isinstance(as_sent, Rejection) or as_sent.reason is not Reason.SIGNATURE_INVALID:
        return as_sent
    if text is not None:
        return judged(replace(delivery, body=text))
    detail = f"{as_sent.detail}; the body is compressed (content-encoding {coding}), and could not be inflated"
    return Rejection(as_sent.reason, detail)


def _event_records(known: _Understood, verdict: Verdict, replay: str | None) -> tuple[Record, ...]:
    meaning, delivery = known.meaning, known.delivery
    common = event_context(
        natural_key=verdict.id_key,
        provider_event=meaning.provider_event,
        time=meaning.occurred.at,
        time_quality=meaning.occurred.quality,
        received_at=delivery.received_at,
        provider=delivery.provider,
        endpoint=delivery.endpoint,
        signature=known.signature,
        sequence=meaning.sequence,
        raw=known.position,
        delivery=delivery.id,
        body_differs=verdict.kind is DedupeResult.BODY_DIFFERS,
        repaired=known.message.is_repaired,
        repeated=verdict.is_repeated,
        replay=replay,
        reconciled=delivery.fetched.run if delivery.fetched else None,
        is_overtaken=is_overtaken(delivery),
        traceparent=delivery.traceparent,
    )
    return tuple(
        [
            event_record(
                common,
                domain=fact.domain,
                what=fact.what,
                entity_id=entity_id,
                data=redacted_data(fact, known.message, known.personal) if known.personal else fact.data,
                kind=fact.kind,
            )
            for (_, entity_id), fact in _placed_facts(known).items()
        ]
    )


def _placed_facts(known: _Understood) -> dict[tuple[Domain, str], Fact]:
    """The facts by domain and entity; of two facts on one entity the last one stands, for they would share their id.

    Where a fact has no entity, or two share one, the whole delivery goes to `other` too.
    """
    facts, key = known.meaning.facts, known.meaning.natural_key
    placed = {
        (fact.domain, fact.entity_id or key): fact
        for fact in facts
        if fact.entity_id is not None or fact.domain is Domain.OTHER
    }
    if placed and len(placed) == len(facts):
        return placed
    whole = Fact(Domain.OTHER, "unidentified", None, OtherData(payload=known.message.payload))
    return {(Domain.OTHER, key): whole, **placed}


def _observation(known: _Understood) -> tuple[Record, ...]:
    """The record for the gap tracker; an unproven sender moves no sequence."""
    if known.meaning.sequence is None or known.signature is not SignatureStatus.VERIFIED:
        return ()
    return (
        observation_record(
            endpoint=known.delivery.endpoint,
            sequence=known.meaning.sequence,
            time=known.meaning.occurred.at,
            time_quality=known.meaning.occurred.quality,
            received_at=known.delivery.received_at,
            raw=known.position,
            is_test=known.meaning.is_test,
            traceparent=known.delivery.traceparent,
        ),
    )


def _duplicate(known: _Understood, verdict: Verdict) -> Record:
    return duplicate_record(
        endpoint=known.delivery.endpoint,
        delivery=known.delivery.id,
        received_at=known.delivery.received_at,
        raw=known.position,
        first=position_of(verdict.first_offset, known.position),
    )
