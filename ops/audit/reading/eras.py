"""Finds the rules by which each part of a topic was judged, by the notes on the topic `rules`. Pure."""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from schemas.notes.rules import RulesNote, RulesVersion


@dataclass(frozen=True, slots=True)
class Era:
    """The part of a partition from offset `first` on that `rules` judged; None for a version that left no note."""

    first: int
    rules: RulesVersion | None


@dataclass(slots=True)
class Eras:
    """The eras of one partition, in order; `today` are the rules of the audit.

    Where there is no note at all, all of it counts as judged by today's: nothing says otherwise.
    """

    today: RulesVersion
    eras: Sequence[Era] = ()
    _firsts: list[int] = field(init=False)
    # For the time before the first era and for each era: the other rules in words, empty where they are today's but
    # perhaps for the settings of an endpoint.
    _others: list[str] = field(init=False)
    _rules: list[RulesVersion | None] = field(init=False)

    def __post_init__(self) -> None:
        self._firsts = [one.first for one in self.eras]
        self._rules = [None if self.eras else self.today, *(one.rules for one in self.eras)]
        self._others = [self._other(one) for one in self._rules]

    @property
    def today_since(self) -> int | None:
        """The offset from which on today's rules have judged without a break; None where they have not."""
        since = None if self.eras else 0
        for one in reversed(self.eras):
            if one.rules is None or one.rules.judging != self.today.judging:
                break
            since = one.first
        return since

    def partitions_at(self, offset: int) -> Mapping[str, int]:
        """The number of partitions of each output topic at `offset`, by short name; empty where nobody noted it."""
        rules = self._rules[bisect_right(self._firsts, offset)]
        return {} if rules is None else rules.partitions

    def other_than_today(self, offset: int, endpoint: str) -> str:
        """The rules that judged the delivery, in words, where they are not today's; else empty."""
        index = bisect_right(self._firsts, offset)
        if other := self._others[index]:
            return other
        rules = self._rules[index]
        if rules is None or rules.endpoints.get(endpoint) == self.today.endpoints.get(endpoint):
            return ""
        return f"other settings of endpoint {endpoint}" if endpoint else "other settings"

    def other_keys_than_today(self, first: int, end: int, endpoints: Collection[str]) -> str:
        """The rules, in words, by which a delivery of `endpoints` in the range may have had other keys; else empty.

        Secrets decide whether a delivery is believed, not what its keys are.
        """
        for index in range(bisect_right(self._firsts, first), bisect_left(self._firsts, end) + 1):
            if other := self._others[index]:
                return other
            then = {} if (rules := self._rules[index]) is None else rules.providers
            for endpoint in endpoints:
                if then.get(endpoint, self.today.providers.get(endpoint)) != self.today.providers.get(endpoint):
                    return f"another provider of endpoint {endpoint}"
        return ""

    def _other(self, rules: RulesVersion | None) -> str:
        if rules is None:
            return "a version that left no note"
        if (rules.version, rules.code) != (self.today.version, self.today.code):
            code = f", code {rules.code}" if rules.version == self.today.version else ""
            return f"version {rules.version}{code}"
        return "" if rules.common == self.today.common else "other settings"


def eras_of(
    today: RulesVersion, topic: str, notes: Sequence[RulesNote], known: Mapping[str, RulesVersion]
) -> dict[int, Eras]:
    """The eras of each partition of `topic` (short name), of the notes in any order."""
    by_partition: dict[int, dict[int, Era]] = {}
    for note in [one for one in notes if one.topic == topic]:
        by_partition.setdefault(note.partition, {})[note.first] = Era(note.first, known.get(note.digest))
    return {
        partition: Eras(today, tuple(eras[first] for first in sorted(eras))) for partition, eras in by_partition.items()
    }
