"""Which partition a key belongs to: Kafka's murmur2, so that a Java producer or consumer agrees.

aiokafka has the same function, byte by byte and twice as dear; it was a tenth of what a delivery cost.
"""

import struct

_SEED = 0x9747B28C
_MIX = 0x5BD1E995
_32_BITS = 0xFFFFFFFF
_31_BITS = 0x7FFFFFFF


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of so many that a record with this key goes to."""
    return (murmur2(key) & _31_BITS) % partitions


def murmur2(data: bytes) -> int:
    """The 32 bits of MurmurHash2 with Kafka's seed.

    https://github.com/apache/kafka/blob/trunk/clients/src/main/java/org/apache/kafka/common/utils/Utils.java
    """
    mix, bits = _MIX, _32_BITS
    hashed = _SEED ^ len(data)
    words = len(data) // 4
    for word in struct.unpack_from(f"<{words}I", data):
        mixed = word * mix & bits
        hashed = (hashed * mix ^ (mixed ^ mixed >> 24) * mix) & bits
    if rest := data[4 * words :]:
        hashed = (hashed ^ int.from_bytes(rest, "little")) * mix & bits
    hashed = (hashed ^ hashed >> 13) * mix & bits
    return hashed ^ hashed >> 15
