"""From an HTTP request to its answer, in the order of the contract's table of answers.

It looks at the address, the method, the rate and the size, never into the body; it answers 200 when the bytes are
durable, never earlier.
"""

import asyncio
import math
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from aiohttp import HttpVersion10, HttpVersion11, web

from ingest.answers import Answer, Outcome, response
from ingest.budgets import ByteBudget, Reservation
from ingest.client_address import ClientAddresses
from ingest.endpoints import Endpoint, EndpointTable
from ingest.failure_budget import FailureBudgets
from ingest.http.body import read_body
from ingest.http.request_parser import WholeRequest
from ingest.metrics import IngestMetrics
from ingest.throttled_log import ThrottledLog
from schemas.delivery import PendingRecord, pending_record
from schemas.settings import IngestSettings
from schemas.trace import TRACEPARENT, begun_traceparent, read_traceparent

_UNREMARKABLE = frozenset({Outcome.STORED, Outcome.SPOOLED, Outcome.CHECKED})
# Seen before an endpoint is found, or where none is.
_OF_NO_ENDPOINT = frozenset({Outcome.NOT_FOUND, Outcome.MALFORMED, Outcome.CONNECTIONS_FULL, Outcome.FAILED})
# Of the largest number that 64 bits hold.
_LENGTH_DIGITS_MAX = 20
_TRACEPARENT = TRACEPARENT.encode()

RawHeaders = Sequence[tuple[bytes, bytes]]


class Durable(Protocol):
    """Where deliveries are made durable."""

    async def keep(self, record: PendingRecord, hold: Reservation) -> Outcome:
        """Where the record is durable now, or that it is not; takes `hold` over, while its bytes are needed."""

    def begin(self, record: PendingRecord, hold: Reservation, on_outcome: Callable[[Outcome], None]) -> None:
        """As `keep`, and tells when it is known."""


@dataclass(frozen=True, slots=True)
class Stamps:
    """Where ids and times come from: `str(new_id())` is a UUIDv7, `now_us` gives microseconds since 1970.

    `random` gives so many bytes, for ids of traces, which are no secrets.
    """

    new_id: Callable[[], object]
    now_us: Callable[[], int]
    random: Callable[[int], bytes] = random.randbytes


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
        occurrences: ThrottledLog,
        failures: FailureBudgets,
    ) -> None:
        self._settings = settings
        self._endpoints = endpoints
        self._remotes = ClientAddresses(settings.trusted_proxies)
        self._durable = durable
        self._budget = budget
        self._stamps = stamps
        self._metrics = metrics
        self._occurrences = occurrences
        self._failures = failures
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

    def accept(self, request: WholeRequest, *, peer: str, on_answer: Callable[[Answer], None]) -> bool:
        """Whether a whole POST was taken; then `on_answer` is called once. Else it needs the long way, from its start.

        The order is that of `_answer`: endpoint and token, address, then what bounds us.
        """
        began_at = time.perf_counter()
        endpoint = None if self.stopping else self._endpoints.find(request.path)
        if endpoint is None or endpoint.bucket is not None or len(request.body) > self._settings.body_bytes_max:
            return False
        remote = self._remotes.find(peer, request.headers)
        hold = Reservation(self._budget)
        if not endpoint.allows(remote) or not hold.grow(request.bytes_count):
            return False
        delivery_id = str(self._stamps.new_id())
        given = [request.by_name[_TRACEPARENT]] if _TRACEPARENT in request.by_name else ()
        record = self._record(request.headers, endpoint, request.body, id_=delivery_id, remote=remote, given=given)

        def finish(outcome: Outcome) -> None:
            self._end_one()
            answer = self._kept(endpoint, outcome, id_=delivery_id, body_bytes=len(record.value))
            self.count(answer, took_s=time.perf_counter() - began_at)
            on_answer(answer)

        self.in_progress += 1
        self._durable.begin(record, hold, finish)
        return True

    def count(self, answer: Answer, *, took_s: float | None = None) -> None:
        """The one place where an answer reaches metrics and log; `took_s` where the request was read whole."""
        endpoint, outcome = answer.endpoint, answer.outcome
        answers = self._metrics.answers
        counts = answers.of(endpoint)
        counts.outcomes[outcome] = counts.outcomes.get(outcome, 0) + 1
        if self._failures.note(endpoint, outcome, took_s=took_s or 0.0):
            counts.late += 1
        if took_s is not None and endpoint:
            answers.answer_took(took_s)
        if outcome not in _UNREMARKABLE:
            self._occurrences.note(outcome, endpoint)

    def expect(self, endpoints: Iterable[str]) -> None:
        """Their requests are counted from 0: what has no sample before its first event has no rate at it."""
        of_one = set(Outcome) - (_OF_NO_ENDPOINT - {Outcome.MALFORMED})
        for endpoint, outcomes in [("", _OF_NO_ENDPOINT), *[(endpoint, of_one) for endpoint in endpoints]]:
            counts = self._metrics.answers.of(endpoint)
            for outcome in outcomes:
                counts.outcomes.setdefault(outcome, 0)

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
        remote = self._remotes.find(request.remote or "", request.raw_headers)
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
        hold = Reservation(self._budget)
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
            delivery_id = str(self._stamps.new_id())
            given = [value for name, value in request.raw_headers if name.lower() == _TRACEPARENT]
            record = self._record(request.raw_headers, endpoint, body, id_=delivery_id, remote=remote, given=given)
            outcome = await self._durable.keep(record, hold.share())
            return self._kept(endpoint, outcome, id_=delivery_id, body_bytes=len(body))
        finally:
            hold.release()

    def _record(
        self,
        received: RawHeaders,
        endpoint: Endpoint,
        body: bytes,
        *,
        id_: str,
        remote: str,
        given: Sequence[bytes],
    ) -> PendingRecord:
        return pending_record(
            endpoint.origin,
            received,
            body,
            id_=id_,
            received_us=self._stamps.now_us(),
            remote=remote,
            # One that is no traceparent is nobody's fault here: a new trace begins.
            traceparent=(given and read_traceparent(given)) or begun_traceparent(self._stamps.random(24)),
        )

    def _kept(self, endpoint: Endpoint, outcome: Outcome, *, id_: str, body_bytes: int) -> Answer:
        if outcome is Outcome.UNAVAILABLE:
            return Answer(outcome, endpoint.name)
        self._metrics.answers.of(endpoint.name).body_bytes += body_bytes
        return Answer(outcome, endpoint.name, id_)

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
