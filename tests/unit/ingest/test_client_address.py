"""Whom a request is believed to come from: X-Forwarded-For is worth what the one who wrote it is worth."""

from ipaddress import ip_network

import pytest

from ingest.client_address import ClientAddresses
from schemas.configuration import Context, read_configuration
from schemas.errors import ConfigurationError
from schemas.sections.programs import IngestSettings

PROXIES = [ip_network(text) for text in ("10.0.0.0/8", "192.0.2.1/32", "2001:db8:ffff::/48")]
PROXY = "10.0.0.1"
CLIENT = "203.0.113.7"


def _forwarded(values: list[str]) -> list[tuple[bytes, bytes]]:
    return [
        (b"Host", b"hooks.example.com"),
        *[(b"X-forwarded-For", value.encode("utf-8", "surrogateescape")) for value in values],
    ]


@pytest.mark.parametrize("peer", ["203.0.113.9", "2001:db8::9", "::ffff:203.0.113.9", "", "unix"])
def test_a_stranger_is_not_believed(peer: str) -> None:
    """Whatever a peer says that is no trusted proxy, it stays who it is."""
    assert ClientAddresses(PROXIES).address_of(peer, _forwarded([CLIENT])) == peer


def test_nobody_is_believed_by_default() -> None:
    """Without trusted proxies the header is not read."""
    assert ClientAddresses([]).address_of(PROXY, _forwarded([CLIENT])) == PROXY


@pytest.mark.parametrize("peer", [PROXY, "::ffff:10.0.0.1", "192.0.2.1", "2001:db8:ffff::1"])
def test_a_trusted_proxy_is_believed(peer: str) -> None:
    """Also where it speaks IPv6, or IPv4 over an IPv6 socket."""
    assert ClientAddresses(PROXIES).address_of(peer, _forwarded([CLIENT])) == CLIENT


@pytest.mark.parametrize(
    ("headers", "remote"),
    [
        ([], PROXY),
        ([f"198.51.100.1, {CLIENT}"], CLIENT),
        ([f"198.51.100.1, {CLIENT},\t10.9.9.9, 192.0.2.1"], CLIENT),
        (["198.51.100.1", CLIENT, "10.9.9.9"], CLIENT),
        ([f"garbage, , {CLIENT}"], CLIENT),
        ([CLIENT, "10.9.9.9, 2001:db8:ffff::2"], CLIENT),
        ([f"{CLIENT}:51234"], CLIENT),
        (["2001:DB8:0::7"], "2001:db8::7"),
        (["[2001:db8::7]"], "2001:db8::7"),
        (["[2001:db8::7]:51234, 10.9.9.9:80"], "2001:db8::7"),
        ([f"::ffff:{CLIENT}"], CLIENT),
        ([f"[::ffff:{CLIENT}]:1"], CLIENT),
        (["10.7.7.7, 10.8.8.8"], "10.7.7.7"),
        # An empty part between two others says nothing: a header that was empty, or one comma too many.
        ([f"{CLIENT},, 10.9.9.9"], CLIENT),
        ([CLIENT, "", "10.9.9.9"], CLIENT),
        # A port behind an IPv6 address without brackets, where the whole can be no address.
        (["2001:db8:0:0:0:0:0:7:443"], "2001:db8::7"),
        (["2001:db8::7:51234x, 2001:db8::7:65535"], "2001:db8::7"),
        # And where it can: nobody knows that 8080 is a port.
        (["2001:db8::7:8080"], "2001:db8::7:8080"),
    ],
)
def test_the_right_most_stranger_is_the_remote(headers: list[str], remote: str) -> None:
    """What stands left of it a stranger wrote; several headers are one list; a port is no part of an address."""
    assert ClientAddresses(PROXIES).address_of(PROXY, _forwarded(headers)) == remote


@pytest.mark.parametrize(
    "headers",
    [
        [""],
        [f"{CLIENT},"],
        [CLIENT, ""],
        [f"{CLIENT}, unknown"],
        [f"{CLIENT}, _hidden"],
        [f"{CLIENT}, garbage, 10.9.9.9"],
        [f"{CLIENT}, 10.9.9.9.9"],
        [f"{CLIENT}, 010.9.9.9"],
        [f"{CLIENT} 10.9.9.9"],
        ["203.0.113.7:"],
        ["203.0.113.7:port"],
        ["203.0.113.7:123456"],
        ["203.0.113.7:80:80"],
        ["[203.0.113.7]:80"],
        ["[2001:db8::7"],
        ["2001:db8::7]"],
        ["[2001:db8::7]x"],
        ["fe80::1%eth0"],
        ["for=203.0.113.7"],
        ['"203.0.113.7"'],
        ["203.0.113.7/32"],
        ["203.0.113.\uff17"],
        ["203.0.113.7\udcff"],
        [f"{CLIENT}\x00"],
        [", ".join([CLIENT, *["10.9.9.9"] * 40])],
        [",".join(["10.9.9.9"] * 900)] * 100,
    ],
)
def test_what_cannot_be_read_is_nobody(headers: list[str]) -> None:
    """A list that a trusted proxy left unreadable, empty or endless names no address, and none further left."""
    assert ClientAddresses(PROXIES).address_of(PROXY, _forwarded(headers)) == ""


def ingest_settings(text: str) -> IngestSettings:
    endpoint = '[endpoints.a]\nprovider = "dropea"\nsecrets = ["env:S"]\n'
    context = Context(environ={"S": "x"}, providers=["dropea"])
    return read_configuration(f"[ingest]\n{text}\n{endpoint}", source="test", context=context).ingest


def test_trusted_proxies_are_networks() -> None:
    """None by default; a host alone is a network of one."""
    assert ingest_settings("").trusted_proxies == []
    read = ingest_settings('trusted_proxies = ["10.0.0.0/8", "2001:db8::1"]').trusted_proxies
    assert read == [ip_network("10.0.0.0/8"), ip_network("2001:db8::1/128")]


@pytest.mark.parametrize("text", ['["10.0.0.1/8"]', '["proxy.example"]', "[10]", '"10.0.0.0/8"', '["*"]'])
def test_what_is_no_network_is_never_trusted(text: str) -> None:
    """A name, a number, a network with bits of a host, a star: each stops the start under its key."""
    with pytest.raises(ConfigurationError) as caught:
        ingest_settings(f"trusted_proxies = {text}")
    assert [fault.startswith("ingest.trusted_proxies") for fault in caught.value.faults] == [True]
