"""The records that the audit compares: those that ought to be in an output topic and those that are there."""

from dataclasses import dataclass
from typing import Self

import orjson

from schemas.notes.raw_places import place_of
from schemas.notes.rejections import refused_reason
from schemas.records import Fetched, Position, read_position

# One partition of an output topic: the topic's short name and the partition.
OutputPartition = tuple[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class OutputRecord:
    """A record of an output topic; headers as a list, as the client gives them."""

    output: OutputPartition
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]

    def equals(self, other: "OutputRecord") -> bool:
        """Whether both have the same contents in the same output partition."""
        return (
            self.value == other.value
            and self.key == other.key
            and self.output == other.output
            and self.headers == other.headers
        )

    @property
    def first_try(self) -> int | None:
        """The place in `raw` of the first try that a record of `duplicates` names (`schemas.notes.raw_places`).

        None for a record of another topic, and where the first try would lie in another topic than the retry.
        """
        if self.output[0] != "duplicates":
            return None
        try:
            note = orjson.loads(self.value)
        except ValueError:
            return None
        if not isinstance(note, dict):
            return None
        first, own = (read_position(str(note.get(name))) for name in ("first", "raw"))
        if first is None or own is None or first.topic != own.topic:
            return None
        return place_of(first, own)

    def is_due_in_place_of(self, other: "OutputRecord") -> bool:
        """Whether both have the same key in the same output partition."""
        return (self.output, self.key) == (other.output, other.key)


@dataclass(frozen=True, slots=True, eq=False)
class ExpectedRecord(OutputRecord):
    """A record that ought to be there."""


@dataclass(frozen=True, slots=True, eq=False)
class ActualRecord(OutputRecord):
    """A record that is there; `position` is `topic/partition/offset`, with the topic's full name."""

    position: str
    timestamp_ms: int

    @classmethod
    def read(cls, output: OutputPartition, record: Fetched) -> Self:
        """The record of this output partition as the client gave it."""
        return cls(
            output=output,
            position=str(Position(record.topic, record.partition, record.offset)),
            key=record.key or b"",
            value=record.value or b"",
            headers=[(name, value or b"") for name, value in record.headers],
            timestamp_ms=record.timestamp,
        )

    @property
    def refused_reason(self) -> str | None:
        """Why Kafka refused what the delivery led to, of a record of `rejected` that says so."""
        return refused_reason(self) if self.output[0] == "rejected" else None
