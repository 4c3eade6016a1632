"""What one delivery becomes and why, step by step, by the rules of today; pure.

The steps are those of `processors.deliver.step`, each with what it found. Where the step would stop, the explanation
says so and goes on all the same, as far as the body can be read: a person who asks wants to see all that is wrong.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from processors.deliver.content_coding import coding_of, inflated
from processors.deliver.fetched import interpret
from processors.deliver.parse import parse
from processors.deliver.provider import Interpretation, Message, Provider
from processors.deliver.sightings import DedupeResult, Sighting
from processors.deliver.signatures import Claim
from processors.deliver.step import Rules, deliver, judge_signature
from schemas.delivery import Delivery, read_record
from schemas.notes.rejections import Rejection
from schemas.records import RawRecord, Record
from schemas.sections.endpoints import EndpointSettings
from schemas.times import rfc3339
from schemas.vocabulary import Domain, TimeQuality

_FACTS_SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class ExplainedStep:
    """One step: what it found, in words; `stops` where the delivery is rejected here, `more` for a program."""

    name: str
    found: str
    stops: bool = False
    more: Mapping[str, Any] = field(default_factory=dict)


def explain(raw: RawRecord, rules: Rules) -> list[ExplainedStep]:
    """The steps of the delivery that `raw` holds, and last the records that it leads to where nothing came before."""
    delivery = read_record(raw)
    endpoint = rules.endpoints.get(delivery.endpoint)
    provider = rules.providers.get(endpoint.provider if endpoint else delivery.provider)
    if endpoint is None or provider is None:
        named = delivery.endpoint or "none"
        return [ExplainedStep("endpoint", f"{named}: no endpoint of this name is configured", stops=True)]
    delivery = replace(delivery, provider=provider.name)
    steps = [ExplainedStep("endpoint", f"{delivery.endpoint}, of provider {provider.name}")]
    text = inflated(delivery, rules.record_bytes_max) if coding_of(delivery) else None
    steps += _body_steps(delivery, text)
    steps.append(_signature_step(delivery, text, endpoint, provider))
    message = parse(delivery, text, rules.time_bounds)
    if isinstance(message, Rejection):
        return [*steps, ExplainedStep("parse", message.detail, stops=True, more={"reason": message.reason})]
    mended = ", mended for readers (repaired)" if message.is_repaired else ""
    steps.append(ExplainedStep("parse", f"a JSON object of {len(message.body)} fields{mended}"))
    meaning = interpret(provider, message, delivery.fetched)
    if isinstance(meaning, Rejection):
        return [*steps, ExplainedStep("topic", meaning.detail, stops=True, more={"reason": meaning.reason})]
    return [*steps, *_meaning_steps(message, meaning), _records_step(raw, rules)]


def _body_steps(delivery: Delivery, text: bytes | None) -> Iterator[ExplainedStep]:
    yield ExplainedStep("body", f"{len(delivery.body)} bytes, received at {rfc3339(delivery.received_at)}")
    if (coding := coding_of(delivery)) is not None:
        became = f"inflated to {len(text)} bytes" if text is not None else "taken as it is, for it cannot be inflated"
        yield ExplainedStep("compression", f"content-encoding {coding}: {became}")


def _signature_step(
    delivery: Delivery, text: bytes | None, endpoint: EndpointSettings, provider: Provider
) -> ExplainedStep:
    claim = provider.claim(delivery, endpoint)
    over = "the delivery carries none"
    if isinstance(claim, Claim):
        prefix = claim.message.removesuffix(delivery.body) if delivery.body else claim.message
        signed = f"{len(prefix)} bytes of time and the body" if prefix else "the body"
        names = " or ".join(sorted({encode.__name__.removesuffix("_text") for encode in claim.encodings}))
        over = f"{len(claim.signatures)} given, {names} HMAC-SHA256 over {signed}"
    judged = judge_signature(delivery, text, endpoint, provider)
    if isinstance(judged, Rejection):
        return ExplainedStep("signature", f"{over}: {judged.detail}", stops=True, more={"reason": judged.reason})
    return ExplainedStep("signature", f"{over}: {judged}", more={"signature": judged})


def _meaning_steps(message: Message, meaning: Interpretation) -> Iterator[ExplainedStep]:
    is_unknown = all(fact.domain is Domain.OTHER and fact.what == "unknown_event" for fact in meaning.facts)
    known = "not known: kept under other" if meaning.facts and is_unknown else "known"
    yield ExplainedStep("topic", f"{meaning.provider_event or 'unnamed'}, {known}")
    yield ExplainedStep("key", _key_in_words(meaning), more={"natural_key": meaning.natural_key})
    at, received = meaning.occurred, meaning.occurred.quality is TimeQuality.RECEIVED
    believed = message.bounds.believe(at.at, message.received_at)
    said = f"{rfc3339(at.at)}, {at.quality}" + (": the body says no time that can be read" if received else "")
    if not believed:
        said = f"{rfc3339(at.at)} is too far from the receipt to be believed: the time of receipt, received"
    yield ExplainedStep("time", said, more={"timequality": at.quality if believed else TimeQuality.RECEIVED})
    if meaning.sequence is not None:
        moves = "a test, which moves no sequence" if meaning.is_test else "watched for gaps"
        yield ExplainedStep("sequence", f"{meaning.sequence}, {moves}")
    facts = [
        f"{fact.domain}.{fact.what} of {f'{fact.kind} ' if fact.kind else ''}{fact.entity_id or 'nothing with an id'}"
        for fact in meaning.facts
    ]
    shown = ", ".join(facts[:_FACTS_SHOWN_MAX]) + (", and more" if len(facts) > _FACTS_SHOWN_MAX else "")
    yield ExplainedStep("facts", f"{len(facts)}: {shown}" if facts else "none, so the whole goes to other")


def _key_in_words(meaning: Interpretation) -> str:
    words = f"{meaning.natural_key}: an equal delivery with this key is a retry"
    if meaning.body_only_s is not None:
        words += f" for {meaning.body_only_s} s, unless another one of the same entity came between (it has no id)"
    if meaning.twin is not None:
        words += "; so is one with another key and the same contents"
    if meaning.id_key is not None:
        words += f"; event ids stand on {meaning.id_key}"
    return words


def _records_step(raw: RawRecord, rules: Rules) -> ExplainedStep:
    records = deliver(raw, rules, NothingSeen())
    told = [_record_in_words(record) for record in records]
    rejected = records[0].topic == "rejected"
    return ExplainedStep("records", f"{len(records)}: {', '.join(told)}", stops=rejected, more={"records": told})


def _record_in_words(record: Record) -> str:
    headers = dict(record.headers)
    if record.topic == "rejected":
        return f"rejected ({headers['dropstream-reason'].decode()})"
    key = record.key.decode("utf-8", "replace")
    if record.topic == "sequence":
        return f"sequence, key {key}"
    return f"{record.topic}, key {key}, {headers['type'].decode()}, id {orjson.loads(record.value)['id']}"


class NothingSeen:
    """A memory of retries in which nothing came before, so that the pure step says all that a delivery leads to."""

    def judge(self, *, endpoint: str, natural_key: str, body: bytes, offset: int, received_s: int) -> Sighting:
        """Always a first try."""
        del body, received_s
        return Sighting(DedupeResult.FIRST, natural_key, offset, (b"", b""), endpoint)

    def remember(self, sighting: Sighting) -> None:
        """Does nothing: no other delivery comes after this one."""
