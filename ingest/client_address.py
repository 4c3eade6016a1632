"""Finds the address of the client: the peer of the connection, or the address that a trusted proxy names.

Any client can write X-Forwarded-For; only its right-most part is by trusted proxies. So the header is read from right
to left, up to the first address that is no trusted proxy.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from schemas.settings import Network

Address = IPv4Address | IPv6Address

# No one has that many proxies of their own in a row.
_HOPS_MAX = 32
# `1.2.3.4:port`, `[v6]` or `[v6]:port`; a bare IPv6 address has colons of its own.
_WITH_PORT = re.compile(r"\[(?P<v6>[0-9A-Fa-f]*:[0-9A-Fa-f:.]*)\](?::[0-9]{1,5})?|(?P<v4>[0-9.]+):[0-9]{1,5}")
UNKNOWN = ""


def read_address(text: str) -> Address | None:
    """Reads an address, an IPv4 one also where it is written as IPv6; None for anything else, zones too."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return None if address.scope_id else address.ipv4_mapped or address
    return address


class ClientAddresses:
    """Finds the address of the client behind the proxies of `trusted` networks."""

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = tuple(trusted)

    def address_of(self, peer: str, headers: Sequence[tuple[bytes, bytes]]) -> str:
        """Returns the right-most address that is no trusted proxy, where the peer is one; else the peer.

        `headers` are those of the request, as received; without X-Forwarded-For the address is the peer. Where all
        addresses are trusted it is the left-most one; where the list is unreadable it is `UNKNOWN`, which is in no
        `allow_from`.
        """
        if not self._trusted:
            return peer
        forwarded_for = [value.decode("latin-1") for name, value in headers if name.lower() == b"x-forwarded-for"]
        if not forwarded_for or not self._trusts(read_address(peer)):
            return peer
        found: Address | None = None
        for hop, text in enumerate(reversed(",".join(forwarded_for).rsplit(",", _HOPS_MAX + 1))):
            found = _read_hop(text.strip(" \t"))
            if found is None or hop >= _HOPS_MAX:
                return UNKNOWN
            if not self._trusts(found):
                break
        return str(found)

    def _trusts(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._trusted)


def _read_hop(text: str) -> Address | None:
    with_port = _WITH_PORT.fullmatch(text)
    return read_address((with_port["v6"] or with_port["v4"]) if with_port else text)
