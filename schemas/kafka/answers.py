"""Answers of the cluster: when a client had the last one, and what is raised where there is none.

The time is the one fact by which a connection is known, not assumed.
"""

from collections.abc import Awaitable
from typing import TypeVar

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import IncompatibleBrokerVersion, KafkaConnectionError, KafkaError

_Answer = TypeVar("_Answer")


def last_answer_at(consumer: AIOKafkaConsumer) -> float | None:
    """When any node last answered a request of this consumer, by `time.monotonic`; None without an open connection.

    A closed connection is forgotten together with its last answer, so keep the latest that was seen.
    """
    # A connection is kept only when its node has answered the first request, that for its versions.
    connections = consumer._client._conns.values()
    return max((one._last_action for one in connections), default=None)


async def answer_to(question: Awaitable[_Answer]) -> _Answer:
    """Returns the answer that a client of aiokafka waits for.

    Raises:
        KafkaError: there is none. What aiokafka lets through from below is a lost connection: uvloop's RuntimeError of
            a handler that is closed, a KeyError for a connection that another request has removed, an OSError. What it
            raises as NotImplementedError is a broker that has no version of the request. Any other exception is a fault
            of ours, and goes on as it is.
    """
    try:
        return await question
    except KafkaError:
        raise
    except NotImplementedError as error:
        raise IncompatibleBrokerVersion(str(error)) from error
    except (RuntimeError, KeyError, OSError) as error:
        raise KafkaConnectionError(repr(error)) from error
