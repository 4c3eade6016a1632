"""Decides whose token opens the console: how often an address may try, and what the log tells of it.

Each address is judged by itself, so that a stranger who guesses locks out nobody else. The log never has a token.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hmac import compare_digest
from ipaddress import IPv6Address, ip_network

import structlog

from ingest.client_address import read_address
from ops.people.person import Person

_TRIES_MAX = 10
_TRIES_WITHIN_S = 60.0
# Who has more addresses than these is forgotten early; the token bears that, for it is long.
_ADDRESSES_MAX = 10_000
# A stranger with IPv6 has at least so many addresses of their own: RFC 6177.
_IPV6_PREFIX = 64

_log = structlog.get_logger()


class LoginResult(StrEnum):
    """What became of a try to log in."""

    RIGHT = "right"
    WRONG = "wrong"
    WAIT = "wait"


@dataclass(slots=True)
class Logins:
    """The tries to log in with one of `tokens`, by address; without a token none is right."""

    tokens: Mapping[Person, bytes]
    clock: Callable[[], float] = time.monotonic
    _failures: OrderedDict[str, deque[float]] = field(default_factory=OrderedDict)

    def log_in(self, token: str, address: str) -> LoginResult:
        """The result of one try, which the log has; after ten wrong ones within a minute none counts for a while."""
        key = _network_of(address)
        failures = self._failures.get(key, deque())
        now = self.clock()
        if len(failures) == _TRIES_MAX and now - failures[0] < _TRIES_WITHIN_S:
            return LoginResult.WAIT
        if self.person_of(token) is not None:
            self._failures.pop(key, None)
            return LoginResult.RIGHT
        self._note_failure(key, now)
        must_wait = len(self._failures[key]) == _TRIES_MAX and now - self._failures[key][0] < _TRIES_WITHIN_S
        _log.warning("console_login_refused", address=address, more_tries="in a minute" if must_wait else "now")
        return LoginResult.WRONG

    def person_of(self, token: str) -> Person | None:
        """Whose token it is; each one is compared, so that the time tells nothing."""
        given = token.encode("utf-8", "surrogateescape")
        found = [person for person, known in self.tokens.items() if compare_digest(given, known)]
        return found[0] if found else None

    def _note_failure(self, key: str, now: float) -> None:
        self._failures.setdefault(key, deque(maxlen=_TRIES_MAX)).append(now)
        self._failures.move_to_end(key)
        while len(self._failures) > _ADDRESSES_MAX:
            self._failures.popitem(last=False)


def _network_of(address: str) -> str:
    """The network that counts as one address."""
    known = read_address(address)
    if isinstance(known, IPv6Address):
        return str(ip_network((known, _IPV6_PREFIX), strict=False))
    return str(known or address)
