"""The compression of a topic, as Kafka's setting `compression.type` names it, and whether this process can read it."""

from collections.abc import Callable, Mapping

from aiokafka import codec

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


def can_read(compression: str) -> bool:
    """Whether records of a topic with this `compression.type` can be read here; False for a name that Kafka adds."""
    return _READABLE.get(compression, lambda: False)()
