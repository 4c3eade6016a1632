"""The table `[kafka]`: where the cluster is, how to log in, and how the topics are made."""

import re
from typing import Annotated, Literal

from pydantic import (
    Field,
    ValidationInfo,
    field_validator,
)

from schemas.secrets import Secret
from schemas.sections.values import (
    SERVER_PATTERN,
    SecretReference,
    Section,
    is_loopback,
)

# Kafka's own limit for a topic name is 249 characters; the prefix leaves room for ours and for a replay's suffix.
_PREFIX_PATTERN = r"^[A-Za-z0-9._-]{0,128}$"

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
            match = SERVER_PATTERN.fullmatch(server.strip())
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
        host = (SERVER_PATTERN.match(rest.partition("/")[0]) or [""])[0].rpartition(":")[0] or rest.partition("/")[0]
        if not rest or not (scheme == "https" or (scheme == "http" and is_loopback(host.strip("[]")))):
            raise ValueError("is an address such as https://login.example/oauth2/token")
        return given
