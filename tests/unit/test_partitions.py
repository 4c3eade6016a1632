"""A key's partition is the one that Kafka's own clients give it."""

import pytest
from aiokafka.partitioner import murmur2 as their_murmur2
from hypothesis import given
from hypothesis import strategies as st

from schemas.partitions import murmur2, partition_of


# From Kafka's own test, org.apache.kafka.common.utils.UtilsTest#testMurmur2.
@pytest.mark.parametrize(
    ("data", "signed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_the_hash_is_that_of_java(data: bytes, signed: int) -> None:
    """Java's own expectations hold; its numbers are signed."""
    assert murmur2(data) == signed % 2**32


@given(st.binary(max_size=300), st.integers(min_value=1, max_value=10_000))
def test_the_partition_is_that_of_the_python_client(key: bytes, partitions: int) -> None:
    """What is appended to a batch lands where `send` would have put it."""
    assert murmur2(key) == their_murmur2(key)
    assert partition_of(key, partitions) == (their_murmur2(key) & 0x7FFFFFFF) % partitions
