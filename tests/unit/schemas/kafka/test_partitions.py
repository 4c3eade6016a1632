"""A key's partition is the one that Kafka's own clients give it."""

import pytest
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from schemas.kafka.partitions import partition_of


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
def test_the_partition_is_that_of_java(data: bytes, signed: int) -> None:
    """Java's own expectations hold; its hashes are signed, and a partition is of the hash without its sign."""
    assert partition_of(data, 2**31) == signed & 0x7FFFFFFF
    assert partition_of(data, 1_000) == (signed & 0x7FFFFFFF) % 1_000


@given(st.binary(max_size=300), st.integers(min_value=1, max_value=100))
def test_the_partition_is_that_of_the_python_client(key: bytes, partitions: int) -> None:
    """What is appended to a batch lands where `send` would have put it."""
    every = list(range(partitions))
    assert partition_of(key, partitions) == DefaultPartitioner()(key, every, every)
