"""Runs the tour: sends one signed delivery per sample over real HTTP, and reads back the events that each becomes.

The events are compared with those that the sample names; `ops.local.screen` decides how that looks.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any

from ops.kafka.reader import TopicReader, full_name, open_reader
from ops.send.client import IngressAnswer, deliver_one, open_session, sign
from processors.deliver.provider import Provider, Sample
from schemas.events import read_event
from schemas.records import RawRecord
from schemas.sections.endpoints import EndpointSettings
from schemas.settings import Settings
from schemas.vocabulary import EVENT_TOPICS

_ARRIVE_WITHIN_S = 15.0
_REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class TourEvent:
    """An event as read from a topic; `topic` is the short name."""

    topic: str
    event: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TourStop:
    """A stop of the tour: the sample, its endpoint, the answer, the events that arrived, and why it was rejected."""

    sample: Sample
    endpoint: str
    answer: IngressAnswer
    arrivals: tuple[TourEvent, ...]
    reason: str = ""

    @property
    def complete(self) -> bool:
        """Whether the delivery was accepted, and exactly the expected events arrived."""
        found = sorted(arrival.event["type"] for arrival in self.arrivals)
        return self.answer.status == 200 and found == sorted(self.sample.event_types)


async def tour(
    settings: Settings,
    providers: Iterable[Provider],
    *,
    base_url: str,
    newest: Mapping[str, int],
    on_stop: Callable[[TourStop], None],
) -> list[TourStop]:
    """Every stop; `on_stop` is given each as soon as it is complete or its time is up.

    `newest` has the newest sequence id of each endpoint that has one: the tour goes on from it, and leaves no hole.

    Raises:
        DropstreamError: the ingress or the cluster cannot be reached.
    """
    topics = [full_name(name, settings) for name in (*EVENT_TOPICS, _REJECTED)]
    stops: list[TourStop] = []
    following = {name: count(highest + 1) for name, highest in newest.items()}
    async with open_reader(settings, topics, "latest") as reader, open_session() as session:
        for sample, name, endpoint in _samples(settings, providers):
            now = datetime.now(UTC)
            # Seconds since 2026 began: a ShipStream sequence that grows from one tour to the next.
            number = int((now - datetime(2026, 1, 1, tzinfo=UTC)).total_seconds()) * 10 + len(stops)
            number = next(following[name]) if name in following else number
            outgoing = sign(sample.body(number, now), endpoint, sample, now)
            answer = await deliver_one(session, base_url, name, endpoint, outgoing=outgoing)
            arrivals, reason = await _outcome(reader, settings, answer.delivery_id, len(sample.event_types))
            stops.append(TourStop(sample, name, answer, arrivals, reason))
            on_stop(stops[-1])
    return stops


async def follow(settings: Settings, on_arrival: Callable[[TourEvent], None]) -> None:
    """Gives `on_arrival` every event that arrives from now on, until cancelled."""
    topics = [full_name(name, settings) for name in EVENT_TOPICS]
    async with open_reader(settings, topics, "latest") as reader:
        while True:
            for record in await reader.fetch():
                for arrival in _arrivals(record, settings):
                    on_arrival(arrival)


def _samples(settings: Settings, providers: Iterable[Provider]) -> list[tuple[Sample, str, EndpointSettings]]:
    """Each sample with the first enabled endpoint of its provider."""
    endpoint_of: dict[str, tuple[str, EndpointSettings]] = {}
    for name, endpoint in settings.endpoints.items():
        if endpoint.enabled:
            endpoint_of.setdefault(endpoint.provider, (name, endpoint))
    return [
        (sample, *endpoint_of[provider.name])
        for provider in providers
        if provider.name in endpoint_of
        for sample in provider.samples
    ]


async def _outcome(
    reader: TopicReader, settings: Settings, delivery_id: str | None, expected: int
) -> tuple[tuple[TourEvent, ...], str]:
    """Waits for the delivery's events; returns them, and why it was rejected where it was."""
    found: list[TourEvent] = []
    reason = ""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _ARRIVE_WITHIN_S
    while delivery_id and len(found) < expected and not reason and loop.time() < deadline:
        for record in await reader.fetch():
            if record.position.topic != full_name(_REJECTED, settings):
                found += [one for one in _arrivals(record, settings) if one.event.get("delivery") == delivery_id]
            elif _header(record, "dropstream-delivery") == delivery_id:
                reason = f"{_header(record, 'dropstream-reason')}: {_header(record, 'dropstream-detail')}"
    return tuple(sorted(found, key=lambda arrival: EVENT_TOPICS.index(arrival.topic))), reason


def _header(record: RawRecord, name: str) -> str:
    return next((content.decode(errors="replace") for key, content in record.headers if key == name and content), "")


def _arrivals(record: RawRecord, settings: Settings) -> list[TourEvent]:
    topic = record.position.topic.removeprefix(settings.kafka.topic_prefix)
    event = read_event(record.value)
    return [TourEvent(topic, event.attributes)] if event else []
