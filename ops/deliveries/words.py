"""Understands what a person typed into the search: a place, a delivery's id, an event's id, or any other id; pure."""

import json
import re
from dataclasses import dataclass
from uuid import UUID

import orjson

from schemas.vocabulary import EVENT_TOPICS

WORDS_CHARACTERS_MAX = 300
_PLACE = re.compile(r"(?:(?P<topic>[\w.-]{1,200})[/: ])?(?P<partition>\d{1,9})[/:](?P<offset>\d{1,18})", re.ASCII)
_PLACED = ("raw", *EVENT_TOPICS, "rejected", "duplicates", "sequence")


@dataclass(frozen=True, slots=True)
class PlaceWords:
    """A record's place: `topic` is a short name."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class DeliveryWords:
    """A delivery's id, a UUIDv7, which says when the delivery was received (ms since 1970)."""

    id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class EventWords:
    """An event's id, a UUIDv5, which says nothing of its time."""

    id: str


@dataclass(frozen=True, slots=True)
class IdWords:
    """Any other id, or a part of one: an order's, a SKU, a sequence number, a provider's own."""

    text: str

    @property
    def sequence(self) -> int | None:
        """The sequence number that the text can be; None where it is no number of 64 bits."""
        text = self.text
        number = int(text) if text.isascii() and text.isdecimal() and len(text) < 21 else -1
        return number if 0 <= number < 2**64 else None

    @property
    def needles(self) -> tuple[bytes, ...]:
        """The text as a JSON body may hold it: as UTF-8 or in ASCII, slashes escaped (as PHP writes them) or not."""
        forms = [orjson.dumps(self.text)[1:-1], json.dumps(self.text)[1:-1].encode()]
        return tuple(dict.fromkeys(one for form in forms for one in (form, form.replace(b"/", b"\\/"))))


Words = PlaceWords | DeliveryWords | EventWords | IdWords


def read_words(text: str, topic_prefix: str) -> Words | None:
    """What `text` names; None where it is empty.

    Raises:
        ValueError: it is too long, or names a topic that the deliveries are not in.
    """
    text = text.strip()
    if not text:
        return None
    if len(text) > WORDS_CHARACTERS_MAX:
        raise ValueError(f"at most {WORDS_CHARACTERS_MAX} characters can be searched for")
    if (found := _PLACE.fullmatch(text)) is not None:
        topic = (found["topic"] or "raw").removeprefix(topic_prefix)
        if topic not in _PLACED:
            raise ValueError(f"no deliveries lie in a topic {topic!r}; their topics are {', '.join(_PLACED)}")
        return PlaceWords(topic, int(found["partition"]), int(found["offset"]))
    try:
        uuid = UUID(text) if len(text) == 36 else None
    except ValueError:
        uuid = None
    if uuid is not None and uuid.version == 7:
        return DeliveryWords(str(uuid), uuid.int >> 80)
    if uuid is not None and uuid.version == 5:
        return EventWords(str(uuid))
    return IdWords(text)
