"""Finds the address of the client: the peer of the connection, or the address that a trusted proxy names.

Any client can write X-Forwarded-For; only its right-most part is by trusted proxies. So the header is read from right
to left, up to the first address that is no trusted proxy.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from schemas.sections.values import Network

Address = IPv4Address | IPv6Address

# No one has that many proxies of their own in a row.
_HOPS_MAX = 32
# `1.2.3.4:port`, `[v6]` or `[v6]:port`; a bare IPv6 address has colons of its own.
_WITH_PORT = re.compile(r"\[(?P<v6>[0-9A-Fa-f]*:[0-9A-Fa-f:.]*)\](?::[0-9]{1,5})?|(?P<v4>[0-9.]+):[0-9]{1,5}")
# An IPv6 address and a port without brackets, as some proxies write it. It is read where the whole is no address;
# where it is one (`2001:db8::1:8080`), nobody can tell whether its end is a port, and it is the address.
_BARE_WITH_PORT = re.compile(r"(?P<v6>[0-9A-Fa-f]*(?::[0-9A-Fa-f.]*){2,}):(?P<port>[0-9]{1,5})")
_PORT_MAX = 65_535
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
        for hop, part in enumerate(reversed(",".join(forwarded_for).rsplit(",", _HOPS_MAX + 1))):
            text = part.strip(" \t")
            # RFC 9110 section 5.6.1: an empty part between two others says nothing. As the last one it would: the proxy
            # that we speak to has named nobody.
            if not text and found is not None and hop < _HOPS_MAX:
                continue
            found = _read_hop(text)
            if found is None or hop >= _HOPS_MAX:
                return UNKNOWN
            if not self._trusts(found):
                break
        return str(found)

    def _trusts(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._trusted)


def _read_hop(text: str) -> Address | None:
    if with_port := _WITH_PORT.fullmatch(text):
        return read_address(with_port["v6"] or with_port["v4"])
    address = read_address(text)
    bare = _BARE_WITH_PORT.fullmatch(text) if address is None else None
    return read_address(bare["v6"]) if bare and int(bare["port"]) <= _PORT_MAX else address
