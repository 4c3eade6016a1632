"""Finds the endpoint that a path means, if the path has its token.

A reload of the configuration replaces the table as a whole, so a request sees the old one or the new one.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from ingest.budgets import EndpointBytes, TokenBucket
from ingest.client_address import read_address
from schemas.delivery import Origin
from schemas.sections.endpoints import EndpointSettings
from schemas.sections.values import Network

# No SHA-256 is known that is all zero, so nothing matches it.
_MATCHES_NOTHING = bytes(32)
# A path can be written in many ways, and a provider uses one: so few are remembered per endpoint.
_OPENED_PER_ENDPOINT = 4


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An enabled endpoint, as the ingress needs it.

    `token_digests` are the SHA-256 of its tokens, or of the empty token, filled up with digests that match nothing, so
    that all endpoints have equally many.
    """

    name: str
    origin: Origin
    allow_from: tuple[Network, ...]
    bucket: TokenBucket | None
    in_flight: EndpointBytes
    token_digests: tuple[bytes, ...] = field(repr=False)

    def allows(self, client_address: str) -> bool:
        """Returns whether this address may deliver; without `allow_from` every address may, an unknown one too."""
        if not self.allow_from:
            return True
        address = read_address(client_address)
        return address is not None and any(address in network for network in self.allow_from)


@dataclass(frozen=True, slots=True)
class PreparedEndpoints:
    """All endpoints of a configuration: by name, their providers, and the digests compared where there is none."""

    by_name: Mapping[bytes, Endpoint]
    providers: Mapping[str, str]
    none: tuple[bytes, ...] = field(repr=False)


class EndpointTable:
    """Holds the enabled endpoints by name; `now` is monotonic, in seconds, for their rates."""

    def __init__(self, endpoints: Mapping[str, EndpointSettings], *, now: Callable[[], float]) -> None:
        self._now = now
        self._by_name: Mapping[bytes, Endpoint] = {}
        # Paths with a right token are found again without comparing digests. A sender that hits one knows the token,
        # so the shorter time gives nothing away.
        self._opened: dict[str, Endpoint] = {}
        self.take(self.prepare(endpoints))

    def prepare(self, endpoints: Mapping[str, EndpointSettings]) -> PreparedEndpoints:
        """Returns what `take` replaces all endpoints with; a thread may do it while requests come.

        A rate that stays the same does not begin anew, nor does what an endpoint holds.
        """
        before = self._by_name
        comparisons = max((len(settings.token) for settings in endpoints.values() if settings.enabled), default=0) or 1
        return PreparedEndpoints(
            by_name={
                name.encode(): self._endpoint(name, settings, before.get(name.encode()), comparisons)
                for name, settings in endpoints.items()
                if settings.enabled
            },
            providers={name: settings.provider for name, settings in endpoints.items() if settings.enabled},
            none=(_MATCHES_NOTHING,) * comparisons,
        )

    def take(self, prepared: PreparedEndpoints) -> None:
        """Replaces all endpoints at once."""
        self._by_name, self._providers, self._none = prepared.by_name, prepared.providers, prepared.none
        self._opened = {}

    def providers(self) -> Mapping[str, str]:
        """Returns the provider of each enabled endpoint by the endpoint's name; not to be changed."""
        return self._providers

    def endpoint_of(self, path: str) -> Endpoint | None:
        """Returns the endpoint that `path` (raw, without query) means; None where path, endpoint or token is wrong.

        The number of digests compared is always the same, with and without such an endpoint, a token or an early match,
        so that neither the answer nor its time gives away which is wrong.
        """
        if opened := self._opened.get(path):
            return opened
        name, token = _split(path)
        endpoint = self._by_name.get(name)
        digest = hashlib.sha256(token).digest()
        known = False
        for expected in endpoint.token_digests if endpoint else self._none:
            known |= hmac.compare_digest(digest, expected)
        if endpoint is None or not known:
            return None
        if len(self._opened) < _OPENED_PER_ENDPOINT * len(self._by_name):
            self._opened[path] = endpoint
        return endpoint

    def _endpoint(self, name: str, settings: EndpointSettings, before: Endpoint | None, comparisons: int) -> Endpoint:
        digests = [hashlib.sha256(token.value).digest() for token in settings.token] or [hashlib.sha256(b"").digest()]
        return Endpoint(
            name=name,
            origin=Origin(provider=settings.provider, endpoint=name, lanes=settings.lanes),
            allow_from=tuple(settings.allow_from),
            bucket=self._bucket(settings, before),
            in_flight=before.in_flight if before else EndpointBytes(),
            token_digests=(*digests, *[_MATCHES_NOTHING] * (comparisons - len(digests))),
        )

    def _bucket(self, settings: EndpointSettings, before: Endpoint | None) -> TokenBucket | None:
        rate = settings.rate_per_second
        if rate is None:
            return None
        burst = settings.burst or max(1.0, rate)
        kept = before.bucket if before else None
        if kept and (kept.rate_per_second, kept.burst) == (rate, burst):
            return kept
        return TokenBucket(rate_per_second=rate, burst=burst, now=self._now)


def _split(path: str) -> tuple[bytes, bytes]:
    """Splits a path into name and token ("" without one), percent-decoded; the name is empty for any other path.

    One slash behind the path is no part of it, for people and platforms add it.
    """
    match path.encode("utf-8", "surrogateescape").split(b"/"):
        case [b"", b"webhooks", name] | [b"", b"webhooks", name, b""]:
            return unquote_to_bytes(name), b""
        case [b"", b"webhooks", name, token] | [b"", b"webhooks", name, token, b""] if token:
            return unquote_to_bytes(name), unquote_to_bytes(token)
        case _:
            return b"", b""
