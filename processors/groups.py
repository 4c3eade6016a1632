"""The consumer groups by name: which step over which topic."""

import asyncio
from collections.abc import Mapping

from processors.assignment import Work
from processors.deliver import Rules, deliver
from processors.metrics import ProcessMetrics
from processors.provider import Provider
from processors.runtime import Group
from schemas.records import RawRecord, Record
from schemas.settings import Settings
from schemas.topics import event_bytes_max


def deliver_group(
    settings: Settings, providers: Mapping[str, Provider], metrics: ProcessMetrics, stopping: asyncio.Event
) -> Group:
    """Group `deliver`: `raw` to events and rejections, until `stopping` is set."""
    rules = Rules(endpoints=settings.endpoints, providers=providers, event_bytes_max=event_bytes_max(settings))

    def step(raw: RawRecord) -> tuple[Record, ...]:
        return deliver(raw, rules)

    return Group(
        work=Work(
            name="deliver", id=f"{settings.kafka.topic_prefix}deliver", step=step, settings=settings, metrics=metrics
        ),
        source="raw",
        stopping=stopping,
    )
