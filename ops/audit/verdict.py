"""The result of an audit: counts, exceptions by kind and position, and sentences about what cannot be known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal


class FindingKind(StrEnum):
    """The closed set of what can be wrong with a record that was or ought to be written."""

    LOST = "lost"
    DOUBLED = "doubled"
    ALTERED = "altered"
    MISPLACED = "misplaced"
    DISORDERED = "disordered"
    FALSELY_DROPPED = "falsely_dropped"
    UNEXPLAINED = "unexplained"


# What a person does about an exception; `deploy/runbook.md` says more under the same words.
ADVICE: Mapping[FindingKind, str] = {
    FindingKind.LOST: "write it again: dropstream replay --in-place over this offset; then find out what lost it",
    FindingKind.DOUBLED: "consumers drop repeated ids; find out what wrote it twice before it writes more",
    FindingKind.ALTERED: "read both records; dropstream replay --in-place over this offset writes the right one",
    FindingKind.MISPLACED: "somebody else wrote it there, or the topic's partitions were changed by hand",
    FindingKind.DISORDERED: "consumers that keep the newest time are safe; find out who else writes to the topic",
    FindingKind.FALSELY_DROPPED: "it was no retry: dropstream replay --in-place over this offset makes its events",
    FindingKind.UNEXPLAINED: "nothing in raw leads to it: somebody else writes to this topic; look at its ACLs",
}


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """An exception. `raw` is the delivery's position (`topic/partition/offset`), empty where none is known.

    `record` is the position of the wrong record, empty where it is missing; `detail` is a sentence without bodies.
    """

    kind: FindingKind
    raw: str
    record: str
    detail: str

    @property
    def position(self) -> str:
        """The position of the delivery, else that of the record."""
        return self.raw or self.record


@dataclass(frozen=True, slots=True)
class Pending:
    """Deliveries of one partition of `raw` that the group has not reached yet, and why they may still come."""

    partition: int
    first: int
    end: int
    why: str

    @property
    def count(self) -> int:
        """How many offsets those are; not every offset need be a delivery."""
        return max(0, self.end - self.first)


@dataclass(frozen=True, slots=True)
class AuditVerdict:
    """The verdict of an audit.

    `found` counts each kind, `findings` holds the first of them. `outputs` are the records read by topic, `replays`
    what each replay and redrive wrote. `beyond_proof` are records by topic that may have been there before retention
    removed the beginning of the topic; `other_rules` are deliveries by the rules that judged them, where those are not
    today's and led to something else; `forgotten` are retries that came after the memory was full; `refused` are
    deliveries in `rejected` because Kafka refused what they led to; `unjudged` are retries whose first try lies before
    the range. `gaps_due` are gaps that are not reported yet, `gaps_unjudged` are
    gaps from before the time since when they can be judged. `unknown` are sentences: what is not known, and what to
    wait for. `remarks` are for a person, and no part of the verdict.
    """

    deliveries: int
    outputs: Mapping[str, int]
    findings: Sequence[AuditFinding] = ()
    found: Mapping[FindingKind, int] = field(default_factory=dict)
    waiting: Sequence[Pending] = ()
    replays: Mapping[str, int] = field(default_factory=dict)
    beyond_proof: Mapping[str, int] = field(default_factory=dict)
    other_rules: Mapping[str, int] = field(default_factory=dict)
    forgotten: int = 0
    refused: int = 0
    unjudged: int = 0
    gaps_due: int = 0
    gaps_unjudged: int = 0
    unknown: Sequence[str] = ()
    remarks: Sequence[str] = ()

    @property
    def status(self) -> Literal["clean", "exceptions", "unknown"]:
        """The verdict in one word; an exception outweighs what is not known."""
        if any(self.found.values()):
            return "exceptions"
        return "unknown" if self.unknown else "clean"

    @property
    def clean(self) -> bool:
        """Whether all is known and nothing is wrong."""
        return self.status == "clean"

    @property
    def pending(self) -> int:
        """How many deliveries the group has not reached yet."""
        return sum(one.count for one in self.waiting)
