"""Gives a name to what does not match: records that are awaited still, and records that nobody awaits. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from ops.audit.judging.judge import Expected, Judge, Judgement, Lane
from ops.audit.verdict import AuditFinding, FindingKind
from schemas.records import RawRecord, read_position

_NAMES_MAX = 4
EVENT = "event"


@dataclass(frozen=True, slots=True, eq=False)
class Actual:
    """A record as it was read: `lane` is its short topic and partition, `place` is `topic/partition/offset`."""

    lane: Lane
    place: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]
    timestamp_ms: int


@dataclass(slots=True, eq=False)
class Awaited:
    """A delivery of which records are awaited still, or to which records came that are not awaited.

    `left` are awaited, in order; `extra` came and are not; `overtaken` came after a later one of their key.
    """

    raw: RawRecord
    judgement: Judgement
    left: dict[Expected, None] = field(default_factory=dict)
    extra: list[Actual] = field(default_factory=list)
    overtaken: list[Actual] = field(default_factory=list)
    # Those that may have been deleted with the beginning of their topics.
    excused: list[Expected] = field(default_factory=list)
    done: bool = False
    # How much memory it takes, about.
    bytes_count: int = field(init=False)

    @property
    def records(self) -> tuple[Expected, ...]:
        """All that the delivery ought to lead to."""
        return self.judgement.records

    @property
    def other_rules(self) -> str:
        """In words by what it was judged, where that is not by today's rules."""
        return self.judgement.other_rules

    @property
    def came(self) -> list[Expected]:
        """Those of the records that have come."""
        return [one for one in self.records if one not in self.left and one not in self.excused]

    @property
    def is_retry(self) -> bool:
        """Whether a note of a retry is all that it ought to lead to."""
        return bool(self.records) and self.records[0].lane[0] == "duplicates"

    def __post_init__(self) -> None:
        records = sum([500 + len(one.value) for one in self.judgement.records])
        self.bytes_count = 2_000 + len(self.raw.value or b"") + records


def explain(awaited: Awaited) -> list[AuditFinding]:
    """What is wrong with the records of a delivery that came, and with those that did not."""
    case = _Case(str(awaited.raw.position), list(awaited.left), list(awaited.extra))
    case.there = awaited.came
    for actual in awaited.overtaken:
        case.say(FindingKind.DISORDERED, actual, f"{_named(actual)} came after a later one of its key")
    case.pair_doubled()
    case.pair_misplaced()
    case.pair_by_identity()
    case.pair_copies()
    case.pair_notes(awaited.raw, is_retry=awaited.is_retry)
    if awaited.is_retry:
        case.pair_processed()
    case.pair_outcomes()
    case.pair_rest()
    return case.findings


def explain_other(awaited: Awaited) -> list[AuditFinding]:
    """The same of a delivery that other rules judged: only what no rules would do."""
    case = _Case(str(awaited.raw.position), [], list(awaited.extra))
    seen: Counter[tuple[str, str]] = Counter()
    for actual in awaited.extra:
        identity = (actual.lane[0], _identity(actual.value) or actual.key.decode(errors="replace"))
        seen[identity] += 1
        if seen[identity] > 1:
            case.say(FindingKind.DOUBLED, actual, f"{_named(actual)} is there twice")
        if actual.lane[0] == "rejected" and actual.value != (awaited.raw.value or b""):
            case.say(FindingKind.ALTERED, actual, "the rejected body is not that of raw")
    return case.findings


def explain_again(
    judge: Judge, raw: RawRecord | None, place: str, actuals: Sequence[Actual], *, is_remade: bool, is_retry: bool
) -> list[AuditFinding]:
    """What is wrong with records of a delivery all of whose records had come; `raw` None where there is no delivery.

    `is_remade` where a replay or a redrive made events of it: then it may have told the gap tracker later than others.
    `is_retry` where what had come was the note of a retry.
    """
    case = _Case(place if raw is not None else "", [], list(actuals))
    if raw is None:
        for actual in actuals:
            case.say(FindingKind.UNEXPLAINED, actual, f"{_named(actual)} names {place}, and no delivery is there")
        return case.findings
    case.there = [*judge.as_first(raw), *judge.as_other_body(raw)]
    if is_remade:
        case.extra = [one for one in case.extra if one.lane[0] != "sequence"]
    if is_retry:
        case.pair_processed()
    case.pair_doubled()
    case.pair_copies()
    case.pair_notes(raw, is_retry=is_retry)
    case.pair_rest()
    return case.findings


@dataclass(slots=True)
class _Case:
    """The findings about one delivery; each step takes out of `left` and `extra` what it has named.

    `there` are those of its records that came, right or altered.
    """

    raw: str
    left: list[Expected]
    extra: list[Actual]
    there: list[Expected] = field(default_factory=list)
    findings: list[AuditFinding] = field(default_factory=list)

    @property
    def is_partly_there(self) -> bool:
        """Whether some of its records came; an observation alone does not count."""
        return any(one.lane[0] != "sequence" for one in self.there)

    def say(self, kind: FindingKind, actual: Actual | None, detail: str) -> None:
        self.findings.append(AuditFinding(kind, self.raw, actual.place if actual else "", detail))

    def pair_doubled(self) -> None:
        """A record that is there already, once more."""
        for actual in list(self.extra):
            if any(_equal(one, actual) for one in self.there):
                self.extra.remove(actual)
                self.say(FindingKind.DOUBLED, actual, f"{_named(actual)} is there twice")

    def pair_misplaced(self) -> None:
        """A record as it ought to be, in another topic, in another partition or under another key."""
        for actual in list(self.extra):
            expected = next((one for one in self.left if one.value == actual.value), None)
            if expected is not None:
                self._take(expected, actual)
                self._say_differences(expected, actual)

    def pair_notes(self, raw: RawRecord, *, is_retry: bool) -> None:
        """A note of a retry where none ought to be, or one that names another first try than the true one."""
        for actual in [one for one in self.extra if one.lane[0] == "duplicates"]:
            self.extra.remove(actual)
            first = first_named(actual)
            if is_retry and any(one.lane[0] == "duplicates" for one in self.left):
                self.left = [one for one in self.left if one.lane[0] != "duplicates"]
                self.say(FindingKind.ALTERED, actual, f"the note of this retry names offset {first}, another first try")
                continue
            if is_retry:
                self.say(FindingKind.DOUBLED, actual, "the note of this retry is there twice")
                continue
            fate = "its records are missing"
            if self.is_partly_there:
                fate = "its records are there"
            else:
                self.left = []
            why = "itself" if first == raw.position.offset else f"offset {first}, which is another delivery or none"
            self.say(FindingKind.FALSELY_DROPPED, actual, f"it is noted as a retry of {why}; {fate}")

    def pair_by_identity(self) -> None:
        """A record of the same id, or of the same topic and key, with other contents."""
        for same in (_same_id, _same_place):
            for actual in list(self.extra):
                expected = next((one for one in self.left if same(one, actual)), None)
                if expected is not None:
                    self._take(expected, actual)
                    self._say_differences(expected, actual)

    def pair_copies(self) -> None:
        """A copy that is not quite the record that is there."""
        for actual in list(self.extra):
            expected = next((one for one in self.there if _same_id(one, actual)), None)
            if expected is not None:
                self.extra.remove(actual)
                self.say(FindingKind.DOUBLED, actual, f"{_named(actual)} is there twice, and not the same")
                self._say_differences(expected, actual)

    def pair_processed(self) -> None:
        """Events of a retry, in place of its note or beside it."""
        for actual in list(self.extra):
            if _outcome(actual.lane) in {EVENT, "observation"}:
                self.extra.remove(actual)
                self.say(FindingKind.DOUBLED, actual, f"{_named(actual)} is of a retry, which was processed again")
                self.left = []

    def pair_outcomes(self) -> None:
        """Rejected where there ought to be events, or events where it ought to be rejected or noted as a retry."""
        due, came = {_outcome(one.lane) for one in self.left}, {_outcome(one.lane) for one in self.extra}
        if not (due and came) or due & came - {"observation"} or self.is_partly_there:
            return
        for actual in self.extra:
            told = f"{_named(actual)} is there in the place of: {', '.join(sorted(due))}"
            self.say(FindingKind.ALTERED, actual, told)
        self.left, self.extra = [], []

    def pair_rest(self) -> None:
        """Missing for good, or from nowhere."""
        for expected in self.left:
            key = expected.key.decode(errors="replace")
            self.say(FindingKind.LOST, None, f"its record on {expected.lane[0]} is missing, key {key[:80]}")
        for actual in self.extra:
            self.say(FindingKind.UNEXPLAINED, actual, f"{_named(actual)} is nothing that this delivery leads to")
        self.left, self.extra = [], []

    def _take(self, expected: Expected, actual: Actual) -> None:
        self.left.remove(expected)
        self.extra.remove(actual)
        self.there.append(expected)

    def _say_differences(self, expected: Expected, actual: Actual) -> None:
        if (expected.lane, expected.key) != (actual.lane, actual.key):
            topic, partition = expected.lane
            here = f"{_named(actual)} belongs to {topic}, partition {partition}"
            self.say(
                FindingKind.MISPLACED, actual, here + (", under another key" if expected.key != actual.key else "")
            )
        if names := list(_differences(expected, actual)):
            more = f" and {len(names) - _NAMES_MAX} more" if len(names) > _NAMES_MAX else ""
            self.say(FindingKind.ALTERED, actual, f"{_named(actual)} differs in {', '.join(names[:_NAMES_MAX])}{more}")


def first_named(actual: Actual) -> int | None:
    """The offset of the first try that a note of a retry names; None where it names none of its own partition."""
    note = _parsed(actual.value)
    if not isinstance(note, dict):
        return None
    first, own = (read_position(str(note.get(name))) for name in ("first", "raw"))
    if first is None or own is None or (first.topic, first.partition) != (own.topic, own.partition):
        return None
    return first.offset


def are(records: Sequence[Expected], awaited: Awaited) -> bool:
    """Whether `records` are exactly what came, expected or not; those are missed by nobody that may be deleted."""
    came = awaited.came
    if not all(any(_alike(one, other) for one in records) for other in came):
        return False
    left = [one for one in records if not any(_alike(one, other) for other in came)]
    missing = [one for one in left if not any(_equal(one, actual) for actual in awaited.extra)]
    return len(left) - len(missing) == len(awaited.extra) and all(
        any((one.lane, one.key) == (other.lane, other.key) for other in awaited.excused) for one in missing
    )


def _equal(expected: Expected, actual: Actual) -> bool:
    return expected.equals(actual.lane, actual.key, actual.value, actual.headers)


def _alike(one: Expected, other: Expected) -> bool:
    return other.equals(one.lane, one.key, one.value, one.headers)


def _differences(expected: Expected, actual: Actual) -> Iterator[str]:
    """The names of what differs: attributes of the JSON, `data.` and one level into it, then headers."""
    if expected.value != actual.value:
        one, other = _parsed(expected.value), _parsed(actual.value)
        if isinstance(one, dict) and isinstance(other, dict):
            found = list(_keys(one, other, ""))
            yield from found or ["the bytes of its JSON"]
        else:
            yield "its value"
    if expected.headers != actual.headers:
        one_headers, other_headers = set(expected.headers), set(actual.headers)
        names = sorted({name for name, _ in one_headers ^ other_headers})
        yield from (f"header {name}" for name in names) if names else ("the order of headers",)


def _keys(one: dict[str, Any], other: dict[str, Any], before: str) -> Iterator[str]:
    for name in {**one, **other}:
        here, there = one.get(name, _parsed), other.get(name, _parsed)
        if here == there:
            continue
        if name == "data" and isinstance(here, dict) and isinstance(there, dict):
            yield from _keys(here, there, "data.")
        else:
            yield before + name[:80]


def _identity(value: bytes) -> str | None:
    event = _parsed(value)
    found = event.get("id") if isinstance(event, dict) else None
    return found if isinstance(found, str) else None


def _same_id(expected: Expected, actual: Actual) -> bool:
    found = _identity(actual.value)
    return found is not None and found == _identity(expected.value)


def _same_place(expected: Expected, actual: Actual) -> bool:
    return (expected.lane, expected.key) == (actual.lane, actual.key)


def _outcome(lane: Lane) -> str:
    return {"rejected": "rejected", "duplicates": "retry", "sequence": "observation"}.get(lane[0], EVENT)


def _named(actual: Actual) -> str:
    """A few words for the record; nothing of a body."""
    if _outcome(actual.lane) != EVENT:
        return f"a record of {actual.lane[0]}"
    return f"event {(_identity(actual.value) or 'without an id')[:40]}"


def _parsed(value: bytes) -> Any:
    try:
        return orjson.loads(value)
    except ValueError:
        return None
