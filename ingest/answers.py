"""The outcomes that a request can have, and the HTTP answer of each.

Response, metric and log share the outcome as their reason code. The bodies of all answers are empty.
"""

from enum import StrEnum
from http import HTTPStatus
from typing import NamedTuple

from aiohttp import web

DELIVERY_HEADER = "Dropstream-Delivery"
ALLOWED_METHODS = "GET, HEAD, POST"
# How long a provider should wait when nothing can be stored; short, for the trouble is on this side.
UNAVAILABLE_RETRY_AFTER_S = 5


class Outcome(StrEnum):
    """Why a request was answered as it was."""

    STORED = "stored"  # All in-sync replicas of Kafka have the delivery.
    SPOOLED = "spooled"  # This machine's disk has the delivery, which goes on to Kafka.
    CHECKED = "checked"  # A GET or HEAD checked whether the URL is right.
    NOT_FOUND = "not_found"  # Path, endpoint or token is wrong; the answer never says which.
    ADDRESS_REFUSED = "address_refused"
    RATE_EXCEEDED = "rate_exceeded"
    METHOD_REFUSED = "method_refused"
    MALFORMED = "malformed"
    BODY_TOO_LARGE = "body_too_large"
    BODY_TOO_SLOW = "body_too_slow"
    CLIENT_LEFT = "client_left"  # The client left before its body was whole, and reads no answer.
    IN_FLIGHT_FULL = "in_flight_full"
    UNAVAILABLE = "unavailable"  # Neither Kafka nor the spool can take the delivery.
    CONNECTIONS_FULL = "connections_full"
    STOPPING = "stopping"
    FAILED = "failed"  # This program has a fault.


_STATUS = {
    Outcome.STORED: 200,
    Outcome.SPOOLED: 200,
    Outcome.CHECKED: 200,
    Outcome.NOT_FOUND: 404,
    Outcome.ADDRESS_REFUSED: 403,
    Outcome.RATE_EXCEEDED: 429,
    Outcome.METHOD_REFUSED: 405,
    Outcome.MALFORMED: 400,
    Outcome.BODY_TOO_LARGE: 413,
    Outcome.BODY_TOO_SLOW: 408,
    Outcome.CLIENT_LEFT: 400,
    Outcome.IN_FLIGHT_FULL: 503,
    Outcome.UNAVAILABLE: 503,
    Outcome.CONNECTIONS_FULL: 503,
    Outcome.STOPPING: 503,
    Outcome.FAILED: 503,
}
_STORED = "HTTP/1.1 200 OK\r\nServer: dropstream\r\n" + DELIVERY_HEADER + ": "
# After these outcomes the connection must close, for it cannot or should not carry another request.
_CLOSING = frozenset({Outcome.MALFORMED, Outcome.BODY_TOO_LARGE, Outcome.BODY_TOO_SLOW, Outcome.STOPPING})


class Answer(NamedTuple):
    """An outcome, and what its HTTP answer needs; `endpoint` is a configured name, or "" where none was found.

    `body_bytes` is the length of a body that was made durable, for the metrics.
    """

    outcome: Outcome
    endpoint: str = ""
    delivery_id: str = ""
    retry_after_s: int = UNAVAILABLE_RETRY_AFTER_S
    body_bytes: int = 0


def status_of(outcome: Outcome) -> int:
    """Returns the HTTP status of the outcome."""
    return _STATUS[outcome]


def response(answer: Answer) -> web.Response:
    """Makes the HTTP response, which names no software version."""
    made = web.Response(status=_STATUS[answer.outcome], headers=_headers(answer))
    if answer.outcome in _CLOSING:
        made.force_close()
    return made


def response_bytes(answer: Answer, *, date: str) -> bytes:
    """Writes the same response as bytes of HTTP/1.1, for a connection that stays open."""
    if answer.outcome is Outcome.STORED:
        return f"{_STORED}{answer.delivery_id}\r\nContent-Length: 0\r\nDate: {date}\r\n\r\n".encode()
    status = HTTPStatus(_STATUS[answer.outcome])
    fields = "".join(f"{name}: {value}\r\n" for name, value in _headers(answer).items())
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\n{fields}"
    return f"{head}Content-Length: 0\r\nDate: {date}\r\n\r\n".encode("latin-1")


def _headers(answer: Answer) -> dict[str, str]:
    status = _STATUS[answer.outcome]
    headers = {"Server": "dropstream"}
    if answer.delivery_id:
        headers[DELIVERY_HEADER] = answer.delivery_id
    if status == 405:
        headers["Allow"] = ALLOWED_METHODS
    if status in {429, 503}:
        headers["Retry-After"] = str(answer.retry_after_s)
    return headers
