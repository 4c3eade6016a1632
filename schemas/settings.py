"""The configuration as typed values: every key, its default and its bounds.

How a file and the environment become these values, and how faults are told, stands in `schemas.configuration`.
The sentence under a key says what the key means; `make settings` makes `docs/settings.md` from keys and sentences.
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
Compression = Literal["none", "gzip", "snappy", "lz4", "zstd"]
Network = IPv4Network | IPv6Network

# Kafka's own limit for a topic name is 249 characters; the prefix leaves room for ours and for a replay's suffix.
_PREFIX_PATTERN = r"^[A-Za-z0-9._-]{0,128}$"
# A name, an IPv4 address or an IPv6 address in brackets; then a port.
_SERVER_PATTERN = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
# Kafka's rule for an instance's name, with room for a worker's number.
_INSTANCE_PATTERN = r"^[A-Za-z0-9._-]{1,200}$"
# Part of a URL, of record keys (`provider:endpoint:id`) and of lanes (`endpoint#lane`), so none of their separators.
ENDPOINT_NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,62}$"
# A user's name or an e-mail address; no space, so that no person is called like what stands for several.
PERSON_NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}$"
_REFERENCE_PATTERN = r"^(env|file):.+$"
_HEADER_PATTERN = r"^[A-Za-z0-9-]{1,100}$"


def _resolve_secret(reference: object, info: ValidationInfo) -> Secret:
    if not isinstance(reference, str):
        raise ValueError("a secret is a reference: env:NAME or file:PATH")  # noqa: TRY004 pydantic collects ValueErrors
    return resolve(reference, (info.context or {}).get("environ", {}))


def _resolve_signing_secret(reference: object, info: ValidationInfo) -> Secret:
    if not (info.context or {}).get("signing_secrets", True):
        return _unresolved_secret(reference)
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


def _api_url(text: str) -> str:
    scheme, _, server = text.rstrip("/").partition("://")
    match = _SERVER_PATTERN.fullmatch(server)
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


# Who makes tokens, and what each cannot do without (schemas/kafka/login/tokens.py).
_NEEDED_FOR_TOKENS = {
    "oidc": ("token_url", "token_client_id", "token_client_secret"),
    "aws-msk-iam": ("aws_region",),
    "azure": ("token_scope",),
}
_IMPORT_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_TOKEN_PROVIDERS = f"{', '.join(_NEEDED_FOR_TOKENS)}, or module:name of a callable of yours"


class KafkaSettings(Section):
    """The Kafka cluster: where it is, how to log in, and how the topics are made."""

    bootstrap_servers: str = "127.0.0.1:9092"
    """The brokers to connect to first, as `host:port` with commas between them."""
    topic_prefix: Annotated[str, Field(pattern=_PREFIX_PATTERN)] = "dropstream."
    """What the name of every topic, consumer group and transactional id begins with."""
    replication_factor: Annotated[int, Field(ge=1, le=32_767)] = 3
    """Copies of every topic that `dropstream topics apply` creates; from 3 on, `min.insync.replicas` is 2, else 1."""
    partitions: Annotated[int, Field(ge=1, le=10_000)] = 12
    """Partitions of every topic that `dropstream topics apply` creates."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How the brokers are spoken to: with TLS or without, with a login or without."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = "PLAIN"
    """How the login works, where `security_protocol` begins with `SASL`; `OAUTHBEARER` is a login with tokens."""
    username: Annotated[str | None, Field(validate_default=True)] = None
    """The user of the login; needed where `security_protocol` begins with `SASL`, but with `OAUTHBEARER`."""
    password: Annotated[SecretReference | None, Field(validate_default=True)] = None
    """A reference to the password of the login, `env:NAME` or `file:PATH`, in UTF-8; needed where `username` is."""
    token_provider: Annotated[str | None, Field(validate_default=True)] = None
    """Who makes the tokens of `OAUTHBEARER`: `oidc`, `aws-msk-iam`, `azure` or `module:name` of a callable of yours."""
    token_url: Annotated[str | None, Field(validate_default=True)] = None
    """With `oidc`: the address where tokens are given for a client's id and secret, by `https`."""
    token_client_id: Annotated[str | None, Field(validate_default=True)] = None
    """With `oidc`: the client's id."""
    token_client_secret: Annotated[SecretReference | None, Field(validate_default=True)] = None
    """With `oidc`: a reference to the client's secret, `env:NAME` or `file:PATH`."""
    token_scope: Annotated[str | None, Field(validate_default=True)] = None
    """What the token is to be good for: asked for with `oidc` where it is set, needed with `azure`."""
    aws_region: Annotated[str | None, Field(validate_default=True)] = None
    """With `aws-msk-iam`: the region of the cluster, such as `eu-west-1`."""
    ca_file: str | None = None
    """PEM file of the authorities that sign the brokers' certificates; without it those of the operating system."""
    cert_file: str | None = None
    """PEM file of the client's certificate, where the brokers ask for one."""
    key_file: str | None = None
    """PEM file of the private key that belongs to `cert_file`."""
    check_crcs: bool = True
    """Whether consumers verify the checksum of each batch. Only the in-memory broker needs `false`: it does not renew
    the checksum of a batch that it moves."""

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
        if not given and protocol.startswith("SASL") and info.data.get("sasl_mechanism") != "OAUTHBEARER":
            raise ValueError(f"is missing, and security_protocol = {protocol} cannot do without")
        if isinstance(given, Secret):
            try:
                given.value.decode()
            except UnicodeDecodeError:
                raise ValueError(f"{given} is not UTF-8 text") from None
        return given

    @field_validator("token_provider")
    @classmethod
    def _names_a_provider(cls, given: str | None, info: ValidationInfo) -> str | None:
        if given is None and info.data.get("sasl_mechanism") == "OAUTHBEARER":
            raise ValueError(f"is missing, and sasl_mechanism = OAUTHBEARER needs one: {_TOKEN_PROVIDERS}")
        if given is not None and given not in _NEEDED_FOR_TOKENS and not _IMPORT_PATH.fullmatch(given):
            raise ValueError(f"is none of: {_TOKEN_PROVIDERS}")
        return given

    @field_validator("token_url", "token_client_id", "token_client_secret", "token_scope", "aws_region")
    @classmethod
    def _is_there_for_its_provider(cls, given: str | Secret | None, info: ValidationInfo) -> str | Secret | None:
        provider = info.data.get("token_provider") or ""
        if not given and info.field_name in _NEEDED_FOR_TOKENS.get(provider, ()):
            raise ValueError(f"is missing, and token_provider = {provider} cannot do without")
        return given

    @field_validator("token_url")
    @classmethod
    def _keeps_the_secret(cls, given: str | None) -> str | None:
        if given is None:
            return None
        scheme, _, rest = given.partition("://")
        host = (_SERVER_PATTERN.match(rest.partition("/")[0]) or [""])[0].rpartition(":")[0] or rest.partition("/")[0]
        if not rest or not (scheme == "https" or (scheme == "http" and is_loopback(host.strip("[]")))):
            raise ValueError("is an address such as https://login.example/oauth2/token")
        return given


# As long may the head of a request be on the fast path.
_HEAD_BYTES = 8_190


class IngestSettings(Section):
    """The HTTP ingress, its limits and its spool. The limits count per process: with `--workers`, per worker."""

    host: str = "0.0.0.0"  # noqa: S104 the ingress is there to be reached
    """The address on which webhooks are received."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    """The TCP port on which webhooks are received; 0 takes any free one."""
    admin_host: str = "127.0.0.1"
    """The address of the admin port; it has no login, so keep it inside your network."""
    admin_port: Annotated[int, Field(ge=0, le=65_535)] = 8081
    """The TCP port of `/livez`, `/readyz` and `/metrics` of the ingress; 0 takes any free one."""
    trusted_proxies: list[NetworkText] = []
    """Networks (CIDR) of your own proxies. `X-Forwarded-For` counts only from them, read from the right as far as they
    vouch; from anybody else the header is not read."""
    connections_max: Annotated[int, Field(ge=1, le=1_000_000)] = 2_000
    """Open connections of one process; one more takes the place of the one that is idle for the longest time, or is
    answered 503 and closed where none is idle."""
    header_timeout_ms: Annotated[int, Field(ge=100)] = 10_000
    """How long a new connection may stay silent, and how long the headers of a request may take."""
    body_bytes_max: Annotated[int, Field(ge=1, le=67_108_864)] = 4_194_304
    """The largest body; a larger one is answered 413. The default takes the stock of 10,000 variants in one
    delivery. The topics' record limits follow it, so run `dropstream topics plan` and `apply` after raising it."""
    body_timeout_ms: Annotated[int, Field(ge=100)] = 20_000
    """How long a body may take to arrive; after it the answer is 408."""
    body_bytes_per_second_min: Annotated[int, Field(ge=0)] = 128
    """The slowest rate of a body, on average over each quarter of `body_timeout_ms`; a slower one is answered 408."""
    answer_timeout_ms: Annotated[int, Field(ge=100)] = 10_000
    """How long a client may leave its answer unread before the connection is closed."""
    keep_alive_ms: Annotated[int, Field(ge=100)] = 75_000
    """How long a connection may be idle after an answer. Keep it longer than the idle time of your load balancer (often
    60 s), so that the load balancer closes first."""
    in_flight_bytes_max: Annotated[int, Field(ge=1)] = 67_108_864
    """Bytes of headers and bodies that may be held in memory at one time; a request beyond it is answered 503. One
    endpoint may hold at most three times what is still free, so this must be above four thirds of `body_bytes_max`."""
    unread_bytes_max: Annotated[int, Field(ge=1_048_576)] = 16_777_216
    """Bytes that clients may make the process hold before a delivery is accepted: unfinished heads, bodies for which
    nobody has asked, requests behind the one that is handled. Beyond it the longest holder's connection is closed."""
    compression: Compression = "none"
    """How the ingress compresses what it writes to `raw`, batch by batch; whoever reads `raw` needs more memory then,
    for a small batch may hold much."""
    kafka_deadline_ms: Annotated[int, Field(ge=1)] = 1500
    """How long a delivery waits for Kafka's acknowledgement; then it goes to the spool."""
    producers: Annotated[int, Field(ge=1, le=32)] = 3
    """Kafka producers of one process. Each has partitions of its own, those with copies on the same nodes together, so
    that a node that hangs holds up few others. A producer has one connection to each node."""
    producer_hung_ms: Annotated[int, Field(ge=1_000)] = 10_000
    """A producer of which every used partition is overdue, and that had no acknowledgement for so long, is replaced;
    after six times as long where Kafka acknowledges what other producers write."""
    stop_grace_ms: Annotated[int, Field(ge=0)] = 10_000
    """After SIGTERM: how long requests that came may still be answered and flushed; the process ends sooner once all
    are durable."""
    spool_dir: str = "./spool"
    """Folder of the spool, on a local disk that outlives the process; a relative one is below the working directory."""
    spool_bytes_max: Annotated[int, Field(ge=0)] = 10_737_418_240
    """The most that one process may keep in its spool; 0 means that there is no spool."""

    @model_validator(mode="after")
    def _largest_body_is_taken(self) -> "IngestSettings":
        # One endpoint may hold three times what stays free, so three quarters of all: ingest/budgets.py.
        needed = -(-4 * (self.body_bytes_max + _HEAD_BYTES) // 3)
        if self.in_flight_bytes_max < needed:
            raise ValueError(
                f"in_flight_bytes_max must be at least {needed}: a body of body_bytes_max with its headers may hold "
                "three quarters of it, and would be refused for ever"
            )
        return self


class ProcessSettings(Section):
    """The consumer groups `deliver` and `sequence`."""

    admin_host: str = "127.0.0.1"
    """The address of the admin port; it has no login, so keep it inside your network."""
    admin_port: Annotated[int, Field(ge=0, le=65_535)] = 8082
    """The TCP port of `/livez`, `/readyz` and `/metrics` of the processors; 0 takes any free one."""
    commit_interval_ms: Annotated[int, Field(ge=0, le=5_000)] = 40
    """How long records are gathered for one transaction: longer costs less CPU, shorter delivers earlier."""
    producers: Annotated[int, Field(ge=1, le=16)] = 2
    """How many transactions of a group a process has at once. One that Kafka is slow to take holds up the partitions in
    it, and no others; more of them cost more requests."""
    bytes_in_hand_max: Annotated[int, Field(ge=33_554_432)] = 268_435_456
    """The memory in bytes that a process takes for deliveries on their way, over what it takes when idle; a partition
    that has its share is not fetched from."""
    session_timeout_ms: Annotated[int, Field(ge=6_000)] = 10_000
    """A member that sends no heartbeat for so long loses its partitions to the other members of its group."""
    transaction_timeout_ms: Annotated[int, Field(ge=1_000)] = 9_000
    """Kafka aborts a transaction that takes longer. It must be below `session_timeout_ms`: then what a dead owner left
    open ends about when its partitions are given away."""
    instance_id: Annotated[str, Field(pattern=_INSTANCE_PATTERN)] | None = None
    """Static membership: a member of this name that comes back within its session finds its partitions, without a
    rebalance, and ends at once the transactions that it left open. Each process needs a name of its own; `--workers`
    appends the worker's number."""
    compression: Compression = "zstd"
    """How the processors compress what they write, batch by batch. Whatever the topics hold can be read."""
    records_per_round_max: Annotated[int, Field(ge=1)] = 2_000
    """The most records of a partition that one transaction takes."""
    endpoint_wait_seconds: Annotated[int, Field(ge=0, le=3_600)] = 60
    """How long after its receipt a delivery waits for an endpoint that the ingress knows and the processors do not yet;
    what came behind it in its partition waits, too. After that it is rejected as `endpoint_unknown`."""
    dedupe_window_hours: Annotated[int, Field(ge=1)] = 120
    """How long a delivery is remembered, so that the provider's retry of it adds nothing. The default is longer than
    the 104 hours for which ShipStream retries."""
    state_dir: str = "./state"
    """The folder for what the processors remember of deliveries, a cache that Kafka can restore at any time; the
    processes of one machine can share it. Empty: all is kept in memory, up to 268,435,456 bytes a partition."""
    dedupe_memory_keys_max: Annotated[int, Field(ge=0)] = 20_000
    """So many deliveries of a partition are remembered in memory, 256 bytes each; where there are more, all of them go
    to `state_dir`, 48 bytes each."""
    dedupe_endpoint_bytes_max: Annotated[int, Field(ge=1)] = 25_769_803_776
    """What the deliveries of one endpoint may take of a partition's memory of retries. Beyond it the oldest ones of
    this endpoint are forgotten early; an alert tells of it before. The default holds 1,000 a second for 120 h."""
    dedupe_partition_bytes_max: Annotated[int, Field(ge=1)] = 51_539_607_552
    """What the memory of retries of one partition may take. Beyond it the oldest deliveries of the endpoint that takes
    most are forgotten early; an alert tells of it before."""
    event_time_ahead_hours_max: Annotated[int, Field(ge=1, le=87_600)] = 24
    """A provider's time further ahead of the receipt is not believed, and the event has the time of receipt. The clock
    of a wrong time zone is ahead by 14 hours at most; believed once, a time of the next century would make every later
    event look late."""
    event_time_behind_days_max: Annotated[int, Field(ge=1, le=36_500)] = 1_825
    """A provider's time further behind the receipt is not believed. Retries come within days and samples are years old,
    but the year 1, 1970 and a date of zeros say that the provider knows no time."""
    redact_personal_data: bool = False
    """Whether addresses, names, e-mails and phones are redacted in events; an endpoint can say otherwise. `raw` and
    `rejected` always keep the delivery as it came."""

    @model_validator(mode="after")
    def _transaction_ends_first(self) -> "ProcessSettings":
        if self.transaction_timeout_ms >= self.session_timeout_ms:
            raise ValueError("transaction_timeout_ms must be below session_timeout_ms")
        return self


class SequenceSettings(Section):
    """The gap tracker of ShipStream's sequence ids."""

    grace_seconds: Annotated[int, Field(ge=0)] = 90
    """A hole in the sequence younger than this is not reported; it must not be longer than `lost_after_hours`."""
    lost_after_hours: Annotated[int, Field(ge=1, le=87_600)] = 110
    """After so long an open gap is reported as lost. The default is longer than the 104 hours for which ShipStream
    retries."""

    @model_validator(mode="after")
    def _reported_before_lost(self) -> "SequenceSettings":
        if self.grace_seconds > self.lost_after_hours * 3_600:
            raise ValueError("grace_seconds must not be longer than lost_after_hours")
        return self


class PersonSettings(Section):
    """A person who may open the console with a token of their own, by the name that topic `acts` has for them."""

    token: Annotated[str, Field(pattern=_REFERENCE_PATTERN)]
    """A reference to the person's token, `env:NAME` or `file:PATH`; only the console resolves it."""
    role: Literal["see", "act"] = "see"
    """`see` shows everything but personal data, and does nothing; `act` does everything that the console can do."""


class ProxyLoginSettings(Section):
    """People whom your own proxy has logged in (OIDC in front, such as oauth2-proxy). Its headers are believed from
    `console.trusted_proxies` alone; from any other address a request with them is refused."""

    user_header: Annotated[str, Field(pattern=_HEADER_PATTERN)] = "X-Forwarded-User"
    """The header in which the proxy names the person."""
    groups_header: Annotated[str, Field(pattern=_HEADER_PATTERN)] = "X-Forwarded-Groups"
    """The header in which the proxy names the person's groups, with commas between."""
    act_groups: list[Annotated[str, Field(min_length=1)]] = []
    """Groups whose members may act; without one nobody may who comes by the proxy."""
    see_groups: list[Annotated[str, Field(min_length=1)]] = []
    """Groups whose members may see; without one everybody may whom the proxy lets through."""


class ReconcileSettings(Section):
    """`dropstream reconcile --watch`; whose provider is asked, and whether by itself, stands in `[endpoints.NAME]`."""

    admin_host: str = "127.0.0.1"
    """The address of the admin port; it has no login, so keep it inside your network."""
    admin_port: Annotated[int, Field(ge=0, le=65_535)] = 8084
    """The TCP port of `/livez`, `/readyz` and `/metrics` of the watch; 0 takes any free one."""


class ConsoleSettings(Section):
    """The operations page, `dropstream console`."""

    host: str = "127.0.0.1"
    """The address on which the page is served; any but a loopback address needs `token`, `people` or `proxy_login`."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8083
    """The TCP port on which the page is served; 0 takes any free one."""
    token: Annotated[str, Field(pattern=_REFERENCE_PATTERN)] | None = None
    """A reference to a token that several people share, `env:NAME` or `file:PATH`; only the console resolves it. Who
    has it may act, and `acts` does not know who of them did."""
    people: dict[Annotated[str, Field(pattern=PERSON_NAME_PATTERN)], PersonSettings] = {}
    """A table `[console.people.NAME]` for each person with a token of their own."""
    proxy_login: ProxyLoginSettings | None = None
    """A table `[console.proxy_login]` where your own proxy logs people in."""
    trusted_proxies: list[NetworkText] = []
    """Networks (CIDR) of your own proxies before the page; from them `X-Forwarded-For` says whose wrong tokens count. A
    proxy with TLS sets `X-Forwarded-Proto` to `https`; then the session's cookie goes over TLS alone."""
    names: list[str] = []
    """More host names by which a browser may call the console, as behind a proxy."""
    ingest_admin: list[Annotated[str, AfterValidator(_admin_address)]] = []
    """Admin ports of the ingresses, as `host:port`; without them the one of `[ingest]`."""
    process_admin: list[Annotated[str, AfterValidator(_admin_address)]] = []
    """Admin ports of the processors, as `host:port`; without them the one of `[process]`."""
    ingest_url: Annotated[str, AfterValidator(_base_url)] | None = None
    """Where the console sends samples, such as `http://ingress:8080`; without it to the ingress on this machine."""
    records_per_partition: Annotated[int, Field(ge=1, le=100_000)] = 2_000
    """The most records that the console reads of each partition when it starts."""

    @model_validator(mode="after")
    def _is_guarded(self) -> "ConsoleSettings":
        if self.proxy_login is not None and not self.trusted_proxies:
            raise ValueError("proxy_login needs trusted_proxies: from nobody else its headers are believed")
        if not self.needs_login and not is_loopback(self.host):
            raise ValueError(
                f'host = "{self.host}" can be reached from other machines, so it needs token = "env:NAME", '
                '[console.people.NAME] or [console.proxy_login]; without one leave host = "127.0.0.1"'
            )
        return self

    @property
    def needs_login(self) -> bool:
        """Whether a person must say who they are before they see anything."""
        return self.token is not None or bool(self.people) or self.proxy_login is not None


class SignatureScheme(Section):
    """How the signature header is written. Only Modern Dropship uses it, for its scheme is unconfirmed; the defaults
    are the likeliest reading."""

    header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")] = "Convictional-Signature"
    """The name of the header that carries the signature."""
    format: Literal["listed", "labelled", "plain"] = "listed"
    """`listed` is `<timestamp>,<mac>[,<mac>...]`, `labelled` is `t=<timestamp>,v1=<mac>`, both over `timestamp.body`;
    `plain` is `<mac>[,<mac>...]` over the body alone."""
    encoding: Literal["hex", "base64"] = "hex"
    """How the signature's bytes are written."""


class SigningSecret(Section):
    """A secret that signs deliveries: `{ value = "env:NAME", expires = 2027-01-01T00:00:00Z }`, or `"env:NAME"`."""

    value: SigningSecretReference
    """A reference to the secret, `env:NAME` or `file:PATH`. The ingress does not resolve it."""
    expires: Annotated[datetime, AfterValidator(_aware)] | None = None
    """A time with its zone from which on the secret is not accepted; without it the secret never expires."""


def _signing_secret(given: object) -> object:
    return given if isinstance(given, dict | SigningSecret) else {"value": given}


class ApiSettings(Section):
    """The provider's API of an endpoint, which `dropstream reconcile` asks for what webhooks lost. Give it an API user
    or key of its own, for platforms limit the rate of each."""

    url: Annotated[str, AfterValidator(_api_url)] | None = None
    """The address of the API, without a path: ShipStream's `https://NAME.shipstream.app`, Dropea's
    `https://es.public-api.dropea.com`; Dreamship and Modern Dropship have one each, and need none here."""
    # A colon would end it early in HTTP Basic: RFC 7617, section 2.
    username: Annotated[str, Field(pattern=r"^[^:\x00-\x1f\x7f]+$")] | None = None
    """The user of the API, for ShipStream alone; it has no colon."""
    market: Annotated[str, Field(pattern=r"^[A-Z]{2,8}$")] | None = None
    """The market, for Dropea alone, where the address does not begin with it: `ES`, `IT`, `PT`."""
    key: Annotated[Secret, PlainValidator(_unresolved_secret)]
    """A reference to the API key, `env:NAME` or `file:PATH`; only `dropstream reconcile` resolves it."""
    answer_timeout_ms: Annotated[int, Field(ge=100, le=600_000)] = 60_000
    """How long one call may take."""


class EndpointSettings(Section):
    """One webhook URL, `POST /webhooks/NAME`. SIGHUP reads all of these keys again, without a restart."""

    provider: str
    """The platform that sends to this URL, such as `shipstream`; a wrong name is told with the nearest right one."""
    secrets: list[Annotated[SigningSecret, BeforeValidator(_signing_secret)]] = []
    """The secrets that sign the deliveries, newest first; any one may match. At least one, unless `signature` is
    `verify-if-present`."""
    token: Annotated[tuple[Secret, ...], PlainValidator(_resolve_tokens)] = ()
    """A reference to the unguessable last part of the URL, `env:NAME` or `file:PATH`, or a list of references, each of
    which is right, while one replaces another. Without it the URL ends with the endpoint's name."""
    signature: SignaturePolicy | None = None
    """`require` rejects a delivery without a signature; `verify-if-present` lets it pass, marked `unsigned`. Without it
    the provider's own policy counts: `require`, unless the provider is known to send unsigned deliveries."""
    signature_scheme: SignatureScheme = SignatureScheme()
    """How the signature header is written, for Modern Dropship alone: the table `signature_scheme` below."""
    timestamp_tolerance_seconds: Annotated[int, Field(ge=0)] = 0
    """How far the signed timestamp may be from the time of receipt; 0 does not look at it, because a provider's retry
    may keep its first timestamp."""
    allow_from: list[NetworkText] = []
    """Networks (CIDR) that may deliver; another address is answered 403. Empty: every address may."""
    rate_per_second: Annotated[float, Field(gt=0)] | None = None
    """Deliveries a second on average, per process; one more is answered 429 with `Retry-After`. Without it no limit."""
    burst: Annotated[int, Field(ge=1)] | None = None
    """Deliveries that may come at once; without it as many as `rate_per_second`, at least 1. It needs that key."""
    lanes: Annotated[int, Field(ge=1, le=1_000)] = 1
    """Record keys, and so partitions of `raw`, over which the deliveries of this endpoint are spread by a hash of the
    body. More than 1 gives up the order between lanes."""
    redact_personal_data: bool | None = None
    """Overrides `process.redact_personal_data` for this endpoint; without it that one counts."""
    reconcile: Literal["off", "offer", "automatic"] = "offer"
    """What happens when a gap is lost: `offer` says how to fetch what the provider's API can still tell, `automatic`
    has `dropstream reconcile --watch` fetch it, `off` says and does nothing."""
    api: ApiSettings | None = None
    """The provider's API, without which nothing can be fetched: the table `api` below."""
    enabled: bool = True
    """`false` answers 404, as for an endpoint that does not exist."""

    @model_validator(mode="after")
    def _can_be_verified(self) -> "EndpointSettings":
        if not self.secrets and self.signature != "verify-if-present":
            raise ValueError('has no secrets; name at least one, as secrets = ["env:NAME"]')
        if self.burst is not None and self.rate_per_second is None:
            raise ValueError("burst does nothing without rate_per_second")
        if self.reconcile == "automatic" and self.api is None:
            raise ValueError('reconcile = "automatic" needs the table api with a key')
        return self


class ShipstreamSettings(Section):
    """An account at ShipStream's management API, for `dropstream shipstream` and `dropstream endpoints add`."""

    url: Annotated[str, AfterValidator(api_url)]
    """The address of the instance, such as `https://NAME.shipstream.app`."""
    # A colon would end it early in HTTP Basic: RFC 7617, section 2.
    username: Annotated[str, Field(pattern=r"^[^:\x00-\x1f\x7f]+$")]
    """The user of the API; it has no colon."""
    api_key: Annotated[Secret, PlainValidator(_unresolved_secret)]
    """A reference to the API key, `env:NAME` or `file:PATH`; only the verbs that call the API resolve it."""
    # The vendor prefers `basic`; `session` logs in once a run: https://docs.shipstream.io/merchant-api/authentication
    authentication: Literal["basic", "session"] = "basic"
    """`basic` sends user and key with each call, as ShipStream recommends; `session` logs in once a run."""
    answer_timeout_ms: Annotated[int, Field(ge=100, le=600_000)] = 30_000
    """How long one call may take."""


class Settings(Section):
    """The whole file. These keys stand before the first table and count for every program; one table follows for each
    part, each endpoint and each ShipStream account."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important log lines that a long-running program writes."""
    log_format: Literal["automatic", "json", "console"] = "automatic"
    """`json` writes a JSON object a line, `console` writes lines for a person; `automatic` is `console` where the log
    goes to a terminal, else `json`."""
    kafka: KafkaSettings = KafkaSettings()
    ingest: IngestSettings = IngestSettings()
    process: ProcessSettings = ProcessSettings()
    sequence: SequenceSettings = SequenceSettings()
    shipstream: dict[Annotated[str, Field(pattern=ENDPOINT_NAME_PATTERN)], ShipstreamSettings] = {}
    reconcile: ReconcileSettings = ReconcileSettings()
    console: ConsoleSettings = ConsoleSettings()
    endpoints: dict[Annotated[str, Field(pattern=ENDPOINT_NAME_PATTERN)], EndpointSettings]
