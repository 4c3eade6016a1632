"""By what a group judged its topic, and from which offset on: a note on topic `rules` whenever that changes.

Whoever judges a delivery again must know whether the version and the settings of then are those of today; else what
differs would look like damage. The topic is compacted: a note under `topic/partition/offset`, what it names under its
digest. Secrets are in it as digests only, see `secret_digest`.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

import orjson
from pydantic import TypeAdapter

from schemas.records import Record
from schemas.secrets import Secret
from schemas.settings import EndpointSettings

_DIGEST_BYTES = 12
# What `Rules` takes of an endpoint; the rest of its settings is the ingress's business.
_JUDGED_BY = ("provider", "signature", "signature_scheme", "timestamp_tolerance_seconds", "redact_personal_data")


@dataclass(frozen=True, slots=True)
class RulesVersion:
    """All that decides what a delivery becomes, as digests: the code, the settings, those of each endpoint.

    `settings` stands for `common` and all of `endpoints`, so that a transaction need not look at thousands of them.
    `partitions` are the partitions of the topics that are written, for they decide where a key goes.
    """

    version: str
    code: str
    settings: str
    common: str
    endpoints: Mapping[str, str]
    partitions: Mapping[str, int]

    @property
    def digest(self) -> str:
        """The name of this version among all others."""
        return digest_of([self.judging, self.partitions])

    @property
    def judging(self) -> str:
        """The same without the partitions: what decides the contents alone."""
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
    """The records of `rules` that say it: what the rules are, then from where on they count."""
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
    """What a delivery of the endpoint is judged by, as a digest."""
    told = endpoint.model_dump(mode="json", include=set(_JUDGED_BY))
    secrets = [
        (secret_digest(secret.value), secret.expires.isoformat() if secret.expires else "")
        for secret in endpoint.secrets
    ]
    return digest_of([told, sorted(secrets)])


def secret_digest(secret: Secret) -> str:
    """A digest that tells two secrets apart.

    It gives nobody anything to guess with that is not in `raw` already: bodies with their MACs under the same secret.
    """
    return hmac.digest(secret.value, b"dropstream rules", "sha256").hex()[: 2 * _DIGEST_BYTES]


def digest_of(value: object) -> str:
    """The digest of a value as JSON."""
    return hashlib.blake2b(orjson.dumps(value, option=orjson.OPT_SORT_KEYS), digest_size=_DIGEST_BYTES).hexdigest()
