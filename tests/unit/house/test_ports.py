"""Ports for programs under test: what one process of tests is given, no other is."""

import socket

import pytest

from tests.support.ports import PortRange, free_ports, open_port_range


def a_range(monkeypatch: pytest.MonkeyPatch, *, taken: set[int]) -> PortRange:
    """The ports 101 to 109, of which these are taken."""
    monkeypatch.setattr("tests.support.ports.port_is_free", lambda port: port not in taken)
    return PortRange(guard=socket.socket(), first=101, end=110, next_port=101)


def test_two_processes_never_share_a_port() -> None:
    """Each range ends before the next one begins, and the port that guards it is nobody's to bind."""
    one, other = open_port_range(), open_port_range()
    with one.guard, other.guard:
        assert not set(range(one.first - 1, one.end)) & set(range(other.first - 1, other.end))
        with socket.socket() as third, pytest.raises(OSError, match="Address already in use"):
            third.bind(("127.0.0.1", one.first - 1))


def test_ports_that_were_given_come_again_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that was given may not be taken yet: the next search begins behind it, and passes over what is taken."""
    ports = a_range(monkeypatch, taken={107})
    with ports.guard:
        assert [ports.find(3), ports.find(2), ports.find(2), ports.find(2)] == [101, 104, 108, 101]


def test_a_range_that_is_used_up_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """More ports in a row than a range has free are an error, never ports of another process."""
    ports = a_range(monkeypatch, taken={105})
    with ports.guard, pytest.raises(OSError, match="no 5 free ports in a row from 101 to 110"):
        ports.find(5)


def test_every_call_gives_other_ports() -> None:
    """Two programs of one test may ask one after the other, before either listens."""
    one, other = free_ports(2), free_ports(2)
    assert not {one, one + 1} & {other, other + 1}
