"""The compression of records: how Kafka's setting `compression.type` names it, what can be read here, and its codes."""

from collections.abc import Callable, Mapping

from aiokafka import codec

from schemas.sections.values import Compression

# What a topic says that keeps each batch as its producer compressed it, and what one says whose broker compresses.
# https://kafka.apache.org/documentation/#topicconfigs_compression.type
AS_PRODUCED = "producer"
COMPRESSION_SETTING = "compression.type"
_READABLE: Mapping[str, Callable[[], bool]] = {
    AS_PRODUCED: lambda: True,
    "uncompressed": lambda: True,
    "gzip": codec.has_gzip,
    "snappy": codec.has_snappy,
    "lz4": codec.has_lz4,
    "zstd": codec.has_zstd,
}
# The code in the attributes of a batch: https://kafka.apache.org/documentation/#recordbatch
_CODES = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


def batch_code(compression: Compression) -> int:
    """The code of the setting's value in a batch."""
    return _CODES[compression]


def compression_type(compression: Compression) -> str | None:
    """The setting's value as aiokafka's producer takes it."""
    return None if compression == "none" else compression


def can_read(compression: str) -> bool:
    """Whether records of a topic with this `compression.type` can be read here; False for a name that Kafka adds."""
    return _READABLE.get(compression, lambda: False)()
