"""Which endpoint a path means, and whether the caller knows its token.

The table is replaced as one snapshot when the configuration is read again; a request sees the old or the new one whole.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from urllib.parse import unquote_to_bytes

from ingest.limits import TokenBucket
from schemas.settings import EndpointSettings, Network

# No SHA-256 is known that is all zero, so nothing matches it.
_MATCHES_NOTHING = bytes(32)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One enabled endpoint as the ingress needs it; `token_digest` is the SHA-256 of its token, or of nothing."""

    name: str
    provider: str
    lanes: int
    allow_from: tuple[Network, ...]
    bucket: TokenBucket | None
    token_digest: bytes = field(repr=False)

    def allows(self, remote: str) -> bool:
        """Whether a peer of this address may deliver; without `allow_from` every one may."""
        if not self.allow_from:
            return True
        try:
            address = ip_address(remote)
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return any(address in network for network in self.allow_from)


class EndpointTable:
    """The enabled endpoints by name; `now` is monotonic, in seconds, for their rates."""

    def __init__(self, endpoints: Mapping[str, EndpointSettings], *, now: Callable[[], float]) -> None:
        self._now = now
        self._by_name: Mapping[bytes, Endpoint] = {}
        self.replace(endpoints)

    def replace(self, endpoints: Mapping[str, EndpointSettings]) -> None:
        """These endpoints from now on; rates begin anew."""
        self._by_name = {
            name.encode(): _endpoint(name, settings, self._now)
            for name, settings in endpoints.items()
            if settings.enabled
        }

    def find(self, path: str) -> Endpoint | None:
        """The endpoint that `path` (raw, without query) opens; None for whatever is wrong with it.

        Digests of equal length are compared, also where there is no such endpoint or no token, so that neither the
        answer nor its time tells which it was.
        """
        name, token = _split(path)
        endpoint = self._by_name.get(name)
        expected = endpoint.token_digest if endpoint else _MATCHES_NOTHING
        return endpoint if hmac.compare_digest(hashlib.sha256(token).digest(), expected) else None


def _endpoint(name: str, settings: EndpointSettings, now: Callable[[], float]) -> Endpoint:
    bucket = None
    if settings.rate_per_second is not None:
        burst = settings.burst or max(1.0, settings.rate_per_second)
        bucket = TokenBucket(rate_per_second=settings.rate_per_second, burst=burst, now=now)
    return Endpoint(
        name=name,
        provider=settings.provider,
        lanes=settings.lanes,
        allow_from=tuple(settings.allow_from),
        bucket=bucket,
        token_digest=hashlib.sha256(settings.token.value if settings.token else b"").digest(),
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
