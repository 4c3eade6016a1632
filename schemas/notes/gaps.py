"""The record of `gaps`: a run of missing sequence ids, and what became of them.

How to read the topic. Keep a set of open ids per endpoint and epoch, and take its records in the order of their
offsets: `open` adds `first` to `last`; `filled`, `lost` and `dismissed` take away exactly the ids that they name and no
others, so what is left of a hole stays open without a new record; `reset` begins an epoch, and nothing of the one
before is open. `dismissed` may name ids that were `lost` before, or never `open`.
`reconciled` takes nothing away from the open ones: it says that what the provider's API can still tell of lost ids was
fetched, and the sequence does not move by it.
`mixed` says that two counters share the endpoint: nothing of it is open any more, for what is missing cannot be known.
`lost` may name ids that were never `open`: the counter restarted, or there was no room for one more hole, before the
grace time was over. A delivery that comes after its id was `lost` changes nothing here.
"""

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Annotated

import orjson
from pydantic import Field, TypeAdapter

from schemas.event_attributes import EndpointName, RawPlace, Rfc3339
from schemas.records import Record


class GapState(StrEnum):
    """What became of the ids that a record names; more words may come."""

    OPEN = "open"  # Missing for longer than the grace time.
    FILLED = "filled"  # They came late, after they were reported open.
    LOST = "lost"  # They never came: past the retry horizon, or given up before it.
    RECONCILED = "reconciled"  # Lost, and what the provider's API could still tell was fetched.
    DISMISSED = "dismissed"  # A person judged them: they need not be looked for any more.
    RESET = "reset"  # The counter restarted; `first` and `last` are the first id of the new epoch.
    MIXED = "mixed"  # Two counters share the endpoint; `first` and `last` are the newest id of each.


# What the gap tracker says, `dismissed` where a person has told it so; the other is put on record by a run.
TRACKED_STATES = tuple(one for one in GapState if one is not GapState.RECONCILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A run of sequence ids of one endpoint, and what became of it."""

    endpoint: EndpointName
    first: Annotated[int, Field(description="First id of the run.", ge=0, examples=[41])]
    last: Annotated[int, Field(description="Last id of the run, inclusive.", ge=0, examples=[43])]
    state: Annotated[
        GapState,
        Field(
            description="What became of these ids: `open`, missing for longer than the grace time; `filled`, they came "
            "late; `lost`, given up; `reconciled`, lost, and what the provider's API could still tell was fetched; "
            "`dismissed`, a person judged that they need not be looked for; `reset`, the counter began anew at "
            "`first`; `mixed`, two counters send to one endpoint, `first` and `last` are the newest id of each, and "
            "nothing is judged until a `reset`. More words may come.",
            examples=["open"],
        ),
    ]
    suspected_at: Annotated[Rfc3339, Field(description="When a later id came before these, UTC, microseconds.")]
    changed_at: Annotated[Rfc3339, Field(description="When this state began, UTC, microseconds.")]
    epoch: Annotated[int, Field(description="Which run of the counter; the first one is 1.", ge=1, examples=[1])]
    raw: Annotated[RawPlace, Field(description="topic/partition/offset of the raw record where the jump was seen.")]
    run: Annotated[
        str | None,
        Field(
            description="The run that reconciled it; absent elsewhere.", examples=["reconcile-20260521T143211Z-3fa9c1"]
        ),
    ] = None
    orders: Annotated[
        int | None, Field(description="Orders that the run published; absent elsewhere.", ge=0, examples=[3])
    ] = None
    skus: Annotated[
        int | None, Field(description="SKUs that the run published; absent elsewhere.", ge=0, examples=[2])
    ] = None
    by: Annotated[
        str | None, Field(description="Who dismissed these ids; absent in every other state.", examples=["on-call"])
    ] = None
    why: Annotated[
        str | None,
        Field(description="Why they were dismissed; absent in every other state.", examples=["seen in the shop"]),
    ] = None


def gap_record(gap: Gap) -> Record:
    """The gap as a record of `gaps`, keyed by endpoint; what is None is left out."""
    said = {name: value for name in _NAMES if (value := getattr(gap, name)) is not None}
    return Record(topic="gaps", key=gap.endpoint.encode(), value=orjson.dumps(said))


_NAMES = tuple(one.name for one in fields(Gap))
_READER = TypeAdapter(Gap)


def read_gap(value: bytes | None) -> Gap | None:
    """The gap that a record of `gaps` holds; None for whatever else another producer wrote there. Total."""
    try:
        gap = _READER.validate_json(value or b"", strict=True)
    except ValueError:  # pydantic's ValidationError is one.
        return None
    return gap if gap.first <= gap.last else None
