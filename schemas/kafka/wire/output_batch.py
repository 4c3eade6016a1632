"""The records of a transaction that go to one partition in one piece, and what its leader answers to them.

aiokafka's own batch has a future and a callback for each step of its way; most batches of a transaction are of one or
two records, and there are dozens of them.
"""

from aiokafka import TopicPartition
from aiokafka.record.default_records import DefaultRecordBatchBuilder

_MAGIC = 2
_NO_COMPRESSION = 0
# Smaller ones do not get smaller: zstd took 12 us for each of them, and gave back as much.
_COMPRESSED_FROM_BYTES = 256
# What a record takes beside its own bytes, at most.
_RECORD_BYTES = 32

# The largest that Kafka knows; `append` is what bounds a batch.
_BYTES_MAX = 2**31 - 1

Headers = list[tuple[str, bytes]]


class OutputBatch:
    """Records for `partition` in their order; `codec` is Kafka's number of the compression.

    `data` is what is sent, once it is encoded. `is_tried` says that it was sent, or that only a leader to send it to is
    missing; `is_answered` that its leader has taken it, or will not. `offset` is that of the first record where the
    leader has it and says so: of a batch that it had already it may not. `error` is why it is refused.
    """

    __slots__ = (
        "_codec",
        "_count",
        "_records",
        "bytes_count",
        "data",
        "error",
        "is_answered",
        "is_tried",
        "offset",
        "partition",
    )

    def __init__(self, partition: TopicPartition, codec: int) -> None:
        self.partition, self._codec = partition, codec
        self._records: list[tuple[int, bytes, bytes | None, Headers]] = []
        self._count = self.bytes_count = 0
        self.data = b""
        self.is_tried = self.is_answered = False
        self.offset: int | None = None
        self.error: Exception | None = None

    def __len__(self) -> int:
        return self._count

    def answer(self, offset: int, error: Exception | None = None) -> None:
        """Notes what its leader said; a negative `offset` is none."""
        self.is_answered, self.error = True, error
        if error is None and offset >= 0:
            self.offset = offset

    def append(self, key: bytes, value: bytes | None, headers: Headers, *, timestamp_ms: int, bytes_max: int) -> bool:
        """Adds a record, unless the batch would be of more than `bytes_max`; an empty one takes any.

        `timestamp_ms` (since 1970) is when it is appended: whoever reads several partitions by their times finds the
        records of a transaction in the order in which they were made.
        """
        count = _RECORD_BYTES + len(key) + len(value or b"")
        for name, content in headers:
            count += len(name) + len(content)
        if self._count and self.bytes_count + count > bytes_max:
            return False
        self._records.append((timestamp_ms, key, value, headers))
        self._count += 1
        self.bytes_count += count
        return True

    def encode(self, producer_id: int, epoch: int, sequence: int) -> None:
        """Makes `data`, once; `sequence` is the number of the first record, by which a broker knows a repetition."""
        builder = DefaultRecordBatchBuilder(
            _MAGIC,
            self._codec if self.bytes_count >= _COMPRESSED_FROM_BYTES else _NO_COMPRESSION,
            is_transactional=True,
            producer_id=producer_id,
            producer_epoch=epoch,
            base_sequence=sequence,
            batch_size=_BYTES_MAX,
        )
        for number, (timestamp_ms, key, value, headers) in enumerate(self._records):
            builder.append(number, timestamp_ms, key, value, headers)
        self.data, self._records = bytes(builder.build()), []
