"""Reads what a person asks the page for: one rejected delivery with its body, or the life of one entity."""

import asyncio
from typing import Any

from ops.console.masking import clipped, masked_body
from ops.console.memory import ENTITY_CHARACTERS_MAX, Memory, summary_of
from ops.inspect.trace import Moment, trace
from ops.kafka.reader import AtOffset, full_name, open_reader
from processors.groups import deliver_rules
from processors.providers import discover
from schemas.errors import DropstreamError, UsageError
from schemas.events import read_event
from schemas.settings import Settings

_WITHIN_S = 20.0
_MOMENTS_MAX = 500


async def rejection(settings: Settings, memory: Memory, place: str) -> dict[str, Any]:
    """Reason, headers and masked body of a rejected delivery that is remembered; the body is read from the topic.

    Raises:
        DropstreamError: the delivery is not among the newest any more, or the cluster cannot be read.
    """
    found = next((one for one in memory.rejections.all() if one.place == place), None)
    if found is None:
        raise UsageError("it is no longer among the newest; dropstream tail rejected shows it")
    partition, offset = map(int, place.split(":"))
    body: bytes | None = None
    try:
        async with asyncio.timeout(_WITHIN_S):
            topic = full_name("rejected", settings)
            async with open_reader(settings, [topic], AtOffset(partition, offset)) as reader:
                while body is None and not await reader.is_at_end():
                    at_offset = [one for one in await reader.fetch() if one.position.offset == offset]
                    body = (at_offset[0].value or b"") if at_offset else None
    except TimeoutError as error:
        raise DropstreamError("Kafka did not give the body in time") from error
    return {
        "place": place,
        "detail": found.detail,
        "facts": found.facts,
        "headers": found.headers,
        "body": "The record is deleted already." if body is None else masked_body(body),
    }


async def life(settings: Settings, entity: str, endpoint: str | None) -> dict[str, Any]:
    """The life of one entity in order, as `dropstream trace` shows it; of a very long life the last part.

    Raises:
        DropstreamError: no entity is named, or the cluster cannot be read in time.
    """
    if not entity or len(entity) > ENTITY_CHARACTERS_MAX:
        raise UsageError(f"name an order's id or a SKU, of at most {ENTITY_CHARACTERS_MAX} characters")
    if endpoint is not None and endpoint not in settings.endpoints:
        raise UsageError("no such endpoint")
    try:
        async with asyncio.timeout(_WITHIN_S):
            moments = await trace(settings, deliver_rules(settings.endpoints, settings, discover()), entity, endpoint)
    except TimeoutError as error:
        raise DropstreamError(
            f"not found within {_WITHIN_S:.0f} s; dropstream trace takes the time it needs"
        ) from error
    return {
        "entity": clipped(entity, ENTITY_CHARACTERS_MAX),
        "count": len(moments),
        "moments": [_moment(one) for one in moments[-_MOMENTS_MAX:]],
    }


def _moment(one: Moment) -> dict[str, Any]:
    event = read_event(one.event.value) if one.event else None
    return {
        "at": int(one.at.timestamp() * 1000),
        "kind": one.kind,
        "endpoint": clipped(one.endpoint),
        "what": clipped(one.what),
        "status": summary_of(event.attributes) if event else "",
        "delivery": clipped(one.delivery),
        "raw": clipped(one.raw),
        "replay": clipped(one.replay or ""),
    }
