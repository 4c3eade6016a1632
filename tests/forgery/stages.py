"""Deliveries for faults: a stage is a few deliveries about one order, with retries, another body and rejected ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Literal

import orjson
from uuid_utils import uuid7

from processors.providers import discover
from schemas.delivery import Delivery
from schemas.times import rfc3339
from tests.forgery.history import Case, History
from tests.support.processing import STARTED_AT, signed
from tests.support.replaying import resigned

Role = Literal["events", "retry", "other_body", "rejected"]
_SAMPLE = next(one for one in discover()["shipstream"].samples if one.name == "shipstream-order-created")


@dataclass(frozen=True, slots=True)
class Stage:
    """The ids of deliveries by what they are; `deliveries` in order.

    `events` are of one order and its stock, each a delivery of its own. A `retry` has the body of the delivery of
    `events` of its number, `other_body` the key of the first.
    """

    deliveries: Sequence[Delivery]
    ids: Mapping[Role, Sequence[str]]

    def cases(self, history: History) -> "Cast":
        """The deliveries as they lie in a history."""
        return Cast({role: [history.case(one) for one in ids] for role, ids in self.ids.items()})


@dataclass(frozen=True, slots=True)
class Cast:
    """The deliveries of a stage with their records."""

    roles: Mapping[Role, Sequence[Case]]

    def of(self, role: Role) -> Sequence[Case]:
        return self.roles.get(role, ())


@dataclass(slots=True)
class Stages:
    """Makes stages one after the other, no two of the same order or number."""

    number: int = 100_000
    received_ms: int = 0
    made: list[Stage] = field(default_factory=list)

    @property
    def deliveries(self) -> list[Delivery]:
        """Those of all stages, in order."""
        return [one for stage in self.made for one in stage.deliveries]

    def add(self, *, events: int = 1, retry: int = 0, other_body: int = 0, rejected: int = 0) -> Stage:
        """The next stage, with so many deliveries of each kind."""
        self.number += 1
        order = orjson.loads(_SAMPLE.body(self.number, STARTED_AT))
        firsts = [self._delivery(order, number) for number in range(events)]
        ids: dict[Role, list[str]] = {"events": [one.id for one in firsts]}
        retries = [self._next(firsts[number % events]) for number in range(retry)]
        others = [self._other_body(firsts[0], number) for number in range(other_body)]
        spoilt = [self._rejected(order, events + number) for number in range(rejected)]
        ids["retry"] = [one.id for one in retries]
        ids["other_body"] = [one.id for one in others]
        ids["rejected"] = [one.id for one in spoilt]
        stage = Stage([*firsts, *retries, *others, *spoilt], ids)
        self.made.append(stage)
        return stage

    def _delivery(self, order: dict[str, object], number: int) -> Delivery:
        message = order["message"]
        assert isinstance(message, dict)
        told = {
            **message,
            "webhook_increment_id": self.number * 100 + number,
            "event_timestamp": rfc3339(STARTED_AT + timedelta(milliseconds=self.received_ms)),
        }
        plain = signed(_SAMPLE, "shipstream", "shipstream", self.number)
        return self._next(resigned(plain, orjson.dumps({**order, "message": told})))

    def _other_body(self, first: Delivery, number: int) -> Delivery:
        return self._next(resigned(first, first.body.replace(b"{", b"{" + b" " * (number + 1), 1)))

    def _rejected(self, order: dict[str, object], number: int) -> Delivery:
        good = self._delivery(order, number)
        return replace(good, headers=(("x-plugin-hmac-sha256", b"bm90IHNpZ25lZA=="),))

    def _next(self, delivery: Delivery) -> Delivery:
        """The delivery with an id of its own, received after all others."""
        self.received_ms += 3
        at = STARTED_AT + timedelta(milliseconds=self.received_ms)
        return replace(delivery, id=str(uuid7()), received_at=at)
