"""What is no fault of the program is told in a sentence, never as a traceback."""

import pytest
from aiokafka.errors import TopicAuthorizationFailedError

from ops.outside_causes import outside_cause


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (PermissionError(13, "Permission denied", "/srv/x"), "/srv/x: Permission denied"),
        (TimeoutError(), "TimeoutError"),
        (ExceptionGroup("tasks", [ConnectionResetError(104, "Connection reset by peer")]), "Connection reset by peer"),
        (TopicAuthorizationFailedError("orders"), "Kafka: TopicAuthorizationFailedError, "),
        (ZeroDivisionError(), None),
        (ExceptionGroup("tasks", [TimeoutError(), ZeroDivisionError()]), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_comes_from_outside_is_a_sentence(error: Exception, sentence: str | None) -> None:
    """Disk, network and Kafka are a line, in a group of tasks too; a fault of the program keeps its traceback."""
    told = outside_cause(error)
    assert (told is None) is (sentence is None)
    assert sentence is None or (told or "").startswith(sentence)
