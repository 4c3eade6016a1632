"""Makes example records of every topic, by the real steps from made-up deliveries.

Every sample of every provider, and the deliveries in `example_deliveries.json`, go through `processors.deliver.step`
and `processors.sequence.step` with fixed ids and times; so the same code gives the same examples on any machine and
any day.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from processors.deliver.dedupe import DedupeStore
from processors.deliver.provider import Provider, Sample
from processors.deliver.step import Rules, deliver
from processors.providers import discover
from processors.sequence.step import observe, punctuate
from processors.sequence.store import SequenceStore
from processors.sequence.tracker import GapRules
from schemas.delivery import Delivery, kept_headers, raw_key, record_headers
from schemas.notes.acts import Act, ActKind, ActStage, KnownBy, act_record
from schemas.notes.dismissals import Dismissal, dismissal_record
from schemas.notes.gaps import GapState, gap_record, read_gap
from schemas.records import Position, RawRecord, Record
from schemas.secrets import Secret
from schemas.sections.endpoints import EndpointSettings, SigningSecret
from schemas.times import rfc3339, timestamp_ms
from schemas.topics import TOPICS

_DELIVERIES = Path(__file__).with_name("example_deliveries.json")
_SECRET = b"made-up-secret"
_AT = datetime(2026, 5, 21, 14, 32, 11, tzinfo=UTC)
_RECORD_BYTES_MAX = 4_194_304
_PARTITION = 3
_SEQUENCE = "shipstream-order-created"
_DAY = timedelta(days=1)

Examples = Mapping[str, tuple[Record, ...]]


def examples() -> Examples:
    """By the topic's short name: a record of each kind, in order of kinds; the key `raw` has one for each provider.

    A kind is an event's type and how its time is known, a reason of rejection, a state of a gap, or an act and its
    stage.
    """
    found: dict[str, dict[str, Record]] = {topic.name: {} for topic in TOPICS if topic.retention_ms is not None}
    providers = discover()
    for record in _records(providers):
        found[record.topic].setdefault(_kind(record), record)
    return {topic: tuple(kinds[kind] for kind in sorted(kinds)) for topic, kinds in found.items()}


def _records(providers: Mapping[str, Provider]) -> Iterator[Record]:
    rules = _rules(providers)
    offset = 1041
    for story in _stories(providers):
        seen = DedupeStore(window_s=432_000)
        for raw in _raw_records(story, first_offset=offset):
            headers = tuple((name, value or b"") for name, value in raw.headers)
            yield Record("raw", raw.key or b"", raw.value or b"", headers)
            yield from deliver(raw, rules, seen)
        offset += len(story)
    yield from _gaps(providers, rules)
    yield from _acts()


def _rules(providers: Mapping[str, Provider]) -> Rules:
    secret = SigningSecret.model_construct(value=Secret("env:EXAMPLE_SECRET", _SECRET), expires=None)
    endpoints = {
        _endpoint(name): EndpointSettings.model_construct(provider=name, secrets=[secret]) for name in providers
    }
    return Rules(endpoints, providers, _RECORD_BYTES_MAX)


def _endpoint(provider: str) -> str:
    return f"{provider.replace('_', '-')}-acme"


def _stories(providers: Mapping[str, Provider]) -> Iterator[Sequence[Delivery]]:
    """Independent deliveries: each sample, each one on file, and the life of one with its retry."""
    samples = {sample.name: (provider.name, sample) for provider in providers.values() for sample in provider.samples}
    for provider, sample in samples.values():
        yield (_sample(provider, sample, number=1, at=_AT),)
    for one in json.loads(_DELIVERIES.read_text(encoding="utf-8")):
        provider, sample = samples[one["signed_as"]]
        yield (_signed(provider, sample, orjson.dumps(one["body"]), datetime.fromisoformat(one["received_at"])),)
    provider, sample = samples[_SEQUENCE]
    first = _sample(provider, sample, number=2, at=_AT)
    changed = first.body.replace(b'"MUG-BLUE', b'"MUG-NAVY')
    yield (
        first,
        replace(first, received_at=_AT + timedelta(seconds=30)),
        _signed(provider, sample, changed, _AT + timedelta(seconds=60)),
    )
    yield tuple(_rejected(first, provider, sample))


def _rejected(good: Delivery, provider: str, sample: Sample) -> Iterator[Delivery]:
    yield replace(good, body=good.body + b" ")
    yield replace(good, headers=())
    yield replace(good, endpoint="nobody")
    yield _signed(provider, sample, b"not JSON", _AT)
    yield _signed(provider, sample, b"{}", _AT)


def _sample(provider: str, sample: Sample, *, number: int, at: datetime) -> Delivery:
    return _signed(provider, sample, sample.body(number, at), at)


def _signed(provider: str, sample: Sample, body: bytes, at: datetime) -> Delivery:
    http = {"Content-Type": "application/json", **sample.sign(body, _SECRET, at)}
    headers = kept_headers((name.encode(), value.encode()) for name, value in http.items())
    return Delivery("", provider, _endpoint(provider), at, "192.0.2.1", headers, body)


def _raw_records(deliveries: Iterable[Delivery], *, first_offset: int) -> Iterator[RawRecord]:
    """The deliveries as records of one partition of `raw`, each with an id and an offset."""
    for offset, delivery in enumerate(deliveries, start=first_offset):
        stamped = replace(delivery, id=_delivery_id(delivery.received_at, offset))
        yield RawRecord(
            position=Position("dropstream.raw", _PARTITION, offset),
            key=raw_key(stamped.endpoint, 1, stamped.body),
            value=stamped.body,
            headers=tuple(record_headers(stamped)),
            timestamp_ms=timestamp_ms(stamped.received_at),
        )


def _delivery_id(at: datetime, offset: int) -> str:
    """A UUIDv7 of the time of receipt, its random part fixed."""
    digits = f"{timestamp_ms(at):012x}"
    return f"{digits[:8]}-{digits[8:]}-7000-8000-{offset:012x}"


def _gaps(providers: Mapping[str, Provider], rules: Rules) -> Iterator[Record]:
    """A hole is reported, closed in part, given up, dismissed; the counter begins anew, or is one of two."""
    tracking = SequenceStore(GapRules(grace=timedelta(seconds=90), lost_after=timedelta(hours=110)))
    arrivals = (
        (5040, _AT),
        (5044, _AT),
        (5042, _AT + _DAY / 24),
        (5045, _AT + 5 * _DAY),
        (1, _AT + 6 * _DAY),
        (5046, _AT + 6 * _DAY + _DAY / 24),
    )
    provider = next(one for one in providers.values() if any(sample.name == _SEQUENCE for sample in one.samples))
    sample = next(sample for sample in provider.samples if sample.name == _SEQUENCE)
    deliveries = (_sample(provider.name, sample, number=number, at=at) for number, at in arrivals)
    seen = DedupeStore(window_s=1)
    for raw in _raw_records(deliveries, first_offset=2041):
        for record in deliver(raw, rules, seen):
            if record.topic == "sequence":
                for gap in observe(replace(raw, value=record.value), tracking):
                    yield gap
                    yield from _reconciled(gap)
    yield from punctuate(tracking, _AT + 7 * _DAY)
    yield from observe(replace(raw, value=_dismissal().value), tracking)


def _dismissal() -> Record:
    judged = Dismissal(
        endpoint="shipstream-acme",
        epoch=1,
        first=5041,
        last=5041,
        suspected_at=rfc3339(_AT),
        dismissed_at=rfc3339(_AT + 7 * _DAY),
        by="on-call",
        why="the order was seen in the shop",
        seen_in="dropstream.raw/0/2042",
    )
    return dismissal_record(judged)


def _reconciled(record: Record) -> Iterator[Record]:
    """What a run of `dropstream reconcile` says of a gap that was lost."""
    gap = read_gap(record.value)
    if gap is not None and gap.state is GapState.LOST:
        at, run = rfc3339(_AT + 6 * _DAY), "reconcile-20260527T143211Z-3fa9c1"
        yield gap_record(replace(gap, state=GapState.RECONCILED, changed_at=at, run=run, orders=3, skus=2))


def _acts() -> Iterator[Record]:
    """A redrive from the console, begun and done; a person who came in, and one who was not let in."""
    redrive = Act(
        id="act-20260521T143211Z-3fa9c1d2",
        at=rfc3339(_AT),
        act=ActKind.REDRIVE,
        stage=ActStage.BEGUN,
        who="anna",
        known_by=KnownBy.TOKEN,
        place="192.0.2.7",
        session="session-3fa9c1",
        endpoint="shipstream-acme",
        reason="signature_invalid",
        run="redrive-20260521T143211Z-3fa9c1",
        counts={"deliveries": 3},
    )
    yield act_record(redrive)
    counts = {"deliveries": 3, "became events": 3, "events": 3, "still rejected": 0, "events already": 0}
    yield act_record(replace(redrive, stage=ActStage.DONE, at=rfc3339(_AT + timedelta(seconds=2)), counts=counts))
    login = replace(redrive, act=ActKind.LOGIN, stage=ActStage.DONE, endpoint=None, reason=None, run=None, counts=None)
    yield act_record(login)
    nobody = replace(login, who="unknown", known_by=KnownBy.NOBODY, session=None)
    yield act_record(replace(nobody, stage=ActStage.REFUSED, counts={"tries": 1}))


def _kind(record: Record) -> str:
    """The kind of a record among those of its topic."""
    headers = {name: value.decode() for name, value in record.headers}
    if record.topic == "raw":
        return headers["dropstream-provider"]
    if record.topic == "rejected":
        return headers["dropstream-reason"]
    value: dict[str, Any] = orjson.loads(record.value)
    return " ".join(
        str(value[name]) for name in ("type", "timequality", "bodydiffers", "state", "act", "stage") if name in value
    )
