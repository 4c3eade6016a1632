"""The tables `[endpoints.NAME]`: a webhook URL, its provider, its secrets, and the API to fetch from."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    model_validator,
)

from schemas.secrets import Secret
from schemas.sections.values import (
    NetworkText,
    Section,
    SigningSecretReference,
    api_base_url,
    aware,
    resolve_tokens,
    unresolved_secret,
)

SignaturePolicy = Literal["require", "verify-if-present"]

# Part of a URL, of record keys (`provider:endpoint:id`) and of lanes (`endpoint#lane`), so none of their separators.
ENDPOINT_NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,62}$"


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
    expires: Annotated[datetime, AfterValidator(aware)] | None = None
    """A time with its zone from which on the secret is not accepted; without it the secret never expires."""


def _signing_secret(given: object) -> object:
    return given if isinstance(given, dict | SigningSecret) else {"value": given}


class ApiSettings(Section):
    """The provider's API of an endpoint, which `dropstream reconcile` asks for what webhooks lost. Give it an API user
    or key of its own, for platforms limit the rate of each."""

    url: Annotated[str, AfterValidator(api_base_url)] | None = None
    """The address of the API, without a path: ShipStream's `https://NAME.shipstream.app`, Dropea's
    `https://es.public-api.dropea.com`; Dreamship and Modern Dropship have one each, and need none here."""
    # A colon would end it early in HTTP Basic: RFC 7617, section 2.
    username: Annotated[str, Field(pattern=r"^[^:\x00-\x1f\x7f]+$")] | None = None
    """The user of the API, for ShipStream alone; it has no colon."""
    market: Annotated[str, Field(pattern=r"^[A-Z]{2,8}$")] | None = None
    """The market, for Dropea alone, where the address does not begin with it: `ES`, `IT`, `PT`."""
    key: Annotated[Secret, PlainValidator(unresolved_secret)]
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
    token: Annotated[tuple[Secret, ...], PlainValidator(resolve_tokens)] = ()
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
