"""When a group's connection to its cluster counts as lost, judged by the time of the last answer alone."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from processors.runtime.connection import Connection


@dataclass
class Consumer:
    """What aiokafka's consumer tells of its connections: one that answered at `answered_at`, or none."""

    answered_at: float | None
    questions: int = 0
    _client: Any = field(init=False)

    def __post_init__(self) -> None:
        self._client = self

    @property
    def _conns(self) -> dict[int, Any]:
        return {} if self.answered_at is None else {0: SimpleNamespace(_last_action=self.answered_at)}

    async def topics(self) -> set[str]:
        self.questions += 1
        return set()


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def connected(clock: Clock) -> tuple[Connection, Consumer]:
    connection, consumer = Connection("deliver", clock), Consumer(clock.now)
    connection.begin(consumer)
    return connection, consumer


def test_nothing_is_claimed_before_the_first_connection() -> None:
    """A group that never reached its cluster is not connected, and names no time."""
    connection = Connection("deliver", Clock())
    assert (connection.is_up, connection.silent_s) == (False, None)


@pytest.mark.parametrize(("age_s", "up"), [(0.0, True), (6.9, True), (7.0, False), (3600.0, False)])
async def test_an_answer_counts_for_seven_seconds(age_s: float, up: bool) -> None:
    """An operator who looks ten seconds after Kafka went is told the truth."""
    clock = Clock()
    connection, _ = connected(clock)
    clock.now += age_s
    assert connection.is_up is up
    assert connection.silent_s == pytest.approx(age_s)


async def test_the_last_answer_outlives_its_connection() -> None:
    """Where the client closed every connection, the time since the last answer goes on from that answer."""
    clock = Clock()
    connection, consumer = connected(clock)
    clock.now, consumer.answered_at = 105.0, 105.0
    connection.observe()
    clock.now, consumer.answered_at = 109.0, None
    assert connection.silent_s == pytest.approx(4.0)


async def test_a_cluster_of_which_nothing_is_heard_is_asked() -> None:
    """A member without partitions fetches nothing, so its silence alone proves nothing: the cluster is asked."""
    clock = Clock()
    connection, consumer = connected(clock)
    clock.now = 101.9
    connection.observe()
    assert connection._question is None  # noqa: SLF001 what was not asked has no other trace
    clock.now = 102.0
    connection.observe()
    assert connection._question is not None  # noqa: SLF001 the same
    await connection._question  # type: ignore[unreachable] # noqa: SLF001 the same
    assert consumer.questions == 1


async def test_silence_and_its_end_are_each_logged_once() -> None:
    """The log says when Kafka fell silent and when it answered again, and not at every look."""
    clock = Clock()
    connection, consumer = connected(clock)
    with capture_logs() as lines:
        for clock.now in (107.5, 108.0, 120.0):
            connection.observe()
        clock.now, consumer.answered_at = 121.0, 121.0
        connection.observe()
        connection.observe()
    connection.end()
    assert [(line["event"], line["log_level"], line["group"]) for line in lines] == [
        ("kafka_silent", "warning", "deliver"),
        ("kafka_answers", "info", "deliver"),
    ]
    assert lines[0]["silent_s"] == 7.5
