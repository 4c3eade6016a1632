"""The records of the compacted topic `reconcile-state`: how far each run of `dropstream reconcile` is.

A run lies under its id, written again with every page; what the next run of an endpoint is to know lies under
`memory/ENDPOINT`. All are in partition 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated

import orjson
from pydantic import Field, TypeAdapter

from schemas.event_attributes import Rfc3339
from schemas.notes.formats import expect_known, numbered
from schemas.notes.gaps import Gap

# Of a run; what the next run is to know has no number, for it is written with the run that says it.
FORMAT = 1
_ID_PATTERN = r"^reconcile-[0-9TZ]{1,32}-[0-9a-f]{1,16}$"
_MEMORY = "memory/"

Whole = Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileCounts:
    """The counts of the states that a run fetched.

    Each state is counted once: `published`, some of these as `overtaken` too; `known`, for the same state is there;
    `unreadable`, for it is none. `orders` and `skus` are the published ones of each kind; `requests` went to the API.
    """

    published: Whole = 0
    overtaken: Whole = 0
    known: Whole = 0
    unreadable: Whole = 0
    orders: Whole = 0
    skus: Whole = 0
    requests: Whole = 0

    @property
    def fetched(self) -> int:
        """How many states were fetched."""
        return self.published + self.known + self.unreadable

    def plus(self, other: "ReconcileCounts") -> "ReconcileCounts":
        """The sum."""
        return ReconcileCounts(**{one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileRun:
    """A run: the window of time (`end` None is the present), the gaps that it is for, and how far it is.

    `cursor` is the source's, of the last page that is in `raw`; `notes` are its sentences for the person.
    """

    id: Annotated[str, Field(pattern=_ID_PATTERN)]
    endpoint: str
    begin: Rfc3339
    end: Rfc3339 | None
    gaps: tuple[Gap, ...] = ()
    cursor: str = ""
    step: str = ""
    counts: ReconcileCounts = field(default_factory=ReconcileCounts)
    notes: tuple[str, ...] = ()
    memory: Mapping[str, str] = field(default_factory=dict)
    changed_at: Rfc3339
    finished: bool = False


_RUN = TypeAdapter(ReconcileRun)
_KNOWN = TypeAdapter(dict[str, str])


def write_run(run: ReconcileRun) -> bytes:
    """The value of the record under the run's id."""
    return numbered(orjson.dumps(run), FORMAT)


def read_run(value: bytes | None) -> ReconcileRun | None:
    """The run that a record holds; None for whatever else another producer wrote there.

    Raises:
        NewerFormatError: a newer version wrote it.
    """
    expect_known(value, known=FORMAT, what="a run in topic reconcile-state")
    try:
        return _RUN.validate_json(value or b"")
    except ValueError:
        return None


def memory_key(endpoint: str) -> bytes:
    """The key of what the next run of the endpoint is to know."""
    return f"{_MEMORY}{endpoint}".encode()


def memory_endpoint(key: bytes | None) -> str | None:
    """The endpoint whose memory a record with this key holds; None where it holds none."""
    text = (key or b"").decode("utf-8", "replace")
    return text.removeprefix(_MEMORY) if text.startswith(_MEMORY) else None


def read_memory(value: bytes | None) -> Mapping[str, str]:
    """What a record of an endpoint's memory holds; empty for whatever else another producer wrote there. Total."""
    try:
        return _KNOWN.validate_json(value or b"")
    except ValueError:
        return {}
