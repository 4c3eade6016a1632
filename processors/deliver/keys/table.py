"""Where the keys of one partition are kept: in memory, or on disk (`processors.deliver.keys.disk`)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from processors.deliver.keys.buckets import NO_TAG, entries_of
from processors.deliver.keys.segments import Forgotten, Segment

# Of what was forgotten, a bucket frees so many keys, or as many as it adds: to free a million takes 100 ms.
_FREED_MAX = 1_000
# What a key takes in memory.
MEMORY_KEY_BYTES = 256


class KeyTable(Protocol):
    """Keeps the sightings of the segments that it is told of."""

    def find(self, segments: Sequence[Segment], tag: int, key: bytes) -> bytes | None:
        """The youngest sighting of the key among those of `tag`, and those without a tag."""

    def add(self, segment: Segment, groups: Iterable[tuple[int, bytes]]) -> None:
        """Takes packed entries into the segment, each group under its tag."""

    def forget(self, forgotten: Forgotten) -> None:
        """Frees what is forgotten, maybe later."""


@dataclass(slots=True, eq=False)
class MemoryKeys:
    """A dictionary for each segment and tag."""

    _segments: dict[int, dict[int, dict[bytes, bytes]]] = field(default_factory=dict)
    _freed: list[dict[bytes, bytes]] = field(default_factory=list)

    def find(self, segments: Sequence[Segment], tag: int, key: bytes) -> bytes | None:
        """The youngest sighting of the key among those of `tag`, and those without a tag."""
        for segment in reversed(segments):
            by_tag = segment.keys_by_tag
            if tag in by_tag and (found := self._segments[segment.number][tag].get(key)) is not None:
                return found
            if NO_TAG in by_tag and (found := self._segments[segment.number][NO_TAG].get(key)) is not None:
                return found
        return None

    def add(self, segment: Segment, groups: Iterable[tuple[int, bytes]]) -> None:
        """Takes packed entries into the segment, each group under its tag."""
        tags = self._segments.setdefault(segment.number, {})
        added = 0
        for tag, packed in groups:
            keys = tags.setdefault(tag, {})
            keys.update(entries_of(packed))
            added += len(packed)
        if self._freed:
            self._free(max(_FREED_MAX, added))

    def forget(self, forgotten: Forgotten) -> None:
        """Forgets at once, and frees with the next buckets."""
        number = forgotten.segment.number
        if forgotten.tag is None:
            self._freed += self._segments.pop(number).values()
        else:
            self._freed.append(self._segments[number].pop(forgotten.tag))

    def content(self) -> Iterator[tuple[int, int, dict[bytes, bytes]]]:
        """The sightings by the number of their segment, and by tag."""
        for number, tags in self._segments.items():
            for tag, keys in tags.items():
                yield number, tag, keys

    def _free(self, count: int) -> None:
        while self._freed and count > 0:
            keys = self._freed[-1]
            for _ in range(min(count, len(keys))):
                keys.popitem()
                count -= 1
            if not keys:
                self._freed.pop()
