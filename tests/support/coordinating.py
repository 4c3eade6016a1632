"""Answers as Kafka gives them: of a group's coordinator to OffsetFetch 7, of any node to Metadata 8."""

from collections.abc import Sequence
from types import SimpleNamespace

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


def topics_answer(**partitions: int) -> SimpleNamespace:
    """The answer that names these topics, each with so many partitions; a negative number is the code of its error."""
    operations_unknown = -(2**31)
    return SimpleNamespace(
        topics=[
            (max(0, -count), name.replace("_", "-"), False, [()] * max(0, count), operations_unknown)
            for name, count in partitions.items()
        ]
    )
