"""Reads the body of a request, exactly as sent, or says why it cannot be had."""

import asyncio
from collections.abc import Callable

from aiohttp import HttpVersion11
from aiohttp.web import BaseRequest, RequestKey, RequestPayloadError

from ingest.answers import Outcome
from ingest.budgets import Reservation

# Under this key a request has the deadline of its body, so that the watchdog can bring it forward.
DEADLINE = RequestKey("body_deadline", asyncio.Timeout)
# Under this key a request has what its connection wants to be told after each read of the body.
ON_READ = RequestKey[Callable[[], None]]("on_read")


async def read_body(
    request: BaseRequest, reservation: Reservation, *, bytes_max: int, timeout_s: float
) -> bytes | Outcome:
    """Returns the whole body, its bytes reserved; or the outcome that refuses it.

    A body whose announced length is too large is refused unread, any other as soon as it grows too large. No body is
    ever decompressed.
    """
    body: bytes | Outcome = Outcome.BODY_TOO_LARGE
    try:
        if (request.content_length or 0) <= bytes_max:
            async with asyncio.timeout(timeout_s) as deadline:
                request[DEADLINE] = deadline
                await _send_continue(request)
                body = await _collect(request, reservation, bytes_max)
    except TimeoutError:
        body = Outcome.BODY_TOO_SLOW
    except RequestPayloadError:
        body = Outcome.MALFORMED
    except ConnectionError:
        body = Outcome.CLIENT_LEFT
    return body


async def _send_continue(request: BaseRequest) -> None:
    """Sends `100 Continue` to a client that waits for it, as PHP's curl does before a larger body (RFC 9110, 10.1.1).

    aiohttp's low-level server leaves that to its handler.
    """
    if request.content.is_eof() or request.version < HttpVersion11:
        return
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # aiohttp must not take this for the beginning of the answer.
        request.writer.output_size = 0


async def _collect(request: BaseRequest, reservation: Reservation, bytes_max: int) -> bytes | Outcome:
    content = request.content
    if request.transport is None and not content.is_eof():
        return Outcome.CLIENT_LEFT
    chunks: list[bytes] = []
    size = 0
    try:
        while chunk := await content.readany():
            size += len(chunk)
            if size > bytes_max:
                return Outcome.BODY_TOO_LARGE
            request[ON_READ]()
            # Bytes are reserved as they arrive: 64 false lengths, reserved as announced, would fill the whole budget.
            if not reservation.grow(len(chunk)):
                return Outcome.IN_FLIGHT_FULL
            chunks.append(chunk)
        return b"".join(chunks)
    finally:
        # The error of a client that left keeps this frame until the garbage collection, and nobody counts its bytes.
        chunks.clear()
