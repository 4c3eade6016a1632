"""What lies in the topics, record by record, in a form in which a test may spoil it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

import orjson

from ops.audit.verdict import FindingKind
from processors.deliver.dedupe import DedupeStore
from processors.deliver.step import Rules, deliver
from schemas.kafka.partitions import partition_of
from schemas.records import RawRecord, read_position

# Short name of a topic, and partition.
Lane = tuple[str, int]
# Partition and offset in `raw`.
Place = tuple[int, int]


class Unfit(Exception):  # noqa: N818 it is no error: the fault is tried on another delivery
    """The delivery has no record left to which the fault could be done."""


@dataclass(slots=True, eq=False)
class Written:
    """A record of an output; times are milliseconds since 1970."""

    lane: Lane
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    timestamp_ms: int

    def copy(self) -> "Written":
        """The same record once more."""
        return replace(self, headers=list(self.headers))


@dataclass(frozen=True, slots=True)
class Named:
    """How the audit is to name a fault: by the delivery, or by the record where no delivery is known."""

    kind: FindingKind
    raw: Place | None = None
    record: Written | None = None


@dataclass(slots=True, eq=False)
class Case:
    """A delivery and its records; `free` are those that no fault has touched, `right` is what all were at first."""

    raw: RawRecord
    free: list[Written]
    right: tuple[Written, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.right = tuple(one.copy() for one in self.free)

    @property
    def place(self) -> Place:
        return self.raw.position.partition, self.raw.position.offset

    def take(self, *topics: str, key: bytes | None = None) -> Written:
        """A record of one of these topics (of any without), and of this key."""
        for one in self.free:
            if (not topics or one.lane[0] in topics) and key in {None, one.key}:
                self.free.remove(one)
                return one
        raise Unfit

    def take_all(self) -> list[Written]:
        """Every record, where no fault has touched one."""
        if len(self.free) < len(self.right):
            raise Unfit
        records = list(self.free)
        self.free.clear()
        return records


@dataclass(slots=True)
class History:
    """Deliveries by partition of `raw`, and the records of each lane in order; `partitions` of each output topic."""

    raw: Mapping[int, list[RawRecord]]
    lanes: dict[Lane, list[Written]]
    partitions: Mapping[str, int]
    _of: dict[Place, list[Written]] = field(init=False)
    _by_delivery: dict[str, RawRecord] = field(init=False)

    def __post_init__(self) -> None:
        self._of = defaultdict(list)
        for records in self.lanes.values():
            for one in records:
                if (place := origin_of(one)) is not None:
                    self._of[place].append(one)
        self._by_delivery = {
            (dict(one.headers)["dropstream-delivery"] or b"").decode(): one
            for records in self.raw.values()
            for one in records
        }

    def case(self, delivery: str) -> Case:
        """The delivery of this id with its records."""
        raw = self._by_delivery[delivery]
        records = self._of[raw.position.partition, raw.position.offset]
        return Case(raw, list(records))

    def copy(self) -> "History":
        """The same history, to be spoilt."""
        lanes = {lane: [one.copy() for one in records] for lane, records in self.lanes.items()}
        return History(self.raw, lanes, self.partitions)

    def until(self, ends: Mapping[int, int]) -> "History":
        """The same history, as it was when `raw` ended at these offsets."""
        raw = {partition: records[: ends[partition]] for partition, records in self.raw.items()}
        lanes = {
            lane: [one for one in records if (place := origin_of(one)) is not None and place[1] < ends[place[0]]]
            for lane, records in self.lanes.items()
        }
        return History(raw, lanes, self.partitions)

    def shorten(self, lane: Lane, count: int) -> float:
        """Retention removes the first records of a lane; when its oldest was written, infinite where none is left."""
        del self.lanes[lane][:count]
        return float(self.lanes[lane][0].timestamp_ms) if self.lanes[lane] else float("inf")

    def remove(self, record: Written) -> None:
        """The record was never written."""
        self.lanes[record.lane].remove(record)

    def put_behind(self, record: Written, new: Written) -> None:
        """`new` lies right behind `record`, in its lane."""
        records = self.lanes[record.lane]
        records.insert(records.index(record) + 1, new)

    def put_last(self, new: Written) -> None:
        """`new` is the last record of its lane."""
        records = self.lanes.setdefault(new.lane, [])
        if records:
            new.timestamp_ms = max(new.timestamp_ms, records[-1].timestamp_ms)
        records.append(new)

    def put_in_time(self, new: Written) -> None:
        """`new` lies in its lane where its time says."""
        records = self.lanes.setdefault(new.lane, [])
        index = next((i for i, one in enumerate(records) if one.timestamp_ms > new.timestamp_ms), len(records))
        records.insert(index, new)

    def lane_of(self, topic: str, key: bytes) -> Lane:
        """Where a producer puts a record with this key."""
        return topic, partition_of(key, self.partitions[topic])

    def index(self, record: Written) -> int:
        """The offset of the record, where all records of its lane were written one by one."""
        return next(i for i, one in enumerate(self.lanes[record.lane]) if one is record)


def origin_of(record: Written) -> Place | None:
    """The place in `raw` that the record says it comes from."""
    if record.lane[0] in {"rejected", "duplicates"}:
        named = read_position((dict(record.headers).get("dropstream-raw") or b"").decode())
        return None if named is None else (named.partition, named.offset)
    told = orjson.loads(record.value or b"null")
    if record.lane[0] == "sequence":
        named = read_position(told["raw"])
        return None if named is None else (named.partition, named.offset)
    return told["rawpartition"], int(told["rawoffset"])


def history_of(
    deliveries: Sequence[RawRecord],
    rules: Rules,
    seen: DedupeStore,
    partitions: Mapping[str, int],
    *,
    per_transaction: int,
    lag_ms: int = 5,
) -> History:
    """What a processor makes of the deliveries of one partition, `per_transaction` of them at a time, so much later."""
    lanes: dict[Lane, list[Written]] = {}
    written_ms = 0
    for begin in range(0, len(deliveries), per_transaction):
        some = deliveries[begin : begin + per_transaction]
        written_ms = max(written_ms, some[-1].timestamp_ms + lag_ms)
        for raw in some:
            for one in deliver(raw, rules, seen):
                lane = one.topic, partition_of(one.key, partitions[one.topic])
                lanes.setdefault(lane, []).append(Written(lane, one.key, one.value, list(one.headers), written_ms))
        seen.changes()
        seen.commit()
    return History({0: list(deliveries)}, lanes, partitions)


@dataclass(frozen=True, slots=True)
class Reading:
    """How topics are read: in slices of so much time, and of each slice the lanes in this order.

    Neither is a law: they are what a client happens to fetch at once and first.
    """

    slice_ms: int = 1
    order: Sequence[int] = (0,)


AT_ONCE = Reading(slice_ms=2**62)


def slices_of(history: History, reading: Reading) -> Iterator[tuple[int, list[tuple[Lane, int, Written]]]]:
    """Every record with its lane and its offset, as it is read: in slices of time, each with the moment of its end."""
    order = reading.order
    turn = {lane: order[number % len(order)] for number, lane in enumerate(sorted(history.lanes))}
    timed = []
    for lane, records in history.lanes.items():
        # One that claims to be older than what lies before it comes where it lies.
        latest_ms = 0
        for index, one in enumerate(records):
            latest_ms = max(latest_ms, one.timestamp_ms)
            timed.append((latest_ms // reading.slice_ms, turn[lane], lane, index, one))
    timed.sort(key=lambda each: each[:4])
    for number, some in groupby(timed, key=lambda each: each[0]):
        moment = (number + 1) * reading.slice_ms - 1
        yield moment, [(lane, index, one) for _, _, lane, index, one in some]
