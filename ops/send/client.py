"""Sends signed deliveries over real HTTP, as a provider would, and counts the answers.

`ops.send.command`, `ops.local.tour` and `ops.console.acting.acts` decide what is sent and to which endpoint.
"""

import asyncio
import contextlib
import math
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import quote

import aiohttp
from yarl import URL

from ops.addresses import reached_at
from ops.screen import ReaderGoneError
from processors.deliver.provider import Sample
from schemas.errors import DropstreamError
from schemas.sections.endpoints import EndpointSettings
from schemas.sections.programs import IngestSettings

# Dreamship waits 30 s for an answer, the longest of the providers: https://docs.dreamship.com/reference/webhooks
_ANSWER_TIMEOUT_S = 30.0
_CONNECT_TIMEOUT_S = 5.0
# With a rate, deliveries overlap; slower answers than that many at once slow the sending down.
_IN_FLIGHT_MAX = 256


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A delivery to send: the exact body and its headers, signature included."""

    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class IngressAnswer:
    """An answer of the ingress: `delivery_id` only where it accepted the delivery, `seconds` from request to answer."""

    status: int
    delivery_id: str | None
    seconds: float


@dataclass(slots=True)
class AnswerTally:
    """Every answer of a run, in order of arrival."""

    answers: list[IngressAnswer] = field(default_factory=list)

    def by_status(self) -> dict[int, int]:
        """The number of answers by status, the most frequent first."""
        return dict(Counter(answer.status for answer in self.answers).most_common())

    def milliseconds_at(self, share: float) -> float:
        """The time within which `share` (0 to 1) of the answers came, in ms; 0 without answers."""
        ordered = sorted(answer.seconds for answer in self.answers)
        return 1000 * ordered[max(math.ceil(share * len(ordered)), 1) - 1] if ordered else 0.0


def sign(body: bytes, endpoint: EndpointSettings, sample: Sample, at: datetime) -> Outgoing:
    """`body` with the headers of the sample's contract, signed with the endpoint's first secret that is valid at `at`.

    Where all have expired it is the first, and where there is none there is no signature.
    """
    valid = [one for one in endpoint.secrets if one.expires is None or one.expires > at]
    signing = next(iter(valid or endpoint.secrets), None)
    signature = sample.sign(body, signing.value.value, at) if signing else {}
    return Outgoing(body, {"Content-Type": "application/json", **signature})


def delivery_url(base_url: str, endpoint_name: str, endpoint: EndpointSettings) -> URL:
    """The URL for deliveries of the endpoint; it holds the token, so it is never shown to a person."""
    path = f"{base_url.rstrip('/')}/webhooks/{endpoint_name}"
    # The newest token; quoted whole, so that a slash in it makes no further segment.
    return URL("/".join([path, *(quote(token.value, safe="") for token in endpoint.token[:1])]), encoded=True)


def own_base_url(ingest: IngestSettings) -> str:
    """The URL of the ingress of these settings, from this machine."""
    return f"http://{reached_at(ingest.host, ingest.port)}"


@contextlib.asynccontextmanager
async def open_session() -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP session whose every request has a deadline."""
    timeout = aiohttp.ClientTimeout(total=_ANSWER_TIMEOUT_S, connect=_CONNECT_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=_IN_FLIGHT_MAX)) as session:
        yield session


async def deliver_one(
    session: aiohttp.ClientSession,
    base_url: str,
    endpoint_name: str,
    endpoint: EndpointSettings,
    *,
    outgoing: Outgoing,
) -> IngressAnswer:
    """The answer to one delivery, whatever its status.

    Raises:
        DropstreamError: when there is no answer.
    """
    # Not the loop's clock: uvloop's counts whole milliseconds.
    started = time.perf_counter()
    url = delivery_url(base_url, endpoint_name, endpoint)
    try:
        async with session.post(url, data=outgoing.body, headers=outgoing.headers, allow_redirects=False) as response:
            await response.read()
            return IngressAnswer(
                response.status, response.headers.get("Dropstream-Delivery"), time.perf_counter() - started
            )
    except aiohttp.ClientConnectorError as error:
        raise DropstreamError(
            f"nothing answers at {base_url}: {_reason(error.os_error)}; "
            "start the ingress with dropstream ingest, or name it with --url"
        ) from error
    except TimeoutError as error:
        raise DropstreamError(f"{base_url} did not answer within {_ANSWER_TIMEOUT_S:.0f} s") from error
    except aiohttp.ClientError as error:
        raise DropstreamError(f"{base_url} broke off: {type(error).__name__}") from error


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno and error.errno > 0 else "no such host"


async def deliver_many(
    base_url: str,
    endpoint_name: str,
    endpoint: EndpointSettings,
    *,
    deliveries: Iterator[Outgoing],
    rate_per_second: float | None,
    on_answer: Callable[[IngressAnswer], None],
) -> None:
    """Sends all of `deliveries`: one after the other, or started at `rate_per_second`, however long the answers take.

    Raises:
        DropstreamError: a delivery got no answer; no further one is started.
    """
    async with open_session() as session:

        async def deliver(outgoing: Outgoing) -> None:
            on_answer(await deliver_one(session, base_url, endpoint_name, endpoint, outgoing=outgoing))

        if rate_per_second is None:
            for outgoing in deliveries:
                await deliver(outgoing)
        else:
            await _deliver_at_rate(deliver, deliveries, rate_per_second)


async def _deliver_at_rate(
    deliver: Callable[[Outgoing], Coroutine[None, None, None]], deliveries: Iterator[Outgoing], rate_per_second: float
) -> None:
    clock = asyncio.get_running_loop().time
    free = asyncio.Semaphore(_IN_FLIGHT_MAX)
    started = clock()

    async def deliver_and_free(outgoing: Outgoing) -> None:
        try:
            await deliver(outgoing)
        finally:
            free.release()

    try:
        async with asyncio.TaskGroup() as tasks:
            for number, outgoing in enumerate(deliveries):
                await asyncio.sleep(max(0.0, started + number / rate_per_second - clock()))
                await free.acquire()
                tasks.create_task(deliver_and_free(outgoing))
    except* (DropstreamError, ReaderGoneError) as failures:
        # All failures say the same; a person needs one.
        raise failures.exceptions[0] from None
