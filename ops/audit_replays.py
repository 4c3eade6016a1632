"""Replays and redrives before the audit: every delivery of a finished one counted once, nothing written twice.

Marked events are no doubles of the originals. What stands against them is the progress that was committed with them:
so many deliveries became so many events. A redrive's events must be nobody else's too. Pure.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from ops.replay_store import Store
from schemas.replays import Plan

# A place in `raw`: partition and offset.
Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class ReplayVerdict:
    """The counts by id (or as one row where there are none), and the exceptions."""

    counts: Mapping[str, int]
    lost: tuple[str, ...] = ()
    doubled: tuple[str, ...] = ()
    disordered: tuple[str, ...] = ()


@dataclass(slots=True)
class Marked:
    """Takes marked events, each topic in its order; then judges.

    Memory: about 150 bytes an event.
    """

    _ids: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    _places: defaultdict[str, set[Place]] = field(default_factory=lambda: defaultdict(set))
    _last: dict[tuple[str, str, bytes, int], int] = field(default_factory=dict)
    _disordered: list[str] = field(default_factory=list)

    def take(self, replay: str, topic: str, key: bytes, event_id: str, place: Place) -> None:
        """An event of `topic` (full name) that a replay has written."""
        self._ids[replay][event_id] += 1
        self._places[replay].add(place)
        line = (replay, topic, key, place[0])
        if self._last.get(line, -1) > place[1]:
            self._disordered.append(f"{event_id} of {replay}")
        self._last[line] = place[1]

    def judge(
        self, store: Store, raw: Mapping[Place, bytes], originals: Collection[str], gone: Collection[str]
    ) -> ReplayVerdict:
        """The verdict. `raw` has the places that were read, `originals` the ids of unmarked events.

        `gone` are the suffixes whose topics are deleted: nobody can say any more what was in them.
        """
        doubled = [
            f"{event_id} of {replay}"
            for replay, ids in self._ids.items()
            for event_id, count in ids.items()
            if count > 1
        ]
        redriven = [(replay, event_id) for replay in self._ids if _is_redrive(replay) for event_id in self._ids[replay]]
        times = Counter(event_id for _, event_id in redriven)
        doubled += [f"{one} of {replay}" for replay, one in redriven if one in originals or times[one] > 1]
        plans = [plan for plan in store.plans.values() if plan.choice.into not in gone]
        finished = [plan for plan in plans if plan.finished]
        return ReplayVerdict(
            counts={
                **{f"events of {plan.id}": self._ids[plan.id].total() for plan in plans if plan.finished},
                **{f"unfinished {plan.id}": self._ids[plan.id].total() for plan in plans if not plan.finished},
            },
            lost=tuple(sentence for plan in finished for sentence in self._missing(plan, store, raw)),
            doubled=tuple(doubled),
            disordered=tuple(self._disordered),
        )

    def _missing(self, plan: Plan, store: Store, raw: Mapping[Place, bytes]) -> Sequence[str]:
        """What of a finished plan is not accounted for."""
        counted = store.sum_of(plan)
        found = {
            "deliveries that became events": (len(self._places[plan.id]), counted.became),
            "events": (self._ids[plan.id].total(), counted.events),
        }
        if plan.source == "raw":
            there = sum((one.partition, offset) in raw for one in plan.ranges for offset in range(one.first, one.end))
            # Where fewer are there, they are deleted since, or the audit was not asked about them.
            if there > counted.records:
                found["deliveries"] = (counted.records, there)
        return [f"{plan.id}: {is_} {what}, {ought} expected" for what, (is_, ought) in found.items() if is_ != ought]


def _is_redrive(replay: str) -> bool:
    return replay.startswith("redrive-")
