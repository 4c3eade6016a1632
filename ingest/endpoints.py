"""Which endpoint a path means, and whether the caller knows its token.

The table is replaced as one snapshot when the configuration is read again; a request sees the old or the new one whole.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from ingest.budgets import TokenBucket
from ingest.client_address import read_address
from schemas.delivery import Origin
from schemas.settings import EndpointSettings, Network

# No SHA-256 is known that is all zero, so nothing matches it.
_MATCHES_NOTHING = bytes(32)
# A path can be written in many ways; each endpoint has one that its provider uses.
_OPENED_PER_ENDPOINT = 4


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One enabled endpoint as the ingress needs it.

    `token_digests` are the SHA-256 of each of its tokens, or of nothing; then as many that match nothing as make all
    endpoints alike.
    """

    name: str
    origin: Origin
    allow_from: tuple[Network, ...]
    bucket: TokenBucket | None
    token_digests: tuple[bytes, ...] = field(repr=False)

    def allows(self, client_address: str) -> bool:
        """Whether this address may deliver; without `allow_from` every one may, an unknown one too."""
        if not self.allow_from:
            return True
        address = read_address(client_address)
        return address is not None and any(address in network for network in self.allow_from)


class EndpointTable:
    """The enabled endpoints by name; `now` is monotonic, in seconds, for their rates."""

    def __init__(self, endpoints: Mapping[str, EndpointSettings], *, now: Callable[[], float]) -> None:
        self._now = now
        self._by_name: Mapping[bytes, Endpoint] = {}
        self._providers: Mapping[str, str] = {}
        self._none: tuple[bytes, ...] = ()
        # What has opened an endpoint is found again without its digests. Whoever hits it knows the token, so that it
        # is faster tells nothing.
        self._opened: dict[str, Endpoint] = {}
        self.replace(endpoints)

    def replace(self, endpoints: Mapping[str, EndpointSettings]) -> None:
        """These endpoints from now on; a rate that stays the same does not begin anew."""
        before = self._by_name
        comparisons = max((len(settings.token) for settings in endpoints.values() if settings.enabled), default=0) or 1
        self._none = (_MATCHES_NOTHING,) * comparisons
        self._by_name = {
            name.encode(): _endpoint(name, settings, self._bucket(settings, before.get(name.encode())), comparisons)
            for name, settings in endpoints.items()
            if settings.enabled
        }
        self._providers = {name: settings.provider for name, settings in endpoints.items() if settings.enabled}
        self._opened = {}

    def providers(self) -> Mapping[str, str]:
        """The provider of each enabled endpoint, by the endpoint's name; not to be changed."""
        return self._providers

    def endpoint_of(self, path: str) -> Endpoint | None:
        """The endpoint that `path` (raw, without query) opens; None for whatever is wrong with it.

        As many digests of equal length are compared where there is no such endpoint, no token or a match already, so
        that neither the answer nor its time tells which it was.
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

    def _bucket(self, settings: EndpointSettings, before: Endpoint | None) -> TokenBucket | None:
        rate = settings.rate_per_second
        if rate is None:
            return None
        burst = settings.burst or max(1.0, rate)
        kept = before.bucket if before else None
        if kept and (kept.rate_per_second, kept.burst) == (rate, burst):
            return kept
        return TokenBucket(rate_per_second=rate, burst=burst, now=self._now)


def _endpoint(name: str, settings: EndpointSettings, bucket: TokenBucket | None, comparisons: int) -> Endpoint:
    digests = [hashlib.sha256(token.value).digest() for token in settings.token] or [hashlib.sha256(b"").digest()]
    return Endpoint(
        name=name,
        origin=Origin(provider=settings.provider, endpoint=name, lanes=settings.lanes),
        allow_from=tuple(settings.allow_from),
        bucket=bucket,
        token_digests=(*digests, *[_MATCHES_NOTHING] * (comparisons - len(digests))),
    )


def _split(path: str) -> tuple[bytes, bytes]:
    """The endpoint's name and the token ("" without one), percent-decoded; an empty name for any other path."""
    match path.encode("utf-8", "surrogateescape").split(b"/"):
        case [b"", b"webhooks", name]:
            return unquote_to_bytes(name), b""
        case [b"", b"webhooks", name, token] if token:
            return unquote_to_bytes(name), unquote_to_bytes(token)
        case _:
            return b"", b""
