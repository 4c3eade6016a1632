"""What a person reads when Kafka cannot be reached."""

import pytest
from aiokafka.errors import KafkaConnectionError

from ops.kafka.clients import kafka_failures_explained
from schemas.errors import DropstreamError
from schemas.sections.kafka import KafkaSettings


@pytest.mark.parametrize(
    ("servers", "names_the_verb"),
    [
        ("127.0.0.1:9092", True),
        ("localhost:9092,[::1]:9093", True),
        ("kafka-1:9092,kafka-2:9092", False),
        ("localhost:9092,kafka-2:9092", False),
    ],
)
def test_the_verb_of_the_local_broker_is_named_where_it_can_know(servers: str, names_the_verb: bool) -> None:
    """`dropstream kafka status` says nothing of a broker on another machine."""
    settings = KafkaSettings(bootstrap_servers=servers)
    with pytest.raises(DropstreamError) as refused, kafka_failures_explained(settings):
        raise KafkaConnectionError
    assert ("(dropstream kafka status)" in str(refused.value)) is names_the_verb
    assert str(refused.value).startswith(f"cannot reach Kafka at {servers}; is it running")
