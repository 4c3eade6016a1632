"""The layout: among how many partitions the keys of `raw` and `sequence` are placed. One record of topic `layout`.

The number of partitions that Kafka shows is not enough: a topic that a foreign hand grew shows the new number, while
what is remembered of a key lies in the partition of the old one. The record says which number counts, and where a
migration to another number stands (`ops/kafka/migration.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import orjson
from pydantic import TypeAdapter

from schemas.notes.formats import format_of, numbered

FORMAT = 1
LAYOUT_KEY = b"layout"
# The topic has one key; it lies here, whatever its partitioner would say.
LAYOUT_PARTITION = 0
# The topics (short names) in which a record must lie in the partition of its key, each with its changelog.
PLACED_TOPICS: Mapping[str, str] = {"raw": "deliver-state", "sequence": "sequence-state"}


class MigrationPhase(StrEnum):
    """How far a migration is: `drain` while the old partitions are read to their end, `move` while state moves."""

    DRAIN = "drain"
    MOVE = "move"


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A migration that is over: from `before` partitions to `after`.

    `raw` and `sequence` are the offsets of the old partitions from which on the new layout counts; a partition that was
    new then begins with it.
    """

    before: int
    after: int
    raw: Mapping[int, int]
    sequence: Mapping[int, int]

    def parent(self, partition: int) -> int:
        """The old partition in which the keys of this partition lay."""
        return partition % self.before


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Keys are placed among `partitions`; `moves` are all that were, the oldest first.

    While a migration is under way, `target` is the number of partitions to come, and `ends` are the offsets behind the
    last records of the old layout, by topic and partition, once they are known.
    """

    partitions: int
    target: int | None = None
    phase: MigrationPhase | None = None
    ends: Mapping[str, Mapping[int, int]] | None = None
    moves: tuple[Move, ...] = ()
    unknown_format: int = 0
    """The number of the format where a newer version wrote it and nothing else is known of it; else 0."""


def parent_of(moves: Sequence[Move], partition: int, *, topic: str = "raw") -> tuple[int, int] | None:
    """The partition in which the keys of this one lay before a migration made it, and up to which offset.

    `topic` is `raw` or `sequence`. None for a partition that no migration made.
    """
    move = next((one for one in moves if one.before <= partition < one.after), None)
    if move is None:
        return None
    ends = move.raw if topic == "raw" else move.sequence
    return move.parent(partition), ends[move.parent(partition)]


def ancestors_of(moves: Sequence[Move], partition: int, *, topic: str = "raw") -> list[tuple[int, int]]:
    """All partitions in which the keys of this one lay, the oldest first, each with the offset as above."""
    parent = parent_of(moves, partition, topic=topic)
    return [] if parent is None else [*ancestors_of(moves, parent[0], topic=topic), parent]


_LAYOUT = TypeAdapter(Layout)


def write_layout(layout: Layout) -> bytes:
    """The value of a record that `read_layout` reads."""
    told = orjson.loads(orjson.dumps(layout, option=orjson.OPT_NON_STR_KEYS))
    del told["unknown_format"]
    return numbered(orjson.dumps(told), FORMAT)


def read_layout(value: bytes | None) -> Layout | None:
    """The layout that a record holds; None for whatever else another producer wrote there.

    Of a format that a newer version writes only the number is known: nothing may be placed or processed by it.
    """
    if (found := format_of(value)) > FORMAT:
        return Layout(partitions=0, unknown_format=found)
    try:
        return _LAYOUT.validate_json(value or b"")
    except ValueError:
        return None
