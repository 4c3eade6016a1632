"""The bytes that a process has in hand: records that were fetched, and outputs that are not committed yet.

One account for all groups of a process. What it bounds is a part of the memory that they take, for the client has its
own copies of the same bytes: the answer of a fetch that is being read, and the batches that outputs become.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from aiokafka import ConsumerRecord

# Of the whole, so much may be fetched records, and the outputs of one transaction.
_FETCHED_SHARE = 8
_OUTPUTS_SHARE = 32
# A partition's share is no smaller, or it would be paused after each large delivery.
_PARTITION_BYTES_MIN = 262_144
# What a fetched record takes beside its own bytes: the objects that hold it.
_RECORD_BYTES = 700


@dataclass(slots=True)
class ByteAccount:
    """The bytes in hand of one process; `limit` is for all that they lead to, the client's copies included.

    `held` are those of the fetched bytes, by group, whose partitions do not get on.
    """

    limit: int = 268_435_456
    fetched: int = 0
    outputs: int = 0
    held: dict[str, int] = field(default_factory=dict)

    @property
    def outputs_max(self) -> int:
        """The bytes of outputs after which a transaction takes no further record."""
        return self.limit // _OUTPUTS_SHARE

    @property
    def is_full(self) -> bool:
        """Whether nothing more is to be fetched, for any partition, before something is committed."""
        return self.fetched >= self.limit // _FETCHED_SHARE

    @property
    def is_full_of_held(self) -> bool:
        """Whether it is full, and would not be without what is held: who waits for a commit there waits for long."""
        return self.is_full and self.fetched - sum(self.held.values()) < self.limit // _FETCHED_SHARE

    def share_of(self, partitions: int) -> int:
        """The bytes of fetched records that each of so many partitions may have in hand."""
        return max(_PARTITION_BYTES_MIN, self.limit // _FETCHED_SHARE // max(1, partitions))


def bytes_of(records: Iterable[ConsumerRecord]) -> int:
    """The memory that fetched records take, in bytes."""
    return sum(
        [
            _RECORD_BYTES
            + max(0, record.serialized_key_size)
            + max(0, record.serialized_value_size)
            + sum([len(name) + len(value or b"") for name, value in record.headers])
            for record in records
        ]
    )
