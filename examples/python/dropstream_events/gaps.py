"""A record of the topic gaps, and which sequence ids of an endpoint are missing by all records so far."""

import json
from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dropstream_events.events import read_time


@dataclass(frozen=True, slots=True)
class Gap:
    """A run of sequence ids, both ends included, and what became of it.

    `state` is `open`, `filled`, `lost`, `reset`, `mixed`, `reconciled` or `dismissed`; `run`, `orders` and `skus` say
    what was fetched for a reconciled one, `by` and `why` who dismissed the ids and why.
    """

    endpoint: str
    first: int
    last: int
    state: str
    suspected_at: datetime
    changed_at: datetime
    epoch: int
    raw: str
    run: str | None = None
    orders: int | None = None
    skus: int | None = None
    by: str | None = None
    why: str | None = None


def read_gap(value: bytes) -> Gap:
    """The gap that a record's value holds.

    Raises:
        ValueError: it is none.
    """
    try:
        fields: dict[str, Any] = json.loads(value)
        gap = Gap(
            endpoint=fields["endpoint"],
            first=fields["first"],
            last=fields["last"],
            state=fields["state"],
            suspected_at=read_time(fields["suspected_at"]),
            changed_at=read_time(fields["changed_at"]),
            epoch=fields["epoch"],
            raw=fields["raw"],
            run=fields.get("run"),
            orders=fields.get("orders"),
            skus=fields.get("skus"),
            by=fields.get("by"),
            why=fields.get("why"),
        )
        if not gap.first <= gap.last:
            raise ValueError("ends before it begins")
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"is no gap: {type(error).__name__}: {error}") from error
    return gap


@dataclass(slots=True)
class Missing:
    """The missing ids of every endpoint; give it all records of gaps, from the beginning, in the order of offsets.

    Runs are kept as runs: a hole of a million ids takes the room of one.
    """

    _runs: dict[str, list[tuple[int, int]]] = field(default_factory=dict)

    def take(self, gap: Gap) -> None:
        """Adds the ids of an open or lost gap, takes away what was filled, reconciled or dismissed; a reset clears all.

        So does `mixed`: two counters share the endpoint, and what is missing cannot be known.
        """
        runs = self._runs.setdefault(gap.endpoint, [])
        if gap.state in {"reset", "mixed"}:
            runs.clear()
        elif gap.state in {"open", "lost"}:
            runs[:] = _joined(runs, (gap.first, gap.last))
        elif gap.state in {"filled", "reconciled", "dismissed"}:
            runs[:] = _without(runs, (gap.first, gap.last))

    def runs(self, endpoint: str) -> tuple[tuple[int, int], ...]:
        """First and last id of every run that is missing, in order."""
        return tuple(self._runs.get(endpoint, ()))

    def count(self, endpoint: str) -> int:
        """How many ids are missing."""
        return sum(last - first + 1 for first, last in self.runs(endpoint))


def _joined(runs: list[tuple[int, int]], new: tuple[int, int]) -> list[tuple[int, int]]:
    rest = _without(runs, new)
    rest.insert(bisect_left(rest, new), new)
    return rest


def _without(runs: list[tuple[int, int]], taken: tuple[int, int]) -> list[tuple[int, int]]:
    first, last = taken
    kept = []
    for low, high in runs:
        kept += [(low, min(high, first - 1))] if low < first else []
        kept += [(max(low, last + 1), high)] if high > last else []
    return kept
