"""What the audit reads of an event: where it came from, and who it is. Nothing else of the event matters to it."""

from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Told:
    """An event's own word: its id, the delivery that it stands on by id and place, and the replay that wrote it."""

    event_id: str
    delivery: str
    raw_topic: str
    raw_partition: int
    raw_offset: int
    replay: str | None


def told_by(value: bytes | None) -> Told | None:
    """What the record tells; None where it is no event of ours, whatever else it is."""
    try:
        event: Any = orjson.loads(value or b"")
        told = Told(
            event_id=event["id"],
            delivery=event["delivery"],
            raw_topic=event["rawtopic"],
            raw_partition=event["rawpartition"],
            raw_offset=int(event["rawoffset"]),
            replay=event.get("replay"),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    names = (told.event_id, told.delivery, told.raw_topic, "" if told.replay is None else told.replay)
    return told if all(isinstance(one, str) for one in names) and isinstance(told.raw_partition, int) else None
