"""What the tables of the configuration have in common: references to secrets, networks, addresses, and their base."""

import re
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    PlainValidator,
    ValidationInfo,
)

from schemas.secrets import Secret, resolve, unresolved

Compression = Literal["none", "gzip", "snappy", "lz4", "zstd"]
Network = IPv4Network | IPv6Network

# A name, an IPv4 address or an IPv6 address in brackets; then a port.
SERVER_PATTERN = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
REFERENCE_PATTERN = r"^(env|file):.+$"


def _resolve_secret(reference: object, info: ValidationInfo) -> Secret:
    if not isinstance(reference, str):
        raise ValueError("a secret is a reference: env:NAME or file:PATH")  # noqa: TRY004 pydantic collects ValueErrors
    return resolve(reference, (info.context or {}).get("environ", {}))


def _resolve_signing_secret(reference: object, info: ValidationInfo) -> Secret:
    if not (info.context or {}).get("signing_secrets", True):
        return unresolved_secret(reference)
    return _resolve_secret(reference, info)


def resolve_tokens(given: object, info: ValidationInfo) -> tuple[Secret, ...]:
    """One reference, or a list of them while one replaces another."""
    references = given if isinstance(given, list) else [given]
    if not references:
        raise ValueError("lists no token; leave it out where the path is to have none")
    tokens: list[Secret] = []
    faults: list[str] = []
    for reference in references:
        try:
            tokens.append(_resolve_secret(reference, info))
        except ValueError as error:
            faults.append(str(error))
    if faults:
        raise ValueError("; ".join(faults))
    return tuple(tokens)


def unresolved_secret(reference: object) -> Secret:
    if not isinstance(reference, str):
        raise ValueError("a secret is a reference: env:NAME or file:PATH")  # noqa: TRY004 pydantic collects ValueErrors
    return unresolved(reference)


def _read_network(text: object) -> Network:
    if not isinstance(text, str):
        raise ValueError("a network is text such as 203.0.113.0/24")  # noqa: TRY004 pydantic collects ValueErrors
    return ip_network(text)


def aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("has no time zone; write it as 2027-01-01T00:00:00Z")
    return moment


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def admin_address(text: str) -> str:
    match = SERVER_PATTERN.fullmatch(text)
    if not match or match["port"] is None or int(match["port"]) > 65_535:
        raise ValueError("is an address with its port, such as 127.0.0.1:8081")
    return text


def base_url(text: str) -> str:
    scheme, _, server = text.partition("://")
    match = SERVER_PATTERN.fullmatch(server)
    if scheme not in {"http", "https"} or not match or int(match["port"] or 80) > 65_535:
        raise ValueError("is a base such as http://ingress:8080 or http://[::1]:8080")
    return text


def api_base_url(text: str) -> str:
    scheme, _, server = text.rstrip("/").partition("://")
    match = SERVER_PATTERN.fullmatch(server)
    host = server.rpartition(":")[0] if match and match["port"] else server
    if not match or not (scheme == "https" or (scheme == "http" and is_loopback(host.strip("[]")))):
        raise ValueError("is an address such as https://acme.shipstream.app, without a path; the key goes there")
    return f"{scheme}://{server}"


SecretReference = Annotated[Secret, PlainValidator(_resolve_secret)]
# The ingress runs without the environment that holds these.
SigningSecretReference = Annotated[Secret, PlainValidator(_resolve_signing_secret)]


NetworkText = Annotated[Network, PlainValidator(_read_network)]


class Section(BaseModel):
    """A table of the file: unknown keys and wrong types are faults."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True)
