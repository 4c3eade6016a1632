"""The records of the compacted topic `replay-state`: the plan of a replay or redrive, and its progress.

The plan lies under the replay's id, in partition 0; the progress of a partition under
`id/partition`, in the partition of that number, written in the transaction of the outputs that it counts.
"""

from dataclasses import dataclass, fields
from typing import Annotated, Literal

import orjson
from pydantic import Field, TypeAdapter

from schemas.notes.formats import expect_known, numbered

FORMAT = 1
_ID_PATTERN = r"^(replay|redrive)-[0-9TZ]{1,32}-[0-9a-f]{1,16}$"

Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True)
class Range:
    """Offsets `first` to `end`, `end` not included, of one partition."""

    partition: Count
    first: Count
    end: Count

    @property
    def count(self) -> int:
        """How many offsets it has; not every offset is a record."""
        return max(0, self.end - self.first)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which deliveries, and where their events go; None is no restriction. `begin` and `until` are a person's words.

    `deliveries` are places in `raw`, each `partition:offset`; empty is no restriction.
    """

    begin: str | None = None
    until: str | None = None
    endpoint: str | None = None
    provider: str | None = None
    reason: str | None = None
    topics: tuple[str, ...] = ()
    into: str | None = None
    deliveries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayPlan:
    """A replay or redrive; `source` is the short name of the topic that is read.

    `rules` names the rules by which every run of it judged; empty where they differed, or are not known.
    """

    id: Annotated[str, Field(pattern=_ID_PATTERN)]
    source: Literal["raw", "rejected"]
    choice: Choice
    ranges: tuple[Range, ...]
    finished: bool = False
    rules: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayProgress:
    """The counts of the records before offset `next`.

    Each record is counted once: `became` events; `rejected`, still or now; `retries`, of what is an event; `left_out`
    of the choice. `events` are the event records written.
    """

    next: Count
    became: Count = 0
    rejected: Count = 0
    retries: Count = 0
    left_out: Count = 0
    events: Count = 0

    @property
    def records(self) -> int:
        """How many records it stands for."""
        return self.became + self.rejected + self.retries + self.left_out

    def plus(self, other: "ReplayProgress") -> "ReplayProgress":
        """The sum, `next` being the other's."""
        sums = {one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self)}
        return ReplayProgress(**{**sums, "next": other.next})


_PLAN = TypeAdapter(ReplayPlan)
_PROGRESS = TypeAdapter(ReplayProgress)


def write(state: ReplayPlan | ReplayProgress) -> bytes:
    """The value of a record that `read_plan` or `read_progress` reads."""
    return numbered(orjson.dumps(state), FORMAT)


def progress_key(replay: str, partition: int) -> bytes:
    """The key of a partition's progress."""
    return f"{replay}/{partition}".encode()


def read_plan(value: bytes | None) -> ReplayPlan | None:
    """The plan that a record holds; None for whatever else another producer wrote there.

    Raises:
        NewerFormatError: a newer version wrote it.
    """
    expect_known(value, known=FORMAT, what="the plan of a replay in topic replay-state")
    try:
        return _PLAN.validate_json(value or b"")
    except ValueError:
        return None


def read_progress(value: bytes | None) -> ReplayProgress | None:
    """The progress that a record holds; None for whatever else another producer wrote there.

    Raises:
        NewerFormatError: a newer version wrote it.
    """
    expect_known(value, known=FORMAT, what="the progress of a replay in topic replay-state")
    try:
        return _PROGRESS.validate_json(value or b"")
    except ValueError:
        return None
