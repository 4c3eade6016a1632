"""Finds what is wrong, or soon will be, with the endpoints and their ports, at a given moment; pure."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from ops.endpoints.secret_strength import other_weaknesses, weaknesses
from ops.endpoints.sequence import has_sequence
from processors.deliver.provider import Provider
from schemas.sections.endpoints import EndpointSettings
from schemas.sections.programs import IngestSettings
from schemas.settings import Settings

_EXPIRY_WARNING = timedelta(days=14)
# Unreserved in a URL's path, so no client and no proxy writes them otherwise: RFC 3986, section 2.3.
_TOKEN_PATTERN = re.compile(rb"[A-Za-z0-9._~-]+")
# Its signature scheme is not published (https://developers.moderndropship.com/docs/webhooks names none), so the path
# is the second lock.
_UNCONFIRMED_SCHEMES = frozenset({"modern_dropship"})

# The value of a secret that this machine does not know.
_UNREAD = b""

ProblemLevel = Literal["warning", "error"]


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem of `endpoint`: what is wrong and what to do, in one sentence."""

    level: ProblemLevel
    endpoint: str
    sentence: str


def find_problems(settings: Settings, providers: Mapping[str, Provider], now: datetime) -> tuple[Problem, ...]:
    """Every problem of the enabled endpoints, by endpoint in the file's order."""
    enabled = {name: endpoint for name, endpoint in settings.endpoints.items() if endpoint.enabled}
    if not enabled:
        return (Problem("error", "endpoints", "none is enabled, so every delivery is answered 404; add or enable one"),)
    return (
        *_port_problems(settings.ingest),
        *(Problem("warning", key, sentence) for key, sentence in other_weaknesses(settings)),
        *(
            Problem(level, name, sentence)
            for name, endpoint in enabled.items()
            for level, sentence in (
                *_secret_problems(endpoint, now),
                *(("warning", sentence) for sentence in weaknesses(endpoint)),
                *_access_problems(endpoint, providers[endpoint.provider]),
                *_sequence_problems(name, enabled, providers, now),
            )
        ),
    )


def _port_problems(ingest: IngestSettings) -> Iterator[Problem]:
    same_host = ingest.admin_host == ingest.host or ingest.host in {"0.0.0.0", "::"}  # noqa: S104 compared, not bound
    if same_host and ingest.port == ingest.admin_port != 0:
        sentence = f"port and admin_port are both {ingest.port}, so it cannot start; set ingest.admin_port to another"
        yield Problem("error", "ingest", sentence)


def _secret_problems(endpoint: EndpointSettings, now: datetime) -> Iterator[tuple[ProblemLevel, str]]:
    valid = [one for one in endpoint.secrets if one.expires is None or one.expires > now]
    if endpoint.secrets and not valid:
        yield "error", "every secret has expired, so every delivery is rejected; add a new one as the first"
        return
    for one in endpoint.secrets:
        if one.expires is None:
            continue
        if one.expires <= now:
            yield "warning", f"secret {one.value} expired on {one.expires:%Y-%m-%d}; remove it"
        elif one.expires <= now + _EXPIRY_WARNING:
            rest = "others stay valid" if len(valid) > 1 else "no other is valid then; add one before"
            yield "warning", f"secret {one.value} expires on {one.expires:%Y-%m-%d}; {rest}"


def _access_problems(endpoint: EndpointSettings, provider: Provider) -> Iterator[tuple[ProblemLevel, str]]:
    if "signature_scheme" in endpoint.model_fields_set and endpoint.provider not in _UNCONFIRMED_SCHEMES:
        yield "warning", f"signature_scheme does nothing: the scheme of {endpoint.provider} is fixed; remove it"
    locked = bool(endpoint.token) or bool(endpoint.allow_from)
    if (endpoint.signature or provider.signature_policy) == "verify-if-present":
        rest = "its events say signature=unsigned" if locked else "set a token (dropstream endpoints token)"
        yield "warning", f"takes deliveries without a signature, which anybody can make; {rest}"
    elif endpoint.provider in _UNCONFIRMED_SCHEMES and not endpoint.token:
        yield "warning", "the provider's signature scheme is unconfirmed; set a token (dropstream endpoints token)"
    for token in endpoint.token:
        if not _TOKEN_PATTERN.fullmatch(token.value):
            sentence = f"token {token} has characters that a URL holds encoded only"
            yield "error", f"{sentence}; make one with dropstream endpoints token"
    if len({token.value for token in endpoint.token}) < len(endpoint.token):
        yield "warning", "lists one token twice, so the old one stays; make a new one with dropstream endpoints token"


def _sequence_problems(
    name: str, endpoints: Mapping[str, EndpointSettings], providers: Mapping[str, Provider], now: datetime
) -> Iterator[tuple[ProblemLevel, str]]:
    endpoint = endpoints[name]
    if not has_sequence(providers[endpoint.provider], now):
        return
    if endpoint.lanes > 1:
        yield "error", f"lanes = {endpoint.lanes} spreads its sequence over partitions; set lanes = 1"
    own = {one.value.value for one in endpoint.secrets} - {_UNREAD}
    sharing = [
        other
        for other, settings in endpoints.items()
        if other != name
        and settings.provider == endpoint.provider
        and own & {one.value.value for one in settings.secrets}
    ]
    if sharing:
        yield "warning", f"shares a secret with {', '.join(sharing)}, so one's deliveries can move the other's sequence"
