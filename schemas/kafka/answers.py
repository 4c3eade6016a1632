"""When the cluster last answered a client: the one fact by which a connection is known, not assumed."""

from aiokafka import AIOKafkaConsumer


def last_answer_at(consumer: AIOKafkaConsumer) -> float | None:
    """When any node last answered a request of this consumer, by `time.monotonic`; None without an open connection.

    A closed connection is forgotten together with its last answer, so keep the latest that was seen.
    """
    # A connection is kept only when its node has answered the first request, that for its versions.
    connections = consumer._client._conns.values()
    return max((one._last_action for one in connections), default=None)
