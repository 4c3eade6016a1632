"""The configuration as typed values: every key, its default and its bounds.

How a file and the environment become these values, and how faults are told, stands in `schemas.configuration`.
"""

import re
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationInfo,
    field_validator,
    model_validator,
)

from schemas.secrets import Secret, resolve, unresolved
from schemas.shipstream_api import api_url

SignaturePolicy = Literal["require", "verify-if-present"]
Network = IPv4Network | IPv6Network

# Kafka's own limit for a topic name is 249 characters; the prefix leaves room for ours and for a replay's suffix.
_PREFIX_PATTERN = r"^[A-Za-z0-9._-]{0,128}$"
# A name, an IPv4 address or an IPv6 address in brackets; then a port.
_SERVER_PATTERN = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
# Kafka's rule for an instance's name, with room for a worker's number.
_INSTANCE_PATTERN = r"^[A-Za-z0-9._-]{1,200}$"
# Part of a URL, of record keys (`provider:endpoint:id`) and of lanes (`endpoint#lane`), so none of their separators.
ENDPOINT_NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,62}$"


def _resolve_secret(reference: object, info: ValidationInfo) -> Secret:
    if not isinstance(reference, str):
        raise ValueError("a secret is a reference: env:NAME or file:PATH")  # noqa: TRY004 pydantic collects ValueErrors
    return resolve(reference, (info.context or {}).get("environ", {}))


def _resolve_signing_secret(reference: object, info: ValidationInfo) -> Secret:
    if isinstance(reference, str) and not (info.context or {}).get("signing_secrets", True):
        return Secret(reference, b"")
    return _resolve_secret(reference, info)


def _resolve_tokens(given: object, info: ValidationInfo) -> tuple[Secret, ...]:
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


def _unresolved_secret(reference: object) -> Secret:
    if not isinstance(reference, str):
        raise ValueError("a secret is a reference: env:NAME or file:PATH")  # noqa: TRY004 pydantic collects ValueErrors
    return unresolved(reference)


def _read_network(text: object) -> Network:
    if not isinstance(text, str):
        raise ValueError("a network is text such as 203.0.113.0/24")  # noqa: TRY004 pydantic collects ValueErrors
    return ip_network(text)


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("has no time zone; write it as 2027-01-01T00:00:00Z")
    return moment


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _admin_address(text: str) -> str:
    match = _SERVER_PATTERN.fullmatch(text)
    if not match or match["port"] is None or int(match["port"]) > 65_535:
        raise ValueError("is an address with its port, such as 127.0.0.1:8081")
    return text


def _base_url(text: str) -> str:
    scheme, _, server = text.partition("://")
    match = _SERVER_PATTERN.fullmatch(server)
    if scheme not in {"http", "https"} or not match or int(match["port"] or 80) > 65_535:
        raise ValueError("is a base such as http://ingress:8080 or http://[::1]:8080")
    return text


SecretReference = Annotated[Secret, PlainValidator(_resolve_secret)]
# The ingress runs without the environment that holds these.
SigningSecretReference = Annotated[Secret, PlainValidator(_resolve_signing_secret)]


NetworkText = Annotated[Network, PlainValidator(_read_network)]


class Section(BaseModel):
    """A table of the file: unknown keys and wrong types are faults."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True)


class KafkaSettings(Section):
    bootstrap_servers: str = "127.0.0.1:9092"
    topic_prefix: Annotated[str, Field(pattern=_PREFIX_PATTERN)] = "dropstream."
    replication_factor: Annotated[int, Field(ge=1, le=32_767)] = 3
    partitions: Annotated[int, Field(ge=1, le=10_000)] = 12
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    username: Annotated[str | None, Field(validate_default=True)] = None
    password: Annotated[SecretReference | None, Field(validate_default=True)] = None
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    # Only the in-memory broker needs false: it does not renew the checksum of a batch that it moves.
    check_crcs: bool = True

    @field_validator("bootstrap_servers")
    @classmethod
    def _lists_servers(cls, text: str) -> str:
        for server in text.split(","):
            match = _SERVER_PATTERN.fullmatch(server.strip())
            if not match or int(match["port"] or 9092) > 65_535:
                raise ValueError("is a list such as kafka-1:9092,kafka-2:9092")
        return text

    @field_validator("username", "password")
    @classmethod
    def _lets_us_in(cls, given: str | Secret | None, info: ValidationInfo) -> str | Secret | None:
        protocol = str(info.data.get("security_protocol", ""))
        if not given and protocol.startswith("SASL"):
            raise ValueError(f"is missing, and security_protocol = {protocol} cannot do without")
        if isinstance(given, Secret):
            try:
                given.value.decode()
            except UnicodeDecodeError:
                raise ValueError(f"{given} is not UTF-8 text") from None
        return given


class IngestSettings(Section):
    host: str = "0.0.0.0"  # noqa: S104 the ingress is there to be reached
    port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    admin_host: str = "127.0.0.1"
    admin_port: Annotated[int, Field(ge=0, le=65_535)] = 8081
    # Whose word about the client's address counts: X-Forwarded-For of anybody else is not read.
    trusted_proxies: list[NetworkText] = []
    connections_max: Annotated[int, Field(ge=1, le=1_000_000)] = 2_000  # per process
    header_timeout_ms: Annotated[int, Field(ge=100)] = 10_000
    body_bytes_max: Annotated[int, Field(ge=1, le=67_108_864)] = 1_048_576
    body_timeout_ms: Annotated[int, Field(ge=100)] = 20_000
    body_bytes_per_second_min: Annotated[int, Field(ge=0)] = 128
    answer_timeout_ms: Annotated[int, Field(ge=100)] = 10_000
    # Longer than the 60 s that load balancers keep an idle connection, so that they close first.
    keep_alive_ms: Annotated[int, Field(ge=100)] = 75_000
    in_flight_bytes_max: Annotated[int, Field(ge=1)] = 67_108_864
    kafka_deadline_ms: Annotated[int, Field(ge=1)] = 1500
    # A producer with overdue records that had no acknowledgement for so long is replaced.
    producer_hung_ms: Annotated[int, Field(ge=1_000)] = 10_000
    stop_grace_ms: Annotated[int, Field(ge=0)] = 10_000
    spool_dir: str = "./spool"
    spool_bytes_max: Annotated[int, Field(ge=0)] = 10_737_418_240  # per worker; 0 for no spool


class ProcessSettings(Section):
    admin_host: str = "127.0.0.1"
    admin_port: Annotated[int, Field(ge=0, le=65_535)] = 8082
    commit_interval_ms: Annotated[int, Field(ge=0, le=5_000)] = 100
    # A transaction must end before the session does: then a frozen owner is fenced before it is replaced.
    session_timeout_ms: Annotated[int, Field(ge=6_000)] = 10_000
    transaction_timeout_ms: Annotated[int, Field(ge=1_000)] = 9_000
    # A member of this name that comes back within its session has its partitions still: no rebalance. One process each.
    instance_id: Annotated[str, Field(pattern=_INSTANCE_PATTERN)] | None = None
    records_per_round_max: Annotated[int, Field(ge=1)] = 2_000
    dedupe_window_hours: Annotated[int, Field(ge=1)] = 120
    dedupe_keys_max: Annotated[int, Field(ge=1)] = 1_000_000  # per partition
    # Addresses, names, e-mails and phones in the events' payload; an endpoint can say otherwise.
    redact_personal_data: bool = False

    @model_validator(mode="after")
    def _transaction_ends_first(self) -> "ProcessSettings":
        if self.transaction_timeout_ms >= self.session_timeout_ms:
            raise ValueError("transaction_timeout_ms must be below session_timeout_ms")
        return self


class SequenceSettings(Section):
    grace_seconds: Annotated[int, Field(ge=0)] = 90
    lost_after_hours: Annotated[int, Field(ge=1, le=87_600)] = 110

    @model_validator(mode="after")
    def _reported_before_lost(self) -> "SequenceSettings":
        if self.grace_seconds > self.lost_after_hours * 3_600:
            raise ValueError("grace_seconds must not be longer than lost_after_hours")
        return self


class ConsoleSettings(Section):
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8083
    # A reference; only the console resolves it, for no other part is to know it.
    token: Annotated[str, Field(pattern=r"^(env|file):.+$")] | None = None
    # More names than its own by which a browser may call it, as behind a proxy.
    names: list[str] = []
    ingest_admin: list[Annotated[str, AfterValidator(_admin_address)]] = []
    process_admin: list[Annotated[str, AfterValidator(_admin_address)]] = []
    # Where samples are sent; None: to the ingress of these settings, on this machine.
    ingest_url: Annotated[str, AfterValidator(_base_url)] | None = None
    records_per_partition: Annotated[int, Field(ge=1, le=100_000)] = 2_000  # read at the start, of each topic

    @model_validator(mode="after")
    def _is_guarded(self) -> "ConsoleSettings":
        if self.token is None and not is_loopback(self.host):
            raise ValueError(
                f'host = "{self.host}" can be reached from other machines, so it needs token = "env:NAME"; '
                'without one leave host = "127.0.0.1"'
            )
        return self


class SignatureScheme(Section):
    """How Modern Dropship's header is read, for its scheme is unconfirmed; the defaults are the likeliest reading."""

    header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")] = "Convictional-Signature"
    # `listed`: <timestamp>,<mac>[,<mac>...] · `labelled`: t=<timestamp>,v1=<mac> · `plain`: <mac>[,...] over the body
    format: Literal["listed", "labelled", "plain"] = "listed"
    encoding: Literal["hex", "base64"] = "hex"


class SigningSecret(Section):
    """A secret that signs deliveries, until `expires` (aware; None for never)."""

    value: SigningSecretReference
    expires: Annotated[datetime, AfterValidator(_aware)] | None = None


def _signing_secret(given: object) -> object:
    return {"value": given} if isinstance(given, str) else given


class EndpointSettings(Section):
    provider: str
    secrets: list[Annotated[SigningSecret, BeforeValidator(_signing_secret)]] = []
    # Newest first; each is right. None: the path ends with the endpoint's name.
    token: Annotated[tuple[Secret, ...], PlainValidator(_resolve_tokens)] = ()
    signature: SignaturePolicy | None = None  # None: the provider's own default
    signature_scheme: SignatureScheme = SignatureScheme()
    timestamp_tolerance_seconds: Annotated[int, Field(ge=0)] = 0
    allow_from: list[NetworkText] = []
    rate_per_second: Annotated[float, Field(gt=0)] | None = None
    burst: Annotated[int, Field(ge=1)] | None = None
    lanes: Annotated[int, Field(ge=1, le=1_000)] = 1
    redact_personal_data: bool | None = None  # None: as in the table `process`
    enabled: bool = True

    @model_validator(mode="after")
    def _can_be_verified(self) -> "EndpointSettings":
        if not self.secrets and self.signature != "verify-if-present":
            raise ValueError('has no secrets; name at least one, as secrets = ["env:NAME"]')
        if self.burst is not None and self.rate_per_second is None:
            raise ValueError("burst does nothing without rate_per_second")
        return self


class ShipstreamSettings(Section):
    """An account at ShipStream's management API. Only the verbs that call it resolve its key."""

    url: Annotated[str, AfterValidator(api_url)]
    # A colon would end it early in HTTP Basic: RFC 7617, section 2.
    username: Annotated[str, Field(pattern=r"^[^:\x00-\x1f\x7f]+$")]
    api_key: Annotated[Secret, PlainValidator(_unresolved_secret)]
    # The vendor prefers `basic`; `session` logs in once a run: https://docs.shipstream.io/merchant-api/authentication
    authentication: Literal["basic", "session"] = "basic"
    answer_timeout_ms: Annotated[int, Field(ge=100, le=600_000)] = 30_000


class Settings(Section):
    kafka: KafkaSettings = KafkaSettings()
    ingest: IngestSettings = IngestSettings()
    process: ProcessSettings = ProcessSettings()
    sequence: SequenceSettings = SequenceSettings()
    shipstream: dict[Annotated[str, Field(pattern=ENDPOINT_NAME_PATTERN)], ShipstreamSettings] = {}
    console: ConsoleSettings = ConsoleSettings()
    endpoints: dict[Annotated[str, Field(pattern=ENDPOINT_NAME_PATTERN)], EndpointSettings]
