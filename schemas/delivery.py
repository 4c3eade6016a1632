"""A delivery, one HTTP request as received, and its form as a record of `raw`.

Writing and reading the record's headers stand side by side, so they cannot drift. Nothing here looks into the body.
"""

import zlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from schemas.fast_frozen import fast_frozen
from schemas.fetched import FetchOrigin, origin_headers, read_origin
from schemas.records import Headers, RawRecord
from schemas.times import EPOCH, read_utc, timestamp_us
from schemas.trace import TRACEPARENT, read_traceparent

OWN_PREFIX = "dropstream-"

# RFC 9110 section 7.6.1: about this connection, not about the message. The headers that a `Connection` header names are
# written to `raw` all the same: a stranger must not be able to strip a signature by naming it there.
_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_CREDENTIALS = frozenset({b"authorization", b"cookie"})
_LEFT_OUT = _HOP_BY_HOP | _CREDENTIALS | {TRACEPARENT.encode()}
_NAMES_MAX = 1_024


@fast_frozen()
class Delivery:
    """One request: `headers` are the HTTP headers that `raw` holds, names lower-cased, order and repeats as received.

    `id` is a UUIDv7 as text, `received_at` aware UTC with microseconds, `remote` the address it came from ("" where a
    trusted proxy named none), `body` the exact bytes. `traceparent` is the W3C trace that it belongs to ("" for none);
    nothing is decided by it, and `headers` do not repeat it. `fetched` is None for what a provider sent; else nobody
    sent it, and it is what the provider's API answered when it was asked at `received_at`.
    """

    id: str
    provider: str
    endpoint: str
    received_at: datetime
    remote: str
    headers: Headers
    body: bytes
    traceparent: str = ""
    fetched: FetchOrigin | None = None

    def values_of(self, name: str) -> tuple[bytes, ...]:
        """Every value of the HTTP header `name` (lower case), in order."""
        return tuple([value for header, value in self.headers if header == name])


class PendingRecord(NamedTuple):
    """A delivery as the record of `raw` that it is to become; `key` decides the partition (Kafka's murmur2).

    A named tuple, as there is one for each delivery: a frozen dataclass takes five times as long to make.
    """

    endpoint: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]
    timestamp_ms: int


def delivery_id(record: PendingRecord) -> bytes:
    """The id of the delivery that the record holds; empty where it has none."""
    return next((value for name, value in reversed(record.headers) if name == "dropstream-delivery"), b"")


class Origin:
    """The key and headers that the records of all deliveries of one endpoint share."""

    __slots__ = ("endpoint", "headers", "key", "lanes")

    def __init__(self, *, provider: str, endpoint: str, lanes: int) -> None:
        self.endpoint = endpoint
        self.lanes = lanes
        self.key = endpoint.encode()
        self.headers = (("dropstream-provider", provider.encode()), ("dropstream-endpoint", self.key))


def pending_record(
    origin: Origin,
    received: Sequence[tuple[bytes, bytes]],
    body: bytes,
    *,
    id_: str,
    received_us: int,
    remote: str,
    traceparent: str,
) -> PendingRecord:
    """The record of a request with the HTTP headers `received`, which came at `received_us` microseconds since 1970."""
    headers = _kept(received)
    headers += _own_headers(origin, id_=id_, received_us=received_us, remote=remote, traceparent=traceparent)
    key = origin.key if origin.lanes == 1 else raw_key(origin.endpoint, origin.lanes, body)
    return PendingRecord(origin.endpoint, key, body, headers, received_us // 1_000)


def kept_headers(received: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The HTTP headers that `raw` holds: all but hop-by-hop ones, credentials, and names that dropstream itself writes.

    `traceparent` is written by dropstream: the delivery's own, or that of a trace begun for it.
    """
    return tuple(_kept(received))


def _kept(received: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, bytes]]:
    return [(kept, value) for name, value in received if (kept := _kept_name(name)) is not None]


@lru_cache(maxsize=_NAMES_MAX)
def _kept_name(name: bytes) -> str | None:
    """The name in lower case, None where it is left out; cached, for senders repeat few names with every request."""
    lower = name.lower()
    return None if lower in _LEFT_OUT or lower.startswith(OWN_PREFIX.encode()) else lower.decode("latin-1")


def raw_key(endpoint: str, lanes: int, body: bytes) -> bytes:
    """The key in `raw`: the endpoint, or `endpoint#lane`; the lane is of the body, so a retry meets its first try."""
    return f"{endpoint}#{zlib.crc32(body) % lanes}".encode() if lanes > 1 else endpoint.encode()


def endpoint_keys(endpoint: str, lanes: int) -> tuple[bytes, ...]:
    """Every key in `raw` that a delivery of the endpoint can have."""
    return tuple(f"{endpoint}#{lane}".encode() for lane in range(lanes)) if lanes > 1 else (endpoint.encode(),)


def record_headers(delivery: Delivery) -> Headers:
    """The headers of the delivery's record in `raw`: the HTTP headers, then those of dropstream."""
    own = _own_headers(
        Origin(provider=delivery.provider, endpoint=delivery.endpoint, lanes=1),
        id_=delivery.id,
        received_us=timestamp_us(delivery.received_at),
        remote=delivery.remote,
        traceparent=delivery.traceparent,
    )
    return (*delivery.headers, *own, *(origin_headers(delivery.fetched) if delivery.fetched else ()))


def _own_headers(
    origin: Origin, *, id_: str, received_us: int, remote: str, traceparent: str
) -> list[tuple[str, bytes]]:
    seconds, microseconds = divmod(received_us, 1_000_000)
    own = [
        ("dropstream-delivery", id_.encode()),
        *origin.headers,
        ("dropstream-received-at", f"{_second(seconds)}.{microseconds:06d}Z".encode()),
        ("dropstream-remote", remote.encode()),
    ]
    return [(TRACEPARENT, traceparent.encode()), *own] if traceparent else own


@lru_cache(maxsize=16)
def _second(seconds: int) -> str:
    """RFC 3339 as far as the second; there are many deliveries in each."""
    return (EPOCH + timedelta(seconds=seconds)).isoformat()[:-6]


def read_record(raw: RawRecord) -> Delivery:
    """The delivery that a record of `raw` holds.

    Total: a record of another producer, without the headers of dropstream, is a delivery of the endpoint "" at the
    record's time.
    """
    last = dict(raw.headers)
    traces = [content or b"" for name, content in raw.headers if name == TRACEPARENT] if TRACEPARENT in last else ()
    return Delivery(
        id=(last.get("dropstream-delivery") or b"").decode("utf-8", "replace"),
        provider=(last.get("dropstream-provider") or b"").decode("utf-8", "replace"),
        endpoint=(last.get("dropstream-endpoint") or b"").decode("utf-8", "replace"),
        received_at=read_utc(last.get("dropstream-received-at") or b"") or _record_time(raw.timestamp_ms),
        remote=(last.get("dropstream-remote") or b"").decode("utf-8", "replace"),
        headers=tuple(
            [
                (name, content or b"")
                for name, content in raw.headers
                if not name.startswith(OWN_PREFIX) and name != TRACEPARENT
            ]
        ),
        body=raw.value or b"",
        traceparent=read_traceparent(traces),
        fetched=read_origin(last),
    )


def _record_time(milliseconds: int) -> datetime:
    """Kafka takes any 64-bit number as a record's time; a time that no calendar has is the beginning of time."""
    try:
        return EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return EPOCH
