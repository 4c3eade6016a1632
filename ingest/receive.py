"""From an HTTP request to its answer, in the order of the contract's table of answers.

It looks at the address, the method, the rate and the size, never into the body; it answers 200 when the bytes are
durable, never earlier.
"""

import asyncio
import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Protocol

from aiohttp import HttpVersion10, HttpVersion11, web
from aiohttp.http import RawRequestMessage
from prometheus_client import Counter

from ingest.answers import Answer, Outcome, response
from ingest.body import read_body
from ingest.endpoints import Endpoint, EndpointTable
from ingest.failures import Failures
from ingest.limits import ByteBudget, Hold
from ingest.occurrences import Occurrences
from ingest.remote import Remotes
from schemas.delivery import Delivery, PendingRecord, kept_headers, pending_record
from schemas.metrics_ingest import IngestMetrics
from schemas.settings import IngestSettings
from schemas.trace import TRACEPARENT, begun_traceparent, read_traceparent

_UNREMARKABLE = frozenset({Outcome.STORED, Outcome.SPOOLED, Outcome.CHECKED})
# Seen before an endpoint is found, or where none is.
_OF_NO_ENDPOINT = frozenset({Outcome.NOT_FOUND, Outcome.MALFORMED, Outcome.CONNECTIONS_FULL, Outcome.FAILED})
# Of the largest number that 64 bits hold.
_LENGTH_DIGITS_MAX = 20
_TRACEPARENT = TRACEPARENT.encode()


_EXPECTED_MAX = 500
RawHeaders = Sequence[tuple[bytes, bytes]]


class Durable(Protocol):
    """Where deliveries are made durable."""

    async def keep(self, record: PendingRecord, hold: Hold) -> Outcome:
        """Where the record is durable now, or that it is not; shares `hold` with whoever needs its bytes longer."""

    def begin(self, record: PendingRecord, hold: Hold, on_outcome: Callable[[Outcome], None]) -> None:
        """As `keep`, and tells when it is known."""


@dataclass(frozen=True, slots=True)
class Stamps:
    """Where ids and times come from: `str(new_id())` is a UUIDv7, `now()` aware UTC, `random` gives so many bytes."""

    new_id: Callable[[], object]
    now: Callable[[], datetime]
    random: Callable[[int], bytes] = os.urandom


class Receiver:
    """Answers every request; `stop` makes it refuse new deliveries while it finishes those that came."""

    def __init__(
        self,
        settings: IngestSettings,
        *,
        endpoints: EndpointTable,
        durable: Durable,
        budget: ByteBudget,
        stamps: Stamps,
        metrics: IngestMetrics,
        occurrences: Occurrences,
        failures: Failures,
    ) -> None:
        self._settings = settings
        self._endpoints = endpoints
        self._remotes = Remotes(settings.trusted_proxies)
        self._durable = durable
        self._budget = budget
        self._stamps = stamps
        self._metrics = metrics
        self._occurrences = occurrences
        self._failures = failures
        # The children of their metrics; to look one up each time costs as much as to parse a header.
        self._requests: dict[tuple[str, Outcome], Counter] = {}
        self._body_bytes: dict[str, Counter] = {}
        self.in_progress = 0
        self._idle = asyncio.Event()
        self.stopping = False

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """The response to one request, counted."""
        self.in_progress += 1
        began_at = time.perf_counter()
        try:
            answer = await self._answer(request) if _is_sound(request) else Answer(Outcome.MALFORMED)
        finally:
            self._end_one()
        self.count(answer, took_s=time.perf_counter() - began_at)
        made = response(answer)
        if not request.content.is_eof() or request.method == "CONNECT" or "Upgrade" in request.headers:
            # The rest of the body, or what another protocol begins with, would be read as the next request.
            made.force_close()
        return made

    def begin(self, message: RawRequestMessage, body: bytes, *, peer: str, on_answer: Callable[[Answer], None]) -> bool:
        """Whether a whole POST was taken; then `on_answer` is called once. Else it needs the long way, from its start.

        The order is that of `_answer`: endpoint and token, address, then what bounds us.
        """
        began_at = time.perf_counter()
        endpoint = None if self.stopping else self._endpoints.find(message.url.raw_path)
        if endpoint is None or endpoint.bucket is not None or len(body) > self._settings.body_bytes_max:
            return False
        remote = self._remotes.find(peer, message.headers.getall("X-Forwarded-For", ()))
        hold = Hold(self._budget)
        if not endpoint.allows(remote) or not hold.grow(_bytes_count(message.raw_headers) + len(body)):
            return False
        delivery = self._delivery(message.raw_headers, endpoint, body, remote=remote)

        def finish(outcome: Outcome) -> None:
            hold.release()
            self._end_one()
            answer = self._kept(delivery, outcome)
            self.count(answer, took_s=time.perf_counter() - began_at)
            on_answer(answer)

        self.in_progress += 1
        self._durable.begin(pending_record(delivery, endpoint.lanes), hold, finish)
        return True

    def count(self, answer: Answer, *, took_s: float | None = None) -> None:
        """The one place where an answer reaches metrics and log; `took_s` where the request was read whole."""
        counter = self._requests.get((answer.endpoint, answer.outcome))
        if counter is None:
            counter = self._metrics.requests.labels(answer.endpoint, answer.outcome.value)
            self._requests[answer.endpoint, answer.outcome] = counter
        counter.inc()
        if self._failures.note(answer.endpoint, answer.outcome, took_s=took_s or 0.0):
            self._metrics.answered_late.labels(answer.endpoint).inc()
        if took_s is not None and answer.endpoint:
            self._metrics.answer_seconds.observe(took_s)
        if answer.outcome not in _UNREMARKABLE:
            self._occurrences.note(answer.outcome, answer.endpoint)

    def expect(self, endpoints: Iterable[str]) -> None:
        """Their requests are counted from 0: what has no sample before its first event has no rate at it.

        Of very many only the first: each sample costs memory, and an alarm on their sum has one.
        """
        for endpoint in islice(endpoints, _EXPECTED_MAX):
            for outcome in set(Outcome) - (_OF_NO_ENDPOINT - {Outcome.MALFORMED}):
                self._metrics.requests.labels(endpoint, outcome.value)
            self._metrics.answered_late.labels(endpoint)
        for outcome in _OF_NO_ENDPOINT:
            self._metrics.requests.labels("", outcome.value)

    async def stop(self, *, within_s: float) -> None:
        """New deliveries are refused from now on; returns when those that came are answered, or time is up."""
        self.stopping = True
        self._idle.clear()
        if self.in_progress:
            try:
                await asyncio.wait_for(self._idle.wait(), within_s)
            except TimeoutError:
                return

    async def _answer(self, request: web.BaseRequest) -> Answer:
        endpoint = self._endpoints.find(request.rel_url.raw_path)
        if endpoint is None:
            return Answer(Outcome.NOT_FOUND)
        remote = self._remotes.find(request.remote or "", request.headers.getall("X-Forwarded-For", ()))
        if not endpoint.allows(remote):
            return Answer(Outcome.ADDRESS_REFUSED, endpoint.name)
        if request.method != "POST":
            looks = request.method in {"GET", "HEAD"}
            return Answer(Outcome.CHECKED if looks else Outcome.METHOD_REFUSED, endpoint.name)
        if self.stopping:
            return Answer(Outcome.STOPPING, endpoint.name)
        wait_s = endpoint.bucket.take() if endpoint.bucket else 0.0
        if wait_s:
            return Answer(Outcome.RATE_EXCEEDED, endpoint.name, retry_after_s=math.ceil(wait_s))
        return await self._take(request, endpoint, remote=remote)

    async def _take(self, request: web.BaseRequest, endpoint: Endpoint, *, remote: str) -> Answer:
        hold = Hold(self._budget)
        try:
            if not hold.grow(_bytes_count(request.raw_headers)):
                return Answer(Outcome.IN_FLIGHT_FULL, endpoint.name)
            body = await read_body(
                request,
                hold,
                bytes_max=self._settings.body_bytes_max,
                timeout_s=self._settings.body_timeout_ms / 1000,
            )
            if isinstance(body, Outcome):
                return Answer(body, endpoint.name)
            delivery = self._delivery(request.raw_headers, endpoint, body, remote=remote)
            return self._kept(delivery, await self._durable.keep(pending_record(delivery, endpoint.lanes), hold))
        finally:
            hold.release()

    def _delivery(self, received: RawHeaders, endpoint: Endpoint, body: bytes, *, remote: str) -> Delivery:
        given = [value for name, value in received if len(name) == len(_TRACEPARENT) and name.lower() == _TRACEPARENT]
        return Delivery(
            id=str(self._stamps.new_id()),
            provider=endpoint.provider,
            endpoint=endpoint.name,
            received_at=self._stamps.now(),
            remote=remote,
            headers=kept_headers(received),
            body=body,
            # One that is no traceparent is nobody's fault here: a new trace begins.
            traceparent=read_traceparent(given) or begun_traceparent(self._stamps.random(24)),
        )

    def _kept(self, delivery: Delivery, outcome: Outcome) -> Answer:
        if outcome is Outcome.UNAVAILABLE:
            return Answer(outcome, delivery.endpoint)
        counter = self._body_bytes.get(delivery.endpoint)
        if counter is None:
            counter = self._body_bytes[delivery.endpoint] = self._metrics.body_bytes.labels(delivery.endpoint)
        counter.inc(len(delivery.body))
        return Answer(outcome, delivery.endpoint, delivery_id=delivery.id)

    def _end_one(self) -> None:
        self.in_progress -= 1
        if not self.in_progress:
            self._idle.set()


def _bytes_count(received: RawHeaders) -> int:
    return sum([len(name) + len(value) for name, value in received])


def _is_sound(request: web.BaseRequest) -> bool:
    """Whether everybody on the way reads it alike, as far as the parser does not see to that.

    It takes HTTP/0.9 and 2.0 too; a length with more zeros before it than Python reads as a number; chunks in HTTP/1.0,
    where proxies do not know them (RFC 9112, section 6.1); and beside an Upgrade any coding, with an empty body for it.
    """
    headers, version = request.headers, request.version
    coding = headers.get("Transfer-Encoding")
    if coding is None:
        known = version in {HttpVersion11, HttpVersion10}
        return known and len(headers.get("Content-Length", "")) <= _LENGTH_DIGITS_MAX
    alone = len(headers.getall("Transfer-Encoding")) == 1 and "Content-Length" not in headers
    return version == HttpVersion11 and coding.lower() == "chunked" and alone
