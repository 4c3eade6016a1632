"""From an HTTP request to its answer, in the order of the table of answers.

The receiver looks at the address, the method, the rate and the size, never into the body; it answers 200 when the bytes
are durable, never earlier.

The steps of a delivery are called one by the other: the receiver accepts it, the storage stores it, the publisher
publishes it, the batch of its partition appends it. The way back is callbacks: the batch gives a `DeliveryReport`, the
storage turns the report into an `Outcome`, the receiver makes the outcome an `Answer`.

Why callbacks: one produce request confirms many deliveries at once. As coroutines each of them would be a task,
a future and a turn of the event loop; as callbacks they are answered in one go. The obvious program has a coroutine and
a request object for each delivery; the ingress takes 0.42 of its CPU (`make bench ONLY=ingress`, docs/bench.json).
"""

import asyncio
import contextlib
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from aiohttp import web

from ingest.answer_counter import AnswerCounter
from ingest.answers import Answer, Outcome, response
from ingest.budgets import ByteBudget, Reservation
from ingest.client_address import UNKNOWN, ClientAddresses
from ingest.endpoints import Endpoint, EndpointTable
from ingest.http.body import read_body
from ingest.http.request_parser import WholeRequest
from ingest.http.soundness import is_sound
from ingest.tracing import DeliverySpan, DeliveryTracing
from schemas.delivery import PendingRecord, pending_record
from schemas.sections.programs import IngestSettings
from schemas.trace import TRACEPARENT, begun_traceparent, read_traceparent

# Where a load balancer looks whether the port answers; the answer names nothing.
_PROBED = frozenset({"/", "/healthz"})
_TRACEPARENT = TRACEPARENT.encode()

OnAnswer = Callable[[Answer], None]
RawHeaders = Sequence[tuple[bytes, bytes]]


class DurableStore(Protocol):
    """Makes deliveries durable."""

    def store(self, record: PendingRecord, reservation: Reservation, on_outcome: Callable[[Outcome], None]) -> None:
        """Calls `on_outcome` once: when the record is durable, with where, or when nothing can make it durable.

        The store takes `reservation` over, and releases it when it needs the bytes no more.
        """


@dataclass(frozen=True, slots=True)
class Stamps:
    """The sources of ids and times: `str(new_id())` is a UUIDv7, `now_us` gives microseconds since 1970.

    `random` gives that many bytes, for the ids of traces, which are no secrets.
    """

    new_id: Callable[[], object]
    now_us: Callable[[], int]
    random: Callable[[int], bytes] = random.randbytes


class Receiver:
    """Answers every request; after `stop` the receiver refuses new deliveries and finishes the accepted ones."""

    def __init__(
        self,
        settings: IngestSettings,
        *,
        endpoints: EndpointTable,
        store: DurableStore,
        budget: ByteBudget,
        stamps: Stamps,
        counter: AnswerCounter,
        tracing: DeliveryTracing | None = None,
    ) -> None:
        self._settings = settings
        self._endpoints = endpoints
        self._client_addresses = ClientAddresses(settings.trusted_proxies)
        self._store = store
        self._budget = budget
        self._stamps = stamps
        self._tracing = tracing
        self.counter = counter
        self.in_progress = 0
        self._idle = asyncio.Event()
        self.stopping = False

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers one request on the full path, and counts the answer."""
        self.in_progress += 1
        began_at = time.perf_counter()
        try:
            answer = await self._answer(request) if is_sound(request) else Answer(Outcome.MALFORMED)
        finally:
            self._end_request()
        self.counter.count(answer, took_s=time.perf_counter() - began_at)
        made = response(answer)
        if not request.content.is_eof() or request.method == "CONNECT" or "Upgrade" in request.headers:
            # aiohttp would read the rest of the body, or the first bytes of another protocol, as the next request.
            made.force_close()
        return made

    def accept(self, request: WholeRequest, *, peer: str, on_answer: OnAnswer) -> bool:
        """Returns whether the receiver accepts this whole POST on the fast path; then it calls `on_answer` once.

        A request that it does not accept has changed nothing: the full path reads and answers it, refusals included. So
        size and budget are checked before `_refuse`; the full path would take a second token of the endpoint's rate.
        """
        began_at = time.perf_counter()
        endpoint = self._endpoints.endpoint_of(request.path)
        if endpoint is None or len(request.body) > self._settings.body_bytes_max:
            return False
        reservation = Reservation(self._budget, endpoint.in_flight)
        if not reservation.grow(request.bytes_count):
            return False
        client_address = self._client_addresses.address_of(peer, request.headers)
        if self._refuse("POST", endpoint, client_address) is not None:
            reservation.release()
            return False
        traceparents = [request.by_name[_TRACEPARENT]] if _TRACEPARENT in request.by_name else ()
        self.in_progress += 1
        self._deliver(
            endpoint,
            request.headers,
            request.body,
            client_address=client_address,
            traceparents=traceparents,
            reservation=reservation,
            on_answer=partial(self._answer_accepted, began_at, on_answer),
        )
        return True

    def knows(self, path: str) -> bool:
        """Returns whether the path, as written, is that of an endpoint, with its token."""
        return self._endpoints.endpoint_of(path.partition("?")[0]) is not None

    async def stop(self, *, within_s: float) -> None:
        """Refuses new deliveries from now on, and waits up to `within_s` until all requests are answered."""
        self.stopping = True
        self._idle.clear()
        if self.in_progress:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self._idle.wait()

    def _refuse(self, method: str, endpoint: Endpoint, client_address: str) -> Answer | None:
        """Judges a request of either path by all but its size: returns the answer that it gets unstored, or None."""
        if not endpoint.allows(client_address):
            return Answer(Outcome.ADDRESS_REFUSED, endpoint.name)
        if method != "POST":
            return Answer(Outcome.CHECKED if method in {"GET", "HEAD"} else Outcome.METHOD_REFUSED, endpoint.name)
        if self.stopping:
            return Answer(Outcome.STOPPING, endpoint.name)
        wait_s = endpoint.bucket.take_token() if endpoint.bucket else 0.0
        if wait_s:
            return Answer(Outcome.RATE_EXCEEDED, endpoint.name, retry_after_s=math.ceil(wait_s))
        return None

    async def _answer(self, request: web.BaseRequest) -> Answer:
        """Answers a request on the full path, which reserves the bytes of the body as they arrive."""
        client_address = self._client_addresses.address_of(request.remote or "", request.raw_headers)
        endpoint = self._endpoints.endpoint_of(request.rel_url.raw_path)
        if endpoint is None:
            is_probe = request.method in {"GET", "HEAD"} and request.rel_url.raw_path in _PROBED
            return Answer(Outcome.CHECKED if is_probe else Outcome.NOT_FOUND)
        if (refusal := self._refuse(request.method, endpoint, client_address)) is not None:
            if refusal.outcome is Outcome.ADDRESS_REFUSED and client_address == UNKNOWN:
                self.counter.note_unreadable_address(endpoint.name)
            return refusal
        reservation = Reservation(self._budget, endpoint.in_flight)
        try:
            if not reservation.grow(sum(len(name) + len(value) for name, value in request.raw_headers)):
                return Answer(Outcome.IN_FLIGHT_FULL, endpoint.name)
            body = await read_body(
                request,
                reservation,
                bytes_max=self._settings.body_bytes_max,
                timeout_s=self._settings.body_timeout_ms / 1000,
            )
            if isinstance(body, Outcome):
                return Answer(body, endpoint.name)
            answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            self._deliver(
                endpoint,
                request.raw_headers,
                body,
                client_address=client_address,
                traceparents=[value for name, value in request.raw_headers if name.lower() == _TRACEPARENT],
                reservation=reservation.share(),
                on_answer=lambda known: None if answer.done() else answer.set_result(known),
            )
            return await answer
        finally:
            reservation.release()

    def _deliver(
        self,
        endpoint: Endpoint,
        received: RawHeaders,
        body: bytes,
        *,
        client_address: str,
        traceparents: Sequence[bytes],
        reservation: Reservation,
        on_answer: OnAnswer,
    ) -> None:
        """Stores the request as a delivery of the endpoint, and calls `on_answer` once, when the outcome is known."""
        delivery_id = str(self._stamps.new_id())
        # A delivery with an invalid traceparent is accepted, and begins a new trace.
        traceparent = (traceparents and read_traceparent(traceparents)) or ""
        if self._tracing is None:
            traceparent = traceparent or begun_traceparent(self._stamps.random(24))
        else:
            span = self._tracing.begin(
                endpoint=endpoint.name,
                delivery=delivery_id,
                traceparent=traceparent,
                body_bytes=len(body),
            )
            traceparent, on_answer = span.traceparent, partial(_end_span, span, on_answer)
        record = pending_record(
            endpoint.origin,
            received,
            body,
            id_=delivery_id,
            received_us=self._stamps.now_us(),
            remote=client_address,
            traceparent=traceparent,
        )
        answer_outcome = partial(_answer_outcome, endpoint.name, delivery_id, len(body), on_answer)
        self._store.store(record, reservation, answer_outcome)

    def _answer_accepted(self, began_at: float, on_answer: OnAnswer, answer: Answer) -> None:
        """Counts and gives the answer of the fast path, as `__call__` does on the full path."""
        self._end_request()
        self.counter.count(answer, took_s=time.perf_counter() - began_at)
        on_answer(answer)

    def _end_request(self) -> None:
        self.in_progress -= 1
        if not self.in_progress:
            self._idle.set()


def _end_span(span: DeliverySpan, on_answer: OnAnswer, answer: Answer) -> None:
    """Gives the answer, and then the span its end."""
    on_answer(answer)
    span.end(answer)


def _answer_outcome(endpoint: str, delivery_id: str, body_bytes: int, on_answer: OnAnswer, outcome: Outcome) -> None:
    """Turns the outcome of a delivery into its answer; the sender gets the id of a durable delivery only."""
    if outcome is Outcome.UNAVAILABLE:
        on_answer(Answer(outcome, endpoint))
    else:
        on_answer(Answer(outcome, endpoint, delivery_id, body_bytes=body_bytes))
