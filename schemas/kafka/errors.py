"""Errors of Kafka's that aiokafka 0.14 does not know: without a class, each is an `UnknownError` like any other.

Codes: https://github.com/apache/kafka/blob/trunk/clients/src/main/java/org/apache/kafka/common/protocol/Errors.java
"""

from aiokafka.errors import (
    BrokerResponseError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    InvalidTimestampError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    for_code,
    kafka_errors,
)


class FencedInstanceIdError(BrokerResponseError):  # type: ignore[misc] # aiokafka ships no types
    """Another process has joined the group under the same instance id, and is the member now."""

    errno = 82
    message = "FENCED_INSTANCE_ID"
    description = "A newer member of the group has this instance id."


class InvalidRecordError(BrokerResponseError):  # type: ignore[misc] # as above
    """A broker refuses a record for its content."""

    errno = 87
    message = "INVALID_RECORD"
    description = "The broker does not take a record like this."


class UnstableOffsetError(BrokerResponseError):  # type: ignore[misc] # as above
    """A transaction that holds an offset of this partition has not ended yet."""

    errno = 88
    message = "UNSTABLE_OFFSET_COMMIT"
    description = "There are unstable offsets that need to be cleared."
    retriable = True


class FencedProducerError(BrokerResponseError):  # type: ignore[misc] # as above
    """A newer producer of the same transactional id has started, or the transaction timed out."""

    errno = 90
    message = "PRODUCER_FENCED"
    description = "There is a newer producer with the same transactional id."


kafka_errors.update(
    {
        error.errno: error
        for error in (FencedInstanceIdError, InvalidRecordError, UnstableOffsetError, FencedProducerError)
    }
)

# With these a broker refuses a right; their `args` are the names of what it is about, as aiokafka has them.
ACCESS_REFUSED = (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)


def error_of(code: int, name: str, sentence: str) -> KafkaError:
    """The error of Kafka's number `code`: of a right with the `name` that it is about, of anything else `sentence`."""
    kind = for_code(code)
    return kind(name if issubclass(kind, ACCESS_REFUSED) else sentence)


# With these a broker refuses what is written, now and for ever. It refuses whole batches.
REFUSED_FOR_GOOD = (MessageSizeTooLargeError, RecordListTooLargeError, InvalidTimestampError, InvalidRecordError)
