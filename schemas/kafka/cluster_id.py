"""Which cluster a consumer talks to: the id that the cluster was formatted with, the same on all of its nodes."""

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import NoBrokersAvailable
from aiokafka.protocol.metadata import MetadataRequest


async def cluster_id(consumer: AIOKafkaConsumer) -> str:
    """The id of the cluster that a started consumer is connected to.

    Raises:
        KafkaError: no node answers.
    """
    client = consumer._client
    node = client.get_random_node()
    if node is None:
        raise NoBrokersAvailable("no node is known")
    # An empty list asks for no topic. aiokafka reads the id of the answer and drops it.
    answer = await client.send(node, MetadataRequest([]))
    return str(answer.cluster_id)
