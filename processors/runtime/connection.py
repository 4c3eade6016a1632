"""Whether the cluster answers a consumer group: observed from its answers, and said in log, metric and health.

An idle group notices nothing by itself when Kafka goes: its fetch fails silently inside the client. So this looks at
the time of the last answer to the group's consumer, whatever was asked, and asks where nothing else does.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer

from schemas.kafka.answers import last_answer_at
from schemas.kafka.futures import retrieve_exception
from schemas.late_log import LateLog

_log = LateLog()

# A consumer that fetches has an answer every 50 ms; one without partitions, or that holds its fetches back for an
# interval longer than this, has only those to its heartbeats until it is asked.
_ASK_AFTER_S = 2.0
# The time for an answer to that question, and below the ten seconds in which operators are promised the truth.
_SILENT_AFTER_S = 7.0


@dataclass(slots=True)
class Connection:
    """The connection of the group `group` to its cluster; `observe` is to be called at least once a second."""

    group: str
    clock: Callable[[], float] = time.monotonic
    _consumer: AIOKafkaConsumer | None = None
    _answered_at: float = 0.0
    _is_silent: bool = False
    _question: "asyncio.Task[object] | None" = None

    @property
    def silent_s(self) -> float | None:
        """Seconds since the last answer of any node; None before the first connection."""
        if self._consumer is None:
            return None
        self._answered_at = max(self._answered_at, last_answer_at(self._consumer) or 0.0)
        return max(0.0, self.clock() - self._answered_at)

    @property
    def is_up(self) -> bool:
        """Whether the cluster answers: it did so within the last seven seconds."""
        silent_s = self.silent_s
        return silent_s is not None and silent_s < _SILENT_AFTER_S

    def begin(self, consumer: AIOKafkaConsumer) -> None:
        """Observes this consumer, which has just been answered."""
        self._consumer = consumer
        self._answered_at = self.clock()

    def observe(self) -> None:
        """Asks the cluster where it has been silent for two seconds; logs when it falls silent, and when it answers.

        The question needs a running event loop, and is bounded by the client's own time-out.
        """
        silent_s = self.silent_s
        if silent_s is None or self._consumer is None:
            return
        if silent_s >= _ASK_AFTER_S and (self._question is None or self._question.done()):
            self._question = asyncio.create_task(self._consumer.topics())
            self._question.add_done_callback(retrieve_exception)
        if self._is_silent != (silent_s >= _SILENT_AFTER_S):
            self._is_silent = not self._is_silent
            if self._is_silent:
                _log.warning("kafka_silent", group=self.group, silent_s=round(silent_s, 1))
            else:
                _log.info("kafka_answers", group=self.group)

    def end(self) -> None:
        """Gives up a question that is still open."""
        if self._question is not None:
            self._question.cancel()
