"""What `raw` knows of the entities of one endpoint, so that a fetched state is neither told twice nor overtakes; pure.

It stands on the records of `raw` alone, judged as group `deliver` judges them: nothing that a stranger claims counts,
and a group that is behind changes nothing. It knows what was received since the beginning of the window; that suffices,
for a webhook that is newer than a state was received after the state came to be.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from processors.deliver.provider import Fact, Interpretation
from processors.deliver.step import Rules, believed
from processors.replay import endpoint_of
from schemas.delivery import read_record
from schemas.event_data import InventoryData
from schemas.records import RawRecord
from schemas.vocabulary import Domain, TimeQuality

_DIGEST_BYTES = 8
_Figures = tuple[Decimal | None, Decimal | None, bool | None]


class StateVerdict(StrEnum):
    """What a fetched state is to what is known."""

    NEWS = "news"
    KNOWN = "known"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class JudgedState:
    """The verdict on a state; `newest_known` is the time of the newest webhook, where that is after the state."""

    verdict: StateVerdict
    domain: Domain | None = None
    newest_known: datetime | None = None


@dataclass(slots=True)
class KnownStates:
    """The entities of one endpoint; `add` is given every record of its partitions of `raw`, in order."""

    endpoint: str
    rules: Rules
    _newest: dict[tuple[Domain, str], datetime] = field(default_factory=dict)
    _figures: dict[str, tuple[datetime, _Figures]] = field(default_factory=dict)
    _fetched: set[tuple[str, bytes]] = field(default_factory=set)
    # By entity: when the newest telling happened, and the digest of the state where that was fetched.
    _tellings: dict[tuple[Domain, str], tuple[datetime, bytes]] = field(default_factory=dict)

    def add(self, raw: RawRecord) -> None:
        """Adds a record; one of another endpoint, and one that is rejected, changes nothing."""
        if endpoint_of(raw) != self.endpoint:
            return
        meaning = believed(raw, self.rules)
        if meaning is None:
            return
        is_fetched = read_record(raw).fetched is not None
        digest = _digest(raw.value or b"") if is_fetched else b""
        self._add_tellings(meaning, digest)
        if is_fetched:
            self._fetched.add((meaning.natural_key, digest))
        elif meaning.occurred.quality is not TimeQuality.RECEIVED:
            self._add_webhook(meaning)
        self._add_figures(meaning)

    def judge(self, raw: RawRecord) -> JudgedState:
        """The verdict on a state, given as the record that it would be."""
        meaning = believed(raw, self.rules)
        if meaning is None or len(meaning.facts) != 1 or meaning.facts[0].entity_id is None:
            return JudgedState(StateVerdict.UNREADABLE)
        fact, at, entity_id = meaning.facts[0], meaning.occurred.at, meaning.facts[0].entity_id
        digest = _digest(raw.value or b"")
        # An API that says no time of a change gives the same state again, unless something happened in between.
        is_newest = self._tellings.get((fact.domain, entity_id), (at, b""))[1] == digest
        if is_newest or (meaning.natural_key, digest) in self._fetched or self._has_figures_of(fact):
            return JudgedState(StateVerdict.KNOWN, fact.domain)
        newest = self._newest.get((fact.domain, entity_id))
        return JudgedState(StateVerdict.NEWS, fact.domain, newest if newest is not None and newest > at else None)

    def _add_webhook(self, meaning: Interpretation) -> None:
        at = meaning.occurred.at
        for fact in meaning.facts:
            if fact.entity_id is not None:
                entity = (fact.domain, fact.entity_id)
                self._newest[entity] = max(at, self._newest.get(entity, at))

    def _add_tellings(self, meaning: Interpretation, digest: bytes) -> None:
        at = meaning.occurred.at
        for fact in meaning.facts:
            if fact.entity_id is not None:
                entity = (fact.domain, fact.entity_id)
                if self._tellings.get(entity, (at, b""))[0] <= at:
                    self._tellings[entity] = (at, digest)

    def _add_figures(self, meaning: Interpretation) -> None:
        at = meaning.occurred.at
        for fact in meaning.facts:
            figures = _figures_of(fact)
            if figures is None or fact.entity_id is None:
                continue
            before = self._figures.get(fact.entity_id)
            if before is None or before[0] <= at:
                self._figures[fact.entity_id] = (at, figures)

    def _has_figures_of(self, fact: Fact) -> bool:
        """Whether the newest figures that are known of a SKU are these: stock that did not change is no news."""
        figures, known = _figures_of(fact), self._figures.get(fact.entity_id or "")
        return figures is not None and known is not None and known[1] == figures


def _figures_of(fact: Fact) -> _Figures | None:
    data = fact.data
    if not isinstance(data, InventoryData):
        return None
    return _number(data.available), _number(data.advertised), data.sellable


def _number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST_BYTES).digest()
