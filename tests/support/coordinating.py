"""The answer of a group's coordinator to OffsetFetch in version 7, as Kafka gives it."""

from collections.abc import Sequence

from schemas.kafka.committed_offsets import OffsetFetchResponse_v7

# Each partition of a topic: number, offset, metadata, code of its error.
OffsetsByTopic = Sequence[tuple[str, Sequence[tuple[int, int, str, int]]]]
_Partition = tuple[int, int, int, str, int, dict[int, bytes]]


def offsets_answer(topics: OffsetsByTopic, error: int) -> OffsetFetchResponse_v7:
    """The answer with these partitions, and the code of the error of the whole."""
    full: list[tuple[str, list[_Partition], dict[int, bytes]]] = [
        (topic, [(number, offset, -1, metadata, code, {}) for number, offset, metadata, code in found], {})
        for topic, found in topics
    ]
    return OffsetFetchResponse_v7(0, full, error, {})
