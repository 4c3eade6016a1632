"""The share of an audit that one process judges: some partitions of `raw`, and what they led to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ops.audit.reading.gap_snapshot import GapSnapshot
from ops.audit.reading.snapshot import AuditSnapshot
from ops.kafka.reader import full_name
from schemas.notes.replays import Range, ReplayPlan, ReplayProgress
from schemas.settings import Settings


@dataclass(frozen=True, slots=True)
class AuditAssignment:
    """The partitions of `raw` that one process judges; `is_first` for the process that judges what belongs to none.

    `plans` are the replays and redrives that are judged too, with the progress of each by partition of its source.
    """

    settings: Settings
    snapshot: AuditSnapshot
    partitions: Sequence[int]
    memory_bytes_max: int
    plans: Sequence[tuple[ReplayPlan, Mapping[int, ReplayProgress]]] = ()
    # The partitions of `sequence` whose gaps are judged here, where gaps are judged.
    sequences: frozenset[int] = frozenset()
    gaps: GapSnapshot | None = None
    is_first: bool = True

    @property
    def ranges(self) -> dict[int, Range]:
        """The ranges of `raw` that are judged here, by partition."""
        return {one.partition: one for one in self.snapshot.ranges if one.partition in self.partitions}

    @property
    def is_moving(self) -> bool:
        """Whether a replay or a redrive goes on: of its observations some may be seen without their events."""
        return not self.snapshot.unfinished <= {plan.id for plan, _ in self.plans}

    @property
    def raw_topic(self) -> str:
        """The full name of `raw`."""
        return full_name("raw", self.settings)

    def split(self, processes: int) -> list["AuditAssignment"]:
        """The assignments of so many processes: the largest partitions first, so that all have about as much to do.

        A partition that a migration made is judged with the one in which its keys lay before.
        """
        families: dict[int, list[Range]] = {}
        for one in self.snapshot.ranges:
            families.setdefault(self.snapshot.root_of(one.partition), []).append(one)
        shares: list[list[int]] = [[] for _ in range(max(1, min(processes, len(families))))]
        sizes = [0] * len(shares)
        for family in sorted(families.values(), key=lambda family: -sum(one.count for one in family)):
            index = sizes.index(min(sizes))
            shares[index] += [one.partition for one in family]
            sizes[index] += sum(one.count for one in family)
        sequences = sorted(self.gaps.observations) if self.gaps else []
        return [
            replace(
                self,
                partitions=sorted(share),
                sequences=frozenset(sequences[index :: len(shares)]),
                is_first=index == 0,
            )
            for index, share in enumerate(shares)
        ]
