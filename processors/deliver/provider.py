"""What a provider is: how its deliveries are signed, what they mean, and how to make one.

A file or folder of `processors/providers/` fills one `Provider` and knows nothing of Kafka, clocks or other providers.
`processors.deliver.step` calls it.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from processors.deliver.personal import PersonalFields
from processors.deliver.signatures import Claim
from processors.deliver.times import Occurred, TimeBounds
from schemas.delivery import Delivery
from schemas.event_data import Data
from schemas.fast_frozen import fast_frozen
from schemas.notes.rejections import Rejection
from schemas.retry_policy import RetryPolicy
from schemas.sections.endpoints import EndpointSettings, SignaturePolicy
from schemas.vocabulary import Domain


@fast_frozen()
class Message:
    """A verified delivery, parsed: `body` is the JSON object, `text` its exact bytes, uncompressed.

    `payload` stands for these bytes in an event's `payload`; `is_repaired` where it had to be mended for that.
    """

    body: Mapping[str, Any]
    payload: object
    text: bytes
    endpoint: str
    received_at: datetime
    bounds: TimeBounds = TimeBounds()
    is_repaired: bool = False

    @property
    def digest(self) -> str:
        """The lower-case hex SHA-256 of the body, the last resort for a natural key."""
        return hashlib.sha256(self.text).hexdigest()


@fast_frozen()
class Fact:
    """One thing that a delivery says: `what` happened to which entity; `entity_id` None when the body has none.

    A fact without an entity goes to `other`, whatever its domain: there is no id to order it by. `kind` says what the
    id counts, where ids of several kinds meet in the topic of the domain; the event's subject begins with it.
    """

    domain: Domain
    what: str
    entity_id: str | None
    data: Data
    kind: str | None = None


@fast_frozen()
class Twin:
    """A second key of a delivery: a retry has the same one, with the same `content`."""

    key: str
    content: bytes


@fast_frozen()
class Interpretation:
    """What one delivery means; no facts is allowed (a stock change of no SKU) and still leads to one event.

    `natural_key` is the provider's own key of the delivery: the same on a retry, different on anything else. Event ids
    stand on it, or on `id_key` where the provider uses a natural key again one day. `twin` is a second key by which a
    retry is known that has another natural key. `body_only_s` is set where the natural key is no more than the body:
    for so many seconds an equal delivery is a retry (`processors.deliver.repeats`). `signed_by` names the header
    that signs every delivery of this contract: an unsigned one is not believed, whatever the endpoint allows. A
    delivery that `is_test` moves no sequence.
    """

    provider_event: str
    natural_key: str
    occurred: Occurred
    facts: tuple[Fact, ...]
    sequence: int | None = None
    id_key: str | None = None
    twin: Twin | None = None
    body_only_s: int | None = None
    signed_by: str | None = None
    is_test: bool = False


@dataclass(frozen=True, slots=True)
class Sample:
    """A made-up delivery to send: `name` is for `dropstream send`, `contract` names its wire contract, for people.

    `body(number, at)` differs for every `number`, so that it is no retry; `sign(body, secret, at)` gives HTTP headers.
    `event_types` is literal, in order of topics: what the tour of `dropstream up` expects to arrive.
    """

    name: str
    contract: str
    body: Callable[[int, datetime], bytes]
    sign: Callable[[bytes, bytes, datetime], Mapping[str, str]]
    event_types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Setup:
    """How a person makes the platform send here: `page` is where the URL goes, in the platform's own words.

    `signed_with` names the secret where the platform hands it out; None where a person makes it up.
    `topics` are those that can be subscribed to by name, as far as they are known.
    """

    page: str = "the webhook settings of the platform"
    signed_with: str | None = None
    topics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Provider:
    """One platform.

    `claim` reads the signature of a delivery: None when it carries none, a rejection when it is malformed. `interpret`
    is total: any JSON object gives an interpretation or a rejection, never an error. `interpret_fetched` is the same
    for a state that was fetched from the platform's API; None where nothing is fetched. `patience` is what the platform
    does to an endpoint that fails, `personal` names the fields that redaction would not know by their names alone.
    """

    name: str
    signature_policy: SignaturePolicy
    claim: Callable[[Delivery, EndpointSettings], Claim | Rejection | None]
    interpret: Callable[[Message], Interpretation | Rejection]
    patience: RetryPolicy
    samples: tuple[Sample, ...]
    personal: PersonalFields = field(default_factory=PersonalFields)
    setup: Setup = Setup()
    interpret_fetched: Callable[[Message], Interpretation | Rejection] | None = None
