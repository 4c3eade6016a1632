"""The rules by which a group judged its topic, and from which offset on: records of topic `rules` at every change.

An audit or a replay must know whether a delivery was judged by the version and settings of today; else a difference
would look like damage. The topic is compacted: a note under `topic/partition/offset`, the rules under their digest.
Secrets are in it as digests only, see `secret_digest`.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson
from pydantic import TypeAdapter

from schemas.records import Record
from schemas.secrets import Secret
from schemas.sections.endpoints import EndpointSettings

_DIGEST_BYTES = 12
# The settings of an endpoint that `Rules` uses; the others concern the ingress only.
_JUDGED_BY = ("provider", "signature", "signature_scheme", "timestamp_tolerance_seconds", "redact_personal_data")


@dataclass(frozen=True, slots=True)
class RulesVersion:
    """All that decides what a delivery becomes, as digests: of the code, of the settings, of each endpoint.

    `settings` stands for `common` and all of `endpoints`, so that a transaction need not look at thousands of them.
    `partitions` are the numbers of partitions of the topics that are written, for they decide where a key goes.
    `providers` are those of the endpoints: with version, code and `common` they decide what a delivery's keys are.
    """

    version: str
    code: str
    settings: str
    common: str
    endpoints: Mapping[str, str]
    partitions: Mapping[str, int]
    providers: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The digest that names this version."""
        return digest_of([self.judging, self.partitions])

    @property
    def judging(self) -> str:
        """The version without the partitions: what decides the contents of the outputs."""
        return f"{self.version}/{self.code}/{self.settings}"


@dataclass(frozen=True, slots=True)
class RulesNote:
    """From offset `first` of a partition of `topic` (short name) on, records were judged by the rules `digest`."""

    topic: str
    partition: int
    first: int
    digest: str


_VERSION = TypeAdapter(RulesVersion)
_NOTE = TypeAdapter(RulesNote)


def rules_records(rules: RulesVersion, topic: str, partition: int, first: int) -> tuple[Record, Record]:
    """The two records of `rules`: the rules, then the note from which offset on they count."""
    note = RulesNote(topic, partition, first, rules.digest)
    return (
        Record("rules", rules.digest.encode(), orjson.dumps(rules)),
        Record("rules", f"{topic}/{partition}/{first}".encode(), orjson.dumps(note)),
    )


def read_rules(key: bytes | None, value: bytes | None) -> RulesNote | RulesVersion | None:
    """The note, or the rules, that a record of `rules` holds; None for whatever else another producer wrote there."""
    try:
        return _NOTE.validate_json(value or b"") if b"/" in (key or b"") else _VERSION.validate_json(value or b"")
    except ValueError:
        return None


def endpoint_digest(endpoint: EndpointSettings) -> str:
    """A digest of the settings by which a delivery of the endpoint is judged."""
    judged_by = endpoint.model_dump(mode="json", include=set(_JUDGED_BY))
    secrets = [
        (secret_digest(secret.value), secret.expires.isoformat() if secret.expires else "")
        for secret in endpoint.secrets
    ]
    return digest_of([judged_by, sorted(secrets)])


def secret_digest(secret: Secret) -> str:
    """A digest that differs for two secrets.

    It helps nobody to guess the secret more than `raw` does: bodies with their MACs under the same secret.
    """
    return hmac.digest(secret.value, b"dropstream rules", "sha256").hex()[: 2 * _DIGEST_BYTES]


def digest_of(value: object) -> str:
    """The digest of a value as JSON."""
    return hashlib.blake2b(orjson.dumps(value, option=orjson.OPT_SORT_KEYS), digest_size=_DIGEST_BYTES).hexdigest()
