"""The end of a partition as its replicas have it, whatever transactions are open there.

A consumer with `read_committed` calls the last stable offset the end: what is behind it can be committed all the same,
for the markers of a transaction reach each of its partitions on its own. Who reads "to the end" so can miss it (Kafka
Streams did: KAFKA-10167). This end is for reading committed records up to it, which waits for what is still open.
"""

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import LeaderNotAvailableError, for_code
from aiokafka.protocol.offset import OffsetRequest

from schemas.kafka.answers import answer_to
from schemas.kafka.group_member import client_of

_REPLICA = -1
_READ_UNCOMMITTED = 0
_LATEST = -1


async def high_watermark(consumer: AIOKafkaConsumer, partition: TopicPartition) -> int:
    """The offset behind the last record that is on all in-sync replicas; `consumer` reads the partition.

    Raises:
        KafkaError: no leader, or it does not say; ask again.
    """
    client = client_of(consumer)
    leader = client.cluster.leader_for_partition(partition)
    if leader is None or leader < 0:
        client.force_metadata_update()
        raise LeaderNotAvailableError(f"partition {partition.partition} of {partition.topic} has no leader")
    asked = [(partition.topic, [(partition.partition, _LATEST)])]
    answer = await answer_to(client.send(leader, OffsetRequest(_REPLICA, _READ_UNCOMMITTED, asked)))
    ((_, ((_, code, *_, offset),)),) = answer.topics
    if code:
        client.force_metadata_update()
        raise for_code(code)(f"the end of partition {partition.partition} of {partition.topic} cannot be read now")
    end: int = offset
    return end
