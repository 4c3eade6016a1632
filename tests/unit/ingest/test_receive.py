"""What the receiver accepts on the fast path, and what it leaves to the full path as if nothing had happened."""

import time
from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry

from ingest.answer_counter import AnswerCounter
from ingest.answers import Answer, Outcome
from ingest.budgets import ByteBudget, Reservation
from ingest.endpoints import EndpointTable
from ingest.failure_budget import FailureBudgets
from ingest.http.request_parser import RequestParser
from ingest.metrics import IngestMetrics
from ingest.receive import Receiver, Stamps
from ingest.throttled_log import ThrottledLog
from schemas.delivery import PendingRecord
from tests.conftest import SettingsFactory

_CONFIGURATION = """
[ingest]
body_bytes_max = 100

[endpoints.slowed]
provider = "shipstream"
secrets = ["env:SECRET"]
rate_per_second = 1
burst = 2
"""


class _Store:
    """Every delivery is in Kafka at once."""

    def store(self, _record: PendingRecord, reservation: Reservation, on_outcome: Callable[[Outcome], None]) -> None:
        on_outcome(Outcome.STORED)
        reservation.release()


class _Ingress:
    """A receiver with a budget of 300 bytes and a clock that stands; the answers that its fast path gave."""

    def __init__(self, make: SettingsFactory) -> None:
        settings = make(_CONFIGURATION, environ={"SECRET": "a-secret"}, bootstrap_servers="127.0.0.1:1")
        self.budget = ByteBudget(300)
        self.answers: list[Answer] = []
        self._parser = RequestParser()
        self.receiver = Receiver(
            settings.ingest,
            endpoints=EndpointTable(settings.endpoints, now=lambda: 100.0),
            store=_Store(),
            budget=self.budget,
            stamps=Stamps(new_id=lambda: "an-id", now_us=lambda: time.time_ns() // 1_000),
            counter=AnswerCounter(
                IngestMetrics(CollectorRegistry()),
                throttled_log=ThrottledLog(now=time.monotonic),
                failure_budgets=FailureBudgets({}, providers=dict, now=time.time),
            ),
        )

    def accept(self, body: bytes, path: str = "/webhooks/slowed") -> bool:
        head = f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n\r\n"
        request = self._parser.read(head.encode() + body)
        assert request is not None
        return self.receiver.accept(request, peer="203.0.113.7", on_answer=self.answers.append)


async def test_the_rate_is_judged_on_the_fast_path(settings: SettingsFactory) -> None:
    """A burst of two is accepted and answered; the third is left to the full path, which says when to come again."""
    ingress = _Ingress(settings)
    assert [ingress.accept(b"{}") for _ in range(3)] == [True, True, False]
    assert ingress.answers == [Answer(Outcome.STORED, "slowed", "an-id", body_bytes=2)] * 2
    assert (ingress.budget.held_bytes, ingress.receiver.in_progress) == (0, 0)


@pytest.mark.parametrize(("body", "held_bytes"), [(b"x" * 101, 0), (b"{}", 290)])
async def test_what_the_fast_path_leaves_costs_no_rate(settings: SettingsFactory, body: bytes, held_bytes: int) -> None:
    """Too large, or no room: the full path judges it from the start, and the whole burst is still there."""
    ingress = _Ingress(settings)
    assert ingress.budget.reserve(held_bytes)
    assert [ingress.accept(body) for _ in range(3)] == [False, False, False]
    assert ingress.budget.held_bytes == held_bytes
    ingress.budget.give_back(held_bytes)
    assert [ingress.accept(b"{}") for _ in range(3)] == [True, True, False]


async def test_no_new_delivery_is_accepted_while_it_stops(settings: SettingsFactory) -> None:
    """Neither is one for a path that is none; nothing is held or answered."""
    ingress = _Ingress(settings)
    assert not ingress.accept(b"{}", "/webhooks/unknown")
    await ingress.receiver.stop(within_s=0)
    assert not ingress.accept(b"{}")
    assert (ingress.answers, ingress.budget.held_bytes, ingress.receiver.in_progress) == ([], 0, 0)
